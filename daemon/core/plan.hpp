// plan.hpp — a DAG version made ready for scheduling: what each task takes and which gates hold it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/pace.hpp"
#include "core/ready_queue.hpp"
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
};

/// One per DAG version that is current or has open runs; its address never changes.
struct Plan {
    DagPtr dag;  // for a backfill of some tasks: cut down to them
    DagPtr whole;
    std::vector<std::string> subset;  // ids of these tasks; empty = all
    std::vector<bool> outside;        // by task: not among them; empty = none
    DagNo dag_no{};
    std::vector<TaskPlan> tasks;
    int open_runs{0};
    bool critical{false};         // a task of it has the weight rule critical_path
    std::uint64_t paces_seen{0};  // DagEntry::paces_known when its weights were made
    [[nodiscard]] bool is_outside(TaskNo task) const {
        return !outside.empty() && outside[static_cast<std::size_t>(task)];
    }
};

/// A DAG, over all its versions; its address never changes.
struct DagEntry {
    DagNo no{};
    DagState state;
    Plan* current{nullptr};  // null: known by name only, its definition cannot be read
    std::optional<Timetable> timetable;

    std::set<std::pair<Instant, RunKey>> queued;  // runs of no backfill, by run_after
    int running_runs{0};                          // of no backfill
    int open_automated{0};                        // scheduled runs that have not ended

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
