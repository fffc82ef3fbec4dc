"""load into files of a folder: formats, one file an instance of a mapped task, kills, what is refused."""
import gzip
import json
import subprocess

import duckdb
import pytest
from conftest import SLUICE, wait_for, write_dag

DAY = {"data_interval_start": "2026-02-01T00:00:00Z", "data_interval_end": "2026-02-02T00:00:00Z"}
COLUMNS = {"id": "integer not null", "v": "varchar", "price": "decimal(10,3)"}


@pytest.fixture
def out(home):
    folder = home / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def daemon(daemons, out):
    connection = {"conn_type": "fs", "extra": {"path": str(out)}}
    daemon = daemons(env={"SLUICE_CONN_OUT": json.dumps(connection)})
    daemon.start()
    landing = daemon.home / "sample" / "ecommerce"
    landing.mkdir(parents=True, exist_ok=True)
    (landing / "rows.csv").write_text('id,v,price\n1,"a, ""b""\nc",1.5\n2,,\n3,Zoë,0.125\n')
    return daemon


def define(daemon, name, loads, **keys):
    write_dag(daemon, name, [
        {"task_id": "read", "operator": "extract", "with": {"from": {"conn_id": "landing", "path": "rows.csv"}, "to": f"raw.{name}"}},
        {"task_id": "type", "operator": "transform", "with": {"from": f"raw.{name}", "to": f"processed.{name}", "steps": [{"cast": "declared"}]}},
        *({"operator": "load", "retries": 9, "retry_delay": "1s", "expand": {"id": [1, 2, 3]}, **task} if task.pop("mapped", False)
          else {"operator": "load", "retries": 9, "retry_delay": "1s", **task} for task in loads)],
        datasets={f"raw.{name}": {"columns": COLUMNS}}, **keys)


def run(daemon, name):
    run_id = daemon.trigger(name, **DAY)["dag_run_id"]
    assert daemon.wait_run(name, run_id)["state"] == "success", "\n".join(
        line for task in daemon.tasks(name, run_id) for line in daemon.log_lines(name, run_id, task))
    return run_id


def test_every_format(daemon, out):
    files = ["a.csv", "a.tsv", "b.csv.gz", "c.jsonl", "c.jsonl.zst", "d.json", "e.parquet"]
    define(daemon, "formats", [
        {"task_id": "t" + name.replace(".", "_"), "with": {"from": "processed.formats", "to": {"conn_id": "out", "path": "{{ data_interval_start | ds }}/" + name}}}
        for name in files])
    run_id = run(daemon, "formats")
    day = out / "2026-02-01"
    assert sorted(path.name for path in day.iterdir()) == sorted(files), "and nothing half-written"
    assert (day / "a.csv").read_text() == 'id,v,price\n1,"a, ""b""\nc",1.500\n2,,\n3,Zoë,0.125\n'
    assert (day / "a.tsv").read_text().startswith("id\tv\tprice\n")
    assert gzip.decompress((day / "b.csv.gz").read_bytes()) == (day / "a.csv").read_bytes()
    assert [json.loads(line)["v"] for line in (day / "c.jsonl").read_text().splitlines()] == ['a, "b"\nc', None, "Zoë"]
    assert len(json.loads((day / "d.json").read_text())) == 3
    with duckdb.connect() as db:
        for name in ("c.jsonl.zst", "e.parquet"):
            assert db.execute(f"select count(*), count(v), sum(price) from '{day / name}'").fetchone() == (3, 2, 1.625)
    summary = daemon.get(f"/api/v2/dags/formats/dagRuns/{run_id}/taskInstances/ta_csv/xcomEntries/return_value")["value"]
    assert (summary["rows_in"], summary["rows_out"]) == (3, 3) and summary["bytes"] == (day / "a.csv").stat().st_size


def test_an_instance_writes_the_rows_of_its_item_to_its_file(daemon, out):
    define(daemon, "parts", [{"task_id": "part", "mapped": True, "with": {
        "from": {"dataset": "processed.parts", "where": "id = {{ map.id }}"}, "to": {"conn_id": "out", "path": "part-{{ map.id }}.csv"}}}])
    run(daemon, "parts")
    assert [(out / f"part-{i}.csv").read_text().splitlines()[-1] for i in (2, 3)] == ["2,,", "3,Zoë,0.125"]


@pytest.mark.parametrize("point", ["target_before_commit", "target_after_commit"])
def test_killed_while_it_writes_a_reader_sees_old_or_new(daemon, out, point):
    define(daemon, "killed", [{"task_id": "t", "with": {"from": "processed.killed", "to": {"conn_id": "out", "path": "x.csv"}}}])
    (out / "x.csv").write_text("old\n")
    daemon.stop()
    daemon.start(env={"SLUICE_FAULT": f"{point}:1"})
    run_id = daemon.trigger("killed", **DAY)["dag_run_id"]
    wait_for(lambda: daemon.tasks("killed", run_id)["t"]["state"] == "up_for_retry")
    new = 'id,v,price\n1,"a, ""b""\nc",1.500\n2,,\n3,Zoë,0.125\n'
    assert (out / "x.csv").read_text() == ("old\n" if point == "target_before_commit" else new)
    daemon.stop()
    daemon.start()
    assert daemon.wait_run("killed", run_id)["state"] == "success"
    assert (out / "x.csv").read_text() == new and [path.name for path in out.iterdir()] == ["x.csv"]


@pytest.mark.parametrize("keys, code, says", [
    ({"to": {"conn_id": "out", "path": "x.csv"}, "mode": "append"}, "E-LOAD-TARGET", "files are written by replace, not by append"),
    ({"to": {"conn_id": "out", "path": "x.csv"}, "mode": "scd2", "key": "id"}, "E-LOAD-TARGET", "need a table of a schema in PostgreSQL"),
    ({"to": {"conn_id": "out", "table": "x"}, "event_time": "id"}, "E-LOAD-TARGET", '"event_time" is for a table of a schema'),
    ({"to": {"conn_id": "out", "table": "x", "format": "csv"}}, "E-LOAD-TARGET", '"format" does not go with table'),
    ({"to": {"conn_id": "out", "path": "../x.csv"}}, "E-LOAD-TARGET", "must lie inside"),
    ({"to": {"conn_id": "out"}}, "E-LOAD-TARGET", "exactly one of path and table"),
    ({"to": {"conn_id": "out", "path": "x.csv"}, "mapped": True}, "E-LOAD-TARGET", "would write the same file"),
    ({"to": "s.t", "from": {"date_spine": {"start": "2026-01-01", "end": "2026-02-01"}}, "mapped": True}, "E-LOAD-MAPPED", "load the same dates"),
    ({"to": "s.t", "key": "id", "deletes": "absent", "mapped": True}, "E-LOAD-MAPPED", "sees a part of the keys"),
    ({"to": "s.{{ map.id }}", "mapped": True}, "E-DATASET-NAME", "takes no template"),
])
def test_what_cannot_be_is_refused_when_the_dag_is_loaded(keys, code, says, tmp_path):
    task = {"task_id": "t", "operator": "load", **({"expand": {"id": [1, 2]}} if keys.pop("mapped", False) else {})}
    body = {"dag_id": "refused", "schemas": {"s": "warehouse"}, "datasets": {"raw.x": {"columns": {**COLUMNS, "mail": "varchar"}}},
            "tasks": [{**task, "with": {"from": "raw.x", **keys}}]}
    path = tmp_path / "refused.json"
    path.write_text(json.dumps(body))
    done = subprocess.run([SLUICE, "check", path], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and code in done.stdout + done.stderr and says in done.stdout + done.stderr, done.stdout + done.stderr


def test_classified_columns_leave_only_if_the_policy_lets_them(tmp_path):
    body = {"dag_id": "leak", "datasets": {"raw.x": {"columns": {"id": "integer", "mail": "varchar @email"}}},
            "tasks": [{"task_id": "t", "operator": "load", "with": {"from": "raw.x", "to": {"conn_id": "out", "path": "x.csv"}}}]}
    path = tmp_path / "leak.json"
    path.write_text(json.dumps(body))
    done = subprocess.run([SLUICE, "check", path], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "E-PII" in done.stdout + done.stderr, done.stdout + done.stderr
