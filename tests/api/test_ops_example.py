"""dags/ops_example.json as it is: waits, looks, chooses, fans out, asks, cleans up, tells."""
import json
import shutil

from conftest import ROOT, wait_for
from receiver import Receiver

TABLES = ["customers", "orders", "payments"]


def connect(daemon, conn_id, conn_type, **keys):
    daemon.request("POST", "/api/v2/connections", 201, json={"connection_id": conn_id, "conn_type": conn_type, **keys})


def test_the_control_operators_in_one_page(daemon):
    alerts = Receiver()
    try:
        connect(daemon, "alerts", "http", host="127.0.0.1", port=alerts.port, schema="http")
        daemon.request("POST", "/api/v2/pools", 201, json={"name": "maintenance", "slots": 1})
        with daemon.database("shop") as shop:
            for table in TABLES:
                shop.execute(f"create table {table} as select generate_series(1, 10) as id")
        shutil.copy(ROOT / "dags/ops_example.json", daemon.dags)
        wait_for(lambda: daemon.session.get(daemon.url + "/api/v2/dags/ops_example", timeout=10).status_code == 200, 10)
        daemon.unpause("ops_example")
        daemon.trigger("ops_example", dag_run_id="r", logical_date="2026-02-03T00:00:00Z")

        def state(task_id):
            return daemon.tasks("ops_example", "r").get(task_id, {}).get("state")
        wait_for(lambda: state("wait_for_export") == "up_for_reschedule")
        export = daemon.home / "sample/ecommerce/export/2026-02-03"
        export.mkdir(parents=True)
        (export / "a.csv").write_text("1\n2\n")
        (export / "b.csv").write_text("3\n")
        (export / "_SUCCESS").touch()
        # The next look is 30 s away: clearing the sensor looks at once.
        daemon.request("POST", "/api/v2/dags/ops_example/clearTaskInstances", json={
            "dry_run": False, "dag_run_id": "r", "task_ids": ["wait_for_export"], "only_failed": False, "only_running": False})

        def asked():
            """the run waits for its answer"""
            now = {task_id: one["state"] for task_id, one in daemon.tasks("ops_example", "r").items()}
            assert not {"failed", "up_for_retry", "upstream_failed"} & set(now.values()), now
            return now["approve_purge"] == "awaiting_input"
        wait_for(asked)
        base = "/api/v2/dags/ops_example/dagRuns/r"
        question = f"{base}/taskInstances/approve_purge/-1/hitlDetails"
        assert daemon.get(question)["subject"] == "Delete 0 raw files older than 90d?"
        assert (state("rebuild"), state("choose")) == ("skipped", "success")
        tables = daemon.get(f"{base}/taskInstances/analyze/listMapped")["task_instances"]
        assert [(one["rendered_map_index"], one["state"]) for one in tables] == [(name, "success") for name in TABLES]
        with daemon.database("shop") as shop:
            analyzed = shop.execute("select relname from pg_stat_user_tables where last_analyze is not null order by 1").fetchall()
        assert [name for name, in analyzed] == TABLES
        daemon.request("PATCH", question, json={"chosen_options": ["Approve"]})
        assert daemon.wait_run("ops_example", "r")["state"] == "success"
        assert [(path, body) for path, _, body in alerts.requests] == [("/events", {"text": "ops_example 2026-02-03: 3 rows"})]
    finally:
        alerts.close()


def test_how_long_a_tier_is_kept_may_come_from_a_template_and_is_checked_then(daemon):
    dag = {"dag_id": "keeper", "is_paused_upon_creation": False, "params": {"keep": "90d"}, "tasks": [
        {"task_id": "purge", "operator": "lake", "with": {"action": "retain", "keep": {"raw": "{{ params.keep }}"}}}]}
    (daemon.dags / "keeper.json").write_text(json.dumps(dag))
    wait_for(lambda: daemon.session.get(daemon.url + "/api/v2/dags/keeper", timeout=10).status_code == 200, 10)
    for run_id, keep, state in (("good", "30d", "success"), ("bad", "a while", "failed"), ("nothing", "0s", "failed")):
        daemon.trigger("keeper", dag_run_id=run_id, conf={"keep": keep})
        assert daemon.wait_run("keeper", run_id)["state"] == state
    lines = "\n".join(daemon.log_lines("keeper", "bad", "purge"))
    assert 'keep.raw: "a while" is not how long something is kept' in lines
