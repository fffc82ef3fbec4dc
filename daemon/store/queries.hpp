// queries.hpp — what the API reads from PostgreSQL. Thread-safe (its own connections, never the
// journal's). Throws Error(unavailable) when the database is away. Rows that do not exist yet
// (unborn task instances) are the caller's to add from the DAG.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/attempt.hpp"
#include "model/run.hpp"
#include "model/turn.hpp"
#include "store/connection_pool.hpp"
#include "store/journal.hpp"

namespace sluice::store {

/// Bounds of a time filter; a row without the time passes only an empty range.
struct TimeRange {
    std::optional<Instant> gte;
    std::optional<Instant> gt;
    std::optional<Instant> lte;
    std::optional<Instant> lt;
};

template <class Key>
struct OrderBy {
    Key key{};
    bool descending{false};
};

/// At most limits::page_rows rows; a larger limit is the caller's error to cut.
struct PageOf {
    std::int64_t limit{50};
    std::int64_t offset{0};
};

/// Rows of one page and how many there are in all pages.
template <class Row>
struct Page {
    std::vector<Row> rows;
    std::int64_t total{0};
};

struct RunRow {
    DagRun run;
    int version_number{};
};

enum class RunOrder {
    run_key,
    dag_id,
    run_id,
    state,
    run_type,
    logical_date,
    data_interval_start,
    data_interval_end,
    run_after,
    queued_at,
    start_date,
    end_date,
    duration,
};
/// Airflow's name ("id", "dag_run_id", "logical_date", ...); none if it is not one.
std::optional<RunOrder> run_order_of(std::string_view name);

/// Empty lists and ranges do not filter.
struct RunFilter {
    std::vector<std::string> dag_ids;
    std::vector<std::string> run_ids;
    std::string dag_id_pattern;  // ILIKE, "" = all
    std::string run_id_pattern;
    std::string triggering_user_pattern;
    std::vector<RunState> states;
    std::vector<RunType> types;
    std::vector<int> version_numbers;
    std::optional<BackfillId> backfill;
    TimeRange logical_date;
    TimeRange run_after;
    TimeRange queued_at;
    TimeRange start_date;
    TimeRange end_date;
    std::vector<OrderBy<RunOrder>> order;  // run_key is always last
    PageOf page;
};

struct TaskRow {
    TaskInstance instance;
    std::string dag_id;
    std::string run_id;
    std::string task_id;
    VersionId version;
    int version_number{};
    std::optional<Instant> logical_date;
    Instant run_after;
    RunState run_state{RunState::queued};
};

enum class TaskOrder {
    run_key,
    task_no,
    task_id,
    state,
    map_index,
    try_number,
    logical_date,
    run_after,
    scheduled_at,
    queued_at,
    start_date,
    end_date,
    duration,
};
std::optional<TaskOrder> task_order_of(std::string_view name);

struct TaskFilter {
    std::vector<std::string> dag_ids;
    std::vector<std::string> run_ids;
    std::optional<RunKey> run;
    std::vector<std::string> task_ids;
    std::string task_id_pattern;
    std::vector<TaskState> states;
    std::vector<int> map_indexes;
    TimeRange logical_date;
    TimeRange run_after;
    TimeRange start_date;
    TimeRange end_date;
    std::vector<OrderBy<TaskOrder>> order;  // run_key, task_no, map_index are always last
    PageOf page;
};

struct AttemptRow {
    AttemptRecord attempt;
    std::string task_id;
};

struct XcomRow {
    TaskKey key;
    std::string task_id;
    std::string name;
    std::string value;  // JSON text
    Instant at;
};

struct TransitionRow {
    Transition transition;
    std::string dag_id;
    std::string run_id;
    std::string task_id;  // "" = of the run itself
};

/// One column of the grid: a run and the states of its instances that have rows.
struct GridRun {
    RunRow run;
    struct Cell {
        TaskNo task;
        MapIndex map_index;
        TaskState state;
        int try_number;
    };
    std::vector<Cell> cells;  // by task and map index
};

struct BackfillRow {
    Backfill backfill;
    std::int64_t runs{};  // with a run of any state
    std::int64_t skipped{};
    std::int64_t taken_over{
    };  // dates whose run a later backfill runs again, and counts as its own
    std::map<RunState, std::int64_t> by_state;
};

struct AuditRow {
    std::int64_t id{};
    AuditEntry entry;
};

struct AuditFilter {
    std::string dag_id;
    std::string run_id;
    std::string task_id;
    std::string actor;
    std::string event;
    TimeRange at;
    bool oldest_first{false};
    PageOf page;
};

struct DagCounts {
    std::map<RunState, std::int64_t> runs;
    std::optional<RunRow> latest;
};

/// A version without its text.
struct VersionRow {
    VersionId id;
    std::string dag_id;
    int number{};
    std::string hash;
    std::string fileloc;
    Instant created_at;
};

struct AssetEventFilter {
    std::string asset;
    std::string dag_id;
    std::string run_id;
    std::string task_id;
    std::optional<std::int64_t> map_index;
    TimeRange at;
    std::optional<RunKey> taken_by;
    bool newest_first{false};
    PageOf page;
};
/// A run that took an event.
struct AssetTaker {
    std::int64_t event{};
    DagRun run;
};
struct AssetActivity {
    std::string asset;
    std::int64_t events{};
    AssetEvent last;
};

class Queries {
public:
    explicit Queries(ConnectionPool& pool) : pool_(pool) {}

    // Runs
    Page<RunRow> runs(const RunFilter& filter);
    std::optional<RunRow> run(const std::string& dag_id, const std::string& run_id);
    std::optional<RunRow> run(RunKey key);
    /// The newest runs of a DAG by run_after, newest first, with their cells.
    std::vector<GridRun> grid(
        const std::string& dag_id, int runs, std::optional<Instant> run_after_lte = {}
    );
    /// The newest runs of each DAG, newest first.
    std::map<std::string, std::vector<RunRow>> latest_runs(
        const std::vector<std::string>& dag_ids, int runs
    );
    std::map<std::string, DagCounts> dag_counts(const std::vector<std::string>& dag_ids);

    // Task instances that have rows
    Page<TaskRow> tasks(const TaskFilter& filter);
    std::vector<TaskRow> tasks_of(RunKey run);
    std::optional<TaskRow> task(const TaskKey& key);
    /// Superseded attempts, oldest first; the live one is in the instance.
    std::vector<AttemptRow> attempts(const TaskKey& key);
    std::vector<AttemptRow> attempts_of(RunKey run);
    // Mapped instances: queries_mapped.cpp.
    std::vector<TaskRow> tasks_between(RunKey run, TaskNo task, MapIndex lo, MapIndex hi);
    /// Of these tasks: instances without a map index that have rows.
    std::vector<TaskRow> unmapped_of(RunKey run, const std::vector<TaskNo>& tasks);
    /// Of these tasks: those whose one instance without a map index has moved.
    std::vector<TaskNo> ended_whole(RunKey run, const std::vector<TaskNo>& tasks);
    std::vector<MapLength> map_lengths(RunKey run);
    std::vector<MapRange> map_ranges(RunKey run);
    struct MappedStates {
        TaskNo task{no_task};
        TaskState state{TaskState::none};
        std::int64_t count{};
    };
    /// Of instances with a map index that have rows.
    std::vector<MappedStates> mapped_states(RunKey run);
    std::vector<MapIndex> map_indexes(RunKey run, TaskNo task);
    /// What their map_index_template became, or their places in a nested mapping; those that have
    /// no name are not in it. One question for all.
    std::map<TaskKey, std::string> map_names(const std::vector<TaskKey>& keys);

    std::vector<XcomRow> xcoms(const TaskKey& key);
    /// Of all instances of a mapped task: key -> JSON list in the order of map indexes, no nulls.
    std::map<std::string, std::string> xcom_lists(
        RunKey run, TaskNo task, const std::vector<MapIndex>* of = nullptr
    );
    std::vector<XcomRow> xcoms_of(RunKey run);
    std::optional<XcomRow> xcom(const TaskKey& key, const std::string& name);
    /// JSON object of the rendered parameters; of the latest attempt if `start` is none.
    std::optional<std::string> rendered(const TaskKey& key, std::optional<int> start = {});

    // Questions to people
    std::optional<WaitRow> wait(const TaskKey& key);
    std::vector<WaitRow> questions_of(RunKey run);
    /// That nobody has answered, oldest first; of all DAGs if `dag_id` is "".
    std::vector<WaitRow> open_questions(const std::string& dag_id, int limit);

    /// Of a run and its tasks, by task and number.
    std::vector<DeadlineRow> deadlines(RunKey run);

    // The log
    /// Rows with a greater seq, in order, at most `limit`.
    std::vector<TransitionRow> transitions_since(Seq seq, int limit);
    std::vector<TransitionRow> transitions_of(RunKey run);
    Seq last_seq();
    Page<AuditRow> audits(const AuditFilter& filter);
    std::optional<AuditRow> audit(std::int64_t id);

    // Assets
    Page<AssetEvent> asset_events(const AssetEventFilter& filter);
    /// The runs that took these events, by event and run.
    std::vector<AssetTaker> asset_takers(const std::vector<AssetEvent>& events);
    /// Every asset that was ever updated, by name.
    std::vector<AssetActivity> asset_activity();

    // Backfills
    Page<BackfillRow> backfills(const std::string& dag_id, PageOf page);
    std::optional<BackfillRow> backfill(BackfillId id);
    std::vector<BackfillDate> backfill_dates(BackfillId id);

    // DAGs
    std::vector<DagState> dag_states();
    Page<VersionRow> versions(const std::string& dag_id, PageOf page);
    std::optional<Journal::StoredVersion> version(const std::string& dag_id, int number);
    std::optional<Journal::StoredVersion> version(VersionId id);
    /// The version of which this is a form (model/layout).
    std::optional<VersionRow> version_of_form(VersionId form);
    std::vector<Pool> pools();

    struct LeaseRow {
        std::int64_t epoch{};
        std::int64_t turn{};
        std::string holder;
        std::string address;
        bool lives{};  // not expired by the database's clock
    };
    std::optional<LeaseRow> lease();

    struct Node {
        std::string id;
        std::string address;  // "" = it is not there now
    };
    /// The node that ran (or runs) an attempt and keeps its log; none if it never began.
    std::optional<Node> node_of_attempt(const TaskKey& key, int try_number);

private:
    ConnectionPool& pool_;
};

}  // namespace sluice::store
