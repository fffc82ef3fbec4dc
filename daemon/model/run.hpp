// run.hpp — DagRun, TaskInstance, Backfill, Pool: the rows of the run state.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/instant.hpp"
#include "model/states.hpp"

namespace sluice {

// Stored values: never renumber.
enum class RunType : std::uint8_t {
    scheduled = 0,
    manual = 1,
    backfill = 2,
    asset_triggered = 3,
    operator_triggered = 4,
};
enum class TriggeredBy : std::uint8_t {
    timetable = 0,
    rest_api = 1,
    ui = 2,
    cli = 3,
    backfill = 4,
    operator_ = 5,
    asset = 6,
    test = 7,
};
std::string_view name(RunType type);
std::string_view name(TriggeredBy by);
std::optional<RunType> run_type_of(std::string_view name);
std::optional<TriggeredBy> triggered_by_of(std::string_view name);

struct DagRun {
    RunKey key;
    std::string dag_id;
    VersionId version;
    std::string run_id;
    RunType type{RunType::manual};
    TriggeredBy triggered_by{TriggeredBy::rest_api};
    std::string triggering_user;
    RunState state{RunState::queued};
    std::optional<Instant> logical_date;
    std::optional<Interval> data_interval;
    Instant run_after;
    Instant queued_at;
    std::optional<Instant> start_date;
    std::optional<Instant> end_date;
    std::string conf{"{}"};  // JSON object
    std::string note;
    std::string
        reason;  // why it failed: "all_tasks_deadlocked", "dagrun_timeout", "cancelled by ada", ...
    std::optional<BackfillId> backfill;
    int backfill_ordinal{0};  // 1 = the first run of its backfill
    int clear_number{0};
};

/// Classes of failure; transient, rate_limited and resource are retried, the others fail at once.
enum class ErrorClass : std::uint8_t {
    none = 0,
    transient = 1,
    rate_limited = 2,
    auth = 3,
    schema = 4,
    data_quality = 5,
    resource = 6,
    permanent = 7,
};
std::string_view name(ErrorClass error_class);
std::optional<ErrorClass> error_class_of(std::string_view name);

struct TaskInstance {
    TaskKey key;
    TaskState state{TaskState::none};
    int try_number{0};  // 0 before the first attempt
    int max_tries{0};
    int starts{0};  // dispatches over all clears and losses: AttemptKey::start of the live attempt
    int lost_in_a_row{0};
    int attempts_since_clear{0};  // exponent of the back-off
    std::optional<Instant> scheduled_at;
    std::optional<Instant> queued_at;
    std::optional<Instant> start_date;
    std::optional<Instant> end_date;
    std::optional<Instant> next_try_at;  // up_for_retry: not before
    ErrorClass error_class{ErrorClass::none};
    std::string error;  // the last attempt's error text, <= 4 KiB
    std::string note;   // "unchanged", "by ada: ...", ...
};

/// A superseded attempt, kept in history (the live one is in its TaskInstance).
struct AttemptRecord {
    TaskKey key;
    int start{};  // unique within the instance
    int try_number{};
    TaskState state{TaskState::failed};  // what it ended as; `none` = lost
    bool lost{false};
    std::optional<Instant> scheduled_at;
    std::optional<Instant> queued_at;
    std::optional<Instant> start_date;
    std::optional<Instant> end_date;
    ErrorClass error_class{ErrorClass::none};
    std::string error;
};

enum class ReprocessBehavior : std::uint8_t { none = 0, failed = 1, completed = 2 };
std::string_view name(ReprocessBehavior behavior);
std::optional<ReprocessBehavior> reprocess_behavior_of(std::string_view name);

struct Backfill {
    BackfillId id;
    std::string dag_id;
    Instant from_date;
    Instant to_date;
    ReprocessBehavior reprocess{ReprocessBehavior::none};
    int max_active_runs{10};
    bool run_backwards{false};
    bool is_paused{false};
    std::string conf{"{}"};
    bool on_latest{false};             // runs that it clears move to the latest version; not kept
    std::vector<std::string> tasks;    // ids of those that run; empty = all
    std::optional<Duration> run_time;  // of one run, estimated when it was planned
    std::string created_by;
    Instant created_at;
    std::optional<Instant> completed_at;
    Instant updated_at;
};

/// One date of a backfill's plan: what was done about it and why.
struct BackfillDate {
    BackfillId backfill;
    int ordinal{};  // 1-based, in the order the runs start
    Instant logical_date;
    Interval data_interval;
    Instant run_after;
    std::string action;  // create | clear | skip
    std::string reason;  // "", "already exists", "in flight"
    std::optional<RunKey> run;
};

struct Pool {
    std::string name;
    std::int64_t slots{0};  // -1 = unlimited
    std::string description;
    bool include_deferred{false};
};

}  // namespace sluice
