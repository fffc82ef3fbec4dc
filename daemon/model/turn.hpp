// turn.hpp — what one turn of the loop decided: rows to commit in one transaction, then effects.
// Made by core, committed by store/journal, carried out by runtime. Rows are complete: a change
// carries the whole new row, so a journal needs no memory of the old one.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "base/instant.hpp"
#include "model/asset.hpp"
#include "model/attempt.hpp"
#include "model/run.hpp"
#include "model/states.hpp"
#include "model/wait.hpp"

namespace sluice {

enum class RowIs { fresh, existing };

struct RunChange {
    RowIs row{RowIs::existing};
    std::optional<RunState> from;  // none for a fresh row; guards the update
    DagRun run;
};

struct TaskChange {
    RowIs row{RowIs::existing};
    TaskState from{TaskState::none};  // guards the update
    TaskInstance instance;
};

/// One row of the append-only log. It may speak of a range of map indexes, or (task = no_task) of
/// the run itself; then the states are RunStates, `from` = -1 for the birth of a run.
struct Transition {
    Seq seq;
    RunKey run;
    TaskNo task{no_task};
    MapIndex map_lo{unmapped};
    MapIndex map_hi{unmapped};
    int from{};
    int to{};
    int try_number{};
    Instant at;
    std::string cause;  // "dispatch", "result", "retry", "trigger_rule", "clear", "mark",
                        // "timeout", "lost", ...
    std::string actor;  // user name; "" = the scheduler
};

struct XcomWrite {
    TaskKey key;
    XcomValue value;
    Instant at;
};

struct RenderedWrite {
    AttemptKey key;
    std::string fields;  // JSON object
};

struct OutputWrite {
    AttemptKey key;
    OutputCommit output;
};

/// A task that writes data sets has ended: what other slices say in place of its own is old. Of a
/// mapped task each instance has a slice of its own, and those beyond its length are gone.
struct SlicesKept {
    RunKey run;
    TaskNo task{no_task};
    std::int32_t length{-1};       // -1 = it is not mapped
    std::vector<MapIndex> gone{};  // of a nested mapping: what its lists no longer have
};

/// How many instances a mapping of a run has; replaces what was known before. Of a mapping inside a
/// mapped group there is one for all its places, and one for the list of each outer instance.
struct MapLength {
    RunKey run;
    MapNo map{no_map};
    std::int32_t length{-1};  // -1 = not known any more
    std::int64_t serial{};    // of the order whose items these are; 0 = literal ones
    std::string shape{"{}"};  // how the items are kept: model/expansion
    MapIndex outer{unmapped};
    /// Where its places are after the first, which has the map index `outer`: [first, count].
    std::vector<std::pair<MapIndex, std::int32_t>> blocks{};
};

/// Instances without a row that changed together: this is their state. A row beats a range, and a
/// later range an earlier one.
struct MapRange {
    Seq seq;
    RunKey run;
    TaskNo task{no_task};
    MapIndex lo{};
    MapIndex hi{};
    TaskState state{TaskState::none};
    Instant at;
    std::string note;
};

/// A mapped instance that has ended without a word.
struct PlainInstance {
    TaskKey key;
    TaskState state{TaskState::none};
    int try_number{};
    int max_tries{};
    int starts{};
    int attempts_since_clear{};
    std::optional<Instant> scheduled_at;
    std::optional<Instant> start_date;  // and queued_at
    std::optional<Instant> end_date;
};

/// What an instance's map_index_template became.
struct MapName {
    TaskKey key;
    std::string name;
};

/// What core must remember of a DAG beyond its definition.
struct DagState {
    std::string dag_id;
    VersionId current;
    bool is_paused{true};
    bool is_stale{false};                    // its file is gone
    std::optional<Interval> last_automated;  // interval of the last automated run, for the next one
    std::optional<Instant> next_run_after;   // for views
    std::optional<Interval> next_interval;
    std::optional<Instant> next_logical_date;
};

/// The way that a branch took, kept until the branch itself is cleared: an instance that it skips
/// and that is cleared later is skipped again.
struct BranchChoice {
    TaskKey key;
    Branch branch;
    bool forgotten{false};  // in a Turn: the row is to go
};

/// How a running run is going to end although it still works: its teardowns have yet to run.
struct RunEnding {
    RunKey run;
    RunState state{RunState::failed};
    std::string reason;
    bool stop{false};       // its other instances are still to be stopped
    bool forgotten{false};  // in a Turn: the row is to go
};

/// A DAG that was deleted and of which something is still stored.
struct DeletedDag {
    std::string dag_id;
    std::int64_t number{};  // of this deletion: no other has it, not even of the same DAG
    friend bool operator==(const DeletedDag&, const DeletedDag&) = default;
};

/// What is still to be cleared of a run, when that is more than one turn does. Until it is over the
/// run starts nothing.
struct Clearing {
    RunKey run;
    struct Part {
        TaskNo task{no_task};
        MapIndex lo{unmapped};  // unmapped = the one instance
        MapIndex hi{unmapped};
    };
    std::vector<Part> rest;
    std::vector<TaskNo> tasks;  // all that it is about
    bool only_failed{false};
    bool only_running{false};
    std::string actor;
    bool over{false};  // in a Turn: the row is to go
};

/// Runs of a DAG that failed since the last one that succeeded.
struct DagFailures {
    std::string dag_id;
    int count{0};
};

/// A run that begins to wait for the run before it: what became of that one is to be read.
struct PastQuestion {
    RunKey run;
    std::int64_t number{};  // the answer has it too: one to an older question of the run is void
    std::string dag_id;
    Instant before;                  // logical date
    bool scheduled_only{false};      // manual runs do not count
    std::vector<std::string> tasks;  // ids: was any of them in an earlier run?
};

struct AuditEntry {
    Instant at;
    std::string actor;
    std::string source;  // address of the caller
    std::string request_id;
    std::string event;  // "trigger_dag_run", "clear", "pause", ...
    std::string dag_id;
    std::string run_id;
    std::string task_id;
    std::string extra;  // JSON object
};

/// The answer to a command; sent after its commit. `error` set = nothing was done.
struct Answer {
    RequestId id;
    std::optional<ErrorCode> error;
    std::string message;
    Seq seq;  // the last transition of the turn
    std::optional<DagRun> run;
    std::vector<TaskInstance> instances;  // clear, mark: the affected ones, at most 10,000
    std::int64_t affected{};              // how many they are
    std::optional<Backfill> backfill;
    std::vector<BackfillDate> dates;
    std::optional<AssetEvent> asset_event;
};

/// A callback that has come due, as a row of the outbox: delivered after the commit, at least once.
struct CallbackDue {
    TaskKey key;  // task = no_task: of the run
    int start{};  // the attempt
    int try_number{};
    Callback callback;
    std::string reason;  // why the run or the attempt failed
    Instant at;
};

/// A deadline of a run or of one of its tasks; written when it is known, is going to be missed, and
/// is missed. Each happens once, over restarts too.
struct DeadlineRow {
    RunKey run;
    TaskNo task{no_task};                 // no_task: of the run
    int number{};                         // among the deadlines of the task or DAG
    std::optional<Instant> at;            // none: too few past runs tell when
    std::optional<Instant> predicted_at;  // since when it has looked too far to reach
    std::optional<Instant> missed_at;
};

/// A run with deadlines that past runs set: how long did the last ones take?
struct RuntimeQuestion {
    RunKey run;
    std::int64_t number{};  // as in a PastQuestion
    std::string dag_id;
    int most{};  // runs to look at
    std::vector<std::string> tasks;
};

struct CancelOrder {
    AttemptKey key;
    CancelReason reason{CancelReason::user};
};

struct Turn {
    Instant now;
    // committed, in one transaction
    std::vector<RunChange> runs;
    std::vector<TaskChange> tasks;
    std::vector<Transition> transitions;
    std::vector<AttemptRecord> attempts;
    std::vector<TaskKey> xcoms_cleared;
    std::vector<XcomWrite> xcoms;
    std::vector<RenderedWrite> rendered;
    std::vector<OutputWrite> outputs;
    std::vector<SlicesKept> slices_kept;       // after `outputs`
    std::vector<Backfill> backfills;           // upsert
    std::vector<BackfillDate> backfill_dates;  // insert
    std::vector<DagState> dags;                // upsert
    std::vector<Pool> pools;                   // upsert
    std::vector<std::string> pools_removed;
    std::vector<AuditEntry> audits;
    std::vector<BranchChoice> branches;
    std::vector<RunEnding> endings;
    std::vector<DagFailures> failures;
    std::vector<Clearing> clearings;  // upsert, or their end
    std::vector<RunKey> runs_deleted;
    std::vector<DeletedDag> dags_removed;  // of which nothing is stored any more
    std::vector<DeletedDag> dags_deleted;  // gone for everyone; after `dags` and `dags_removed`
    std::vector<MapLength> map_lengths;
    std::vector<MapRange> map_ranges;
    std::vector<MapName> map_names;
    std::vector<WaitRow> waits;                // upsert, or their end
    std::vector<TaskKey> checkpoints_dropped;  // the next attempt begins without one
    std::vector<CallbackDue> callbacks;
    std::vector<RunKey> deadlines_dropped;  // all of these runs', before `deadlines`
    std::vector<DeadlineRow> deadlines;     // upsert
    std::vector<AssetEvent> asset_events;
    std::vector<AssetMark> asset_marks;  // upsert
    std::vector<AssetUse> asset_uses;
    // carried out after the commit
    std::vector<AttemptOrder> starts;
    std::vector<CancelOrder> cancels;
    std::vector<ExpandOrder> expands;
    std::vector<Answer> answers;
    std::vector<PastQuestion> past_questions;  // answered by an event PastFacts in the next turn
    std::vector<RuntimeQuestion> runtime_questions;  // answered by an event RuntimesKnown

    [[nodiscard]] bool has_rows() const {
        return !(
            runs.empty() && tasks.empty() && transitions.empty() && attempts.empty() &&
            xcoms_cleared.empty() && xcoms.empty() && rendered.empty() && outputs.empty() &&
            backfills.empty() && backfill_dates.empty() && dags.empty() && pools.empty() &&
            pools_removed.empty() && audits.empty() && branches.empty() && endings.empty() &&
            failures.empty() && map_lengths.empty() && map_ranges.empty() && map_names.empty() &&
            waits.empty() && checkpoints_dropped.empty() && callbacks.empty() &&
            asset_events.empty() && asset_marks.empty() && asset_uses.empty() &&
            deadlines.empty() && deadlines_dropped.empty() && slices_kept.empty() &&
            clearings.empty() && runs_deleted.empty() && dags_deleted.empty() &&
            dags_removed.empty()
        );
    }
    void clear() { *this = Turn{}; }
};

/// A run that core does not hold (it had finished), with all its instances: for clear and mark.
struct StoredRun {
    DagRun run;
    std::vector<TaskInstance> instances;
    DagPtr dag;  // the run's version; the journal leaves it empty, runtime fills it in
    std::vector<BranchChoice> branches{};
    std::vector<MapLength> map_lengths{};
    std::vector<MapRange> map_ranges{};  // by seq
    std::vector<std::string> subset{};   // of its backfill: the tasks that run; empty = all
    DagPtr onto{};  // for a backfill: the version that it moves to; none = it stays
};

/// The tasks that the runs of a backfill consist of.
struct RunSubset {
    BackfillId backfill;
    std::vector<std::string> tasks;
};

/// A run that has ended, as far as the next one may depend on it.
struct PastRun {
    DagRun run;
    struct TaskEnd {
        TaskNo task{no_task};
        int good{0};  // instances that are success or skipped
        int other{0};
        TaskState worst{TaskState::none};  // of the others
    };
    std::vector<TaskEnd> tasks;  // those with rows, by task number
    DagPtr dag;                  // the run's version; filled in by runtime
};

/// Everything that core needs at start-up; crash recovery is the same path.
struct Snapshot {
    Seq last_seq;
    RunKey last_run;
    BackfillId last_backfill;
    Instant now;  // the database's clock and never before the last recorded decision
    std::vector<DagState> dags;
    std::vector<DeletedDag> deleted_dags;
    std::vector<DagPtr> versions;  // current versions, and those of open runs
    std::vector<DagRun> open_runs;
    std::vector<TaskInstance> instances;  // of the open runs, rows that exist
    std::vector<PlainInstance> plain;     // of the open runs: not among `instances`
    std::vector<MapLength> map_lengths;   // of the open runs
    std::vector<MapRange> map_ranges;     // of the open runs, by seq
    std::vector<DeadlineRow> deadlines;   // of the open runs
    std::vector<Backfill> backfills;      // not completed
    std::vector<Pool> pools;
    std::vector<BranchChoice> branches;  // of the open runs
    std::vector<RunEnding> endings;
    std::vector<DagFailures> failures;
    std::vector<Clearing> clearings;
    std::vector<WaitRow> waits;      // not over, of the open runs
    std::vector<RunSubset> subsets;  // of open backfills and of those with open runs
    std::vector<AssetMark> asset_marks;
    std::vector<AssetEvent> asset_events;  // by id; beyond the mark of some DAG
    std::int64_t last_asset_event{0};
};

}  // namespace sluice
