// dag.hpp — a DAG version as the scheduler and the views see it: plain data, made by spec.
// JSON values are kept as canonical text, so that this header stays light.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/instant.hpp"
#include "model/asset.hpp"
#include "model/calendar.hpp"

namespace sluice {

enum class TriggerRule {
    all_success,
    all_failed,
    all_done,
    all_done_min_one_success,
    all_skipped,
    one_failed,
    one_success,
    one_done,
    none_failed,
    none_failed_min_one_success,
    none_skipped,
    always,
    all_done_setup_success,  // of teardowns, and theirs alone: no DAG file names it
};
std::string_view name(TriggerRule rule);
std::optional<TriggerRule> trigger_rule_of(std::string_view name);

enum class WeightRule { downstream, upstream, absolute, critical_path };
enum class Isolation { inline_, process };
enum class OnLost { retry, fail };
enum class OnUnpause { latest, none, all };

enum class ScheduleKind {
    none,           // only triggered
    cron_trigger,   // fires at T, interval [T - window, T]
    cron_interval,  // [tick, next tick), run_after = end + delay
    delta_trigger,
    delta_interval,
    once,
    continuous,
    events,  // a list of times, trigger kind
};

struct Schedule {
    ScheduleKind kind{ScheduleKind::none};
    std::vector<std::string> crons;  // five fields, presets resolved; one or more for cron_trigger
    Duration delta{};
    Duration window{};          // cron_trigger: static interval
    bool previous_tick{false};  // cron_trigger: interval [last tick, T)
    Duration delay{};           // interval kinds: postpones run_after, not the interval
    std::optional<bool> run_immediately;
    std::optional<Duration> run_immediately_within;
    std::vector<Instant> events;     // sorted, each once
    bool restrict_to_events{false};  // a manual run takes the latest of them
    Duration jitter{};               // postpones run_after by less than this, the same at each look
    Calendar calendar;               // days without ticks
    /// Updates of assets make runs too (kind none: only they do).
    std::optional<AssetCondition> assets;
    bool asset_batch{true};  // one run for all updates so far, or one for each
    std::string text;        // as written, for views: "0 0 * * *", "@daily", JSON of an object form
    friend bool operator==(const Schedule&, const Schedule&) = default;
};

/// What a process task may use; taken from the pools `cpu` and `memory_mb`.
struct Resources {
    int threads{1};
    std::int64_t memory_bytes{std::int64_t{1} << 30};
    std::int64_t temp_bytes{0};  // 0 = no limit of its own
    bool written{false};         // the DAG file says it: inline tasks take it only then
};

/// What an `expand` makes several instances of: a task, or all tasks of a group, index by index.
struct Mapping {
    std::string owner;                   // full id of the task or group
    std::string expand;                  // canonical JSON as written; model/expansion reads it
    std::optional<std::int32_t> length;  // known at load: no template in it
    std::vector<TaskNo> tasks;
    MapNo outer{no_map};  // of the mapped group around it: each of its instances has its own list
};

/// What becomes of an attempt that failed with this class of error (a `name(ErrorClass)`).
struct RetryRule {
    std::string error_class;
    bool retry{true};
    std::optional<Duration> delay;  // none = the task's own
};

/// When a callback is due. `deadline` is of a deadline that has passed, `predicted` of one that is
/// going to be missed; its number says which.
enum class CallbackOn : std::uint8_t {
    execute,
    success,
    failure,
    retry,
    skipped,
    deadline,
    predicted,
};
std::string_view name(CallbackOn on);
std::optional<CallbackOn> callback_on_of(std::string_view name);

/// Something to tell the world: an operator and its parameters, templates unrendered.
struct Callback {
    CallbackOn on{CallbackOn::failure};
    std::string kind;  // http, shell, email
    std::string with;  // canonical JSON object
    int deadline{-1};  // its number among the deadlines of the task or DAG
};

/// `average` and `percentile`: how long the DAG's last runs that succeeded took, from queued_at on;
/// of a task, the time from such a run's start to the task's end.
enum class DeadlineFrom : std::uint8_t { queued_at, logical_date, fixed, average, percentile };
/// A time at which a run or a task should have ended; its callbacks are due when it has not.
struct Deadline {
    DeadlineFrom from{DeadlineFrom::queued_at};
    Duration interval{};
    std::optional<Instant> at;  // fixed
    int limit{10};              // average, percentile: of how many runs
    int min_runs{10};           // with fewer there is no deadline
    int percentile{95};
};
bool is_of_past_runs(DeadlineFrom from);

struct Task {
    std::string id;     // full id: "group.task"
    std::string group;  // "" or the full id of the group
    std::string operator_name;
    std::string with;  // the operator's parameters: canonical JSON object, templates unrendered
    std::vector<TaskNo> upstream;    // sorted; written and inferred ones
    std::vector<TaskNo> downstream;  // sorted; derived
    std::vector<TaskNo> inferred;    // the part of `upstream` that was inferred
    TriggerRule trigger_rule{TriggerRule::all_success};
    MapNo mapping{no_map};           // of the task or of the mapped group around it
    std::string map_index_template;  // names an instance after it ran; "" = none

    int retries{0};
    Duration retry_delay{std::chrono::seconds{300}};
    double retry_multiplier{0};  // retry_exponential_backoff: 0 = off, true = 2
    std::optional<Duration> max_retry_delay;
    std::vector<RetryRule> retry_policy;  // the first that knows the class of an error decides
    std::optional<Duration> execution_timeout;

    std::string pool{"default_pool"};
    int pool_slots{1};
    int priority_weight{1};
    WeightRule weight_rule{WeightRule::downstream};
    std::int64_t effective_weight{1};  // by weight_rule; derived
    std::optional<int> max_active_tis_per_dag;
    std::optional<int> max_active_tis_per_dagrun;

    bool depends_on_past{false};
    bool wait_for_downstream{false};                // implies depends_on_past
    std::vector<TaskNo> depends_on_previous_tasks;  // sorted
    bool ignore_first_depends_on_past{true};
    bool wait_for_past_depends_before_skipping{false};

    bool gone{false};  // of a run's earlier version only: its instances are removed (model/layout)

    bool is_setup{false};
    bool is_teardown{false};
    bool on_failure_fail_dagrun{false};  // of a teardown

    Isolation isolation{Isolation::inline_};
    Resources resources;
    OnLost on_lost{OnLost::retry};
    std::string on_empty{"ok"};
    bool reuse{false};
    bool do_xcom_push{true};
    bool multiple_outputs{false};
    std::vector<std::string> inlets;   // data sets, of operators that cannot be looked into
    std::vector<std::string> outlets;  // each is an output of its success
    std::string attest;  // the reason to trust declared classes of what cannot be looked into

    std::string description;
    std::string doc_md;
    std::string owner;
    std::string params{"{}"};  // task params over the DAG's
    std::vector<Callback> callbacks;
    std::vector<Deadline> deadlines;
};

struct TaskGroup {
    std::string id;      // full id
    std::string parent;  // "" = top level
    std::string tooltip;
};

/// One column of a declared data set.
struct ColumnSpec {
    std::string name;
    std::string type;  // SQL type in lower case: "bigint", "decimal(10,2)"
    bool not_null{false};
    std::string pii_class;           // "" = unclassified
    std::vector<std::string> parse;  // formats, in order; empty = default
    /// Declared columns this one was derived from ("raw.customers.email"), sorted; what a masking
    /// policy's column rules look at. Empty = itself.
    std::vector<std::string> origins;
    std::string description;
};

struct DatasetSpec {
    std::string name;  // "raw.orders", "sales.dim_date"
    std::vector<ColumnSpec> columns;
    bool declared{false};  // the file has columns for it
    std::vector<std::string> key;
    std::string partition{"day"};  // none hour day month quarter year
    std::string partition_by;
    std::vector<std::vector<std::string>> indexes;
    std::string description;
    TaskNo writer{no_task};  // the task of this DAG that writes it
    std::vector<TaskNo> readers;
    /// Of a data set that another DAG writes or declares: that DAG, whose partitions are labelled
    /// in its time zone and lie in its lake. "" = this DAG's own.
    std::string owner;
    std::string timezone;
    std::string lake;
};

struct Dag {
    std::string dag_id;
    std::string description;
    std::string doc_md;
    std::string owner{"sluice"};
    std::vector<std::string> tags;
    Schedule schedule;
    std::string timezone{"UTC"};
    std::optional<Instant> start_date;  // first logical date, inclusive
    std::optional<Instant> end_date;    // last logical date, inclusive
    bool catchup{false};
    std::optional<OnUnpause> on_unpause;
    std::optional<bool> is_paused_upon_creation;
    int max_active_runs{16};
    int max_active_tasks_per_run{16};
    std::optional<int> max_active_tasks_per_dag;
    std::optional<Duration> dagrun_timeout;
    bool fail_fast{false};
    int max_consecutive_failed_dag_runs{0};  // 0 = no limit
    std::vector<Callback> callbacks;
    std::vector<Deadline> deadlines;
    std::string params{"{}"};                    // {name: JSON Schema with default}, canonical
    std::map<std::string, std::string> schemas;  // SQL schema -> conn_id
    std::string lake{"lake"};
    std::string policy;  // path in the bundle, "" = none
    std::vector<DatasetSpec> datasets;
    std::vector<Task> tasks;        // in file order; TaskNo indexes it
    std::vector<TaskGroup> groups;  // parents before children
    std::vector<Mapping> mappings;

    std::string fileloc;                       // the DAG file, relative to the DAG folder
    std::string source;                        // canonical JSON of the file
    std::string hash;                          // sha256 hex over source and every file it names
    std::map<std::string, std::string> files;  // path as written -> content: the bundle
    VersionId version;                         // given by the store
    int version_number{1};                     // 1, 2, ... within the DAG
};

using DagPtr = std::shared_ptr<const Dag>;

/// The task's number, or no_task.
TaskNo find_task(const Dag& dag, std::string_view task_id);

/// Fills `downstream` and `effective_weight` of every task from `upstream`. Returns the task
/// numbers of one cycle in order if there is one (then nothing else is filled).
std::vector<TaskNo> link_tasks(Dag& dag);

/// Task numbers so that every task comes after its upstreams, file order among equals.
std::vector<TaskNo> topological_order(const Dag& dag);

}  // namespace sluice
