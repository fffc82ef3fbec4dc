"""Why something does not run: through Airflow's endpoint, the dashboard's and the command line."""
import subprocess

from conftest import SLUICE, wait_for, write_dag


def test_why_a_task_does_not_run(daemons):
    daemon = daemons().start()
    daemon.request("POST", "/api/v2/pools", 201, json={"name": "narrow", "slots": 1})
    write_dag(daemon, "why", [
        {"task_id": "first", "operator": "sensor", "with": {"file": {"conn_id": "lake", "path": "nothing.csv"}}},
        {"task_id": "second", "operator": "empty", "upstream": ["first"]},
    ])
    daemon.trigger("why", dag_run_id="r")

    def waits():
        """the sensor waits"""
        return daemon.tasks("why", "r").get("first", {}).get("state") == "up_for_reschedule"
    wait_for(waits)

    airflow = daemon.request("GET", "/api/v2/dags/why/dagRuns/r/taskInstances/second/dependencies", 200)
    assert airflow["dependencies"] == [
        {"name": "trigger_rule", "reason": "its rule all_success waits for the end of first (up_for_reschedule)"}]
    reasons = daemon.request("GET", "/ui/v1/dags/why/runs/r/tis/second/why", 200)["reasons"]
    assert [reason["object"] for reason in reasons] == ["why.r.first"]

    said = subprocess.run([SLUICE, "why", "why", "r", "first", "--home", str(daemon.home)],
                          capture_output=True, text=True, check=True).stdout
    assert said.startswith("poke")
    said = subprocess.run([SLUICE, "why", "why", "--home", str(daemon.home)],
                          capture_output=True, text=True, check=True).stdout
    assert "no_schedule: the DAG has no schedule" in said
    missing = subprocess.run([SLUICE, "why", "why", "r", "third", "--home", str(daemon.home)],
                             capture_output=True, text=True)
    assert missing.returncode != 0 and "third" in missing.stderr


def test_why_a_run_of_a_paused_dag_is_queued(daemons):
    daemon = daemons().start()
    write_dag(daemon, "paused", [{"task_id": "only", "operator": "empty"}], is_paused_upon_creation=True)
    daemon.request("POST", "/api/v2/dags/paused/dagRuns", 200, json={"dag_run_id": "r", "logical_date": None})
    why = daemon.request("GET", "/ui/v1/dags/paused/runs/r/why", 200)
    assert why["state"] == "queued"
    assert [reason["condition"] for reason in why["reasons"]] == ["dag_paused"]
    daemon.request("PATCH", "/api/v2/dags/paused", 200, json={"is_paused": False})

    def done():
        """the run has ended"""
        return daemon.request("GET", "/ui/v1/dags/paused/runs/r/why", 200)["state"] == "success"
    wait_for(done)
    assert daemon.request("GET", "/ui/v1/dags/paused/runs/r/why", 200)["reasons"] == []
