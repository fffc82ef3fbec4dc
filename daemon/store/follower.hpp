// follower.hpp — what a standby reads: who owns the lease, and what the owner has committed. Used
// by one thread, but for `wake`. Registers this daemon, so that the owner tells of its commits.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/instant.hpp"
#include "model/turn.hpp"
#include "store/journal.hpp"
#include "store/pg_journal.hpp"

namespace sluice::store {

/// The lease as it stands, by the database's clock.
struct LeaseView {
    std::string holder;
    std::string address;  // where the owner serves
    Duration left{};      // until it expires; none left = it may be taken
    Seq last_seq;
};

/// What was committed between two places of the log: the moves, and the rows as they are now.
struct News {
    Seq seq;
    Instant at;
    std::vector<Transition> transitions;
    std::vector<DagRun> runs;
    std::vector<TaskInstance> instances;
};

class Follower {
public:
    /// The journal's settings: url, holder and address of this daemon, length of the lease.
    explicit Follower(JournalSettings settings);
    ~Follower();
    Follower(const Follower&) = delete;
    Follower& operator=(const Follower&) = delete;

    /// Connects if need be, listens, registers now and then. Throws Away, or Error(invalid) when
    /// the database is newer than this program.
    LeaseView look();
    /// Returns when the owner has told something, `wake` was called, or after `at_most`.
    void wait(Duration at_most);
    /// From any thread: ends a `wait`.
    void wake();
    /// The owner has told of changed DAGs, or it is time to look at them by hand. Once.
    bool take_dags_are_due();

    /// At most `most` moves after `after`. Throws Away.
    News news(Seq after, std::int64_t most);
    std::vector<DagState> dags();
    std::vector<Journal::StoredVersion> versions(const std::vector<VersionId>& ids);

    /// No standby any more: takes itself off the list and disconnects.
    void leave() noexcept;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace sluice::store
