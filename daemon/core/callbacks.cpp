// callbacks.cpp — what must be told: callbacks that come due with a transition. Core only says so,
// with the row of an outbox; rendering and sending come after the commit.
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

}  // namespace sluice::core
