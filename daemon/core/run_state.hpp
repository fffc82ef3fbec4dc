// run_state.hpp — an open run in memory: its row, its instances, and the counts that decide.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "core/plan.hpp"
#include "core/trigger_rules.hpp"
#include "model/run.hpp"

namespace sluice::core {

/// Number of the turn that changed something last; 0 = none.
using TurnNo = std::uint64_t;

struct Instance {
    TaskInstance row;
    TurnNo touched{0};
    std::int32_t stamp{0};  // rises whenever the instance becomes ready: voids older queue entries
    bool ready{false};      // waits for a slot
    bool has_row{false};
    bool timed_out{false};  // its attempt was told to end for its execution_timeout
    Instant ready_since;
};

/// All instances of one task in a run.
struct Family {
    Instance one;       // map index -1: of a task that is not mapped, or whose length is not known
    UpstreamCounts up;  // of the upstreams' instances
};

struct Run {
    DagRun row;
    Plan* plan{nullptr};
    DagEntry* dag{nullptr};
    bool has_row{false};
    bool row_dirty{false};
    RunState committed{RunState::queued};  // state of the stored row
    TurnNo touched{0};                     // the row or an instance
    TurnNo listed{0};                      // in the turn's list of runs to seal
    TurnNo cleared{0};                     // made open again: starts in a later turn
    TurnNo held{0};                        // an instance of it is evaluated again in the next turn
    bool check_queued{false};

    std::vector<Family> tasks;  // by task; empty until the run starts for the first time
    int unfinished{0};          // instances
    int active{0};              // hold slots
    int waiting{0};             // ready, or until a retry is due

    Gate gate;                          // max_active_tasks_per_run
    std::map<TaskNo, Gate> task_gates;  // max_active_tis_per_dagrun

    std::shared_ptr<const DagRun> shared;  // copy of `row` for attempts; null = changed since

    [[nodiscard]] bool has_instance_rows() const {
        bool any = false;
        each([&any](const Instance& instance) { any = any || instance.has_row; });
        return any;
    }
    [[nodiscard]] Family& family(TaskNo task) { return tasks[static_cast<std::size_t>(task)]; }
    /// The instance; `has` says whether there is one.
    [[nodiscard]] Instance& at(const TaskKey& key) { return family(key.task).one; }
    [[nodiscard]] bool has(const TaskKey& key) const {
        return key.run == row.key && key.task >= 0 &&
               static_cast<std::size_t>(key.task) < tasks.size() && key.map_index == unmapped;
    }
    /// Every instance, in the order of tasks and map indexes. `look` may change the instance, not
    /// how many there are.
    template <class Look>
    void each(const Look& look) {
        for (auto& family : tasks) look(family.one);
    }
    template <class Look>
    void each(const Look& look) const {
        for (const auto& family : tasks) look(family.one);
    }
    [[nodiscard]] const Task& task(TaskNo no) const {
        return plan->dag->tasks[static_cast<std::size_t>(no)];
    }
    [[nodiscard]] Instant date() const { return row.logical_date.value_or(row.run_after); }
};

/// Gives the run an instance for every task of its plan, all in `none`.
void make_instances(Run& run);
/// Puts a stored row in the place of the instance made by `make_instances`.
void restore_instance(Run& run, const TaskInstance& row);
/// Computes the families' `up`, and `unfinished`, `active` and `waiting` anew from the instances'
/// states.
void recount(Run& run);

/// Waits for its time: neither ready nor active, but not stuck.
bool is_waiting(TaskState state);

/// success or failed by the end-of-run rule (semantics 5): what the leaves ended as.
RunState end_state(const Run& run);

}  // namespace sluice::core
