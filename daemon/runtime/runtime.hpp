// runtime.hpp — the loop: events -> core.step -> one commit -> effects. One thread owns scheduler
// and journal; everyone else posts. Crash recovery is the start-up path.
//
// Thread-safe: call, call_later, post, query, and what `registry` and `feed` give.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "core/event.hpp"
#include "core/scheduler.hpp"
#include "executor/executor.hpp"
#include "model/run_facts.hpp"
#include "model/turn.hpp"
#include "runtime/dag_registry.hpp"
#include "runtime/feed.hpp"
#include "store/follower.hpp"
#include "store/journal.hpp"

namespace sluice::runtime {

struct Settings {
    core::Settings core;
    bool dags_are_paused_at_creation{true};
    /// Called on the loop's thread after a commit that made callbacks due; must return at once.
    std::function<void()> callbacks_due{};
    /// The same after DAGs were deleted, and after a start that found some that are not removed.
    std::function<void()> dags_deleted{};
    /// The same for one of which nothing is stored any more: its file, if any, is read anew.
    std::function<void(const std::string& dag_id)> dag_removed{};
    /// After a command the loop runs ahead again only when none has come for so long: whoever sends
    /// one after the other wants them taken together, not behind two commits.
    Duration ahead_after{std::chrono::milliseconds{1}};
};

/// Figures of the loop since start, for /metrics and health.
struct LoopFigures {
    std::atomic<std::uint64_t> turns{0};
    std::atomic<std::uint64_t> commits{0};
    std::atomic<std::uint64_t> transitions{0};
    std::atomic<std::uint64_t> refused{0};
    std::atomic<std::uint64_t> reloads{0};
    std::atomic<std::uint64_t> commit_micros{0};  // sum
    std::atomic<std::uint64_t> last_commit_micros{0};
    std::atomic<std::int64_t> last_turn_at{0};  // UTC microseconds
    std::atomic<bool> database_available{false};
    std::atomic<bool> owner{false};  // holds the lease
};

/// Thrown for what only the owner of the run state can do or tell, by a daemon that stands by.
class StandsBy : public Error {
public:
    explicit StandsBy(std::string owner)
        : Error(
              ErrorCode::unavailable,
              owner.empty() ? "no daemon owns the run state at the moment; try again shortly"
                            : "this daemon stands by; " + owner + " owns the run state"
          ),
          owner_(std::move(owner)) {}
    /// Where the owner serves; "" = there is none now.
    [[nodiscard]] const std::string& owner() const { return owner_; }

private:
    std::string owner_;
};

class Runtime {
public:
    /// Makes a stored definition a Dag again (spec::load_stored, given by wiring).
    using ReadVersion = std::function<DagPtr(const store::Journal::StoredVersion&)>;

    Runtime(
        Settings settings,
        Clock& clock,
        store::Journal& journal,
        executor::Executor& executor,
        ReadVersion read_version
    );
    ~Runtime();
    Runtime(const Runtime&) = delete;
    Runtime& operator=(const Runtime&) = delete;

    /// With a follower (which outlives the runtime) a daemon whose lease is another's stands by:
    /// it follows what the owner commits, and takes over when the lease ends. Before `start`.
    void follow(store::Follower& follower);
    /// Called on the loop's thread whenever this daemon has become owner or standby. Before
    /// `start`.
    void on_role(std::function<void(bool owner)> told);
    /// Loads, recovers and starts the loop's thread, as owner or (with a follower) as standby.
    /// Throws what `Journal::load` throws.
    void start();
    /// From now on nothing is started any more; all else goes on.
    void drain();
    /// No attempt is under way, and the ends of all are committed.
    [[nodiscard]] bool drained() const;
    /// Ends the loop; attempts are ended by the executor's own stop. Safe to call twice.
    void stop();
    /// Set when the loop ended by itself: the lease was lost and there is no follower, or a failure
    /// that must not be gone on from.
    [[nodiscard]] bool deposed() const;
    /// Throws StandsBy unless this daemon owns the run state, or owned it last and cannot stand by.
    void need_owner() const;
    /// Where the owner serves, as this standby has seen; "" = nobody owns the run state.
    [[nodiscard]] std::string owner_address() const;

    /// Posts a command and waits for its commit. An Answer with `error` set means nothing was done.
    /// Throws Error: `limit` (queue full, 429), `unavailable` (database away or stopping, 503);
    /// StandsBy.
    Answer call(core::Event command, Duration timeout = std::chrono::seconds{30});
    /// Several at once, so that they share commits; the answers in their order. A caller with many
    /// gives them in portions: the loop takes all that wait in one turn.
    std::vector<Answer> call_all(
        std::vector<core::Event> commands, Duration timeout = std::chrono::seconds{30}
    );
    /// As `call`, while no thread waits: `told` is called on the loop's thread with a future that
    /// has the answer, and must return at once. A caller gives up by a Patience of its own.
    void call_later(core::Event command, std::function<void(std::shared_future<Answer>)> told);
    /// Posts an event that nobody waits for; never dropped while the loop lives.
    void post(core::Event event);
    /// Ends of attempts, from the executor.
    void report(std::vector<AttemptResult> results);
    /// A definition that loaded well: stored as a version, then given to core. Waits until it is
    /// listed and returns it with version id and number; null while a deleted DAG of its id is not
    /// removed yet.
    DagPtr define(const Dag& dag, std::vector<Problem> warnings);
    /// Its file is gone.
    void forget(const std::string& dag_id);
    /// Tells the feed that the registry's import errors changed, and those of this DAG ("" = none).
    void announce_import_errors(const std::string& dag_id);

    /// Runs `ask` on the loop's thread between two turns, on committed state, and waits for it.
    /// Throws StandsBy.
    void query(const std::function<void(const core::Scheduler&)>& ask);

    /// How a run of a DAG stands, open or ended, and where the log is. Throws Error(unavailable).
    RunFacts run_facts(const RunQuestion& question);

    [[nodiscard]] DagRegistry& registry();
    [[nodiscard]] Feed& feed();
    [[nodiscard]] const LoopFigures& figures() const;
    /// The last committed place in the transition log.
    [[nodiscard]] Seq seq() const;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::runtime
