"""Fixtures of the API tests, imported by name: a daemon a file, with DAGs that succeed, fail, wait and cannot be loaded."""
import json

import airflow_client.client as airflow
import pytest

from conftest import Daemon, wait_for

PROBE = {
    "dag_id": "probe_dag", "description": "Three tasks for the probe", "doc_md": "# Probe\nA small DAG.",
    "schedule": "@daily", "start_date": "2025-01-01", "on_unpause": "none", "tags": ["demo", "probe"],
    "default_args": {"owner": "probe", "retries": 1, "retry_delay": "2s"},
    "tasks": [
        {"task_id": "extract", "operator": "shell", "with": {"bash_command": "echo one; echo two; echo '{\"rows\": 42}'"}},
        {"task_id": "transform", "operator": "shell", "with": {"bash_command": "echo t"}, "upstream": ["extract"]},
        {"task_id": "load", "operator": "empty", "upstream": ["transform"]},
    ],
}
FAILING = {
    "dag_id": "failing", "schedule": None,
    "tasks": [
        {"task_id": "boom", "operator": "shell", "with": {"bash_command": "echo before; exit 3"}},
        {"task_id": "after", "operator": "empty", "upstream": ["boom"]},
    ],
}
SLOW = {
    "dag_id": "slow", "schedule": None,
    "tasks": [{"task_id": "sleep", "operator": "shell", "with": {"bash_command": "echo begun; sleep 600"}}],
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    home = tmp_path_factory.mktemp("api")
    dags = home / "dags"
    dags.mkdir()
    for dag in (PROBE, FAILING, SLOW):
        (dags / f"{dag['dag_id']}.json").write_text(json.dumps(dag))
    (dags / "broken.json").write_text('{"dag_id": "broken", "schedule": null,\n "tasks": [{"task_id": "x", "operator": "shel", "with": {}}]}')
    running = Daemon(home, dags).start()

    def listed():
        """the DAGs are listed"""
        reply = running.session.get(running.url + "/api/v2/dags", timeout=10)
        return reply.ok and reply.json()["total_entries"] == 3

    wait_for(listed)
    for dag in (PROBE, FAILING, SLOW):
        reply = running.session.patch(f"{running.url}/api/v2/dags/{dag['dag_id']}", json={"is_paused": False}, timeout=10)
        assert reply.status_code == 200, reply.text
    yield running
    running.stop()


@pytest.fixture(scope="module")
def api(daemon):
    """Airflow's own client, with a token."""
    configuration = airflow.Configuration(host=daemon.url)
    configuration.access_token = daemon.session.headers["Authorization"].removeprefix("Bearer ")
    with airflow.ApiClient(configuration) as client:
        yield client


class Http:
    """Plain requests below the daemon's address."""

    def __init__(self, daemon):
        self.daemon = daemon

    def __call__(self, method, path, **more):
        return self.daemon.session.request(method, self.daemon.url + path, timeout=30, **more)

    def get(self, path, **more):
        return self("GET", path, **more)

    def post(self, path, json=None, **more):
        return self("POST", path, json=json, **more)

    def patch(self, path, json=None, **more):
        return self("PATCH", path, json=json, **more)

    def run(self, dag_id, wait=True, **body):
        """Triggers a run and waits for its end; returns it."""
        reply = self.post(f"/api/v2/dags/{dag_id}/dagRuns", {"logical_date": None, **body})
        assert reply.status_code == 200, reply.text
        run = reply.json()
        return self.ended(dag_id, run["dag_run_id"]) if wait else run

    def ended(self, dag_id, run_id):
        def ended():
            """the run has ended"""
            run = self.get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}").json()
            return run if run["state"] in ("success", "failed") else None

        return wait_for(ended)


@pytest.fixture(scope="module")
def http(daemon):
    return Http(daemon)
