// pg_journal.hpp — the Journal in PostgreSQL: one server-side call a turn, fenced by the lease row.
// Used by one thread. Brings the schema up to date on its first connection.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/instant.hpp"
#include "store/journal.hpp"

namespace sluice::store {

struct JournalSettings {
    std::string url;
    /// Who holds the lease. A holder takes its own lease again at once (a restart after kill -9),
    /// so it must be the same over restarts on one home and different everywhere else.
    std::string holder;
    std::string address;  // where this daemon serves, for standbys: "http://127.0.0.1:8080"
    Duration lease{std::chrono::seconds{3}};
};

class PgJournal final : public Journal {
public:
    /// Connects to nothing yet.
    explicit PgJournal(JournalSettings settings);
    /// Gives the lease back if it is held.
    ~PgJournal() override;

    /// Connects, migrates, takes or keeps the lease and reads the state. Throws Deposed while
    /// another holder's lease lasts (its `what` names holder and address), Away, or Error(invalid)
    /// when the database is newer than this program.
    Snapshot load() override;
    void send(const Turn& turn) override;
    void settle() override;
    [[nodiscard]] int commits_happened() const override;
    void renew_lease() override;
    [[nodiscard]] Duration lease() const override;
    [[nodiscard]] bool lease_is_fresh() const override;

    std::optional<StoredRun> find_run(RunKey run) override;
    std::optional<RunKey> find_run_key(const std::string& dag_id, const std::string& run_id)
        override;
    std::set<RunName> taken(const std::vector<RunName>& names) override;
    bool has_logical_date(const std::string& dag_id, Instant logical_date) override;
    std::vector<StoredRun> runs_between(const std::string& dag_id, Instant from, Instant to)
        override;
    std::optional<PastRun> previous_run(
        const std::string& dag_id, Instant before, bool scheduled_only
    ) override;
    std::vector<VersionId> versions_before(const std::string& dag_id, Instant before) override;
    std::vector<TaskPace> task_paces(const std::string& dag_id) override;
    std::vector<RunTime> run_times(const std::string& dag_id, RunKey but, int most, bool with_tasks)
        override;
    std::set<std::string> backfill_run_ids(const std::string& dag_id) override;
    std::vector<StoredVersion> versions(const std::vector<VersionId>& ids) override;
    StoredVersion put_version(const Dag& dag) override;
    StoredVersion put_form(const Dag& dag) override;

    /// Lets another daemon take over at once; done by the destructor too.
    void release_lease() noexcept;
    /// Number of turns committed to this database, ever (`lease.turn`).
    [[nodiscard]] std::int64_t turn() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace sluice::store
