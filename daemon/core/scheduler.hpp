// scheduler.hpp — the scheduler: (state, event, now) -> decisions. No IO, no clock, no threads.
// Not thread-safe: owned by the runtime loop (or a simulator).
//
// `step` changes the in-memory state at once and appends what must be committed and then done to
// the turn. If the commit fails, the whole object is thrown away and made anew from a Snapshot.
//
// One turn changes an instance at most once, and a run's row at most once:
// - An event that would change again what its turn has changed is not taken: `step` returns
//   Taken::next_turn, and the caller gives it again, before all newer events, in the next turn
//   (with its `stored` run read anew). Core itself never holds an event back, so an event that was
//   taken is durable with its turn, and one that was not is still the caller's.
// - What core itself has to put off (a retry without delay, a lost attempt's next one, the start
//   of a run that was cleared) is due in the next turn: `next_wakeup` says so.
//
// A task whose dependencies are met waits for a slot in memory only: its row is written when it
// starts (none -> running), so that a fan-out costs one write a start and one a finish.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/instant.hpp"
#include "core/event.hpp"
#include "core/why.hpp"
#include "model/turn.hpp"

namespace sluice::core {

struct Settings {
    int parallelism{128};  // attempts at once, all DAGs
    std::int64_t cpu{2};   // totals of the built-in pools
    std::int64_t memory_mb{1024};
    int max_lost_attempts{10};
    /// A task that waits longer for several slots keeps the slots of its pools that come free.
    Duration reserve_after{std::chrono::seconds{30}};
    int clear_at_once{2'000};  // instances; more are cleared over several turns
};

/// What of the run before keeps a task from running. An empty run: what has ended before is still
/// being read.
struct PastBlock {
    RunKey run;
    std::string run_id;
    std::string task_id;
    TaskState state{TaskState::none};
    bool is_absent{false};  // the run before has no such task, though it should
};

/// Whether an event was applied, or must be given again first thing in the next turn.
enum class Taken { yes, next_turn };

class Scheduler {
public:
    Scheduler(Settings settings, const Snapshot& snapshot);
    ~Scheduler();
    Scheduler(Scheduler&&) noexcept;
    Scheduler& operator=(Scheduler&&) noexcept;
    Scheduler(const Scheduler&) = delete;
    Scheduler& operator=(const Scheduler&) = delete;

    /// Call once after construction: attempts that were live in the snapshot and are not in `alive`
    /// are lost (re-queued at once), and what is due is decided.
    void recover(const std::vector<AttemptKey>& alive, Instant now, Turn& turn);

    /// Applies one event. `now` never goes back. Several events may be stepped in one turn, which
    /// `dispatch` seals.
    [[nodiscard]] Taken step(const Event& event, Instant now, Turn& turn);

    /// Ends the turn: runs become running or finished, ready tasks get slots, answers get their
    /// seq.
    void dispatch(Instant now, Turn& turn);

    /// While held `dispatch` starts nothing; all else goes on. For a daemon that is about to stop.
    void hold_starts(bool held);

    /// When a Tick is due if nothing else happens; none = never.
    [[nodiscard]] std::optional<Instant> next_wakeup() const;

    // What only core knows, for queries on the loop. References are valid until the next step.
    [[nodiscard]] const DagState* find_dag(const std::string& dag_id) const;
    /// It was deleted, and what is stored of it has not gone yet: until then it cannot come again.
    [[nodiscard]] bool is_being_removed(const std::string& dag_id) const;
    [[nodiscard]] const DagRun* find_open_run(RunKey run) const;
    /// All instances of an open run as they are in memory; none for a run that has not begun.
    [[nodiscard]] std::vector<TaskInstance> instances(RunKey run) const;
    /// What of the run before keeps a task of an open run from running; none if nothing does.
    [[nodiscard]] std::optional<PastBlock> past_block(const TaskKey& task) const;
    /// How many instances are in which state, of each mapped task that has instances.
    using StateCounts = std::array<std::int32_t, task_state_count>;
    [[nodiscard]] std::vector<std::pair<TaskNo, StateCounts>> mapped_counts(RunKey run) const;
    struct PoolUse {
        Pool pool;
        std::int64_t running{};
        std::int64_t queued{};
        std::int64_t scheduled{};
        std::int64_t deferred{};  // slots of tasks that are deferred
    };
    [[nodiscard]] std::vector<PoolUse> pool_use() const;
    struct Counts {
        std::size_t open_runs{};
        std::size_t running_tasks{};
        std::size_t ready_tasks{};
        std::size_t waits{};  // tasks that have poked
    };
    [[nodiscard]] Counts counts() const;
    /// Events that wait to make a run of the DAG ("" = of any asset), by id.
    [[nodiscard]] std::vector<AssetEvent> queued_asset_events(
        const std::string& dag_id, const std::string& asset
    ) const;
    /// DAGs whose condition names the asset.
    [[nodiscard]] std::vector<std::string> subscribers_of(const std::string& asset) const;

    // Why something does not run: all conditions that are not met; empty = none is in the way, none
    // = it is not known here (a run that has finished, an instance that does not exist).
    [[nodiscard]] std::optional<Reasons> why(const std::string& dag_id) const;
    [[nodiscard]] std::optional<Reasons> why(RunKey run) const;
    [[nodiscard]] std::optional<Reasons> why(const TaskKey& task) const;
    /// Of the schedule's dates in [asked.start, asked.end] that are not among `made` (sorted
    /// logical dates): why they have no run. Empty = all have one.
    [[nodiscard]] std::optional<Reasons> why(
        const std::string& dag_id, const Interval& asked, const std::vector<Instant>& made
    ) const;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::core
