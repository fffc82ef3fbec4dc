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
    run.expansions[map].length = length.length;
    if (length.length <= 0) return;
    for (const TaskNo task : run.plan->dag->mappings[map].tasks)
        run.family(task).expand(length.length);
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

bool is_by_index(const Dag& dag, TaskNo up, TaskNo down) {
    const Task& task = dag.tasks[static_cast<std::size_t>(down)];
    if (task.mapping == no_map || task.mapping != dag.tasks[static_cast<std::size_t>(up)].mapping)
        return false;
    switch (task.trigger_rule) {
        case TriggerRule::one_success:
        case TriggerRule::one_failed:
        case TriggerRule::one_done:
            return false;
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
            return true;
    }
    unreachable();
}

namespace {

/// All instances of a task.
UpstreamCounts counts_of(const Family& family) {
    UpstreamCounts counts;
    counts.total = family.size();
    for (int state = 0; state < task_state_count; ++state) {
        const auto what = static_cast<TaskState>(state);
        counts.add(what, family.count(what));
    }
    return counts;
}

}  // namespace

UpstreamCounts upstreams_of(const Run& run, const TaskKey& key) {
    UpstreamCounts counts = run.family(key.task).up;
    if (run.family(key.task).mapping == no_map) return counts;
    for (const TaskNo up : run.task(key.task).upstream) {
        if (!is_by_index(run, up, key.task)) continue;
        const Family& family = run.family(up);
        if (!family.is_expanded() || key.map_index == unmapped) {
            counts.add(counts_of(family));
            continue;
        }
        ++counts.total;
        counts.add(family.state(key.map_index), 1);
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
        for (const TaskNo down : run.task(task).downstream)
            if (!is_by_index(run, task, down)) run.family(down).up.add(counts_of(family));
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
