#include "core/run_state.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace sluice::core {

bool Run::has_begun() const {
    return std::ranges::any_of(tasks, [](const Family& family) {
        return family.one.has_row || family.is_expanded();
    });
}

void make_instances(Run& run) {
    const auto& dag = *run.plan->dag;
    run.tasks.resize(dag.tasks.size());
    run.expansions.resize(dag.mappings.size());
    for (std::size_t i = 0; i < dag.tasks.size(); ++i) {
        auto& family = run.tasks[i];
        family.mapping = dag.tasks[i].mapping;
        family.retries = dag.tasks[i].retries;
        auto& row = family.one.row;
        row.key = {run.row.key, static_cast<TaskNo>(i), unmapped};
        row.max_tries = dag.tasks[i].retries;
    }
    recount(run);
}

void restore_length(Run& run, const MapLength& length) {
    const auto map = static_cast<std::size_t>(length.map);
    SLUICE_CHECK(map < run.expansions.size());
    auto& known = run.expansions[map];
    const Mapping& mapping = run.plan->dag->mappings[map];
    if (length.outer == unmapped) known.length = length.length;
    if (mapping.outer == no_map) {
        if (length.length <= 0) return;
        for (const TaskNo task : mapping.tasks) run.family(task).expand(length.length);
        return;
    }
    // The mapping around it comes first.
    const auto outers = run.expansions[static_cast<std::size_t>(mapping.outer)].length;
    if (known.length <= 0 || length.outer >= outers) return;
    if (!known.nest) known.nest = std::make_unique<Nest>(outers);
    if (length.outer == unmapped) return;
    auto& part = known.nest->part(length.outer);
    part.length = length.length;
    for (const auto& [base, count] : length.blocks) known.nest->add(length.outer, base, count);
}

void restore_nests(Run& run) {
    for (std::size_t map = 0; map < run.expansions.size(); ++map) {
        auto& known = run.expansions[map];
        if (!known.nest) continue;
        std::ranges::sort(known.nest->blocks, {}, &Nest::Block::base);
        for (const TaskNo task : run.plan->dag->mappings[map].tasks) {
            run.family(task).nest = known.nest.get();
            run.family(task).expand(known.length);
        }
    }
}

void restore_range(Run& run, const MapRange& range) { run.family(range.task).set_range(range); }

void restore_instance(Run& run, const TaskInstance& row) {
    SLUICE_CHECK(row.key.task >= 0);
    SLUICE_CHECK(static_cast<std::size_t>(row.key.task) < run.tasks.size());
    auto& family = run.family(row.key.task);
    // It ended before its length was known: it never got the instances.
    if (row.key.map_index == unmapped && row.state != TaskState::none && family.is_expanded())
        family.fold();
    family.restore(row);
}

MapNo top_of(const Dag& dag, MapNo map) {
    if (map == no_map) return no_map;
    const MapNo outer = dag.mappings[static_cast<std::size_t>(map)].outer;
    return outer == no_map ? map : outer;
}

Kin kin_of(const Dag& dag, TaskNo up, TaskNo down) {
    const MapNo ours = dag.tasks[static_cast<std::size_t>(down)].mapping;
    const MapNo theirs = dag.tasks[static_cast<std::size_t>(up)].mapping;
    if (ours == no_map || theirs == no_map) return Kin::none;
    if (ours == theirs) return Kin::same;
    const MapNo top = top_of(dag, ours);
    if (top != top_of(dag, theirs)) return Kin::none;
    return theirs == top ? Kin::outer : Kin::part;
}

Kin reach_of(const Dag& dag, TaskNo up, TaskNo down) {
    const Kin kin = kin_of(dag, up, down);
    if (kin == Kin::none || kin == Kin::part) return kin;
    switch (dag.tasks[static_cast<std::size_t>(down)].trigger_rule) {
        case TriggerRule::one_success:
        case TriggerRule::one_failed:
        case TriggerRule::one_done:
            return Kin::none;
        case TriggerRule::all_success:
        case TriggerRule::all_failed:
        case TriggerRule::all_done:
        case TriggerRule::all_done_min_one_success:
        case TriggerRule::all_skipped:
        case TriggerRule::none_failed:
        case TriggerRule::none_failed_min_one_success:
        case TriggerRule::none_skipped:
        case TriggerRule::all_done_setup_success:
        case TriggerRule::always:
            return kin;
    }
    unreachable();
}

UpstreamCounts upstreams_of(const Run& run, const TaskKey& key) {
    UpstreamCounts counts = run.family(key.task).up;
    if (run.family(key.task).mapping == no_map) return counts;
    const MapIndex outer = run.family(key.task).outer_of(key.map_index);
    for (const TaskNo up : run.task(key.task).upstream) {
        const Kin reach = reach_of(run, up, key.task);
        if (reach == Kin::none) continue;
        each_state(run.family(up), reach, outer, key.map_index, [&](TaskState state, int count) {
            counts.total += count;
            counts.add(state, count);
        });
    }
    return counts;
}

void restore_choice(Run& run, const BranchChoice& choice) {
    auto skips = skipped_by(*run.plan->whole, choice.key.task, choice.branch);
    SLUICE_CHECK(skips.has_value());  // it was checked when it was made
    run.choices[choice.key] = {choice.branch, std::move(*skips)};
}

bool is_waiting(TaskState state) {
    switch (state) {
        case TaskState::up_for_retry:
        case TaskState::up_for_reschedule:
        case TaskState::deferred:
        case TaskState::awaiting_input:
        case TaskState::scheduled:
            return true;
        case TaskState::none:
        case TaskState::queued:
        case TaskState::running:
        case TaskState::restarting:
        case TaskState::success:
        case TaskState::failed:
        case TaskState::skipped:
        case TaskState::upstream_failed:
        case TaskState::removed:
            return false;
    }
    unreachable();
}

void recount(Run& run) {
    run.unfinished = 0;
    run.active = 0;
    run.waiting = 0;
    for (auto& family : run.tasks) family.up = {};
    for (const auto& family : run.tasks) {
        const TaskNo task = family.one.row.key.task;
        for (int state = 0; state < task_state_count; ++state) {
            const auto what = static_cast<TaskState>(state);
            const auto count = family.count(what);
            if (!is_finished(what)) run.unfinished += count;
            if (holds_slots(what)) run.active += count;
            if (is_waiting(what)) run.waiting += count;
        }
        for (const TaskNo down : run.task(task).downstream) {
            if (reach_of(run, task, down) != Kin::none) continue;
            auto& up = run.family(down).up;
            each_state(family, Kin::none, unmapped, unmapped, [&](TaskState state, int count) {
                up.total += count;
                up.add(state, count);
            });
        }
    }
}

RunState end_state(const Run& run) {
    for (const auto& family : run.tasks) {
        const auto no = static_cast<std::size_t>(family.one.row.key.task);
        if (!run.plan->tasks[no].decides) continue;
        if (family.count(TaskState::failed) + family.count(TaskState::upstream_failed) > 0)
            return RunState::failed;
    }
    return RunState::success;
}

std::string failures_text(const Run& run) {
    constexpr int named = 3;
    std::string text;
    int count = 0;
    for (const auto& family : run.tasks) {
        if (family.count(TaskState::failed) == 0) continue;
        if (++count > named) continue;
        text += count > 1 ? ", " : "with failures: ";
        text += run.task(family.one.row.key.task).id;
    }
    if (count > named) text += " and " + std::to_string(count - named) + " more";
    return text;
}

}  // namespace sluice::core
