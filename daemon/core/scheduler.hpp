// scheduler.hpp — the scheduler: (state, event, now) -> decisions. No IO, no clock, no threads.
// Not thread-safe: owned by the runtime loop (or a simulator).
//
// `step` changes the in-memory state at once and appends what must be committed and then done to
// the turn. If the commit fails, the whole object is thrown away and made anew from a Snapshot.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/instant.hpp"
#include "core/event.hpp"
#include "model/turn.hpp"

namespace sluice::core {

struct Settings {
    int parallelism{128};  // attempts at once, all DAGs
    std::int64_t cpu{2};   // totals of the built-in pools
    std::int64_t memory_mb{1024};
    int max_lost_attempts{10};
};

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

    /// Applies one event. `now` never goes back. An instance changes at most once a turn: several
    /// events of one turn may be stepped before the turn is sealed with `dispatch`.
    void step(const Event& event, Instant now, Turn& turn);

    /// Ends the turn: runs become running or finished, ready tasks get slots, answers get their
    /// seq.
    void dispatch(Instant now, Turn& turn);

    /// When a Tick is due if nothing else happens; none = never.
    [[nodiscard]] std::optional<Instant> next_wakeup() const;

    // What only core knows, for queries on the loop. References are valid until the next step.
    [[nodiscard]] const DagState* find_dag(const std::string& dag_id) const;
    [[nodiscard]] const DagRun* find_open_run(RunKey run) const;
    struct PoolUse {
        Pool pool;
        std::int64_t running{};
        std::int64_t queued{};
        std::int64_t scheduled{};
    };
    [[nodiscard]] std::vector<PoolUse> pool_use() const;
    struct Counts {
        std::size_t open_runs{};
        std::size_t running_tasks{};
        std::size_t ready_tasks{};
    };
    [[nodiscard]] Counts counts() const;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::core
