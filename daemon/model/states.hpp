// states.hpp — the states of runs and task instances, their names, and which transition is legal.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

namespace sluice {

// The values are stored in the database: never renumber.
enum class RunState : std::uint8_t { queued = 0, running = 1, success = 2, failed = 3 };

enum class TaskState : std::uint8_t {
    none = 0,
    scheduled = 1,
    queued = 2,
    running = 3,
    success = 4,
    failed = 5,
    skipped = 6,
    upstream_failed = 7,
    up_for_retry = 8,
    up_for_reschedule = 9,
    deferred = 10,
    restarting = 11,
    removed = 12,
    awaiting_input = 13,
};
inline constexpr int task_state_count = 14;

/// Airflow's names: "up_for_retry"; `none` is "none" here and null in the API.
std::string_view name(RunState state);
std::string_view name(TaskState state);
/// One letter a state, for grids: s r f y z q c n u k x d w g.
char letter(TaskState state);
char letter(RunState state);
std::optional<RunState> run_state_of(std::string_view name);
std::optional<TaskState> task_state_of(std::string_view name);

bool is_finished(RunState state);
/// success, failed, skipped, upstream_failed or removed.
bool is_finished(TaskState state);
/// failed or upstream_failed.
bool is_failure(TaskState state);
/// queued or running or restarting: holds its pool slots.
bool holds_slots(TaskState state);

/// The legal transitions, once, in code: exactly those that the scheduler makes; the database
/// enforces the same list (a migration test compares). A dispatch into a free slot goes
/// none -> running in one step and stands for scheduled, queued, running.
std::span<const std::pair<TaskState, TaskState>> legal_task_transitions();
std::span<const std::pair<RunState, RunState>> legal_run_transitions();
bool legal(TaskState from, TaskState to);
bool legal(RunState from, RunState to);

}  // namespace sluice
