"""Data sets and assets across DAGs, through the real daemon: any order of files, kills in between."""
import json
import os
import random
import subprocess
import time

from conftest import SLUICE, wait_for, write_dag

COLUMNS = {"columns": {"id": "bigint not null", "name": "varchar"}}


def touch(task_id, outlet):
    return {"task_id": task_id, "operator": "empty", "outlets": [outlet]}


def asset(daemon, name):
    found = [a for a in daemon.get("/api/v2/assets?limit=100")["assets"] if a["name"] == name]
    assert found, name
    return found[0]


def runs(daemon, dag_id):
    return daemon.get(f"/api/v2/dags/{dag_id}/dagRuns?limit=100")["dag_runs"]


def wait_runs(daemon, dag_id, count):
    def there():
        """the runs are there and have succeeded"""
        found = runs(daemon, dag_id)
        return found if len(found) >= count and all(r["state"] == "success" for r in found) else None
    return wait_for(there)


def errors(daemon):
    return {e["filename"]: e["stack_trace"] for e in daemon.get("/api/v2/importErrors")["import_errors"]}


def test_a_dag_reads_what_another_one_writes_and_runs_when_it_was_written(daemon):
    csv = daemon.home / "sample" / "ecommerce" / "a.csv"
    csv.parent.mkdir(parents=True, exist_ok=True)
    csv.write_text("id,name\n1,ada\n2,bob\n")
    reader = {"dag_id": "reader", "is_paused_upon_creation": False, "schedule": ["raw.people"], "tasks": [
        {"task_id": "keep", "operator": "transform",
         "with": {"to": "processed.people", "sql": "select cast(id as bigint) as id, name from raw.people"}},
        {"task_id": "tell", "operator": "shell", "upstream": ["keep"], "with": {
            "argv": ["echo", "{{ triggering_asset_events['raw.people'] | length }} {{ data_interval_start }}"]}}]}
    # The reader comes first: it waits for its writer, and is cured by it.
    (daemon.dags / "a_reader.json").write_text(json.dumps(reader))
    wait_for(lambda: "E-DATASET-UNKNOWN" in errors(daemon).get("a_reader.json", ""))
    writer = {"schedule": {"cron_interval": "@daily"}, "start_date": "2026-01-01", "end_date": "2026-01-10",
              "datasets": {"raw.people": COLUMNS}}
    tasks = [{"task_id": "get", "operator": "extract",
              "with": {"from": {"conn_id": "landing", "path": "a.csv"}, "to": "raw.people"}}]
    write_dag(daemon, "writer", tasks, **writer)
    wait_for(lambda: not errors(daemon))
    run = daemon.trigger("writer", logical_date="2026-01-05T00:00:00Z",
                         data_interval_start="2026-01-05T00:00:00Z", data_interval_end="2026-01-06T00:00:00Z")
    assert daemon.wait_run("writer", run["dag_run_id"])["state"] == "success"
    made = wait_runs(daemon, "reader", 1)[0]
    assert (made["run_type"], made["triggered_by"], made["logical_date"]) == ("asset_triggered", "asset", None)
    assert made["data_interval_start"].startswith("2026-01-05") and made["data_interval_end"].startswith("2026-01-06")
    xcom = daemon.get(f"/api/v2/dags/reader/dagRuns/{made['dag_run_id']}/taskInstances/keep/xcomEntries/return_value")
    assert json.loads(xcom["value"])["rows_out"] == 2 if isinstance(xcom["value"], str) else xcom["value"]["rows_out"] == 2
    assert any("1 2026-01-05" in line for line in daemon.log_lines("reader", made["dag_run_id"], "tell"))
    upstream = daemon.get(f"/api/v2/dags/reader/dagRuns/{made['dag_run_id']}/upstreamAssetEvents")
    assert [e["source_run_id"] for e in upstream["asset_events"]] == [run["dag_run_id"]]
    assert upstream["asset_events"][0]["created_dagruns"][0]["run_id"] == made["dag_run_id"]
    known = asset(daemon, "raw.people")
    assert [t["dag_id"] for t in known["producing_tasks"]] == ["writer"]
    assert [t["dag_id"] for t in known["consuming_tasks"]] == ["reader"]
    assert [t["dag_id"] for t in known["scheduled_dags"]] == ["reader"]

    # A second writer is refused; the folder's check says so too, and knows the others.
    write = {"dag_id": "second", "datasets": {"raw.people": COLUMNS}, "tasks": tasks}
    (daemon.dags / "0_second.json").write_text(json.dumps(write))
    wait_for(lambda: "E-DATASET-WRITERS" in errors(daemon).get("0_second.json", ""))
    (daemon.dags / "0_second.json").unlink()
    wait_for(lambda: not errors(daemon))
    for path in (daemon.dags, daemon.dags / "a_reader.json"):
        done = subprocess.run([SLUICE, "check", path], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout
    # The writer changes its schema: its reader is checked against it, and gets a new version.
    before = daemon.get("/api/v2/dags/reader/dagVersions")["total_entries"]
    write_dag(daemon, "writer", tasks, **{**writer, "datasets": {"raw.people": {"columns": {
        "id": "bigint not null", "name": "varchar", "born": "date"}}}})
    wait_for(lambda: daemon.get("/api/v2/dags/reader/dagVersions")["total_entries"] == before + 1)
    # Without its name the reader is broken; its last good version stays.
    write_dag(daemon, "writer", tasks, **{**writer, "datasets": {"raw.people": {"columns": {"id": "bigint not null"}}}})
    wait_for(lambda: "name" in errors(daemon).get("a_reader.json", ""))
    assert not daemon.get("/api/v2/dags/reader")["is_stale"]


def test_conditions_queued_events_and_pushes(daemon):
    declared = {"raw.a": {}, "raw.b": {}}
    write_dag(daemon, "both", [{"task_id": "t", "operator": "empty"}], datasets=declared,
              schedule={"assets": {"all": ["raw.a", "raw.b"]}})
    ids = {name: asset(daemon, name)["id"] for name in declared}

    def push(name):
        return daemon.request("POST", "/api/v2/assets/events", json={"asset_id": ids[name], "extra": {"n": 1}})

    details = daemon.get("/api/v2/dags/both/details")
    assert [part["asset"]["name"] for part in details["asset_expression"]["all"]] == ["raw.a", "raw.b"]
    assert details["missing_assets"] == ["raw.a", "raw.b"]
    assert push("raw.a")["extra"] == {"n": 1}
    assert daemon.get("/api/v2/dags/both/details")["missing_assets"] == ["raw.b"]
    queued = daemon.get("/api/v2/dags/both/assets/queuedEvents")["queued_events"]
    assert [q["asset_id"] for q in queued] == [ids["raw.a"]]
    assert daemon.get(f"/api/v2/assets/{ids['raw.a']}/queuedEvents")["total_entries"] == 1
    daemon.request("DELETE", f"/api/v2/dags/both/assets/{ids['raw.a']}/queuedEvents", 204)
    daemon.request("GET", f"/api/v2/dags/both/assets/{ids['raw.a']}/queuedEvents", 404)
    daemon.request("DELETE", "/api/v2/dags/both/assets/queuedEvents", 404)
    push("raw.b")
    assert not runs(daemon, "both")
    push("raw.a")
    made = wait_runs(daemon, "both", 1)
    assert len(made) == 1
    # Paused: events wait, and are one run afterwards.
    daemon.request("PATCH", "/api/v2/dags/both", json={"is_paused": True})
    for name in ("raw.a", "raw.b", "raw.a"):
        push(name)
    assert len(runs(daemon, "both")) == 1
    daemon.unpause("both")
    assert len(wait_runs(daemon, "both", 2)) == 2
    listed = daemon.cli("assets", "list").stdout
    assert "raw.a" in listed and "both" in listed
    assert "event " in daemon.cli("assets", "push", "raw.b", "--extra", '{"x": 2}').stdout
    assert daemon.cli("assets", "events", "raw.b").stdout.count("pushed") == 3
    assert daemon.cli("assets", "push", "raw.none", check=False).returncode != 0


def test_each_event_is_taken_once_whatever_is_killed(daemons):
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    print(f"SEED={seed}")
    chance = random.Random(seed)
    daemon = daemons().start()
    write_dag(daemon, "source", [touch("w", "raw.x")], max_active_runs=16)
    write_dag(daemon, "each", [{"task_id": "t", "operator": "empty"}], max_active_runs=16,
              schedule={"assets": {"all": ["raw.x"]}, "batch": False})
    write_dag(daemon, "some", [{"task_id": "t", "operator": "empty"}], schedule=["raw.x"])
    wanted = 30
    for number in range(wanted):
        daemon.trigger("source", dag_run_id=f"s{number}")
        if number % 10 == 9:
            time.sleep(chance.uniform(0, 0.2))
            daemon.kill()
            daemon.start()
    assert len(wait_runs(daemon, "source", wanted)) == wanted
    wait_runs(daemon, "each", wanted)

    def all_taken():
        """every event was taken by both"""
        with daemon.database() as db:
            return db.execute("select count(*) from asset_use").fetchone()[0] == 2 * wanted
    wait_for(all_taken)
    with daemon.database() as db:
        taken = db.execute("select r.dag_id, count(*), count(distinct u.event_id), count(distinct u.run_key) "
                           "from asset_use u join dag_run r using (run_key) group by 1 order by 1").fetchall()
    assert taken[0] == ("each", wanted, wanted, wanted)
    assert taken[1][:3] == ("some", wanted, wanted) and taken[1][3] <= wanted
