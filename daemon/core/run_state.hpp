// run_state.hpp — an open run in memory: its row, its instances, and the counts that decide.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "core/family.hpp"
#include "core/plan.hpp"
#include "core/trigger_rules.hpp"
#include "model/run.hpp"
#include "model/turn.hpp"

namespace sluice::core {

/// What is known of a mapping of the run.
struct Expansion {
    std::int32_t length{-1};   // -1 = not yet
    TaskNo asked_by{no_task};  // an order is out
    std::int64_t serial{};     // of that order
    /// Of a mapping inside a mapped group, while the group has instances: `length` is the number of
    /// places then, of the lists of all.
    std::unique_ptr<Nest> nest;
};

/// The way a branch took, and which tasks it skips.
struct Choice {
    Branch branch;
    std::vector<bool> skips;  // by task
};

/// The latest run before this one that has ended (past.cpp).
struct Past {
    bool asked{false};
    std::int64_t question{0};  // the last one
    bool known{false};
    std::optional<PastRun> run;     // none: there is none
    std::vector<std::string> seen;  // ids of tasks that an earlier run had
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
    TurnNo moved{0};                       // to another version: evaluated in the next turn
    bool check_queued{false};
    bool deleted{false};  // in this turn

    std::vector<Family> tasks;          // by task; empty until the run starts for the first time
    std::vector<Expansion> expansions;  // by mapping
    int unfinished{0};                  // instances
    int active{0};                      // hold slots
    int waiting{0};                     // ready, or until a retry is due

    std::optional<Clearing> clearing;  // is being cleared, over several turns

    std::map<TaskKey, Choice> choices;  // of branches that succeeded
    std::optional<RunEnding> ending;    // decided, although teardowns are still at work
    bool ending_dirty{false};
    Past past;

    Gate gate;                          // max_active_tasks_per_run
    std::map<TaskNo, Gate> task_gates;  // max_active_tis_per_dagrun

    std::vector<DeadlineRow> deadlines;  // those whose time is known, or known to be none
    std::optional<Instant> foresee_at;   // when it is looked whether they can be met
    std::int64_t runtime_question{0};    // the last one

    std::shared_ptr<const DagRun> shared;  // copy of `row` for attempts; null = changed since

    [[nodiscard]] bool has_begun() const;
    [[nodiscard]] Family& family(TaskNo task) { return tasks[static_cast<std::size_t>(task)]; }
    [[nodiscard]] const Family& family(TaskNo task) const {
        return tasks[static_cast<std::size_t>(task)];
    }
    /// The instance; `has` says whether there is one. Of a mapped task it stays in memory as a
    /// whole row: look with `state` where that will do.
    [[nodiscard]] Instance& at(const TaskKey& key) { return family(key.task).at(key.map_index); }
    [[nodiscard]] TaskState state(const TaskKey& key) const {
        return family(key.task).state(key.map_index);
    }
    [[nodiscard]] bool has(const TaskKey& key) const {
        return key.run == row.key && key.task >= 0 &&
               static_cast<std::size_t>(key.task) < tasks.size() &&
               family(key.task).has(key.map_index);
    }
    [[nodiscard]] TaskKey key(TaskNo task, MapIndex index = unmapped) const {
        return {row.key, task, index};
    }
    /// Every instance that has a whole row in memory, in the order of tasks and map indexes: all
    /// that hold slots or wait for their time are among them. `look` must not remove any.
    template <class Look>
    void each_live(const Look& look) {
        for (auto& family : tasks) {
            if (!family.is_expanded()) look(family.one);
            for (auto& [index, instance] : family.live())
                if (index < family.length()) look(instance);
        }
    }
    [[nodiscard]] const Task& task(TaskNo no) const {
        return plan->dag->tasks[static_cast<std::size_t>(no)];
    }
    [[nodiscard]] Instant date() const { return row.logical_date.value_or(row.run_after); }
};

/// Gives the run an instance for every task of its plan, all in `none`.
void make_instances(Run& run);
/// Puts what is stored in the place of the instances made by `make_instances`.
void restore_length(Run& run, const MapLength& length);
/// When all lengths are restored.
void restore_nests(Run& run);
void restore_range(Run& run, const MapRange& range);
void restore_instance(Run& run, const TaskInstance& row);
/// What mappings say of two tasks: which instances of one have to do with an instance of the other.
enum class Kin : std::uint8_t {
    none,   // all
    same,   // the one of the same map index: they are in one mapping
    outer,  // the one of its outer instance: `down` is mapped inside the mapped group of `up`
    part,   // those of the same outer instance: `up` is mapped inside a mapped group around both
};
Kin kin_of(const Dag& dag, TaskNo up, TaskNo down);
/// Which instances of `up` an instance of `down` depends on, by its trigger rule too.
Kin reach_of(const Dag& dag, TaskNo up, TaskNo down);
inline Kin kin_of(const Run& run, TaskNo up, TaskNo down) {
    return kin_of(*run.plan->dag, up, down);
}
inline Kin reach_of(const Run& run, TaskNo up, TaskNo down) {
    return reach_of(*run.plan->dag, up, down);
}
/// The mapping, or the one around it; no_map has none.
MapNo top_of(const Dag& dag, MapNo map);
/// Calls `use` with every task of the mapping and of those inside it.
template <class Use>
void each_mapped(const Dag& dag, MapNo map, const Use& use) {
    for (const TaskNo task : dag.mappings[static_cast<std::size_t>(map)].tasks) use(task);
    for (const auto& inside : dag.mappings)
        if (inside.outer == map)
            for (const TaskNo task : inside.tasks) use(task);
}
/// The instances of `other` that have to do with the instance: all, or by kin one or some. Calls
/// `use` with a state and how many have it, those unfinished together as `none` where they count as
/// a part.
template <class Use>
void each_state(const Family& other, Kin kin, MapIndex outer, MapIndex index, const Use& use) {
    const bool whole = kin == Kin::none || !other.is_expanded() || index == unmapped;
    if (!whole && kin != Kin::part) return use(other.state(kin == Kin::outer ? outer : index), 1);
    if (!whole) {
        const auto& counts = other.of_outer(outer);
        const auto tell = [&](TaskState state, std::int32_t count) {
            if (count > 0) use(state, count);
        };
        tell(TaskState::none, counts.total - counts.done());
        tell(TaskState::success, counts.success);
        tell(TaskState::skipped, counts.skipped);
        tell(TaskState::failed, counts.failed);
        return tell(TaskState::upstream_failed, counts.upstream_failed);
    }
    for (int state = 0; state < task_state_count; ++state) {
        const auto what = static_cast<TaskState>(state);
        if (other.nest != nullptr && what == TaskState::removed) continue;
        if (const auto count = other.count(what); count > 0) use(what, count);
    }
}
/// The upstreams of one instance: what all instances share, and those by index.
UpstreamCounts upstreams_of(const Run& run, const TaskKey& key);
/// Takes over the way a branch took.
void restore_choice(Run& run, const BranchChoice& choice);
/// Computes the families' `up`, and `unfinished`, `active` and `waiting` anew from the instances'
/// states.
void recount(Run& run);

/// Waits for its time: neither ready nor active, but not stuck.
bool is_waiting(TaskState state);

/// success or failed by the end-of-run rule (semantics 5): what the deciding tasks ended as.
RunState end_state(const Run& run);
/// What a run says that succeeded although tasks of it failed; "" if none did.
std::string failures_text(const Run& run);

}  // namespace sluice::core
