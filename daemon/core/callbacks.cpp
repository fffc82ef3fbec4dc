// callbacks.cpp — what must be told: callbacks that come due with a transition, and deadlines. Core
// only says so, with the row of an outbox; rendering and sending come after the commit.
#include <algorithm>

#include "core/impl.hpp"

namespace sluice::core {
namespace {

/// It had been given to the executor: what becomes of it is the task's own doing.
bool had_begun(TaskState state) {
    return state == TaskState::running || state == TaskState::up_for_reschedule ||
           state == TaskState::deferred || state == TaskState::awaiting_input;
}

std::optional<CallbackOn> callback_of(TaskState from, TaskState to, const Cause& cause) {
    switch (to) {
        case TaskState::running:
            // After a wait the same attempt goes on.
            return had_begun(from) ? std::nullopt : std::optional(CallbackOn::execute);
        case TaskState::up_for_retry:
            return CallbackOn::retry;
        case TaskState::success:
            return had_begun(from) ? std::optional(CallbackOn::success) : std::nullopt;
        case TaskState::skipped:
            return had_begun(from) ? std::optional(CallbackOn::skipped) : std::nullopt;
        case TaskState::failed:
            // A waiting task that a user marks failed has not failed.
            return had_begun(from) || cause.actor.empty() ? std::optional(CallbackOn::failure)
                                                          : std::nullopt;
        case TaskState::none:
        case TaskState::scheduled:
        case TaskState::queued:
        case TaskState::upstream_failed:
        case TaskState::up_for_reschedule:
        case TaskState::deferred:
        case TaskState::restarting:
        case TaskState::removed:
        case TaskState::awaiting_input:
            return std::nullopt;
    }
    return std::nullopt;
}

bool all_ended(const Family& family) {
    std::int64_t ended = 0;
    for (int i = 0; i < task_state_count; ++i)
        if (const auto state = static_cast<TaskState>(i); is_finished(state))
            ended += family.count(state);
    return ended >= family.size();
}

Instant time_of(const DagRun& run, const Deadline& deadline) {
    switch (deadline.from) {
        case DeadlineFrom::queued_at:
            return run.queued_at + deadline.interval;
        case DeadlineFrom::logical_date:
            return run.logical_date.value_or(run.run_after) + deadline.interval;
        case DeadlineFrom::fixed:
            return deadline.at.value_or(run.run_after) + deadline.interval;
    }
    return run.queued_at + deadline.interval;
}

}  // namespace

void Scheduler::Impl::put_callbacks(
    const Run& run, const Instance& instance, TaskState from, const Cause& cause
) {
    const auto& row = instance.row;
    const auto on = callback_of(from, row.state, cause);
    if (!on) return;
    for (const auto& callback : run.task(row.key.task).callbacks) {
        if (callback.on != *on) continue;
        const bool failed = *on == CallbackOn::failure || *on == CallbackOn::retry;
        turn_->callbacks.push_back(
            {row.key, row.starts, row.try_number, callback, failed ? row.error : row.note, now_}
        );
    }
}

void Scheduler::Impl::put_run_callbacks(const Run& run) {
    const auto on = run.row.state == RunState::success ? CallbackOn::success : CallbackOn::failure;
    for (const auto& callback : run.plan->dag->callbacks)
        if (callback.on == on)
            turn_->callbacks.push_back(
                {{run.row.key, no_task, unmapped}, 0, 0, callback, run.row.reason, now_}
            );
}

/// Timers for the deadlines; they look again when they are due. What makes history anew (a
/// backfill, a clear) is not late for dates that were past when it began.
void Scheduler::Impl::watch_deadlines(const Run& run) {
    const bool anew = run.row.backfill || run.row.clear_number > 0;
    const auto watch = [&](TaskNo task, const std::vector<Deadline>& deadlines) {
        for (std::size_t i = 0; i < deadlines.size(); ++i) {
            const Instant at = time_of(run.row, deadlines[i]);
            if (anew && at < run.row.queued_at) continue;
            timers_.add(
                {at,
                 Timer::Kind::late,
                 0,
                 {run.row.key, task, unmapped},
                 static_cast<std::int32_t>(i)}
            );
        }
    };
    const Dag& dag = *run.plan->dag;
    watch(no_task, dag.deadlines);
    for (std::size_t i = 0; i < dag.tasks.size(); ++i)
        if (!dag.tasks[i].deadlines.empty()) watch(static_cast<TaskNo>(i), dag.tasks[i].deadlines);
}

void Scheduler::Impl::late(const Timer& timer) {
    Run* run = find_run(timer.key.run);
    if (run == nullptr || is_finished(run->row.state)) return;
    const TaskNo task = timer.key.task;
    const Dag& dag = *run->plan->dag;
    const auto& deadlines = task == no_task ? dag.deadlines : run->task(task).deadlines;
    const auto number = static_cast<std::size_t>(timer.start);
    if (number >= deadlines.size()) return;
    if (time_of(run->row, deadlines[number]) > now_) return;  // it was queued anew since
    if (task != no_task && !run->tasks.empty() && all_ended(run->family(task))) return;
    const std::pair fired{task, timer.start};
    if (std::ranges::find(run->deadlines_fired, fired) != run->deadlines_fired.end()) return;
    run->deadlines_fired.push_back(fired);
    const auto& callbacks = task == no_task ? dag.callbacks : run->task(task).callbacks;
    for (const auto& callback : callbacks)
        if (callback.on == CallbackOn::deadline && callback.deadline == timer.start)
            turn_->callbacks.push_back({timer.key, 0, 0, callback, "the deadline has passed", now_}
            );
}

}  // namespace sluice::core
