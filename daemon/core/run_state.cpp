#include "core/run_state.hpp"

#include "base/check.hpp"

namespace sluice::core {

void make_instances(Run& run) {
    const auto& dag = *run.plan->dag;
    run.tasks.resize(dag.tasks.size());
    for (std::size_t i = 0; i < dag.tasks.size(); ++i) {
        auto& row = run.tasks[i].one.row;
        row.key = {run.row.key, static_cast<TaskNo>(i), unmapped};
        row.max_tries = dag.tasks[i].retries;
        run.tasks[i].up.total = static_cast<std::int32_t>(dag.tasks[i].upstream.size());
    }
    run.unfinished = static_cast<int>(dag.tasks.size());
}

void restore_instance(Run& run, const TaskInstance& row) {
    SLUICE_CHECK(run.has(row.key));
    auto& instance = run.at(row.key);
    instance.row = row;
    instance.has_row = true;
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
    run.each([&run](const Instance& instance) {
        const TaskState state = instance.row.state;
        if (!is_finished(state)) ++run.unfinished;
        if (holds_slots(state)) ++run.active;
        if (is_waiting(state) || (state == TaskState::none && instance.ready)) ++run.waiting;
        for (const TaskNo down : run.task(instance.row.key.task).downstream) {
            auto& counts = run.family(down).up;
            ++counts.total;
            counts.add(state, 1);
        }
    });
}

RunState end_state(const Run& run) {
    bool failed = false;
    run.each([&](const Instance& instance) {
        const bool leaf = run.task(instance.row.key.task).downstream.empty();
        failed = failed || (leaf && is_failure(instance.row.state));
    });
    return failed ? RunState::failed : RunState::success;
}

}  // namespace sluice::core
