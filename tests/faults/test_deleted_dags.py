"""A daemon that is killed while it removes what is stored of a deleted DAG goes on with it."""
import pytest

from conftest import wait_for, write_dag
from dag_rows import keys_of, nothing_left, rows_left

TASKS = [{"task_id": "t", "operator": "shell", "with": {"bash_command": "echo {{ run_id }}; echo '{}'"}}]


@pytest.mark.parametrize("point,passage", [("removing_dag", 1), ("removing_dag", 2), ("removing_dag", 4),
                                           ("deleted_run_swept", 1)])
def test_killed_while_a_deleted_dag_is_removed(daemon, point, passage):
    write_dag(daemon, "gone", TASKS, schedule=None)
    for run_id in ("one", "two"):
        daemon.trigger("gone", dag_run_id=run_id)
        daemon.wait_run("gone", run_id)
    keys = keys_of(daemon, "gone")
    daemon.kill()
    daemon.start(env={"SLUICE_FAULT": f"{point}:{passage}"})
    daemon.request("DELETE", "/api/v2/dags/gone", 204)
    wait_for(lambda: daemon.process.poll() is not None)
    assert rows_left(daemon, "gone", keys), "it was killed on the way"
    daemon.start()
    # Its file is still there: it comes again, and keeps what it does from then on.
    wait_for(lambda: daemon.session.get(daemon.url + "/api/v2/dags/gone", timeout=10).status_code == 200)
    daemon.trigger("gone", dag_run_id="one")
    assert daemon.wait_run("gone", "one")["state"] == "success"
    nothing_left(daemon, "none", keys)
    assert [run["dag_run_id"] for run in daemon.get("/api/v2/dags/gone/dagRuns")["dag_runs"]] == ["one"]
    assert daemon.log_lines("gone", "one", "t").count("one") == 1
    assert daemon.get("/api/v2/dags/gone/dagVersions")["dag_versions"][0]["version_number"] == 1
