#include "tests/sim/oracle.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace sluice::sim {
namespace {

struct Tally {
    int all{0};
    int good{0};
    int bad{0};
    int failed{0};
    int skipped{0};
    int ended{0};
};

Fate if_any(bool now, bool over, Fate otherwise) {
    if (now) return Fate::run;
    return over ? otherwise : Fate::wait;
}

}  // namespace

Usage count_usage(
    const store::MemoryJournal& journal,
    const Versions& versions,
    const core::Settings& settings,
    const std::set<BackfillId>& at_work
) {
    Usage usage;
    for (const auto& [key, run] : journal.runs()) {
        if (is_finished(run.state)) continue;
        const bool own_limit = run.backfill && at_work.contains(*run.backfill);
        if (run.state == RunState::running && !own_limit) ++usage.runs[run.dag_id];
        const auto& dag = *versions.at(run.version);
        const auto& rows = journal.instances();
        const TaskKey first{key, 0, INT32_MIN};
        for (auto at = rows.lower_bound(first); at != rows.end() && at->first.run == key; ++at) {
            const auto state = at->second.state;
            if (state != TaskState::running && state != TaskState::restarting) continue;
            const auto& task = dag.tasks[static_cast<std::size_t>(at->first.task)];
            ++usage.attempts;
            ++usage.by_run[key];
            ++usage.by_dag[run.dag_id];
            ++usage.by_run_task[{key, task.id}];
            ++usage.by_dag_task[{run.dag_id, task.id}];
            if (task.max_active_tis_per_dag) ++usage.by_limited[{run.dag_id, task.id}];
            for (const auto& [pool, amount] : demand(task, settings)) usage.pools[pool] += amount;
        }
    }
    return usage;
}

std::map<std::string, std::int64_t> demand(const Task& task, const core::Settings& settings) {
    std::map<std::string, std::int64_t> result;
    result[task.pool] += task.pool_slots;
    if (task.isolation == Isolation::inline_ && !task.resources.written) return result;
    const auto megabytes = (task.resources.memory_bytes + (1 << 20) - 1) >> 20;
    result["cpu"] += std::clamp<std::int64_t>(task.resources.threads, 1, settings.cpu);
    result["memory_mb"] += std::clamp<std::int64_t>(megabytes, 1, settings.memory_mb);
    return result;
}

std::int64_t slots_of(
    const std::string& pool,
    const std::map<std::string, Pool>& pools,
    const core::Settings& settings
) {
    if (pool == "cpu") return settings.cpu;
    if (pool == "memory_mb") return settings.memory_mb;
    const auto found = pools.find(pool);
    if (found != pools.end()) return found->second.slots;
    return pool == "default_pool" ? 128 : 0;
}

namespace {

const Task& task_in(const Dag& dag, TaskNo no) { return dag.tasks[static_cast<std::size_t>(no)]; }

}  // namespace

MapNo top_in(const Dag& dag, MapNo map) {
    if (map == no_map) return no_map;
    const MapNo outer = dag.mappings[static_cast<std::size_t>(map)].outer;
    return outer == no_map ? map : outer;
}

namespace {

bool is_below(const Dag& dag, TaskNo no, TaskNo above) {
    return std::ranges::any_of(task_in(dag, no).upstream, [&](TaskNo other) {
        return other == above || is_below(dag, other, above);
    });
}

bool is_up(const Dag& dag, TaskNo no, TaskNo above) {
    const auto& up = task_in(dag, no).upstream;
    return std::ranges::find(up, above) != up.end();
}

/// Within a mapped group an index has to do with its own index alone; an instance of a mapping
/// inside it with its outer index.
bool concerns(const Dag& dag, const Places& places, const TaskKey& other, const TaskKey& key) {
    const MapNo ours = task_in(dag, key.task).mapping;
    const MapNo theirs = task_in(dag, other.task).mapping;
    if (key.map_index == unmapped || other.map_index == unmapped) return true;
    if (ours == theirs) return ours == no_map || key.map_index == other.map_index;
    if (top_in(dag, ours) == no_map || top_in(dag, ours) != top_in(dag, theirs)) return true;
    return places.outer(ours, key.map_index) == places.outer(theirs, other.map_index);
}

/// What the list of its outer instance no longer has.
bool is_unlisted(const Dag& dag, const TaskInstance& row) {
    const MapNo map = task_in(dag, row.key.task).mapping;
    return row.state == TaskState::removed && map != no_map && top_in(dag, map) != map &&
           row.key.map_index != unmapped;
}

bool another_way(
    const Dag& dag,
    const Places& places,
    const std::vector<TaskInstance>& rows,
    const std::vector<BranchChoice>& choices,
    const TaskKey& key
) {
    return std::ranges::any_of(choices, [&](const BranchChoice& choice) {
        const TaskKey& branch = choice.key;
        const auto at = std::ranges::find(rows, branch, [](const auto& row) { return row.key; });
        if (at == rows.end() || at->state != TaskState::success) return false;
        const bool alone = branch.map_index != unmapped;
        const MapNo ours = task_in(dag, key.task).mapping;
        const MapNo theirs = task_in(dag, branch.task).mapping;
        const bool inside = ours != no_map && (ours == theirs || top_in(dag, ours) == theirs);
        if (alone && (!inside || key.map_index == unmapped || !concerns(dag, places, branch, key)))
            return false;
        if (choice.branch.skip_all_below) return is_below(dag, key.task, branch.task);
        if (!is_up(dag, key.task, branch.task)) return false;
        return std::ranges::none_of(choice.branch.chosen, [&](const std::string& id) {
            const TaskNo chosen = find_task(dag, id);
            return chosen == key.task || is_below(dag, key.task, chosen);
        });
    });
}

bool in_scope_of(const Dag& dag, TaskNo no, TaskNo setup) {
    if (is_up(dag, no, setup) || !is_below(dag, no, setup)) return false;
    bool none = true;
    bool in_scope = false;
    for (TaskNo down = 0; down < static_cast<TaskNo>(dag.tasks.size()); ++down) {
        if (!task_in(dag, down).is_teardown || !is_up(dag, down, setup)) continue;
        none = false;
        in_scope = in_scope || is_below(dag, down, no);
    }
    return none || in_scope;
}

/// Setups further up that are in the task's scope: the worst of them counts.
Fate judge_setups(
    const Dag& dag, const Places& places, const std::vector<TaskInstance>& rows, const TaskKey& key
) {
    Fate fate = Fate::run;
    for (const auto& row : rows) {
        const TaskNo setup = row.key.task;
        if (!task_in(dag, setup).is_setup || !concerns(dag, places, row.key, key)) continue;
        if (is_unlisted(dag, row)) continue;
        if (!in_scope_of(dag, key.task, setup)) continue;
        const bool bad = is_finished(row.state) && row.state != TaskState::success;
        if (bad && row.state != TaskState::removed) return Fate::mark;
        if (row.state != TaskState::success) fate = Fate::wait;
    }
    return fate;
}

Fate judge_teardown(
    const Dag& dag, const Places& places, const std::vector<TaskInstance>& rows, const TaskKey& key
) {
    bool any = false;
    bool good = false;
    for (const auto& row : rows) {
        if (!is_up(dag, key.task, row.key.task) || !concerns(dag, places, row.key, key)) continue;
        if (is_unlisted(dag, row)) continue;
        if (!is_finished(row.state)) return Fate::wait;
        if (!task_in(dag, row.key.task).is_setup) continue;
        any = true;
        good = good || row.state == TaskState::success;
    }
    return !any || good ? Fate::run : Fate::mark;
}

Fate judge_rule(
    const Dag& dag, const Places& places, const std::vector<TaskInstance>& rows, const TaskKey& key
) {
    const Task& task = dag.tasks[static_cast<std::size_t>(key.task)];
    const bool any_index = task.trigger_rule == TriggerRule::one_success ||
                           task.trigger_rule == TriggerRule::one_failed ||
                           task.trigger_rule == TriggerRule::one_done;
    Tally n;
    for (const auto& row : rows) {
        if (std::ranges::find(task.upstream, row.key.task) == task.upstream.end()) continue;
        const Task& up = dag.tasks[static_cast<std::size_t>(row.key.task)];
        // Those rules do not look at one instance, where the others would.
        const bool is_one = up.mapping == task.mapping ||
                            (task.mapping != no_map && up.mapping == top_in(dag, task.mapping));
        if (!(any_index && is_one) && !concerns(dag, places, row.key, key)) continue;
        if (is_unlisted(dag, row)) continue;
        const TaskState state = row.state;
        ++n.all;
        if (is_finished(state)) ++n.ended;
        if (state == TaskState::success) ++n.good;
        if (state == TaskState::skipped) ++n.skipped;
        if (state == TaskState::failed) ++n.failed;
        if (state == TaskState::failed || state == TaskState::upstream_failed) ++n.bad;
    }
    const bool over = n.ended == n.all;
    if (n.all == 0) return Fate::run;
    switch (task.trigger_rule) {
        case TriggerRule::all_success:
            if (n.bad + n.skipped > 0) return Fate::mark;
            return n.good == n.all ? Fate::run : Fate::wait;
        case TriggerRule::all_failed:
            if (n.good + n.skipped > 0) return Fate::mark;
            return n.bad == n.all ? Fate::run : Fate::wait;
        case TriggerRule::all_done:
            return over ? Fate::run : Fate::wait;
        case TriggerRule::all_done_min_one_success:
            if (n.skipped > 0) return Fate::mark;
            if (!over) return Fate::wait;
            return n.good > 0 ? Fate::run : Fate::mark;
        case TriggerRule::all_skipped:
            if (n.good + n.bad > 0) return Fate::mark;
            return n.skipped == n.all ? Fate::run : Fate::wait;
        case TriggerRule::one_failed:
            return if_any(n.bad > 0, over, Fate::mark);
        case TriggerRule::one_success:
            return if_any(n.good > 0, over, Fate::mark);
        case TriggerRule::one_done:
            return if_any(n.good + n.failed > 0, over, Fate::mark);
        case TriggerRule::none_failed:
            if (n.bad > 0) return Fate::mark;
            return over ? Fate::run : Fate::wait;
        case TriggerRule::none_failed_min_one_success:
            if (n.bad > 0 || n.skipped == n.all) return Fate::mark;
            return over ? Fate::run : Fate::wait;
        case TriggerRule::none_skipped:
            if (n.skipped > 0) return Fate::mark;
            return over ? Fate::run : Fate::wait;
        case TriggerRule::always:
            return Fate::run;
        case TriggerRule::all_done_setup_success:
            return judge_teardown(dag, places, rows, key);
    }
    unreachable();
}

/// How the task of this id ended in a run; "there" even if it never left `none`.
struct Earlier {
    bool there{false};
    bool good{false};
};

Earlier earlier(
    store::MemoryJournal& journal,
    const Versions& versions,
    const DagRun& run,
    const std::string& task_id
) {
    const Dag& dag = *versions.at(run.version);
    const TaskNo no = find_task(dag, task_id);
    if (no == no_task) return {};
    const auto stored = journal.find_run(run.key);
    std::int32_t length = -1;
    for (const auto& known : stored->map_lengths)
        if (known.map == task_in(dag, no).mapping && known.outer == unmapped) length = known.length;
    std::map<MapIndex, TaskState> states;
    for (const auto& range : stored->map_ranges)
        if (range.task == no)
            for (MapIndex i = range.lo; i <= range.hi; ++i) states[i] = range.state;
    for (const auto& row : stored->instances)
        if (row.key.task == no) states[row.key.map_index] = row.state;
    const auto is_good = [&](MapIndex index) {
        const auto found = states.find(index);
        return found != states.end() &&
               (found->second == TaskState::success || found->second == TaskState::skipped);
    };
    const auto one = states.find(unmapped);
    if (length <= 0 || (one != states.end() && one->second != TaskState::none))
        return {true, is_good(unmapped)};
    bool good = true;
    for (MapIndex i = 0; i < length; ++i) {
        TaskInstance row;
        row.key = {run.key, no, i};
        if (const auto found = states.find(i); found != states.end()) row.state = found->second;
        good = good && (is_unlisted(dag, row) || is_good(i));
    }
    return {true, good};
}

}  // namespace

Places::Places(const store::MemoryJournal& journal, RunKey run, const Dag& dag) {
    for (MapNo map = 0; const auto& mapping : dag.mappings) {
        if (mapping.outer != no_map) lists_[map] = journal.map_lengths(run, map);
        ++map;
    }
}

MapIndex Places::outer(MapNo map, MapIndex index) const {
    const auto lists = lists_.find(map);
    if (lists == lists_.end()) return index;
    for (const auto& list : lists->second)
        for (const auto& [base, count] : list.blocks)
            if (list.outer != unmapped && base <= index && index < base + count) return list.outer;
    return index;
}

Fate judge_slowly(
    const Dag& dag,
    const Places& places,
    const std::vector<TaskInstance>& rows,
    const std::vector<BranchChoice>& choices,
    const TaskKey& key
) {
    const bool teardown = task_in(dag, key.task).is_teardown;
    if (!teardown && another_way(dag, places, rows, choices, key)) return Fate::mark;
    const Fate rule = judge_rule(dag, places, rows, key);
    if (teardown) return rule;
    const Fate setups = judge_setups(dag, places, rows, key);
    return setups == Fate::mark || rule == Fate::run ? setups : rule;
}

bool past_is_met(
    store::MemoryJournal& journal,
    const Versions& versions,
    const DagRun& run,
    const Dag& dag,
    TaskNo no
) {
    const Task& task = dag.tasks[static_cast<std::size_t>(no)];
    std::set<std::string> wanted;
    for (const TaskNo other : task.depends_on_previous_tasks)
        wanted.insert(dag.tasks[static_cast<std::size_t>(other)].id);
    if (task.depends_on_past) wanted.insert(task.id);
    if (wanted.empty() || !run.logical_date || (run.backfill && run.backfill_ordinal == 1))
        return true;
    const DagRun* previous = nullptr;
    for (const auto& [key, other] : journal.runs()) {
        if (other.dag_id != run.dag_id || !other.logical_date) continue;
        if (*other.logical_date >= *run.logical_date) continue;
        if (dag.catchup && other.type == RunType::manual) continue;
        if (previous == nullptr || *other.logical_date >= *previous->logical_date)
            previous = &other;
    }
    if (previous == nullptr) return true;
    if (dag.catchup && dag.start_date && *previous->logical_date < *dag.start_date) return true;
    for (const auto& id : wanted) {
        const Earlier end = earlier(journal, versions, *previous, id);
        if (end.there && !end.good) return false;
        if (end.there) continue;
        if (!task.ignore_first_depends_on_past) return false;
        for (const auto& [key, other] : journal.runs())
            if (other.dag_id == run.dag_id && other.logical_date &&
                *other.logical_date < *run.logical_date &&
                find_task(*versions.at(other.version), id) != no_task)
                return false;
    }
    if (!task.wait_for_downstream) return true;
    return std::ranges::all_of(task.downstream, [&](TaskNo down) {
        const auto& id = dag.tasks[static_cast<std::size_t>(down)].id;
        const Earlier end = earlier(journal, versions, *previous, id);
        return !end.there || end.good;
    });
}

}  // namespace sluice::sim
