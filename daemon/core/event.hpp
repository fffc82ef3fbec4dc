// event.hpp — everything that can happen to the scheduler. Plain data; facts that core cannot know
// (rows of finished runs, instants computed from a clock) travel inside the event: core asks
// nobody.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.hpp"
#include "base/instant.hpp"
#include "model/attempt.hpp"
#include "model/dag.hpp"
#include "model/run.hpp"
#include "model/turn.hpp"

namespace sluice::core {

/// Who asked, kept with the command's audit row.
struct Actor {
    std::string user;        // "" = the scheduler itself
    std::string source;      // address of the caller
    std::string request_id;  // of the HTTP request
    TriggeredBy by{TriggeredBy::rest_api};
};

/// A new or changed definition became current; `dag->version` is already stored.
struct DagLoaded {
    DagPtr dag;
    bool paused_at_creation{true};  // the server's default, used when the DAG says nothing
};
/// Its file is gone: no new runs, open runs finish.
struct DagGone {
    std::string dag_id;
};

struct TriggerRun {
    RequestId request;
    Actor actor;
    std::string dag_id;
    std::optional<std::string> run_id;
    bool run_id_made{false
    };  // from an instant that nobody else has: no need to ask whether it is taken
    std::optional<Instant> logical_date;
    std::optional<Interval> data_interval;  // none: inferred from the schedule
    std::optional<Instant> run_after;
    std::string conf{"{}"};
    std::string note;
    bool run_id_taken{false};  // a stored run has this id (or the one that would be generated)
    bool logical_date_taken{false};  // a stored run of the DAG has this logical date
};

/// The runs that the range would touch, computed by `plan_backfill` (backfill.hpp) outside.
struct CreateBackfill {
    RequestId request;
    Actor actor;
    Backfill backfill;                  // id is given by core
    std::vector<StoredRun> existing;    // latest stored run of each logical date in range
    std::set<std::string> taken_ids{};  // run ids of the DAG's stored runs of backfills
};
struct PatchBackfill {
    RequestId request;
    Actor actor;
    BackfillId backfill;
    enum class Action { pause, unpause, cancel } action{Action::pause};
};

/// Clears the named instances (all of the run's when `tasks` and `new_tasks` are empty).
struct ClearTasks {
    RequestId request;
    Actor actor;
    RunKey run;
    std::vector<TaskKey> tasks;
    std::vector<std::string> new_tasks;  // ids that the run's version has not, but `onto` may have
    bool only_new{false};   // nothing is cleared: the run moves for the sake of new tasks
    bool on_latest{false};  // the run moves to the DAG's latest version
    DagPtr onto;            // that version in the run's task numbers; none: it is on it already
    bool only_failed{false};
    bool only_running{false};
    bool upstream{false};
    bool downstream{false};
    bool reset_dag_runs{true};
    bool dry_run{false};
    std::optional<StoredRun> stored;  // the run, if it is not open
};

/// Sets a run to success or failed (a cancel is `failed`), or back to queued (clears it).
struct SetRunState {
    RequestId request;
    Actor actor;
    RunKey run;
    RunState state{RunState::failed};
    std::optional<StoredRun> stored;
};
struct SetRunNote {
    RequestId request;
    Actor actor;
    RunKey run;
    std::string note;
    std::optional<StoredRun> stored;
};
/// The run and all that is stored of it goes. One that runs is refused.
struct DeleteRun {
    RequestId request;
    Actor actor;
    RunKey run;
    std::optional<StoredRun> stored;
};
/// The DAG goes, with all that is stored of it. One with open runs or a backfill at work is
/// refused.
struct DeleteDag {
    RequestId request;
    Actor actor;
    std::string dag_id;
};
/// Nothing is stored of a deleted DAG any more: its id may come again.
struct DagRemoved {
    DeletedDag dag;
};
/// Marks instances success, failed or skipped.
struct SetTaskState {
    RequestId request;
    Actor actor;
    std::vector<TaskKey> tasks;  // of one run
    TaskState state{TaskState::success};
    std::optional<StoredRun> stored;
};

struct PauseDag {
    RequestId request;
    Actor actor;
    std::string dag_id;
    bool paused{true};
};
struct PutPool {
    RequestId request;
    Actor actor;
    Pool pool;
};
struct RemovePool {
    RequestId request;
    Actor actor;
    std::string name;
};

/// What somebody says to a task that awaits input.
struct AnswerInput {
    RequestId request;
    Actor actor;
    TaskKey task;
    std::string answer;  // JSON object
};

/// How long tasks of a DAG have taken on average, from the database.
struct PacesKnown {
    std::string dag_id;
    struct Known {
        double seconds{};
        int attempts{};
    };
    std::map<std::string, Known> tasks;  // by task id
};

/// An update of an asset that no task of ours made.
struct CreateAssetEvent {
    RequestId request;
    Actor actor;
    std::string asset;
    std::string extra{"{}"};
};
/// Events that wait to make a run of the DAG ("" = of every DAG) are forgotten.
struct ForgetAssetEvents {
    RequestId request;
    Actor actor;
    std::string dag_id;
    std::string asset;  // "" = of every asset
};

/// An attempt ended; delivered at least once, the second time ignored.
struct AttemptEnded {
    AttemptResult result;
};

/// The answer to an ExpandOrder; given again it is ignored.
struct Expanded {
    RunKey run;
    MapNo map{no_map};
    std::int64_t serial{};
    std::optional<std::int32_t> length;  // none: `error` says why
    std::string shape{"{}"};
    std::string error;
    ErrorClass error_class{ErrorClass::permanent};
    MapIndex outer{unmapped};  // as in the order
};

/// The answer to a PastQuestion, as the database has it after the commit that asked.
struct PastFacts {
    RunKey run;
    std::int64_t number{};            // of the question
    std::optional<PastRun> previous;  // with its `dag`
    std::vector<std::string> seen;    // of the tasks asked for: those that an earlier run had
};

/// The answer to a RuntimeQuestion: the DAG's last runs that succeeded, the latest first.
struct RuntimesKnown {
    RunKey run;
    std::int64_t number{};       // of the question
    std::vector<Duration> runs;  // from start to end
    std::map<std::string, std::vector<Duration>>
        tasks;  // by task id: from the run's start to its end
};

/// Time passed: due schedules, retries, timeouts.
struct Tick {};

using Event = std::variant<
    DagLoaded,
    DagGone,
    TriggerRun,
    CreateBackfill,
    PatchBackfill,
    ClearTasks,
    SetRunState,
    SetRunNote,
    DeleteRun,
    DeleteDag,
    DagRemoved,
    SetTaskState,
    PauseDag,
    PutPool,
    RemovePool,
    CreateAssetEvent,
    ForgetAssetEvents,
    AttemptEnded,
    Expanded,
    AnswerInput,
    PacesKnown,
    PastFacts,
    RuntimesKnown,
    Tick>;

}  // namespace sluice::core
