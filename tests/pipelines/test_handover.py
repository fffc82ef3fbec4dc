"""shell and python between data sets: files of the inlets in, $SLUICE_OUT out, re-runs, kills, personal data."""
import json
import subprocess
import sys

from conftest import SLUICE, wait_for, write_dag

DAY = {"data_interval_start": "2026-02-01T00:00:00Z", "data_interval_end": "2026-02-02T00:00:00Z"}
PROGRAM = """
import duckdb, json, os, pathlib
context = json.load(open(os.environ["SLUICE_CONTEXT"]))
files = context["inlets"]["raw.people"]["files"]
marks = pathlib.Path(os.environ["MARKS"])
(marks / "runs").open("a").write("x")
extra = "union all select 9, 'NEW'" if (marks / "more").exists() else ""
out = pathlib.Path(os.environ["SLUICE_OUT"]) / "processed.cities"
duckdb.sql(f"copy (select cast(id as bigint) as id, upper(city) as city from read_parquet({files!r}) {extra}) to '{out}/cities.parquet'")
while (marks / "wait").exists():
    import time
    time.sleep(0.05)
print(json.dumps({"read": len(files)}))
"""


def tasks(marks, **keys):
    return [
        {"task_id": "read", "operator": "extract", "with": {"from": {"conn_id": "landing", "path": "people.csv"}, "to": "raw.people"}},
        {"task_id": "own", "operator": "python", "inlets": ["raw.people"], "outlets": ["processed.cities"], "retries": 3, "retry_delay": "0s",
         "attest": "it writes numbers and cities alone", "with": {"code": PROGRAM, "python": sys.executable, "env": {"MARKS": str(marks)}}, **keys},
        {"task_id": "count", "operator": "transform", "with": {"from": "processed.cities", "to": "curated.cities", "steps": [
            {"aggregate": {"group_by": ["city"], "measures": {"people": "count(id)"}}}]}}]


DATASETS = {"raw.people": {"columns": {"id": "integer", "mail": "varchar @email", "city": "varchar"}},
            "processed.cities": {"columns": {"id": "bigint not null", "city": "varchar"}}}


def slices(daemon, dataset):
    with daemon.database() as db:
        return db.execute("select rows, generation, input from ledger where dataset = %s and state = 'committed'", (dataset,)).fetchall()


def test_a_program_of_ones_own_between_data_sets(daemons, tmp_path):
    daemon = daemons().start()
    landing = daemon.home / "sample" / "ecommerce"
    landing.mkdir(parents=True, exist_ok=True)
    (landing / "people.csv").write_text("id,mail,city\n1,a@x.org,porto\n2,b@x.org,lisboa\n3,c@x.org,porto\n")
    write_dag(daemon, "own", tasks(tmp_path), datasets=DATASETS)
    run_id = daemon.trigger("own", **DAY)["dag_run_id"]
    assert daemon.wait_run("own", run_id)["state"] == "success", daemon.log_lines("own", run_id, "own")
    (rows, first, read), = slices(daemon, "processed.cities")
    assert rows == 3 and [one["dataset"] for one in read] == ["raw.people"]
    assert slices(daemon, "curated.cities")[0][0] == 2
    value = daemon.get(f"/api/v2/dags/own/dagRuns/{run_id}/taskInstances/own/xcomEntries/return_value")["value"]
    assert json.loads(value) == {"read": 1} if isinstance(value, str) else value == {"read": 1}

    # Again, and killed with everything written: the old slice stands until the new one does, and it is the only one.
    def again():
        daemon.request("POST", "/api/v2/dags/own/clearTaskInstances", json={
            "dag_run_id": run_id, "task_ids": ["own"], "include_downstream": True, "only_failed": False, "dry_run": False})
    (tmp_path / "more").touch()
    (tmp_path / "wait").touch()
    again()
    wait_for(lambda: (tmp_path / "runs").read_text() == "xx")
    daemon.kill()
    (tmp_path / "wait").unlink()
    daemon.start()
    assert daemon.wait_run("own", run_id)["state"] == "success"
    (rows, second, _), = slices(daemon, "processed.cities")
    assert rows == 4 and second > first and slices(daemon, "curated.cities")[0][0] == 3
    # What is not as declared fails, with what was there as it was.
    write_dag(daemon, "own", tasks(tmp_path, retries=0), datasets={**DATASETS, "processed.cities": {"columns": {"id": "bigint", "city": "varchar", "zip": "varchar"}}})
    wait_for(lambda: daemon.get("/api/v2/dags/own/dagVersions")["total_entries"] == 2)
    other = daemon.trigger("own", **{"data_interval_start": "2026-02-02T00:00:00Z", "data_interval_end": "2026-02-03T00:00:00Z"})["dag_run_id"]
    assert daemon.wait_run("own", other)["state"] == "failed"
    assert "processed.cities: declared columns are missing" in "\n".join(daemon.log_lines("own", other, "own"))
    assert [one[0] for one in slices(daemon, "processed.cities")] == [4]


def test_personal_data_needs_a_reason(tmp_path):
    def check(datasets=DATASETS, **keys):
        own = tasks(tmp_path)
        own[1] = {name: value for name, value in {**own[1], **keys}.items() if value is not None}
        file = tmp_path / "own.json"
        file.write_text(json.dumps({"dag_id": "own", "datasets": datasets, "tasks": own}))
        done = subprocess.run([SLUICE, "check", file], capture_output=True, text=True, timeout=60)
        return done.stdout + done.stderr
    assert "E-" not in check()
    said = check(attest=None)
    assert "E-ATTEST" in said and "raw.people.mail (email)" in said and "processed.cities" in said
    assert "E-ATTEST" in check(datasets={"raw.people": DATASETS["raw.people"]})
