// endings.cpp — runs whose end is decided before their last task has ended: set by hand while
// teardowns are still to run, or failed at the first failure (fail_fast); and what the end of a run
// means for its DAG.
#include <utility>

#include <fmt/format.h>

#include "base/check.hpp"
#include "core/impl.hpp"

namespace sluice::core {

void Scheduler::Impl::set_ending(Run& run, RunState state, std::string reason, bool stop) {
    run.ending = {run.row.key, state, std::move(reason), stop, false};
    run.ending_dirty = true;
    touch(run);
}

void Scheduler::Impl::drop_ending(Run& run) {
    if (!run.ending) return;
    run.ending.reset();
    run.ending_dirty = true;
    touch(run);
}

/// The last attempt of a task failed in a DAG that says fail_fast.
void Scheduler::Impl::fail_fast(Run& run, const Instance& failed) {
    const Task& task = run.task(failed.row.key.task);
    if (!run.plan->dag->fail_fast || task.is_teardown || run.row.state != RunState::running) return;
    if (run.ending) return;
    set_ending(run, RunState::failed, fmt::format("fail_fast: {} failed", task.id), true);
    stopping_.push_back(run.row.key);
}

/// Ends everything but teardowns. What this turn has changed already is ended in the next one.
void Scheduler::Impl::stop_failed_runs() {
    for (const RunKey key : std::exchange(stopping_, {})) {
        Run* run = find_run(key);
        if (run == nullptr || !run->ending || !run->ending->stop) continue;
        bool all = true;
        const auto become = [](TaskState state) {
            return holds_slots(state) ? TaskState::failed : TaskState::skipped;
        };
        for (const auto& which : named(*run, {})) {
            if (run->task(which.task).is_teardown) continue;
            each_range(
                *run,
                which,
                [](TaskState state) { return !is_finished(state); },
                [&](const MapRange& range) {
                    change_range(*run, range, become(range.state), {"fail_fast"}, "fail_fast");
                },
                [&](MapIndex index) {
                    auto& instance = run->at(run->key(which.task, index));
                    if (instance.touched == turn_no_) {
                        all = false;
                        return;
                    }
                    const TaskState state = instance.row.state;
                    if (holds_slots(state))
                        turn_->cancels.push_back(
                            {{instance.row.key, instance.row.starts}, CancelReason::user}
                        );
                    mark_instance(*run, instance, become(state), {"fail_fast"});
                }
            );
        }
        if (all) {
            set_ending(*run, run->ending->state, run->ending->reason, false);
        } else {
            stop_later_.push_back(key);
            again_ = true;
        }
    }
}

/// All instances of the run have ended.
void Scheduler::Impl::end_run(Run& run) {
    if (!run.ending) {
        const RunState state = end_state(run);
        auto reason = state == RunState::success ? failures_text(run) : std::string{};
        return finish_run(run, state, std::move(reason), {"finished"});
    }
    // A teardown that may fail the run is not overruled by hand.
    RunState state = run.ending->state;
    auto reason = run.ending->reason;
    for (const auto& family : run.tasks) {
        const Task& task = run.task(family.one.row.key.task);
        if (!task.on_failure_fail_dagrun || family.count(TaskState::failed) == 0) continue;
        if (state == RunState::success) reason = task.id + " failed";
        state = RunState::failed;
    }
    finish_run(run, state, std::move(reason), {"finished"});
}

/// Failures in a row, counted by the scheduler's own verdicts, pause the DAG.
void Scheduler::Impl::count_failures(Run& run, RunState state, const Cause& cause) {
    DagEntry& dag = *run.dag;
    const int most = dag.current == nullptr ? 0 : dag.current->dag->max_consecutive_failed_dag_runs;
    if (most == 0 || !cause.actor.empty() || cause.text == "mark") return;
    const int count = state == RunState::failed ? dag.failures + 1 : 0;
    if (count == dag.failures) return;
    dag.failures = count;
    if (!std::exchange(dag.failures_dirty, true)) failure_rows_.push_back(&dag);
    if (count < most || dag.state.is_paused) return;
    dag.state.is_paused = true;
    touch_dag_row(dag);
    mark_dirty(dag);
    audit(
        {},
        "pause",
        {dag.state.dag_id, run.row.run_id},
        fmt::format(R"({{"reason":"max_consecutive_failed_dag_runs","failures":{}}})", count)
    );
}

}  // namespace sluice::core
