"""Airflow's own client (apache-airflow-client, strict about types) against Sluice."""
import datetime as dt

import airflow_client.client as airflow
import pytest
from airflow_client.client import api as apis
from airflow_client.client import models
from airflow_client.client.exceptions import ApiException

from api_daemon import api, daemon, http  # noqa: F401 (fixtures)
from conftest import ROOT, wait_for

UTC = dt.timezone.utc


@pytest.fixture(scope="module")
def finished(http):
    return http.run("probe_dag", conf={"a": 1}, note="by the test")


def test_version_and_health_need_no_login(daemon):
    with airflow.ApiClient(airflow.Configuration(host=daemon.url)) as client:
        health = apis.MonitorApi(client).get_health()
        assert health.metadatabase.status == "healthy"
        assert health.scheduler.status == "healthy"
        assert health.dag_processor.status == "healthy" and health.dag_processor.latest_dag_processor_heartbeat
        version = apis.VersionApi(client).get_version()
        assert version.version
        assert bool(version.git_version) == (ROOT / ".git").exists()


def test_dags(api):
    dags = apis.DAGApi(api)
    listed = dags.get_dags()
    assert listed.total_entries == 3
    assert [dag.dag_id for dag in listed.dags] == ["failing", "probe_dag", "slow"]
    assert [dag.dag_id for dag in dags.get_dags(order_by=["-dag_id"], limit=1).dags] == ["slow"]
    assert [dag.dag_id for dag in dags.get_dags(tags=["demo"]).dags] == ["probe_dag"]
    assert [dag.dag_id for dag in dags.get_dags(dag_id_pattern="prob|slo").dags] == ["probe_dag", "slow"]
    probe = dags.get_dag("probe_dag")
    assert (probe.timetable_summary, probe.timetable_periodic, probe.owners) == ("0 0 * * *", True, ["probe"])
    details = dags.get_dag_details("probe_dag")
    assert details.doc_md.startswith("# Probe")
    assert details.latest_dag_version.version_number >= 1
    assert sorted(dags.get_dag_tags().tags) == ["demo", "probe"]


def test_pause_and_unpause(api):
    dags = apis.DAGApi(api)
    assert dags.patch_dag("failing", models.DAGPatchBody(is_paused=True)).is_paused
    assert dags.get_dag("failing").is_paused
    assert [dag.dag_id for dag in dags.get_dags(paused=True).dags] == ["failing"]
    patched = dags.patch_dags(models.DAGPatchBody(is_paused=False), dag_id_pattern="failing")
    assert [dag.is_paused for dag in patched.dags] == [False]


def test_tasks(api):
    tasks = apis.TaskApi(api)
    assert [task.task_id for task in tasks.get_tasks("probe_dag").tasks] == ["extract", "load", "transform"]
    extract = tasks.get_task("probe_dag", "extract")
    assert (extract.retries, extract.retry_delay.seconds, extract.downstream_task_ids) == (1.0, 2, ["transform"])


def test_versions_and_source(api):
    versions = apis.DagVersionApi(api).get_dag_versions("probe_dag")
    assert versions.dag_versions[-1].version_number == versions.total_entries
    one = apis.DagVersionApi(api).get_dag_version("probe_dag", 1)
    assert one.dag_id == "probe_dag"
    assert '"probe_dag"' in apis.DagSourceApi(api).get_dag_source("probe_dag").content


def test_a_run_from_trigger_to_end(api, finished):
    runs = apis.DagRunApi(api)
    run = runs.get_dag_run("probe_dag", finished["dag_run_id"])
    assert (run.state, run.run_type, run.triggered_by, run.conf, run.note) == ("success", "manual", "rest_api", {"a": 1}, "by the test")
    assert run.dag_run_id == "manual__" + run.run_after.isoformat(timespec="microseconds")
    assert run.dag_versions[0].dag_id == "probe_dag"
    assert run.logical_date is None and run.data_interval_start is None
    assert run.duration > 0


def test_trigger_with_the_client(api, http):
    runs = apis.DagRunApi(api)
    when = dt.datetime(2025, 3, 1, tzinfo=UTC)
    body = models.TriggerDAGRunPostBody(dag_run_id="by.client~1+2:3", logical_date=when, conf={"x": [1, None]})
    run = runs.trigger_dag_run("probe_dag", body)
    assert run.state in ("queued", "running", "success")
    assert run.logical_date == when
    assert http.ended("probe_dag", "by.client~1+2:3")["state"] == "success"
    with pytest.raises(ApiException) as taken:
        runs.trigger_dag_run("probe_dag", body)
    assert taken.value.status == 409


def test_runs_are_listed_filtered_and_paged(api, finished):
    runs = apis.DagRunApi(api)
    everything = runs.get_dag_runs("~", limit=100)
    assert everything.total_entries == len(everything.dag_runs)
    assert finished["dag_run_id"] in [run.dag_run_id for run in everything.dag_runs]
    first = runs.get_dag_runs("probe_dag", limit=1, order_by=["-start_date"])
    assert len(first.dag_runs) == 1 and first.total_entries >= 1
    assert runs.get_dag_runs("probe_dag", state=["failed"]).total_entries == 0
    assert runs.get_dag_runs("probe_dag", limit=0).dag_runs == []
    ago = dt.datetime.now(UTC) - dt.timedelta(days=1)
    assert runs.get_dag_runs("probe_dag", start_date_gte=ago).total_entries >= 1
    assert runs.get_dag_runs("probe_dag", start_date_lte=ago).total_entries == 0
    batch = runs.get_list_dag_runs_batch("~", models.DAGRunsBatchBody(dag_ids=["probe_dag"], states=["success"]))
    assert batch.total_entries >= 1
    page = runs.get_dag_runs("probe_dag", limit=1, cursor="")
    if page.next_cursor:
        assert runs.get_dag_runs("probe_dag", limit=1, cursor=page.next_cursor).dag_runs[0].dag_run_id != page.dag_runs[0].dag_run_id


def test_task_instances(api, finished):
    tis = apis.TaskInstanceApi(api)
    run_id = finished["dag_run_id"]
    listed = tis.get_task_instances("probe_dag", run_id)
    assert {ti.task_id: ti.state for ti in listed.task_instances} == dict.fromkeys(["extract", "transform", "load"], "success")
    one = tis.get_task_instance("probe_dag", run_id, "extract")
    assert (one.try_number, one.max_tries, one.pool, one.operator) == (1, 1, "default_pool", "shell")
    assert one.rendered_fields["bash_command"].startswith("echo one")
    assert one.id == [ti.id for ti in listed.task_instances if ti.task_id == "extract"][0]
    assert tis.get_mapped_task_instance("probe_dag", run_id, "extract", -1).task_id == "extract"
    tries = tis.get_task_instance_tries("probe_dag", run_id, "extract")
    assert [(t.try_number, t.state) for t in tries.task_instances] == [(1, "success")]
    assert tis.get_task_instance_try_details("probe_dag", run_id, "extract", 1).state == "success"
    over = tis.get_task_instances("~", "~", state=["success"], limit=100)
    assert over.total_entries >= 3
    assert tis.get_task_instances("probe_dag", run_id, task_id="load").total_entries == 1
    batch = tis.get_task_instances_batch("~", "~", models.TaskInstancesBatchBody(dag_ids=["probe_dag"], task_ids=["load"]))
    assert {ti.task_id for ti in batch.task_instances} == {"load"}


def test_logs(api, finished, http):
    tis = apis.TaskInstanceApi(api)
    log = tis.get_log("probe_dag", finished["dag_run_id"], "extract", 1)
    events = [line.event for line in log.content.actual_instance]
    assert events[0].startswith("::group::") and "one" in events and "two" in events
    path = f"/api/v2/dags/probe_dag/dagRuns/{finished['dag_run_id']}/taskInstances/extract/logs/1"
    whole = http.get(path).json()
    assert whole["continuation_token"] is None
    lines = http.get(path, headers={"Accept": "application/x-ndjson"})
    assert lines.headers["Airflow-Continuation-Token"] and lines.headers["Content-Type"] == "application/x-ndjson"
    assert len(lines.text.splitlines()) == len(whole["content"])
    again = http.get(path, params={"token": lines.headers["Airflow-Continuation-Token"]}).json()
    assert again["content"] == []
    assert http.get(path, headers={"Accept": "text/plain"}).status_code == 406
    assert http.get(path[:-1] + "99").json() == {"detail": "TaskInstance not found"}
    # An empty task writes nothing: its moves are told.
    silent = http.get(path.replace("/extract/", "/load/")).json()
    assert any("task instance is success" in line["event"] for line in silent["content"])


def test_xcom(api, finished):
    xcoms = apis.XComApi(api)
    run_id = finished["dag_run_id"]
    listed = xcoms.get_xcom_entries(dag_id="probe_dag", dag_run_id=run_id, task_id="extract")
    assert [entry.key for entry in listed.xcom_entries] == ["return_value"]
    entry = xcoms.get_xcom_entry(dag_id="probe_dag", dag_run_id=run_id, task_id="extract", xcom_key="return_value")
    assert entry.actual_instance.value in ('{"rows": 42}', {"rows": 42})
    with pytest.raises(ApiException) as missing:
        xcoms.get_xcom_entry(dag_id="probe_dag", dag_run_id=run_id, task_id="extract", xcom_key="nope")
    assert missing.value.status == 404


def test_clear_runs_a_task_again(api, http):
    run = http.run("failing")
    assert run["state"] == "failed"
    tis = apis.TaskInstanceApi(api)
    run_id = run["dag_run_id"]
    states = {ti.task_id: ti.state for ti in tis.get_task_instances("failing", run_id).task_instances}
    assert states == {"boom": "failed", "after": "upstream_failed"}
    body = models.ClearTaskInstancesBody(dag_run_id=run_id, only_failed=True)
    assert {ti.task_id for ti in tis.post_clear_task_instances("failing", body).task_instances} == {"boom", "after"}
    assert tis.get_task_instance("failing", run_id, "boom").state == "failed", "a dry run changes nothing"
    tis.post_clear_task_instances("failing", models.ClearTaskInstancesBody(dag_run_id=run_id, dry_run=False))

    def twice():
        """the cleared task has failed for the second time"""
        ti = tis.get_task_instance("failing", run_id, "boom")
        return ti.state == "failed" and ti.try_number == 2

    wait_for(twice)
    tries = tis.get_task_instance_tries("failing", run_id, "boom").task_instances
    assert [(t.try_number, t.state) for t in tries] == [(1, "failed"), (2, "failed")]
    http.ended("failing", run_id)
    # The client cannot read this reply, from Airflow neither: two of its models fit each instance.
    cleared = http.post(f"/api/v2/dags/failing/dagRuns/{run_id}/clear", {"dry_run": True}).json()
    assert cleared["total_entries"] == 2


def test_mark(api, http):
    run_id = http.run("failing")["dag_run_id"]
    tis = apis.TaskInstanceApi(api)
    dry = tis.patch_task_instance_dry_run("failing", run_id, "boom", models.PatchTaskInstanceBody(new_state="success"))
    assert [ti.task_id for ti in dry.task_instances] == ["boom"]
    assert tis.get_task_instance("failing", run_id, "boom").state == "failed"
    done = tis.patch_task_instance("failing", run_id, "boom", models.PatchTaskInstanceBody(new_state="success"))
    assert [ti.state for ti in done.task_instances] == ["success"]
    run = apis.DagRunApi(api).patch_dag_run("failing", run_id, models.DAGRunPatchBody(state="success", note="fine"))
    assert (run.state, run.note) == ("success", "fine")


def test_a_running_run_is_cancelled_by_marking_it_failed(api, http):
    run_id = http.run("slow", wait=False)["dag_run_id"]
    tis = apis.TaskInstanceApi(api)

    def running():
        """the task runs"""
        return tis.get_task_instance("slow", run_id, "sleep").state == "running"

    wait_for(running)
    run = apis.DagRunApi(api).patch_dag_run("slow", run_id, models.DAGRunPatchBody(state="failed"))
    assert run.state == "failed"

    def ended():
        """the task has ended"""
        return tis.get_task_instance("slow", run_id, "sleep").state in ("failed", "skipped")

    wait_for(ended, seconds=10)


def test_backfill(api, http):
    backfills = apis.BackfillApi(api)
    body = models.BackfillPostBody(
        dag_id="probe_dag", from_date=dt.datetime(2025, 2, 1, tzinfo=UTC), to_date=dt.datetime(2025, 2, 3, tzinfo=UTC),
        max_active_runs=2, dag_run_conf={"from": "backfill"})
    plan = backfills.create_backfill_dry_run(body)
    assert [row.logical_date.day for row in plan.backfills] == [1, 2, 3]
    made = backfills.create_backfill(body)
    assert (made.dag_id, made.max_active_runs, made.is_paused) == ("probe_dag", 2, False)

    def completed():
        """the backfill is completed"""
        return backfills.get_backfill(made.id).completed_at

    wait_for(completed)
    runs = apis.DagRunApi(api).get_dag_runs("probe_dag", run_type=["backfill"])
    assert sorted(run.dag_run_id for run in runs.dag_runs) == [f"backfill__2025-02-0{day}T00:00:00+00:00" for day in (1, 2, 3)]
    assert all(run.conf == {"from": "backfill"} for run in runs.dag_runs)
    assert made.id in [backfill.id for backfill in backfills.list_backfills("probe_dag").backfills]
    assert http.get(f"/api/v2/dags/~/dagRuns?backfill_id={made.id}").json()["total_entries"] == 3
    assert backfills.create_backfill_dry_run(body).total_entries == 0, "what exists is not made again"
    with pytest.raises(ApiException) as completed_already:
        backfills.pause_backfill(made.id)
    assert completed_already.value.status == 409


def test_pools(api):
    pools = apis.PoolApi(api)
    assert "default_pool" in [pool.name for pool in pools.get_pools().pools]
    made = pools.post_pool(models.PoolBody(name="etl", slots=4, description="for ETL"))
    assert (made.slots, made.open_slots) == (4, 4)
    assert pools.patch_pool("etl", models.PoolPatchBody(slots=5)).slots == 5
    assert pools.get_pool("etl").description == "for ETL"
    pools.delete_pool("etl")
    with pytest.raises(ApiException) as gone:
        pools.get_pool("etl")
    assert gone.value.status == 404


def test_variables_and_connections(api):
    variables = apis.VariableApi(api)
    variables.post_variable(models.VariableBody(key="colour", value="red", description="d"))
    assert variables.get_variable("colour").value == "red"
    assert variables.patch_variable("colour", models.VariableBody(key="colour", value="blue")).value == "blue"
    assert "colour" in [v.key for v in variables.get_variables().variables]
    variables.delete_variable("colour")
    connections = apis.ConnectionApi(api)
    body = models.ConnectionBody(connection_id="db", conn_type="postgres", host="h", port=5432, login="u",
                                 password="hunter2", extra='{"api_key": "hunter2", "region": "eu"}')
    made = connections.post_connection(body)
    assert made.password == "***" and "hunter2" not in made.extra and "eu" in made.extra
    assert connections.get_connection("db").password == "***"
    changed = connections.patch_connection("db", models.ConnectionBody(connection_id="db", conn_type="postgres", host="other"))
    assert changed.host == "other"
    assert changed.password == "***", "what was not named stays"
    connections.delete_connection("db")


def test_import_errors_and_event_log(api):
    errors = apis.ImportErrorApi(api).get_import_errors()
    assert [error.filename for error in errors.import_errors] == ["broken.json"]
    assert "shel" in errors.import_errors[0].stack_trace
    one = apis.ImportErrorApi(api).get_import_error(errors.import_errors[0].import_error_id)
    assert one.filename == "broken.json"
    log = apis.EventLogApi(api)
    events = log.get_event_logs(order_by=["-event_log_id"], limit=100)
    assert events.total_entries > 0 and events.event_logs[0].owner
    assert log.get_event_log(events.event_logs[0].event_log_id).event == events.event_logs[0].event
    stats = apis.DagStatsApi(api).get_dag_stats(dag_ids=["probe_dag"])
    assert {stat.state for stat in stats.dags[0].stats} == {"queued", "running", "success", "failed"}


def test_wait_ends_with_the_run(http):
    run_id = http.run("probe_dag", wait=False)["dag_run_id"]
    reply = http.get(f"/api/v2/dags/probe_dag/dagRuns/{run_id}/wait?interval=0.05&result=extract")
    import json
    lines = [json.loads(line) for line in reply.text.splitlines()]
    assert lines[-1]["state"] == "success"
    assert "extract" in lines[-1]["results"]
