#include "model/states.hpp"

#include <algorithm>
#include <array>

#include "base/check.hpp"

namespace sluice {
namespace {

struct TaskStateRow {
    TaskState state;
    std::string_view name;
    char letter;
};

constexpr std::array<TaskStateRow, task_state_count> task_states{{
    {TaskState::none, "none", 'n'},
    {TaskState::scheduled, "scheduled", 'c'},
    {TaskState::queued, "queued", 'q'},
    {TaskState::running, "running", 'r'},
    {TaskState::success, "success", 's'},
    {TaskState::failed, "failed", 'f'},
    {TaskState::skipped, "skipped", 'k'},
    {TaskState::upstream_failed, "upstream_failed", 'u'},
    {TaskState::up_for_retry, "up_for_retry", 'y'},
    {TaskState::up_for_reschedule, "up_for_reschedule", 'z'},
    {TaskState::deferred, "deferred", 'd'},
    {TaskState::restarting, "restarting", 'g'},
    {TaskState::removed, "removed", 'x'},
    {TaskState::awaiting_input, "awaiting_input", 'w'},
}};

using T = TaskState;
// What waits for a slot waits in memory: a dispatch goes straight to running, and nothing is ever
// `queued`. `scheduled` is an attempt that was lost and is to start again.
constexpr std::pair<T, T> task_transitions[] = {
    // towards running
    {T::none, T::running},
    {T::scheduled, T::running},
    {T::up_for_retry, T::running},
    // out of running
    {T::running, T::success},
    {T::running, T::failed},
    {T::running, T::skipped},
    {T::running, T::up_for_retry},
    {T::running, T::up_for_reschedule},
    {T::running, T::deferred},
    {T::running, T::awaiting_input},
    {T::running, T::restarting},
    {T::running, T::scheduled},  // the attempt was lost: re-queued, no retry used
    {T::restarting, T::none},
    {T::restarting, T::failed},
    {T::restarting, T::success},
    {T::restarting, T::skipped},
    {T::awaiting_input, T::success},
    {T::awaiting_input, T::failed},
    {T::awaiting_input, T::skipped},
    {T::deferred, T::failed},
    {T::up_for_reschedule, T::failed},
    // the last poke of a task that waits: it never was more than a moment on a thread
    {T::up_for_reschedule, T::success},
    {T::up_for_reschedule, T::up_for_retry},
    {T::deferred, T::success},
    {T::deferred, T::up_for_retry},
    {T::awaiting_input, T::up_for_retry},
    // decided without running
    {T::none, T::skipped},
    {T::none, T::upstream_failed},
    {T::none, T::removed},
    {T::scheduled, T::skipped},
    {T::scheduled, T::failed},
    {T::up_for_retry, T::skipped},
    {T::up_for_retry, T::failed},
    {T::up_for_reschedule, T::skipped},
    {T::deferred, T::skipped},
    // by a user: mark and clear
    {T::none, T::success},
    {T::none, T::failed},
    {T::scheduled, T::success},
    {T::up_for_retry, T::success},
    {T::success, T::none},
    {T::failed, T::none},
    {T::skipped, T::none},
    {T::upstream_failed, T::none},
    {T::removed, T::none},
    // by the run's move to a version without the task, or that maps it in another way
    {T::scheduled, T::removed},
    {T::running, T::removed},
    {T::restarting, T::removed},
    {T::success, T::removed},
    {T::failed, T::removed},
    {T::skipped, T::removed},
    {T::upstream_failed, T::removed},
    {T::up_for_retry, T::removed},
    {T::up_for_reschedule, T::removed},
    {T::deferred, T::removed},
    {T::awaiting_input, T::removed},
    {T::scheduled, T::none},
    {T::up_for_retry, T::none},
    {T::up_for_reschedule, T::none},
    {T::deferred, T::none},
    {T::awaiting_input, T::none},
    {T::success, T::failed},
    {T::success, T::skipped},
    {T::failed, T::success},
    {T::failed, T::skipped},
    {T::skipped, T::success},
    {T::skipped, T::failed},
    {T::upstream_failed, T::success},
    {T::upstream_failed, T::failed},
    {T::upstream_failed, T::skipped},
};

using R = RunState;
constexpr std::pair<R, R> run_transitions[] = {
    {R::queued, R::running},
    {R::queued, R::success},
    {R::queued, R::failed},
    {R::running, R::success},
    {R::running, R::failed},
    {R::success, R::queued},
    {R::failed, R::queued},
    {R::success, R::failed},
    {R::failed, R::success},
};

}  // namespace

std::string_view name(RunState state) {
    switch (state) {
        case RunState::queued:
            return "queued";
        case RunState::running:
            return "running";
        case RunState::success:
            return "success";
        case RunState::failed:
            return "failed";
    }
    unreachable();
}

std::string_view name(TaskState state) { return task_states[static_cast<std::size_t>(state)].name; }

char letter(TaskState state) { return task_states[static_cast<std::size_t>(state)].letter; }

char letter(RunState state) { return name(state).front(); }

std::optional<RunState> run_state_of(std::string_view text) {
    for (const auto state : {R::queued, R::running, R::success, R::failed})
        if (name(state) == text) return state;
    return std::nullopt;
}

std::optional<TaskState> task_state_of(std::string_view text) {
    for (const auto& row : task_states)
        if (row.name == text) return row.state;
    return std::nullopt;
}

bool is_finished(RunState state) { return state == RunState::success || state == RunState::failed; }

bool is_finished(TaskState state) {
    return state == T::success || state == T::failed || state == T::skipped ||
           state == T::upstream_failed || state == T::removed;
}

bool is_failure(TaskState state) { return state == T::failed || state == T::upstream_failed; }

bool holds_slots(TaskState state) {
    return state == T::queued || state == T::running || state == T::restarting;
}

std::span<const std::pair<TaskState, TaskState>> legal_task_transitions() {
    return task_transitions;
}

std::span<const std::pair<RunState, RunState>> legal_run_transitions() { return run_transitions; }

bool legal(TaskState from, TaskState to) {
    return std::ranges::find(task_transitions, std::pair{from, to}) != std::end(task_transitions);
}

bool legal(RunState from, RunState to) {
    return std::ranges::find(run_transitions, std::pair{from, to}) != std::end(run_transitions);
}

}  // namespace sluice
