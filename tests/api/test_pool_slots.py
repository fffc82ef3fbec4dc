"""More slots than the pool has: refused when the file is read, told when the pool is made smaller."""
import json

from conftest import wait_for, write_dag


def test_a_task_that_wants_more_slots_than_its_pool_has_is_an_import_error(daemon):
    daemon.request("POST", "/api/v2/pools", 201, json={"name": "narrow", "slots": 4})
    tasks = [{"task_id": "wide", "operator": "empty", "pool": "narrow", "pool_slots": 5}]
    (daemon.dags / "big.json").write_text(json.dumps({"dag_id": "big", "tasks": tasks}))
    error = wait_for(lambda: daemon.get("/api/v2/importErrors")["import_errors"])[0]
    assert error["filename"] == "big.json"
    assert 'E-POOL-SLOTS' in error["stack_trace"]
    assert 'task "wide" takes 5 slots of pool "narrow", which has 4' in error["stack_trace"]
    daemon.request("GET", "/api/v2/dags/big", 404)
    # The cure lies outside of the file: the next look finds it.
    daemon.cli("pools", "set", "narrow", "5")
    (daemon.dags / "other.json").write_text(json.dumps({"dag_id": "other", "tasks": tasks}))
    wait_for(lambda: not daemon.get("/api/v2/importErrors")["import_errors"])
    daemon.get("/api/v2/dags/big")


def test_a_pool_that_is_made_too_small_is_told_and_breaks_no_file(daemon):
    daemon.request("POST", "/api/v2/pools", 201, json={"name": "narrow", "slots": 5})
    wide = {"task_id": "wide", "operator": "empty", "pool": "narrow", "pool_slots": 5}
    write_dag(daemon, "big", [wide])
    write_dag(daemon, "lost", [{"task_id": "one", "operator": "empty", "pool": "nowhere"}])
    warnings = daemon.get("/api/v2/dagWarnings")
    assert [w["message"] for w in warnings["dag_warnings"]] == ['task "one" waits for pool "nowhere", which does not exist']
    said = daemon.cli("pools", "set", "narrow", "4")
    text = 'task "wide" waits for pool "narrow", which has 4 slots, 5 are needed'
    assert said.stderr == f"warning: DAG big: {text}\n"
    of_big = daemon.get("/api/v2/dagWarnings?dag_id=big")
    assert (of_big["total_entries"], of_big["dag_warnings"][0]["warning_type"]) == (1, "non-existent pool")
    daemon.stop()
    daemon.start()
    assert daemon.get("/api/v2/importErrors")["total_entries"] == 0, "a restart breaks it no more"
    daemon.trigger("big", dag_run_id="r")
    wait_for(lambda: "4 slots, 5 are needed" in daemon.cli("why", "big", "r", "wide").stdout)
    daemon.cli("pools", "set", "narrow", "5")
    assert daemon.wait_run("big", "r")["state"] == "success"
    daemon.cli("pools", "delete", "narrow")
    assert daemon.get("/api/v2/dagWarnings?limit=1")["total_entries"] == 2
