#include "tests/sim/callbacks.hpp"

#include <algorithm>
#include <optional>
#include <set>

#include "tests/sim/broken.hpp"

namespace sluice::sim {
namespace {

using namespace std::chrono_literals;

std::optional<CallbackOn> expected(const Transition& row) {
    const auto from = static_cast<TaskState>(row.from);
    const auto to = static_cast<TaskState>(row.to);
    const std::set begun{
        TaskState::running,
        TaskState::up_for_reschedule,
        TaskState::deferred,
        TaskState::awaiting_input
    };
    if (to == TaskState::running && !begun.contains(from)) return CallbackOn::execute;
    if (to == TaskState::up_for_retry) return CallbackOn::retry;
    if (to == TaskState::failed && (begun.contains(from) || row.actor.empty()))
        return CallbackOn::failure;
    if (!begun.contains(from)) return std::nullopt;
    if (to == TaskState::success) return CallbackOn::success;
    if (to == TaskState::skipped) return CallbackOn::skipped;
    return std::nullopt;
}

std::optional<CallbackOn> expected_of_run(const Transition& row) {
    const auto to = static_cast<RunState>(row.to);
    if (to == RunState::success) return CallbackOn::success;
    if (to == RunState::failed) return CallbackOn::failure;
    return std::nullopt;
}

std::int64_t count_of(const std::vector<Callback>& callbacks, CallbackOn on) {
    return std::ranges::count(callbacks, on, &Callback::on);
}

}  // namespace

void add_callbacks(Random& random, Dag& dag, Instant now) {
    const auto add = [&](std::vector<Callback>& callbacks, CallbackOn on, int deadline) {
        if (random.chance(30)) callbacks.push_back({on, "http", "{}", deadline});
    };
    const auto add_deadlines = [&](auto& owner) {
        for (int i = 0; i < 2 && random.chance(15); ++i) {
            const auto from = random.pick(std::vector<DeadlineFrom>{
                DeadlineFrom::queued_at,
                DeadlineFrom::logical_date,
                DeadlineFrom::fixed,
                DeadlineFrom::average,
                DeadlineFrom::percentile
            });
            const int limit = random.between(1, 4);
            owner.deadlines.push_back(
                {from,
                 std::chrono::seconds{random.between(-60, is_of_past_runs(from) ? 60 : 900)},
                 now + 10min,
                 limit,
                 random.between(1, limit),
                 random.between(1, 100)}
            );
            add(owner.callbacks, CallbackOn::deadline, i);
            add(owner.callbacks, CallbackOn::predicted, i);
        }
    };
    for (Task& task : dag.tasks) {
        for (const auto on :
             {CallbackOn::execute,
              CallbackOn::success,
              CallbackOn::failure,
              CallbackOn::retry,
              CallbackOn::skipped})
            add(task.callbacks, on, -1);
        add_deadlines(task);
    }
    add(dag.callbacks, CallbackOn::success, -1);
    add(dag.callbacks, CallbackOn::failure, -1);
    add_deadlines(dag);
}

void check_callbacks(
    const Turn& turn,
    const std::map<RunKey, DagRun>& runs,
    const std::set<RunKey>& moved,
    const Versions& versions,
    const std::vector<CallbackDue>& all
) {
    std::map<std::pair<TaskKey, CallbackOn>, std::int64_t> due;
    for (const auto& row : turn.transitions) {
        const Dag& dag = *versions.at(runs.at(row.run).version);
        if (row.task == no_task) {
            if (const auto on = expected_of_run(row); on && row.from >= 0)
                due[{{row.run, no_task, unmapped}, *on}] += count_of(dag.callbacks, *on);
            continue;
        }
        const auto on = expected(row);
        if (!on || row.map_lo != row.map_hi) continue;
        const Task& task = dag.tasks[static_cast<std::size_t>(row.task)];
        due[{{row.run, row.task, row.map_lo}, *on}] += count_of(task.callbacks, *on);
    }
    for (const auto& row : turn.callbacks) {
        if (row.callback.deadline < 0) {
            --due[{row.key, row.callback.on}];
            continue;
        }
        if (!runs.contains(row.key.run)) continue;  // deleted in this turn
        const auto& run = runs.at(row.key.run);
        must(row.at >= run.queued_at, "a deadline was told before its run was queued");
        // It may have been told before the clear, or another of that number in the version before.
        if (run.clear_number > 0 || moved.contains(run.key)) continue;
        const auto told = std::ranges::count_if(all, [&](const CallbackDue& other) {
            return other.key == row.key && other.callback.on == row.callback.on &&
                   other.callback.deadline == row.callback.deadline;
        });
        // Several callbacks of one deadline are not made here.
        must(told == 1, "a deadline was told twice");
    }
    for (const auto& [what, count] : due) must(count == 0, "a callback too few or too many");
}

}  // namespace sluice::sim
