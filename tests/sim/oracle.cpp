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

Fate judge_slowly(const Dag& dag, const std::vector<TaskInstance>& rows, const TaskKey& key) {
    const Task& task = dag.tasks[static_cast<std::size_t>(key.task)];
    const bool any_index = task.trigger_rule == TriggerRule::one_success ||
                           task.trigger_rule == TriggerRule::one_failed ||
                           task.trigger_rule == TriggerRule::one_done;
    Tally n;
    for (const auto& row : rows) {
        if (std::ranges::find(task.upstream, row.key.task) == task.upstream.end()) continue;
        const Task& up = dag.tasks[static_cast<std::size_t>(row.key.task)];
        // Within a mapped group an index waits for the same index.
        const bool same_group = task.mapping != no_map && task.mapping == up.mapping;
        if (same_group && !any_index && key.map_index != unmapped &&
            row.key.map_index != unmapped && row.key.map_index != key.map_index)
            continue;
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
            return over ? Fate::run : Fate::wait;
    }
    unreachable();
}

}  // namespace sluice::sim
