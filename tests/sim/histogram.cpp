#include "tests/sim/histogram.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "model/states.hpp"

namespace sluice::sim {
namespace {

template <class Subject>
struct Feature {
    const char* name;
    bool (*has)(const Subject&);
};

const Feature<Dag> of_dags[] = {
    {"schedule none", [](const Dag& d) { return d.schedule.kind == ScheduleKind::none; }},
    {"schedule cron", [](const Dag& d) { return d.schedule.kind == ScheduleKind::cron_trigger; }},
    {"schedule cron_interval",
     [](const Dag& d) { return d.schedule.kind == ScheduleKind::cron_interval; }},
    {"schedule delta", [](const Dag& d) { return d.schedule.kind == ScheduleKind::delta_trigger; }},
    {"schedule delta_interval",
     [](const Dag& d) { return d.schedule.kind == ScheduleKind::delta_interval; }},
    {"schedule once", [](const Dag& d) { return d.schedule.kind == ScheduleKind::once; }},
    {"schedule continuous", [](const Dag& d) { return d.schedule.kind == ScheduleKind::continuous; }
    },
    {"schedule events", [](const Dag& d) { return d.schedule.kind == ScheduleKind::events; }},
    {"schedule by assets", [](const Dag& d) { return d.schedule.assets.has_value(); }},
    {"one run an asset event", [](const Dag& d) { return !d.schedule.asset_batch; }},
    {"delay", [](const Dag& d) { return d.schedule.delay > Duration{}; }},
    {"jitter", [](const Dag& d) { return d.schedule.jitter > Duration{}; }},
    {"calendar", [](const Dag& d) { return !d.schedule.calendar.is_empty(); }},
    {"calendar that moves ticks",
     [](const Dag& d) {
         return !d.schedule.calendar.is_empty() && d.schedule.calendar.rule != ClosedRule::skip;
     }},
    {"time zone with DST", [](const Dag& d) { return d.timezone != "UTC"; }},
    {"end_date", [](const Dag& d) { return d.end_date.has_value(); }},
    {"catchup", [](const Dag& d) { return d.catchup; }},
    {"on_unpause latest", [](const Dag& d) { return d.on_unpause == OnUnpause::latest; }},
    {"on_unpause none", [](const Dag& d) { return d.on_unpause == OnUnpause::none; }},
    {"on_unpause all", [](const Dag& d) { return d.on_unpause == OnUnpause::all; }},
    {"max_active_tasks_per_dag", [](const Dag& d) { return d.max_active_tasks_per_dag.has_value(); }
    },
    {"a mapping inside a mapped group",
     [](const Dag& d) {
         return std::ranges::any_of(d.mappings, [](const auto& m) { return m.outer != no_map; });
     }},
    {"dagrun_timeout", [](const Dag& d) { return d.dagrun_timeout.has_value(); }},
    {"fail_fast", [](const Dag& d) { return d.fail_fast; }},
    {"max_consecutive_failed_dag_runs",
     [](const Dag& d) { return d.max_consecutive_failed_dag_runs > 0; }},
    {"callback", [](const Dag& d) { return !d.callbacks.empty(); }},
    {"deadline", [](const Dag& d) { return !d.deadlines.empty(); }},
};

const Feature<Task> of_tasks[] = {
    {"retries", [](const Task& t) { return t.retries > 0; }},
    {"exponential retries", [](const Task& t) { return t.retry_multiplier > 0; }},
    {"max_retry_delay", [](const Task& t) { return t.max_retry_delay.has_value(); }},
    {"retry policy", [](const Task& t) { return !t.retry_policy.empty(); }},
    {"execution_timeout", [](const Task& t) { return t.execution_timeout.has_value(); }},
    {"pool", [](const Task& t) { return t.pool != "default_pool"; }},
    {"several slots", [](const Task& t) { return t.pool_slots > 1; }},
    {"weight downstream", [](const Task& t) { return t.weight_rule == WeightRule::downstream; }},
    {"weight upstream", [](const Task& t) { return t.weight_rule == WeightRule::upstream; }},
    {"weight absolute", [](const Task& t) { return t.weight_rule == WeightRule::absolute; }},
    {"weight critical_path",
     [](const Task& t) { return t.weight_rule == WeightRule::critical_path; }},
    {"max_active_tis_per_dag", [](const Task& t) { return t.max_active_tis_per_dag.has_value(); }},
    {"max_active_tis_per_dagrun",
     [](const Task& t) { return t.max_active_tis_per_dagrun.has_value(); }},
    {"depends_on_past", [](const Task& t) { return t.depends_on_past; }},
    {"wait_for_downstream", [](const Task& t) { return t.wait_for_downstream; }},
    {"depends_on_previous_tasks", [](const Task& t) { return !t.depends_on_previous_tasks.empty(); }
    },
    {"wait_for_past_depends_before_skipping",
     [](const Task& t) { return t.wait_for_past_depends_before_skipping; }},
    {"no ignore_first_depends_on_past",
     [](const Task& t) { return t.depends_on_past && !t.ignore_first_depends_on_past; }},
    {"setup", [](const Task& t) { return t.is_setup; }},
    {"teardown", [](const Task& t) { return t.is_teardown; }},
    {"teardown that fails the run", [](const Task& t) { return t.on_failure_fail_dagrun; }},
    {"branch", [](const Task& t) { return t.operator_name == "branch"; }},
    {"short circuit", [](const Task& t) { return t.operator_name == "short_circuit"; }},
    {"mapping", [](const Task& t) { return t.mapping != no_map; }},
    {"worker process", [](const Task& t) { return t.isolation == Isolation::process; }},
    {"on_lost fail", [](const Task& t) { return t.on_lost == OnLost::fail; }},
    {"outlets", [](const Task& t) { return !t.outlets.empty(); }},
    {"callback", [](const Task& t) { return !t.callbacks.empty(); }},
    {"deadline", [](const Task& t) { return !t.deadlines.empty(); }},
};

constexpr const char* event_names[] = {"DagLoaded",        "DagGone",           "TriggerRun",
                                       "CreateBackfill",   "PatchBackfill",     "ClearTasks",
                                       "SetRunState",      "SetRunNote",        "DeleteRun",
                                       "DeleteDag",        "DagRemoved",        "SetTaskState",
                                       "PauseDag",         "PutPool",           "RemovePool",
                                       "CreateAssetEvent", "ForgetAssetEvents", "AttemptEnded",
                                       "Expanded",         "AnswerInput",       "PacesKnown",
                                       "PastFacts",        "RuntimesKnown",     "Tick"};
static_assert(std::size(event_names) == std::variant_size_v<core::Event>);

constexpr const char* kind_names[] = {"success", "skipped", "failed", "lost", "waiting"};

const std::map<std::string, std::vector<std::string>> other_things{
    {"decision",
     {"created",
      "started",
      "finished",
      "dispatch",
      "result",
      "retry",
      "lost",
      "wait",
      "expand",
      "trigger_rule",
      "branch",
      "mapping",
      "subset",
      "clear",
      "mark",
      "fail_fast",
      "timeout",
      "cancel",
      "backfill"}},
    {"a command", {"was done", "was refused"}},
    {"an event", {"was put off"}},
    {"an asset", {"was pushed", "was updated"}},
    {"an asset event", {"was taken", "was deleted"}},
    {"a range of instances", {"changed"}},
    {"a list of a nested mapping", {"known", "empty", "forgotten"}},
    {"a run", {"moved", "deleted"}},
    {"a DAG", {"deleted", "removed", "came again"}},
    {"a task", {"removed"}},
    {"a clear over turns", {"went on", "ended"}},
    {"fault",
     {"killed before a commit",
      "a commit was refused",
      "killed after a commit",
      "a result came twice",
      "an old result came",
      "an attempt took hours",
      "the clock jumped hours",
      "the clocks were put on",
      "the clocks were put back"}},
    {"why",
     {"dag_paused",
      "backfill_paused",
      "backfill_max_active_runs",
      "backfill_order",
      "run_after",
      "run_queued",
      "max_active_runs",
      "parallelism",
      "max_active_tasks_per_run",
      "max_active_tis_per_dagrun",
      "max_active_tasks_per_dag",
      "max_active_tis_per_dag",
      "pool",
      "pool_reserved",
      "trigger_rule",
      "setup",
      "depends_on_past",
      "expansion",
      "retry_delay",
      "restarting",
      "poke_interval",
      "event",
      "input"}},
    {"what why named was removed", {"it went on", "others were before it"}},
};

}  // namespace

std::string name_of(const core::Event& event) { return event_names[event.index()]; }

std::string name_of(OutcomeKind kind) { return kind_names[static_cast<std::size_t>(kind)]; }

Histogram everything_wanted() {
    Histogram wanted;
    for (const auto& [from, to] : legal_task_transitions())
        wanted[{std::string{name(from)}, std::string{name(to)}}] = 0;
    for (const auto& [from, to] : legal_run_transitions())
        wanted[{fmt::format("run {}", name(from)), std::string{name(to)}}] = 0;
    for (const auto& feature : of_dags) wanted[{"a run starts with", feature.name}] = 0;
    for (const auto& feature : of_tasks) wanted[{"a task starts with", feature.name}] = 0;
    for (int i = 0; i <= static_cast<int>(TriggerRule::all_done_setup_success); ++i)
        wanted[{"a task starts by", std::string{name(static_cast<TriggerRule>(i))}}] = 0;
    for (const auto type :
         {RunType::scheduled, RunType::manual, RunType::backfill, RunType::asset_triggered})
        wanted[{"a run starts that is", std::string{name(type)}}] = 0;
    for (const char* event : event_names) wanted[{"event", event}] = 0;
    for (const char* kind : kind_names) wanted[{"an attempt ends", kind}] = 0;
    for (const char* kind : kind_names) wanted[{"a poke ends", kind}] = 0;
    for (int on = 0; on <= static_cast<int>(CallbackOn::predicted); ++on)
        wanted[{"callback", std::string{name(static_cast<CallbackOn>(on))}}] = 0;
    for (const auto& [what, names] : other_things)
        for (const auto& each : names) wanted[{what, each}] = 0;
    return wanted;
}

std::vector<std::string> never_met(const Histogram& histogram) {
    std::vector<std::string> missing;
    for (const auto& [key, count] : histogram)
        if (count == 0) missing.push_back(fmt::format("{} -> {}", key.first, key.second));
    return missing;
}

void count_run_start(const Dag& dag, const DagRun& run, Histogram& histogram) {
    ++histogram[{"a run starts that is", std::string{name(run.type)}}];
    for (const auto& feature : of_dags)
        if (feature.has(dag)) ++histogram[{"a run starts with", feature.name}];
}

void count_task_start(const Task& task, Histogram& histogram) {
    ++histogram[{"a task starts by", std::string{name(task.trigger_rule)}}];
    for (const auto& feature : of_tasks)
        if (feature.has(task)) ++histogram[{"a task starts with", feature.name}];
}

}  // namespace sluice::sim
