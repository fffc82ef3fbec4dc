// plan.hpp — a DAG version made ready for scheduling: what each task takes and which gates hold it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/pace.hpp"
#include "core/ready_queue.hpp"
#include "model/attempt.hpp"
#include "model/dag.hpp"
#include "model/timetable.hpp"
#include "model/turn.hpp"

namespace sluice::core {

using DagNo = std::int32_t;

struct TaskPlan {
    LaneNo lane{};
    LaneNo backfill_lane{};    // the same for runs of a backfill
    std::int64_t weight{};     // by the task's weight_rule
    std::int32_t rank{};       // place in an order in which every task stands after its upstreams
    Gate* dag_gate{nullptr};   // max_active_tis_per_dag
    bool per_run_gate{false};  // max_active_tis_per_dagrun

    bool decides{false};  // the run ends as it does (semantics 5)
    /// Setups further up, which must have succeeded before its trigger rule counts; and the other
    /// way round, whose setup it is.
    std::vector<TaskNo> setups;
    std::vector<TaskNo> setup_of;
    /// What must have gone well in the run before: tasks that were there, and downstreams, which
    /// may have been missing.
    std::vector<TaskNo> past;
    std::vector<TaskNo> past_downstream;
    std::vector<TaskNo> past_of;  // the tasks whose `past` or `past_downstream` name it

    [[nodiscard]] bool needs_past() const { return !past.empty(); }
    std::vector<std::string> outputs;  // assets that its success updates
    bool writes_data{false};           // data sets, in slices of the lake or of a warehouse
};

/// One per DAG version that is current or has open runs; its address never changes.
struct Plan {
    DagPtr dag;  // for a backfill of some tasks: cut down to them
    DagPtr whole;
    std::vector<std::string> subset;  // ids of these tasks; empty = all
    std::vector<bool> outside;        // by task: not among them; empty = none
    DagNo dag_no{};
    std::vector<TaskPlan> tasks;
    std::vector<TaskNo> past_tasks;  // those that look at the run before
    int open_runs{0};
    bool paced{false};            // it matters how long its tasks take
    bool has_deadlines{false};    // it or a task of it
    std::uint64_t paces_seen{0};  // DagEntry::paces_known when its weights were made
    [[nodiscard]] bool is_outside(TaskNo task) const {
        return !outside.empty() && outside[static_cast<std::size_t>(task)];
    }
};

/// Fills what the edges and the past mean for each task; `plan.tasks` has the size of the DAG's.
void plan_dependencies(Plan& plan);

/// All setups that a clear of the task takes along, and their teardowns: those whose teardown lies
/// below the task, and those without one.
std::vector<TaskNo> setups_and_teardowns(const Dag& dag, TaskNo task);

/// What a branch skips: its direct downstreams that are neither chosen nor reachable from a chosen
/// one, or all that is below it. None if a chosen name is not directly downstream of the branch.
std::optional<std::vector<bool>> skipped_by(const Dag& dag, TaskNo task, const Branch& branch);

/// A DAG, over all its versions; its address never changes.
struct DagEntry {
    DagNo no{};
    DagState state;
    Plan* current{nullptr};  // null: known by name only, its definition cannot be read
    std::optional<Timetable> timetable;

    std::set<std::pair<Instant, RunKey>> queued;  // runs of no backfill, by run_after
    int running_runs{0};                          // of no backfill
    int open_automated{0};                        // scheduled runs that have not ended

    int past_runs{0};  // open runs with tasks that look at the run before
    int failures{0};   // runs that failed since the last one that succeeded
    bool failures_dirty{false};
    int open_asset_runs{0};                     // made by assets, not ended
    std::map<std::string, std::int64_t> marks;  // assets of its condition: events seen so far

    Gate tasks_gate;                         // max_active_tasks_per_dag
    std::map<std::string, Gate> task_gates;  // by task id

    std::unordered_map<std::string, RunKey> open_run_ids;
    std::multimap<Instant, RunKey> open_dates;  // open runs by logical date
    std::set<BackfillId> backfills;             // that are not completed

    Paces paces;                   // only where a version is `critical`
    std::uint64_t paces_known{1};  // rises with every change of `paces`

    Seq ended;  // when a run or a task of it ended last; for those who wait for that

    std::optional<Instant> timer_at;  // the earliest of its timers
    bool dirty{false};      // runs may start or become due: looked at when the turn is sealed
    bool row_dirty{false};  // `state` is to be written
};

}  // namespace sluice::core
