#include "api/views.hpp"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include <catch2/catch.hpp>

#include "tests/source_dir.hpp"

using namespace sluice;
using namespace sluice::api;
using namespace std::chrono_literals;

namespace {

/// Compares with daemon/api/golden/NAME.json; SLUICE_UPDATE_GOLDEN=1 writes it.
void check_golden(const std::string& name, const Json& json) {
    const std::string path =
        std::string(sluice_source_dir) + "/daemon/api/golden/" + name + ".json";
    const std::string text = json.dump(2) + "\n";
    if (std::getenv("SLUICE_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << text;
    std::ifstream in(path);
    std::ostringstream known;
    known << in.rdbuf();
    CAPTURE(name);
    CHECK(known.str() == text);
}

Instant at(const char* text) { return parse_time(text)->at; }

Dag probe() {
    Dag dag;
    dag.dag_id = "probe_dag";
    dag.description = "Three tasks";
    dag.doc_md = "# Probe";
    dag.owner = "probe";
    dag.tags = {"probe", "demo"};
    dag.schedule.kind = ScheduleKind::cron_trigger;
    dag.schedule.crons = {"0 0 * * *"};
    dag.schedule.text = "@daily";
    dag.start_date = at("2025-01-01T00:00:00Z");
    dag.dagrun_timeout = 90min;
    dag.params = R"({"day":{"type":"string","default":"x","description":"a day"}})";
    dag.fileloc = "probe.json";
    dag.source = R"({"dag_id":"probe_dag","default_args":{"retries":1}})";
    dag.version_number = 2;
    Task extract;
    extract.id = "extract";
    extract.operator_name = "shell";
    extract.with = R"({"command":"true"})";
    extract.retries = 1;
    extract.retry_delay = 2s;
    extract.execution_timeout = 26h;
    Task load = extract;
    load.id = "load";
    load.upstream = {0};
    load.execution_timeout.reset();
    dag.tasks = {extract, load};
    link_tasks(dag);
    return dag;
}

store::VersionRow version() {
    return {VersionId{7}, "probe_dag", 2, "hash", "probe.json", at("2026-11-21T09:36:48.823367Z")};
}

DagRun run() {
    DagRun run;
    run.key = RunKey{12};
    run.dag_id = "probe_dag";
    run.version = VersionId{7};
    run.run_id = "scheduled__2026-11-21T00:00:00+00:00";
    run.type = RunType::scheduled;
    run.triggered_by = TriggeredBy::timetable;
    run.state = RunState::success;
    run.logical_date = at("2026-11-21T00:00:00Z");
    run.data_interval = Interval{*run.logical_date, *run.logical_date};
    run.run_after = *run.logical_date;
    run.queued_at = at("2026-11-21T09:22:00.595146Z");
    run.start_date = at("2026-11-21T09:22:00.803775Z");
    run.end_date = at("2026-11-21T09:22:08.172361Z");
    run.conf = R"({"a":1})";
    return run;
}

TaskInstance instance() {
    TaskInstance item;
    item.key = {RunKey{12}, 0, unmapped};
    item.state = TaskState::success;
    item.try_number = 1;
    item.max_tries = 1;
    item.scheduled_at = at("2026-11-21T09:22:00.9Z");
    item.queued_at = item.scheduled_at;
    item.start_date = at("2026-11-21T09:22:01Z");
    item.end_date = at("2026-11-21T09:22:02.5Z");
    return item;
}

}  // namespace

TEST_CASE("a DAG, its details and its tasks look as Airflow's do", "[api][views]") {
    runtime::ListedDag listed;
    listed.dag = std::make_shared<const Dag>(probe());
    listed.state.dag_id = "probe_dag";
    listed.state.is_paused = false;
    listed.state.next_run_after = at("2026-11-22T00:00:00Z");
    listed.state.next_logical_date = listed.state.next_run_after;
    listed.state.next_interval =
        Interval{*listed.state.next_run_after, *listed.state.next_run_after};
    listed.parsed_at = at("2026-11-21T09:45:28.270593Z");
    check_golden("dag_details", dag_details_view(listed, version(), 3));
    check_golden("task", task_view(*listed.dag, listed.dag->tasks[0]));
}

TEST_CASE("runs and task instances look as Airflow's do", "[api][views]") {
    const Dag dag = probe();
    const DagRun item = run();
    const std::optional<store::VersionRow> row = version();
    const Node node{"host", "user"};
    const InstanceContext context{
        item.dag_id,
        item.run_id,
        dag.tasks[0].id,
        item.logical_date,
        item.run_after,
        &dag.tasks[0],
        row,
        node,
    };
    check_golden("run", run_view(item, row));
    check_golden("task_instance", instance_view(instance(), context, R"({"command":"true"})"));
    check_golden("task_instance_try", try_view(instance(), context));
    TaskInstance young;
    young.key = {RunKey{12}, 0, unmapped};
    const Json unborn = instance_view(young, context);
    CHECK(unborn["state"].is_null());
    CHECK(unborn["duration"].is_null());
    CHECK(unborn["id"] == instance_view(instance(), context)["id"]);
}

TEST_CASE("a lost attempt did not fail", "[api][views]") {
    const Dag dag = probe();
    const DagRun item = run();
    const std::optional<store::VersionRow> none;
    const Node node;
    AttemptRecord attempt;
    attempt.lost = true;
    attempt.state = TaskState::running;
    const Json json = try_view(
        attempt,
        1,
        {item.dag_id,
         item.run_id,
         dag.tasks[0].id,
         item.logical_date,
         item.run_after,
         &dag.tasks[0],
         none,
         node}
    );
    CHECK(json["state"].is_null());
}

TEST_CASE("pools, backfills, import errors and audit rows have every field", "[api][views]") {
    core::Scheduler::PoolUse use;
    use.pool = {"default_pool", 128, "Default pool", false};
    use.running = 3;
    use.queued = 1;
    check_golden("pool", pool_view(use));
    Backfill backfill;
    backfill.id = BackfillId{4};
    backfill.dag_id = "probe_dag";
    backfill.from_date = at("2026-01-01T00:00:00Z");
    backfill.to_date = at("2026-01-03T00:00:00Z");
    backfill.created_at = backfill.updated_at = at("2026-11-21T09:00:00Z");
    check_golden("backfill", backfill_view(backfill));
    runtime::ImportError error;
    error.id = 7;
    error.filename = "bad.json";
    error.at = at("2026-11-21T09:00:00Z");
    const Json shown = import_error_view(error);
    for (const char* key :
         {"import_error_id", "timestamp", "filename", "bundle_name", "stack_trace"})
        CHECK(shown.contains(key));
    store::AuditRow row;
    row.id = 3;
    row.entry.event = "pause";
    check_golden("event_log", audit_view(row));
}

TEST_CASE("passwords and keys that look secret never come out", "[api][views]") {
    store::StoredConnection connection;
    connection.conn_id = "db";
    connection.conn_type = "postgres";
    connection.password = Secret("hunter2");
    connection.extra = R"({"region":"eu","aws_secret_access_key":"hunter2"})";
    const std::string text = dump(connection_view(connection));
    CHECK(text.find("hunter2") == std::string::npos);
    CHECK(text.find("eu") != std::string::npos);
    CHECK(variable_view({"api_token", "hunter2", ""})["value"] == "***");
    CHECK(variable_view({"plain", "hunter2", ""})["value"] == "hunter2");
}

TEST_CASE("schedules are described in words", "[api][views]") {
    Schedule schedule;
    CHECK(schedule_description(schedule) == "Never, external triggers only");
    schedule.kind = ScheduleKind::cron_trigger;
    const auto words = [&](const char* cron) {
        schedule.crons = {cron};
        return schedule_description(schedule);
    };
    CHECK(words("0 0 * * *") == "At 00:00");
    CHECK(words("30 9 * * 1") == "At 09:30, only on Monday");
    CHECK(words("0 0 1 * *") == "At 00:00, on day 1 of the month");
    CHECK(words("*/5 * * * *") == "Every 5 minutes");
    CHECK(words("0 * * * *") == "Every hour");
    CHECK(words("0 0 1 */3 *") == "Cron 0 0 1 */3 *");
}

TEST_CASE("a value as Python would print it", "[api][views]") {
    CHECK(
        python_text(Json::parse(R"({"conf":{},"rows":42,"ok":true,"x":null,"s":"it's","l":[1.5]})")
        ) == R"({'conf': {}, 'rows': 42, 'ok': True, 'x': None, 's': "it's", 'l': [1.5]})"
    );
    CHECK(python_text(Json("plain")) == "plain");
}
