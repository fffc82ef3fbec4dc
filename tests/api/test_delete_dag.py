"""DAGs that are deleted: gone for everyone at once, and then with all that is stored of them."""
import json
import threading

import airflow_client.client as airflow
import pytest
import requests
from airflow_client.client.rest import ApiException

from conftest import wait_for, write_dag
from dag_rows import keys_of, nothing_left, rows_left

ECHO = [{"task_id": "t", "operator": "shell", "with": {"bash_command": "echo {{ run_id }}; echo '{\"a\": 1}'"},
         "outlets": ["raw.made_by_it"]}]


def client_of(daemon):
    configuration = airflow.Configuration(host=daemon.url)
    configuration.access_token = daemon.session.headers["Authorization"].removeprefix("Bearer ")
    return airflow.ApiClient(configuration)


@pytest.fixture
def idle(daemon):
    """A DAG with two runs and a backfill that have ended, and another with one run."""
    write_dag(daemon, "gone", ECHO, schedule={"cron_interval": "@daily"}, start_date="2026-01-01", end_date="2026-01-03",
              is_paused_upon_creation=True, on_unpause="none")
    daemon.unpause("gone")
    write_dag(daemon, "kept", [{"task_id": "t", "operator": "shell", "with": {"bash_command": "echo kept"}}], schedule=None)
    for dag_id, run_id in (("gone", "one"), ("gone", "two"), ("kept", "one")):
        daemon.trigger(dag_id, dag_run_id=run_id)
        daemon.wait_run(dag_id, run_id)
    backfill = daemon.request("POST", "/api/v2/backfills",
                              json={"dag_id": "gone", "from_date": "2026-01-01", "to_date": "2026-01-02"})
    wait_for(lambda: daemon.get(f"/api/v2/backfills/{backfill['id']}")["completed_at"])
    return daemon


def status_of(daemon, dag_id):
    return daemon.session.get(f"{daemon.url}/api/v2/dags/{dag_id}", timeout=10).status_code


def test_a_deleted_dag_leaves_nothing_and_no_other_dag_loses(idle):
    daemon = idle
    kept = [keys_of(daemon, "kept"), daemon.get("/api/v2/dags/kept/dagRuns")]
    keys = keys_of(daemon, "gone")
    assert all(keys) and rows_left(daemon, "gone", keys)
    (daemon.dags / "gone.json").unlink()
    with client_of(daemon) as client:
        dags = airflow.DAGApi(client)
        dags.delete_dag("gone")
        for call in (dags.get_dag, dags.delete_dag):
            with pytest.raises(ApiException) as missing:
                call("gone")
            assert missing.value.status == 404
        assert "The Dag with ID: `gone` was not found" in missing.value.body
    # At once, whatever is still stored.
    daemon.request("GET", "/api/v2/dags/gone/dagRuns/one", 404)
    listed = daemon.get("/api/v2/dags/~/dagRuns")["dag_runs"]
    assert {run["dag_id"] for run in listed} == {"kept"}
    assert daemon.get("/api/v2/dags?exclude_stale=false")["total_entries"] == 1
    nothing_left(daemon, "gone", keys)
    assert not (daemon.home / "logs" / "dag_id=gone").exists()
    assert (daemon.home / "logs" / "dag_id=kept" / "run_id=one").exists()
    assert [keys_of(daemon, "kept"), daemon.get("/api/v2/dags/kept/dagRuns")] == kept
    # Its file is gone: so is the DAG, over a start too. What was done to it stays in the event log.
    daemon.kill()
    daemon.start()
    assert status_of(daemon, "gone") == 404
    events = daemon.get("/api/v2/eventLogs?dag_id=gone&event=delete_dag")["event_logs"]
    assert [event["owner"] for event in events] == ["admin"]


def test_a_dag_whose_file_is_there_comes_again_with_nothing(idle):
    daemon = idle
    keys = keys_of(daemon, "gone")
    daemon.request("DELETE", "/api/v2/dags/gone", 204)
    wait_for(lambda: status_of(daemon, "gone") == 200)
    assert daemon.get("/api/v2/dags/gone/dagRuns")["total_entries"] == 0
    assert daemon.get("/api/v2/backfills?dag_id=gone")["total_entries"] == 0
    versions = daemon.get("/api/v2/dags/gone/dagVersions")["dag_versions"]
    assert [version["version_number"] for version in versions] == [1]
    # The ids and dates of its runs are free again, and their logs are new.
    daemon.unpause("gone")
    daemon.trigger("gone", dag_run_id="one")
    assert daemon.wait_run("gone", "one")["state"] == "success"
    assert daemon.log_lines("gone", "one", "t").count("one") == 1
    body = {"dag_id": "gone", "from_date": "2026-01-01", "to_date": "2026-01-02"}
    backfill = daemon.request("POST", "/api/v2/backfills", json=body)
    wait_for(lambda: daemon.get(f"/api/v2/backfills/{backfill['id']}")["completed_at"])
    assert daemon.get(f"/api/v2/backfills/{backfill['id']}")["dag_run_counts"]["success"] == 2
    nothing_left(daemon, "none", keys)
    assert daemon.get("/api/v2/dags/gone/dagRuns")["total_entries"] == 3
    assert daemon.log_lines("gone", "one", "t").count("one") == 1


def test_what_is_open_is_named_and_stays(daemon):
    write_dag(daemon, "busy", [{"task_id": "t", "operator": "shell", "with": {"bash_command": "sleep 600"}}], schedule=None)
    daemon.trigger("busy", dag_run_id="now")
    wait_for(lambda: daemon.run("busy", "now")["state"] == "running")
    detail = daemon.request("DELETE", "/api/v2/dags/busy", 409)["detail"]
    assert "1 open run (now)" in detail and "pause it" in detail
    assert daemon.run("busy", "now")["state"] == "running"
    daemon.request("PATCH", "/api/v2/dags/busy/dagRuns/now", json={"state": "failed"})
    (daemon.dags / "busy.json").unlink()

    def deleted():
        """the task has ended, and the DAG is deleted"""
        return daemon.session.delete(f"{daemon.url}/api/v2/dags/busy", timeout=10).status_code == 204
    wait_for(deleted)
    assert status_of(daemon, "busy") == 404


def test_readers_of_a_deleted_dags_asset_go_on(idle):
    daemon = idle
    write_dag(daemon, "reader", [{"task_id": "t", "operator": "empty"}], schedule={"assets": {"all": ["raw.made_by_it"]}})
    daemon.request("DELETE", "/api/v2/dags/gone", 204)
    wait_for(lambda: status_of(daemon, "gone") == 200)

    def runs():
        return [run["state"] for run in daemon.get("/api/v2/dags/reader/dagRuns")["dag_runs"]]
    assert runs() == []
    daemon.unpause("gone")
    daemon.trigger("gone", dag_run_id="one")
    wait_for(lambda: runs() == ["success"])


def test_an_open_dashboard_is_told(idle):
    daemon = idle
    (daemon.dags / "gone.json").unlink()
    wait_for(lambda: daemon.get("/api/v2/dags/gone")["is_stale"])
    told = []
    stream = daemon.session.get(daemon.url + "/ui/v1/stream?topics=dags", stream=True, timeout=30)
    assert stream.status_code == 200

    def listen():
        for line in stream.iter_lines():
            if line.startswith(b"data: ") and b'"gone"' in line:
                told.append(json.loads(line[6:]))
                return
    listener = threading.Thread(target=listen)
    listener.start()
    daemon.request("DELETE", "/api/v2/dags/gone", 204)
    listener.join(10)
    stream.close()
    assert told and ["gone", None] in told[0]["dag"]


def test_the_command_asks_first(idle):
    daemon = idle
    refused = daemon.cli("dags", "delete", "gone", check=False)
    assert refused.returncode != 0 and "--yes" in refused.stderr
    assert status_of(daemon, "gone") == 200
    said = daemon.cli("dags", "delete", "gone", "--yes").stdout
    assert "gone is deleted, with 4 runs" in said and "gone.json is still in the DAG folder" in said
    wait_for(lambda: status_of(daemon, "gone") == 200)
    (daemon.dags / "gone.json").unlink()
    wait_for(lambda: daemon.get("/api/v2/dags/gone")["is_stale"])
    assert "still in" not in daemon.cli("dags", "delete", "gone", "--yes").stdout
    assert status_of(daemon, "gone") == 404


def test_who_may_only_read_deletes_nothing(idle):
    daemon = idle
    path = daemon.url + "/api/v2/dags/gone"
    assert requests.delete(path, timeout=10).status_code == 401
    password = daemon.request("POST", "/ui/v1/users", 201, json={"name": "vera", "role": "viewer"})["password"]
    token = requests.post(daemon.url + "/auth/token", json={"username": "vera", "password": password}, timeout=10).json()
    bearer = {"Authorization": "Bearer " + token["access_token"]}
    assert requests.get(path, headers=bearer, timeout=10).status_code == 200
    assert requests.delete(path, headers=bearer, timeout=10).status_code == 403
    assert status_of(daemon, "gone") == 200
