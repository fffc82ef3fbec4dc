"""Clears that let a run go on with the latest version of its DAG: by API, CLI and Airflow's own client; kill -9 on the way."""
import contextlib
import json
import subprocess

import airflow_client.client as airflow
import pytest
import requests

from conftest import wait_for, write_dag

CLEAR = "/api/v2/dags/moves/clearTaskInstances"


def shell(task_id, command="true", **more):
    return {"task_id": task_id, "operator": "shell", "with": {"bash_command": command}, **more}


def define(daemon, tasks, **keys):
    """Writes the DAG and waits until the daemon has this definition."""
    write_dag(daemon, "moves", tasks, schedule=None, **keys)

    def known():
        """the new definition is listed"""
        ids = {task["task_id"] for task in daemon.get("/api/v2/dags/moves/tasks")["tasks"]}
        return ids == {task["task_id"] for task in tasks}

    wait_for(known)


def run_of(daemon, run_id):
    return daemon.get(f"/api/v2/dags/moves/dagRuns/{run_id}")


def states(daemon, run_id):
    return {task: row["state"] for task, row in daemon.tasks("moves", run_id).items()}


def ended(daemon, run_id):
    def over():
        """the run has ended"""
        run = run_of(daemon, run_id)
        return run if run["state"] in ("success", "failed") else None

    return wait_for(over)


FIRST = [shell("a", "echo from the first version"), shell("b", "exit 1", upstream="a"), shell("c", upstream="b")]
SECOND = [shell("n"), shell("b", "echo mended", upstream=["a", "n"]), shell("a")]


def test_a_failed_run_goes_on_with_the_mended_version(daemon):
    define(daemon, FIRST)
    run = daemon.trigger("moves", dag_run_id="r1")["dag_run_id"]
    assert ended(daemon, run)["state"] == "failed"
    assert run_of(daemon, run)["dag_versions"][0]["version_number"] == 1
    define(daemon, SECOND)

    body = {"dag_run_id": run, "only_failed": True, "run_on_latest_version": True}
    dry = daemon.request("POST", CLEAR, json={**body, "dry_run": True})
    assert {row["task_id"] for row in dry["task_instances"]} == {"b"}
    assert run_of(daemon, run)["dag_versions"][0]["version_number"] == 1
    daemon.request("POST", CLEAR, json={**body, "dry_run": False})
    daemon.kill()
    daemon.start()
    assert ended(daemon, run)["state"] == "success"
    assert states(daemon, run) == {"a": "success", "b": "success", "c": "removed", "n": "success"}
    assert run_of(daemon, run)["dag_versions"][0]["version_number"] == 2
    one = f"/api/v2/dags/moves/dagRuns/{run}/taskInstances"
    assert daemon.get(f"{one}/a")["try_number"] == 1 and daemon.get(f"{one}/b")["try_number"] == 2
    log = "\n".join(json.dumps(line) for line in daemon.get(f"{one}/a/logs/1")["content"])
    assert "from the first version" in log
    tries = daemon.get(f"{one}/b/tries")["task_instances"]
    assert [row["state"] for row in tries] == ["failed", "success"]
    assert [row["version_number"] for row in daemon.get("/api/v2/dags/moves/dagVersions")["dag_versions"]] == [1, 2]
    assert daemon.session.get(f"{daemon.url}/ui/v1/dags/moves/runs/{run}", timeout=10).ok

    # It stays on that version when the next one comes, and follows it when asked.
    third = [shell("c"), shell("z")]
    define(daemon, third)
    daemon.cli("tasks", "clear", "moves", run, "b")
    assert ended(daemon, run)["state"] == "success"
    assert run_of(daemon, run)["dag_versions"][0]["version_number"] == 2
    daemon.cli("runs", "clear", "moves", run, "--only-new")
    assert ended(daemon, run)["state"] == "success"
    assert states(daemon, run) == {"a": "removed", "b": "removed", "c": "success", "n": "removed", "z": "success"}
    assert run_of(daemon, run)["dag_versions"][0]["version_number"] == 3


def test_airflows_client_and_a_run_at_work(daemon):
    define(daemon, [shell("slow", "sleep 600"), shell("gone", "sleep 600"), shell("last", upstream="slow")])
    run = daemon.trigger("moves", dag_run_id="r2")["dag_run_id"]
    wait_for(lambda: states(daemon, run).get("slow") == "running" and states(daemon, run).get("gone") == "running")
    define(daemon, [shell("slow", "echo quick"), shell("last", upstream="slow"), shell("more", upstream="slow")])
    configuration = airflow.Configuration(host=daemon.url)
    configuration.access_token = daemon.session.headers["Authorization"].removeprefix("Bearer ")
    with airflow.ApiClient(configuration) as client:
        airflow.TaskInstanceApi(client).post_clear_task_instances("moves", airflow.ClearTaskInstancesBody(
            dag_run_id=run, task_ids=[airflow.ClearTaskInstancesBodyTaskIdsInner("slow")],
            dry_run=False, only_failed=False, run_on_latest_version=True))
    assert ended(daemon, run)["state"] == "success"
    assert states(daemon, run) == {"slow": "success", "last": "success", "gone": "removed", "more": "success"}


def test_a_mapped_task_with_other_items(daemon):
    def mapped(values):
        return {**shell("each", "echo {{ map.v }}"), "expand": {"v": values}}

    define(daemon, [mapped([1, 2, 3]), shell("end", upstream="each")])
    run = daemon.trigger("moves", dag_run_id="r3")["dag_run_id"]
    assert ended(daemon, run)["state"] == "success"
    define(daemon, [mapped([1, 2]), shell("end", upstream="each"), shell("more")])
    daemon.request("POST", CLEAR, json={"dag_run_id": run, "task_ids": ["end"], "only_failed": False,
                                        "dry_run": False, "run_on_latest_version": True})
    assert ended(daemon, run)["state"] == "success"
    rows = daemon.get(f"/api/v2/dags/moves/dagRuns/{run}/taskInstances?limit=100")["task_instances"]
    each = {row["map_index"]: row["state"] for row in rows if row["task_id"] == "each"}
    assert each == {0: "success", 1: "success"}, "the third is no part of the run any more"
    assert daemon.get(f"/api/v2/dags/moves/dagRuns/{run}/taskInstances/each/2")["state"] == "removed"
    tries = daemon.get(f"/api/v2/dags/moves/dagRuns/{run}/taskInstances/each/2/tries")["task_instances"]
    assert tries[0]["state"] == "success", "what it was is in its history"


@pytest.mark.parametrize("point", ["before_commit", "after_commit_before_ack"])
def test_killed_while_it_moves(daemon, point):
    """Killed at each of the first commits, the clear's among them: the run has moved whole, or not at all."""
    define(daemon, FIRST)
    run = daemon.trigger("moves", dag_run_id="killed")["dag_run_id"]
    assert ended(daemon, run)["state"] == "failed"
    define(daemon, SECOND)
    body = {"dag_run_id": run, "only_failed": True, "dry_run": False, "run_on_latest_version": True}
    died = 0
    for commit in range(1, 9):
        daemon.kill()
        daemon.start(env={"SLUICE_FAULT": f"{point}:{commit}"}, wait=False)
        with contextlib.suppress(AssertionError, requests.RequestException):
            daemon.wait_ready()
            daemon.session.post(daemon.url + CLEAR, json=body, timeout=10)
        with contextlib.suppress(subprocess.TimeoutExpired):
            daemon.process.wait(2)
        died += daemon.process.poll() is not None
        daemon.kill()
        daemon.start()
        number = run_of(daemon, run)["dag_versions"][0]["version_number"]
        if number == 1:
            assert run_of(daemon, run)["state"] == "failed"
            assert states(daemon, run) == {"a": "success", "b": "failed", "c": "upstream_failed"}
            continue
        assert ended(daemon, run)["state"] == "success"
        assert states(daemon, run) == {"a": "success", "b": "success", "c": "removed", "n": "success"}
        break
    assert died > 0 and number == 2
