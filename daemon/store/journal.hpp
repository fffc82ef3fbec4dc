// journal.hpp — the Journal seam: makes the decisions of a turn durable in one transaction.
// Used by one thread, the runtime loop.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "model/turn.hpp"

namespace sluice::store {

/// Another daemon took the lease: stop all effects at once.
class Deposed : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};
/// The commit was refused for its data (SQLSTATE class 22 or 23, or a guarded row that had
/// changed). Nothing was written.
class Refused : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};
/// The database is away; whether the commits under way happened is known after `load` (`turn`
/// tells).
class Away : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

class Journal {
public:
    Journal() = default;
    Journal(const Journal&) = delete;
    Journal& operator=(const Journal&) = delete;
    virtual ~Journal() = default;

    /// Everything core needs to begin; also called after a failed commit. Versions in the snapshot
    /// are left empty: `stored_versions` has their text for spec to read.
    virtual Snapshot load() = 0;

    /// Commits all rows of the turn in one transaction, and with it the lease's turn number.
    /// Throws Deposed, Refused or Away; after any of these nothing of the turn may be carried out.
    void commit(const Turn& turn) {
        send(turn);
        settle();
    }

    /// The two halves of `commit`, for turns that follow each other closely: a turn may be sent
    /// while others are under way. They are committed in the order in which they were sent, each in
    /// its own transaction, and none without those before it. What goes wrong is told by `settle`.
    virtual void send(const Turn& turn) = 0;
    /// Waits until the oldest turn under way is durable. Throws as `commit`, and then no turn is
    /// under way any more: neither this one nor any sent after it may be carried out.
    virtual void settle() = 0;

    /// After Away and the next successful `load`: how many of the turns that were under way when it
    /// was thrown had been committed (the lease's turn number tells).
    [[nodiscard]] virtual int commits_happened() const = 0;

    /// Prolongs the lease without a turn; called by an idle loop every third of `lease()`. Commits
    /// prolong it too. Throws Deposed or Away.
    virtual void renew_lease() = 0;
    /// How long the lease lasts after its last renewal, by the database's clock.
    [[nodiscard]] virtual Duration lease() const = 0;
    /// The last renewal was sent less than half a lease ago, by the monotonic clock: effects may be
    /// started. From any thread.
    [[nodiscard]] virtual bool lease_is_fresh() const { return true; }

    /// A run that core does not hold, or one by its id; none if unknown.
    virtual std::optional<StoredRun> find_run(RunKey run) = 0;
    virtual std::optional<RunKey> find_run_key(
        const std::string& dag_id, const std::string& run_id
    ) = 0;
    /// DAG id and run id.
    using RunName = std::pair<std::string, std::string>;
    /// Those of the names that a run has: one question for all runs that a turn is asked for.
    virtual std::set<RunName> taken(const std::vector<RunName>& names) {
        std::set<RunName> found;
        for (const auto& name : names)
            if (find_run_key(name.first, name.second)) found.insert(name);
        return found;
    }
    /// True if the DAG has a run with this logical date.
    virtual bool has_logical_date(const std::string& dag_id, Instant logical_date) = 0;
    /// The latest stored run of each logical date in [from, to].
    virtual std::vector<StoredRun> runs_between(
        const std::string& dag_id, Instant from, Instant to
    ) = 0;

    /// The DAG's latest run with a logical date before this one (of manual runs none with
    /// `scheduled_only`), as its next run sees it; `dag` is left empty.
    virtual std::optional<PastRun> previous_run(
        const std::string& dag_id, Instant before, bool scheduled_only
    ) = 0;
    /// The versions that the DAG's runs with an earlier logical date are on.
    virtual std::vector<VersionId> versions_before(const std::string& dag_id, Instant before) = 0;
    /// Run ids of the DAG that begin with "backfill__".
    virtual std::set<std::string> backfill_run_ids(const std::string& dag_id) = 0;

    /// How long the tasks of a DAG have taken in its last runs: seconds on average, and of how many
    /// attempts. By version and number of the task.
    struct TaskPace {
        VersionId version;
        TaskNo task{no_task};
        double seconds{};
        int attempts{};
    };
    virtual std::vector<TaskPace> task_paces(const std::string& dag_id) = 0;

    /// A run that succeeded: how long it took, and when its tasks that succeeded had ended (the
    /// last instance of a mapped one), from its start.
    struct RunTime {
        VersionId version;
        Duration took{};
        std::map<TaskNo, Duration> tasks;
    };
    /// The DAG's last runs of this kind but one, the latest first; `tasks` filled if asked for.
    virtual std::vector<RunTime> run_times(
        const std::string& dag_id, RunKey but, int most, bool with_tasks
    ) = 0;

    /// A stored definition: what spec needs to make the Dag again.
    struct StoredVersion {
        VersionId id;
        std::string dag_id;
        int number{};
        int format{};
        std::string hash;
        std::string fileloc;
        std::string source;
        std::map<std::string, std::string> files;
    };
    virtual std::vector<StoredVersion> versions(const std::vector<VersionId>& ids) = 0;
    /// Stores a definition as the DAG's current version: the known one when the hash is unchanged,
    /// a replaced one when nobody ran it, else a new number. Returns id and number.
    virtual StoredVersion put_version(const Dag& dag) = 0;
    /// Stores a version's form in a run's task numbers (model/layout), unless it is known. It has
    /// the number of its version and an id of its own.
    virtual StoredVersion put_form(const Dag& dag) = 0;
};

}  // namespace sluice::store
