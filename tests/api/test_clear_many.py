"""A clear of very many instances goes on over several turns: nothing starts before its end, a kill -9 on the way
loses nothing. And runs that are deleted, by Airflow's own client."""
import contextlib
import threading

import airflow_client.client as airflow
import pytest
import requests
from airflow_client.client.rest import ApiException

from conftest import wait_for, write_dag

MANY = 20_000


def client_of(daemon):
    configuration = airflow.Configuration(host=daemon.url)
    configuration.access_token = daemon.session.headers["Authorization"].removeprefix("Bearer ")
    return airflow.ApiClient(configuration)


def ask(daemon, body):
    with contextlib.suppress(requests.RequestException):
        daemon.session.post(daemon.url + "/api/v2/dags/many/clearTaskInstances", json=body, timeout=30)


def test_a_clear_of_many_is_finished_after_a_kill(daemon):
    each = {"task_id": "each", "operator": "empty", "expand": {"v": {"range": MANY}}}
    write_dag(daemon, "many", [each, {"task_id": "end", "operator": "empty", "upstream": "each"}],
              schedule=None, max_active_tasks_per_run=128)
    daemon.trigger("many", dag_run_id="r")
    assert daemon.wait_run("many", "r", 120)["state"] == "success"
    body = {"dag_run_id": "r", "only_failed": False, "dry_run": False}
    with daemon.database() as database:
        asking = threading.Thread(target=ask, args=(daemon, body))
        asking.start()

        def begun():
            """the clear has begun"""
            return database.execute("select count(*) from run_clearing").fetchone()[0] == 1

        wait_for(begun, every=0.001)
        daemon.kill()
        asking.join()
        left = database.execute("select count(*) from run_clearing").fetchone()[0]
        cleared = database.execute("select count(*) from task_instance where state = 0").fetchone()[0]
    assert left == 1 and 0 < cleared < MANY, "it was killed too late"
    daemon.start()
    assert daemon.wait_run("many", "r", 120)["state"] == "success"
    with daemon.database() as database:
        def one(sql):
            return database.execute(sql).fetchone()[0]

        assert one("select count(*) from run_clearing") == 0
        assert one("select count(*) from task_instance where state = 4 and starts = 2") == MANY + 1
        assert one("select count(*) from attempt where start_no = 1") == MANY + 1
        last_cleared = one("select max(seq) from transition where task_no >= 0 and from_state = 4 and to_state = 0")
        started = one(f"select min(seq) from transition where task_no >= 0 and to_state = 3 and seq > {last_cleared} - {2 * MANY}"
                      " and try_number = 2")
        assert started > last_cleared, "a task started while its run was being cleared"


def test_runs_are_deleted(daemon):
    write_dag(daemon, "gone", [{"task_id": "t", "operator": "shell", "with": {"bash_command": "echo {{ run_id }}"}}],
              schedule=None)
    write_dag(daemon, "waits", [{"task_id": "t", "operator": "shell", "with": {"bash_command": "sleep 600"}}],
              schedule=None)
    for run_id in ("one", "two"):
        daemon.trigger("gone", dag_run_id=run_id)
        daemon.wait_run("gone", run_id)
    daemon.trigger("waits", dag_run_id="busy")
    wait_for(lambda: daemon.run("waits", "busy")["state"] == "running")
    with client_of(daemon) as client:
        runs = airflow.DagRunApi(client)
        runs.delete_dag_run("gone", "one")
        with pytest.raises(ApiException) as refused:
            runs.delete_dag_run("waits", "busy")
        assert refused.value.status == 409
        with pytest.raises(ApiException) as missing:
            runs.delete_dag_run("gone", "one")
        assert missing.value.status == 404
        assert [run.dag_run_id for run in runs.get_dag_runs("gone").dag_runs] == ["two"]
    folder = daemon.home / "logs" / "dag_id=gone"
    assert not (folder / "run_id=one").exists() and (folder / "run_id=two").exists()
    daemon.cli("runs", "delete", "gone", "two")
    assert daemon.get("/api/v2/dags/gone/dagRuns")["total_entries"] == 0

    # What is left goes when the daemon tidies up; the ids are free again.
    daemon.kill()
    daemon.start()

    def swept():
        """nothing is left of the deleted runs"""
        with daemon.database() as database:
            return database.execute("select count(*) from deleted_run").fetchone()[0] == 0

    wait_for(swept)
    with daemon.database() as database:
        for table in ("task_instance", "transition", "attempt", "xcom", "rendered"):
            rows = database.execute(f"select count(*) from {table} t where not exists"
                                    " (select from dag_run r where r.run_key = t.run_key)").fetchone()[0]
            assert rows == 0, table
    daemon.trigger("gone", dag_run_id="one")
    assert daemon.wait_run("gone", "one")["state"] == "success"
    assert daemon.log_lines("gone", "one", "t").count("one") == 1, "nothing is left of the log before"
    daemon.request("PATCH", "/api/v2/dags/waits/dagRuns/busy", json={"state": "failed"})
