// memory_journal.hpp — the Journal in memory: for simulators, tests and `sluice dags test`.
// Keeps the same promises as PgJournal (guards, gapless seq, legal transitions). Not thread-safe.
#pragma once

#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/journal.hpp"
#include "store/memory_ledger.hpp"

namespace sluice::store {

class MemoryJournal final : public Journal {
public:
    MemoryJournal() = default;
    /// Outputs of committed turns go live in this ledger.
    explicit MemoryJournal(MemoryLedger& ledger) : ledger_(&ledger) {}

    Snapshot load() override;
    void send(const Turn& turn) override;
    void settle() override;
    [[nodiscard]] int commits_happened() const override { return commits_happened_; }
    void renew_lease() override {}
    [[nodiscard]] Duration lease() const override { return std::chrono::seconds{10}; }

    std::optional<StoredRun> find_run(RunKey run) override;
    std::optional<RunKey> find_run_key(const std::string& dag_id, const std::string& run_id)
        override;
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

    /// How the next commits fail, for tests: called with the number of the commit (1, 2, ...).
    /// `lost` throws Away and writes nothing, `lost_after` writes and throws Away; what is sent
    /// after a turn that failed is refused or lost with it, unless it is told `lost_after` too.
    enum class Fault { none, refused, lost, lost_after, deposed };
    void set_faults(std::function<Fault(std::int64_t commit)> faults) {
        faults_ = std::move(faults);
    }
    /// Which looks for a logical date end with Away.
    void set_lost_reads(std::function<bool()> lost) { lost_reads_ = std::move(lost); }

    // What is stored, for assertions and for `dags test`.
    [[nodiscard]] std::int64_t turn() const { return turn_; }
    [[nodiscard]] const std::map<RunKey, DagRun>& runs() const { return runs_; }
    [[nodiscard]] const std::map<std::int64_t, AssetEvent>& asset_events() const {
        return asset_events_;
    }
    [[nodiscard]] const std::map<RunKey, std::vector<std::int64_t>>& asset_uses() const {
        return asset_uses_;
    }
    [[nodiscard]] const std::map<TaskKey, TaskInstance>& instances() const { return instances_; }
    [[nodiscard]] const std::map<std::string, DagState>& dags() const { return dags_; }
    [[nodiscard]] const std::map<std::string, std::int64_t>& deleted_dags() const {
        return deleted_dags_;
    }
    [[nodiscard]] const std::map<RunKey, RunEnding>& endings() const { return endings_; }
    [[nodiscard]] const std::map<RunKey, Clearing>& clearings() const { return clearings_; }
    [[nodiscard]] std::vector<BranchChoice> branches(RunKey run) const;
    [[nodiscard]] const std::vector<Transition>& transitions() const { return transitions_; }
    [[nodiscard]] const std::vector<AttemptRecord>& attempts() const { return attempts_; }
    [[nodiscard]] const std::vector<CallbackDue>& callbacks() const { return callbacks_; }
    [[nodiscard]] const std::map<std::pair<TaskKey, int>, DeadlineRow>& deadlines() const {
        return deadlines_;
    }
    [[nodiscard]] const std::vector<AuditEntry>& audits() const { return audits_; }
    [[nodiscard]] const std::map<TaskKey, WaitRow>& waits() const { return waits_; }
    [[nodiscard]] const std::vector<BackfillDate>& backfill_dates() const { return dates_; }
    /// The tasks of a backfill; empty = all.
    [[nodiscard]] std::vector<std::string> subset(BackfillId id) const {
        return backfills_.at(id).tasks;
    }
    /// JSON text; none if it was never pushed.
    [[nodiscard]] std::optional<std::string> xcom(const TaskKey& task, const std::string& key)
        const;
    /// All of an instance: key -> JSON text.
    [[nodiscard]] std::map<std::string, std::string> xcoms(const TaskKey& task) const;
    /// Of all instances of a mapped task: key -> JSON list in the order of map indexes, no nulls.
    [[nodiscard]] std::map<std::string, std::string> xcom_lists(
        RunKey run, TaskNo task, const std::vector<MapIndex>* of = nullptr
    ) const;
    [[nodiscard]] std::optional<std::string> rendered(const AttemptKey& attempt) const;
    [[nodiscard]] std::optional<MapLength> map_length(
        RunKey run, MapNo map, MapIndex outer = unmapped
    ) const;
    /// All of a mapping: itself, and the lists of outer instances.
    [[nodiscard]] std::vector<MapLength> map_lengths(RunKey run, MapNo map) const;
    /// The state and row of an instance, from its row or the range it is in; none = never told.
    [[nodiscard]] std::optional<TaskState> state_of(const TaskKey& task) const;
    [[nodiscard]] std::string map_name(const TaskKey& task) const;

private:
    void check(const Turn& turn) const;
    void write(const Turn& turn, Fault fault);
    void apply(const Turn& turn);
    void forget(RunKey run);
    void forget(const std::string& dag_id);
    [[nodiscard]] StoredRun stored(const DagRun& run) const;

    MemoryLedger* ledger_{nullptr};
    std::function<Fault(std::int64_t)> faults_;
    std::function<bool()> lost_reads_;
    std::deque<std::exception_ptr> sent_;  // of each turn under way; null = it is written
    int written_{0};                       // of them
    std::int64_t commits_{0};
    std::int64_t turn_{0};
    int commits_happened_{0};
    Seq last_seq_;
    RunKey last_run_;
    BackfillId last_backfill_;
    Instant last_now_;
    std::map<RunKey, DagRun> runs_;
    std::map<std::pair<std::string, std::string>, RunKey> run_ids_;  // of (dag_id, run_id)
    std::map<TaskKey, TaskInstance> instances_;
    std::vector<Transition> transitions_;
    std::vector<AttemptRecord> attempts_;
    std::vector<CallbackDue> callbacks_;
    std::map<std::pair<TaskKey, int>, DeadlineRow> deadlines_;  // by number
    std::vector<AuditEntry> audits_;
    std::vector<BackfillDate> dates_;
    std::map<std::pair<TaskKey, std::string>, std::string> xcoms_;
    std::map<AttemptKey, std::string> rendered_;
    std::map<TaskKey, MapLength> lengths_;  // the mapping in place of the task
    std::map<RunKey, std::vector<MapRange>> ranges_;
    std::map<TaskKey, std::string> map_names_;
    std::map<BackfillId, Backfill> backfills_;
    std::map<std::string, DagState> dags_;
    std::map<std::string, std::int64_t> deleted_dags_;  // not removed yet: number of the deletion
    std::map<std::string, Pool> pools_;
    std::map<TaskKey, BranchChoice> branches_;
    std::map<RunKey, RunEnding> endings_;
    std::map<RunKey, Clearing> clearings_;
    std::map<std::string, DagFailures> failures_;
    std::map<TaskKey, WaitRow> waits_;
    std::map<std::int64_t, AssetEvent> asset_events_;
    std::map<std::pair<std::string, std::string>, AssetMark> asset_marks_;
    std::map<RunKey, std::vector<std::int64_t>> asset_uses_;
    std::vector<StoredVersion> versions_;
    std::vector<StoredVersion> forms_;
    std::int64_t last_version_{0};
};

}  // namespace sluice::store
