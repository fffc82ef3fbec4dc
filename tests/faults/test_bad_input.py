"""Broken sources and broken processes under a whole pipeline: a clear error, and nothing lost."""
import contextlib
import http.server
import json
import os
import re
import resource
import signal
import threading
from pathlib import Path

import pytest

import soak
from conftest import ROOT, standalone, wait_for, write_dag

RESOURCE = 6  # ErrorClass::resource in the run-state database


@pytest.fixture(scope="module")
def daemon():
    with standalone() as made:
        yield made


def landing(daemon, name, content):
    """A file of the connection `landing`."""
    path = daemon.home / "sample" / "ecommerce" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def extract(to, path, **keys):
    task = {name: keys.pop(name) for name in ("retries", "retry_delay", "resources") if name in keys}
    return {"task_id": "extract", "operator": "extract", **task,
            "with": {"from": {"conn_id": "landing", "path": path, **keys.pop("source", {})}, "to": to, **keys}}


def pipeline(dag_id, path, **keys):
    """CSV file -> raw -> curated -> warehouse table `faults.DAG_ID`."""
    return {
        "schemas": {"faults": "warehouse"},
        "datasets": {f"raw.{dag_id}": {"columns": {"id": "bigint not null", "name": "varchar"}}},
        "tasks": [
            extract(f"raw.{dag_id}", path, **keys),
            {"task_id": "transform", "operator": "transform", "with": {
                "from": f"raw.{dag_id}", "to": f"curated.{dag_id}",
                "steps": [{"cast": {"id": "bigint"}}, {"normalize": {"name": ["trim"]}}]}},
            {"task_id": "load", "operator": "load", "retries": 5, "retry_delay": "1s", "with": {
                "from": f"curated.{dag_id}", "to": f"faults.{dag_id}", "key": "id"}}]}


def state(daemon, dag_id, run_id, task):
    return daemon.tasks(dag_id, run_id)[task]["state"]


def xcom(daemon, dag_id, run_id, task):
    return daemon.get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task}/xcomEntries/return_value")["value"]


def failed_attempts(daemon, dag_id, task_no=0):
    """(error class, error) of the attempts that ended badly and were tried again."""
    with daemon.database() as db:
        return db.execute("select a.error_class, a.error from attempt a join dag_run r using (run_key) "
                          "where r.dag_id = %s and a.task_no = %s and not a.lost order by a.start_no",
                          (dag_id, task_no)).fetchall()


def warehouse(daemon, table):
    with daemon.database("warehouse") as db:
        return db.execute(f"select id, name from faults.{table} order by id").fetchall()


def workers_of(daemon):
    """Processes below the daemon that run a task's operator."""
    found = []
    below = {daemon.process.pid}
    for _ in range(3):
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                pid, parent = int(path.parent.name), int(path.read_text().rsplit(")", 1)[1].split()[1])
                if parent in below and pid not in below:
                    below.add(pid)
                    cmdline = (path.parent / "cmdline").read_bytes()
                    if b"worker" in cmdline and b"--warm" not in cmdline:
                        found.append(pid)
    return found


def test_a_missing_source_file_fails_the_attempt_by_name_and_the_run_succeeds_once_it_is_there(daemon):
    write_dag(daemon, "missing", **pipeline("missing", "not/there.csv", retries=60, retry_delay="1s"))
    run_id = daemon.trigger("missing")["dag_run_id"]
    wait_for(lambda: state(daemon, "missing", run_id, "extract") == "up_for_retry")
    log = "\n".join(daemon.log_lines("missing", run_id, "extract"))
    assert 'source file "not/there.csv" is missing in connection "landing"' in log
    landing(daemon, "not/there.csv", "id,name\n1,one\n")
    assert daemon.wait_run("missing", run_id)["state"] == "success"
    assert warehouse(daemon, "missing") == [(1, "one")]


DEFECTS = ("\ufeffid,name\r\n1,one\r\n2\r\n3,\"open\r\n4,\"q\"x\r\n5,five\r\n6,six,more\r\n"
           "7,\" seven\r\nlines \"\r\n").encode()


def test_a_csv_with_bom_crlf_wrong_column_counts_and_broken_quotes_loads_its_good_lines_and_counts_the_others(daemon):
    landing(daemon, "defects.csv", DEFECTS)
    write_dag(daemon, "defects", **pipeline("defects", "defects.csv", max_rejects=4))
    run_id = daemon.trigger("defects")["dag_run_id"]
    run = daemon.wait_run("defects", run_id)
    assert run["state"] == "success", daemon.log_lines("defects", run_id, "extract")
    said = xcom(daemon, "defects", run_id, "extract")
    assert (said["rows_in"], said["rows_out"], said["rows_rejected"]) == (7, 3, 4)
    assert warehouse(daemon, "defects") == [(1, "one"), (5, "five"), (7, "seven\r\nlines")]


def test_one_bad_line_more_than_max_rejects_fails_with_file_and_line_and_leaves_what_was_loaded(daemon):
    landing(daemon, "strict.csv", "id,name\n1,one\n")
    write_dag(daemon, "strict", **pipeline("strict", "strict.csv", max_rejects=3))
    assert daemon.wait_run("strict", daemon.trigger("strict")["dag_run_id"])["state"] == "success"
    landing(daemon, "strict.csv", DEFECTS)
    run_id = daemon.trigger("strict")["dag_run_id"]
    assert daemon.wait_run("strict", run_id)["state"] == "failed"
    log = "\n".join(daemon.log_lines("strict", run_id, "extract"))
    assert "strict.csv:3: expected 2 fields, found 1" in log
    assert "4 unreadable lines, max_rejects allows 3" in log
    assert state(daemon, "strict", run_id, "load") == "upstream_failed"
    assert warehouse(daemon, "strict") == [(1, "one")]


def wide_csv(rows):
    return "id,name\n" + "".join(f"{i},name {i}\n" for i in range(rows))


@contextlib.contextmanager
def slow_server(daemon, conn_id, rows):
    """A server that answers with `rows` records when it is told to, behind a connection."""
    asked, go = threading.Event(), threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.set()
            go.wait(60)
            body = json.dumps([{"id": i, "name": f"name {i}"} for i in range(rows)]).encode()
            with contextlib.suppress(OSError):  # who asked may be dead
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *args):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    daemon.request("POST", "/api/v2/connections", 201, json={
        "connection_id": conn_id, "conn_type": "http", "host": "127.0.0.1", "port": server.server_port, "schema": "http"})
    try:
        yield asked, go
    finally:
        go.set()
        server.shutdown()


def test_kill_9_of_a_worker_in_an_extract_is_a_failed_attempt_of_class_resource_and_the_run_succeeds(daemon):
    with slow_server(daemon, "slow", 3) as (asked, go):
        body = pipeline("killed", "", retries=3, retry_delay="1s")
        body["tasks"][0]["with"]["from"] = {"conn_id": "slow", "endpoint": "/rows"}
        write_dag(daemon, "killed", **body)
        run_id = daemon.trigger("killed")["dag_run_id"]
        assert asked.wait(30)
        os.kill(workers_of(daemon)[0], signal.SIGKILL)
        wait_for(lambda: failed_attempts(daemon, "killed") or state(daemon, "killed", run_id, "extract") == "up_for_retry")
        go.set()
        assert daemon.wait_run("killed", run_id)["state"] == "success"
    error_class, error = failed_attempts(daemon, "killed")[0]
    assert error_class == RESOURCE
    assert "signal 9" in error and "not by Sluice" in error
    assert any("ended without a result" in line for line in daemon.log_lines("killed", run_id, "extract", 1))
    assert warehouse(daemon, "killed") == [(i, f"name {i}") for i in range(3)]
    assert daemon.process.poll() is None


def test_long_lines_large_records_and_a_large_document_are_read_in_the_memory_of_the_task(daemon):
    name = "x" * 1_000_000
    files = {
        "csv": (["id,name\n1,one\n2,", *[name] * 100, ",3\n4,four\n"], {"max_rejects": 1}, "2 1"),
        "jsonl": ([f'{{"id":{i},"name":"{name}"}}\n' for i in range(30)], {}, "30 0"),
        "json": (["["] + [f'{{"id":{i},"name":"{name[:1000]}"}},' for i in range(80_000)] + ['{"id":0,"name":""}]'], {}, "80001 0")}
    tasks = []
    for kind, (pieces, keys, _) in files.items():
        landing(daemon, f"large.{kind}", "".join(pieces))
        tasks.append({**extract(f"raw.large_{kind}", f"large.{kind}", resources={"memory": "480MiB"}, **keys), "task_id": kind})
    write_dag(daemon, "large", tasks)
    run_id = daemon.trigger("large")["dag_run_id"]
    daemon.wait_run("large", run_id)
    for kind, (_, _, counts) in files.items():
        assert state(daemon, "large", run_id, kind) == "success", daemon.log_lines("large", run_id, kind)
        said = xcom(daemon, "large", run_id, kind)
        assert f"{said['rows_out']} {said['rows_rejected']}" == counts, (kind, said)


def test_a_full_disk_of_postgresql_under_a_load_is_of_class_resource_changes_nothing_and_the_retry_loads(daemon):
    landing(daemon, "full.csv", wide_csv(10))
    body = pipeline("full", "full.csv")
    body["tasks"][2]["retries"] = 60
    write_dag(daemon, "full", **body)
    assert daemon.wait_run("full", daemon.trigger("full")["dag_run_id"])["state"] == "success"
    landing(daemon, "full.csv", "id,name\n" + "".join(f"{i},{'x' * 200}\n" for i in range(100_000)))
    # To PostgreSQL a limit on the size of files is a full disk; files of its log, 16 MiB each, still fit.
    daemon.stop()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (17_000_100, before[1]))
    try:
        daemon.start()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    run_id = daemon.trigger("full")["dag_run_id"]
    wait_for(lambda: failed_attempts(daemon, "full", 2) or state(daemon, "full", run_id, "load") == "up_for_retry")
    assert len(warehouse(daemon, "full")) == 10
    daemon.stop()
    daemon.start()
    assert daemon.wait_run("full", run_id)["state"] == "success"
    assert len(warehouse(daemon, "full")) == 100_000
    error_class, error = failed_attempts(daemon, "full", 2)[0]
    assert error_class == RESOURCE and error.startswith('connection "warehouse", faults.full: could not extend file'), error


def test_a_worker_out_of_memory_is_a_failed_attempt_that_names_the_limit_and_the_daemon_lives(daemon):
    write_dag(daemon, "hungry", [{
        "task_id": "eat", "operator": "python", "resources": {"memory": "100MiB"},
        "with": {"code": ["hold = []", "while True:", "    hold.append(bytearray(8 << 20))"]}}])
    run_id = daemon.trigger("hungry")["dag_run_id"]
    assert daemon.wait_run("hungry", run_id)["state"] == "failed"
    log = "\n".join(daemon.log_lines("hungry", run_id, "eat"))
    assert "out of memory" in log and "100 MiB" in log and "resources.memory" in log
    assert daemon.get("/api/v2/monitor/health")["scheduler"]["status"] == "healthy"


def lock_table(daemon, table):
    """Holds a table of the warehouse so that a load waits in its transaction; the caller closes it."""
    held = daemon.database("warehouse")
    held.autocommit = False
    held.execute(f"lock table faults.{table} in access exclusive mode")
    return held


def waits_for_lock(daemon):
    with daemon.database("warehouse") as db:
        return db.execute("select count(*) from pg_stat_activity where datname = 'warehouse' "
                          "and wait_event_type = 'Lock'").fetchone()[0]


def test_sigterm_during_a_load_stops_at_once_and_the_load_is_done_once_after_the_start(daemon):
    landing(daemon, "stopped.csv", wide_csv(2000))
    write_dag(daemon, "stopped", **pipeline("stopped", "stopped.csv"))
    assert daemon.wait_run("stopped", daemon.trigger("stopped")["dag_run_id"])["state"] == "success"
    landing(daemon, "stopped.csv", wide_csv(3000))
    held = lock_table(daemon, "stopped")
    run_id = daemon.trigger("stopped")["dag_run_id"]
    wait_for(lambda: waits_for_lock(daemon))
    assert state(daemon, "stopped", run_id, "load") == "running"
    assert daemon.stop(10) == 0
    with contextlib.suppress(Exception):
        held.close()
    daemon.start()
    assert daemon.wait_run("stopped", run_id)["state"] == "success"
    assert warehouse(daemon, "stopped") == [(i, f"name {i}") for i in range(3000)]


def of_instance(daemon):
    """The command lines of all processes that the daemon has started for tasks."""
    marker = b"SLUICE_INSTANCE=" + (daemon.home / "instance").read_bytes().strip()
    found = {}
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if marker in path.read_bytes().split(b"\0"):
                found[int(path.parent.name)] = (path.parent / "cmdline").read_bytes()
    return found


def test_a_warm_process_killed_under_a_task_harms_none_and_a_daemon_killed_leaves_no_process(daemon):
    landing(daemon, "warm.csv", wide_csv(20))
    write_dag(daemon, "warm", **pipeline("warm", "warm.csv", retries=0))
    assert daemon.wait_run("warm", daemon.trigger("warm")["dag_run_id"])["state"] == "success"
    held = lock_table(daemon, "warm")
    run_id = daemon.trigger("warm")["dag_run_id"]
    wait_for(lambda: waits_for_lock(daemon))
    (worker,) = workers_of(daemon)
    (warm,) = [pid for pid, command in of_instance(daemon).items() if b"--warm" in command]
    assert worker != warm
    os.kill(warm, signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{warm}").exists())
    assert list(of_instance(daemon)) == [worker]
    held.close()
    assert daemon.wait_run("warm", run_id)["state"] == "success"
    assert not failed_attempts(daemon, "warm")
    held = lock_table(daemon, "warm")
    run_id = daemon.trigger("warm")["dag_run_id"]
    wait_for(lambda: waits_for_lock(daemon))
    assert len(of_instance(daemon)) == 2  # the worker and another warm process
    daemon.kill()
    wait_for(lambda: not of_instance(daemon))
    with contextlib.suppress(Exception):
        held.close()
    daemon.start()
    assert daemon.wait_run("warm", run_id)["state"] == "success"
    assert warehouse(daemon, "warm") == [(i, f"name {i}") for i in range(20)]


WORKER_POINTS = {
    "worker_started": "extract", "extract_before_write": "extract", "lake_after_write": "extract",
    "worker_before_result": "extract", "load_before_stage": "load", "load_mid_copy": "load",
    "load_after_stage": "load", "load_inside_transaction": "load", "load_after_commit_before_ack": "load"}
DAEMON_POINTS = {"before_commit", "sent_ahead", "after_commit_before_ack"}  # in test_daemon_faults.py


def test_every_fault_point_of_the_source_is_reached_by_a_test():
    named = set()
    for folder in ("daemon", "operators"):
        for path in (ROOT / folder).rglob("*.cpp"):
            named |= set(re.findall(r'\bfault_point\("(\w+)"\)', path.read_text()))
    elsewhere = {"before_delivery",  # in tests/api/test_callbacks.py
                 "extract_chunk_done",  # in test_postgres_source.py
                 "removing_dag", "deleted_run_swept",  # in test_deleted_dags.py
                 # in daemon/executor/warm_workers_test.cpp
                 "warm_before_copy", "warm_after_copy",
                 # in tests/servers/test_s3.py
                 "s3_mid_upload", "s3_before_complete", "lake_before_removal", "lake_after_removal",
                 # in tests/servers/test_mariadb_target.py, tests/pipelines/test_file_target.py.
                 "target_before_stage", "target_after_stage", "target_before_commit", "target_after_commit"}
    in_rounds = {*soak.DAEMON_POINTS, soak.MIGRATION_POINT, *soak.WORKER_POINTS}
    assert named == set(WORKER_POINTS) | DAEMON_POINTS | in_rounds | elsewhere


@pytest.mark.parametrize("point", WORKER_POINTS)
def test_a_worker_killed_at_the_fault_point_loses_nothing_and_does_nothing_twice(daemon, point):
    dag_id, task = "at_" + point, WORKER_POINTS[point]
    landing(daemon, f"{dag_id}.csv", wide_csv(500))
    body = pipeline(dag_id, f"{dag_id}.csv", retries=60, retry_delay="1s")
    body["tasks"][2]["retries"] = 60
    write_dag(daemon, dag_id, **body)
    daemon.stop()
    daemon.start(env={"SLUICE_FAULT": f"{point}:1"})
    run_id = daemon.trigger(dag_id)["dag_run_id"]

    def killed():
        """the fault point is reached"""
        assert daemon.run(dag_id, run_id)["state"] != "success", "the fault point was never reached"
        return state(daemon, dag_id, run_id, task) == "up_for_retry"
    wait_for(killed)
    daemon.stop()
    daemon.start()
    assert daemon.wait_run(dag_id, run_id)["state"] == "success"
    errors = failed_attempts(daemon, dag_id, {"extract": 0, "load": 2}[task])
    assert errors and {error_class for error_class, _ in errors} == {RESOURCE}
    assert warehouse(daemon, dag_id) == [(i, f"name {i}") for i in range(500)]
    with daemon.database("warehouse") as db:
        assert db.execute("select count(*) from _sluice.ledger where dataset = %s and state = 'committed'",
                          (f"faults.{dag_id}",)).fetchone()[0] == 1
