"""Branches, setups and teardowns, and what a run waits for in the run before it, through the real daemon."""
from conftest import wait_for, write_dag

JOIN = {"trigger_rule": "none_failed_min_one_success"}


def shell(task_id, command="true", **keys):
    return {"task_id": task_id, "operator": "shell", "with": {"bash_command": command}, **keys}


def empty(task_id, **keys):
    return {"task_id": task_id, "operator": "empty", **keys}


def states(daemon, dag_id, run_id):
    return {task_id: instance["state"] for task_id, instance in daemon.tasks(dag_id, run_id).items()}


def trigger(daemon, dag_id, run_id, **body):
    daemon.trigger(dag_id, dag_run_id=run_id, **body)


def test_a_branch_follows_an_xcom_and_remembers_its_way(daemon):
    write_dag(daemon, "fork", [
        shell("count", "echo 7"),
        {"task_id": "way", "operator": "branch", "with": {
            "case": [{"when": "{{ xcom.count > 100 }}", "then": "many"},
                     {"when": "{{ xcom.count > 5 }}", "then": "some"}],
            "else": "few"}},
        empty("many", upstream="way"), empty("some", upstream="way"), empty("few", upstream="way"),
        empty("join", upstream=["many", "some", "few"], **JOIN),
    ])
    daemon.unpause("fork")
    trigger(daemon, "fork", "r")
    assert daemon.wait_run("fork", "r")["state"] == "success"
    assert states(daemon, "fork", "r") == {
        "count": "success", "way": "success", "many": "skipped", "some": "success", "few": "skipped", "join": "success"}

    daemon.kill()
    daemon.start()
    daemon.request("POST", "/api/v2/dags/fork/clearTaskInstances", json={
        "dry_run": False, "dag_run_id": "r", "task_ids": ["few"], "only_failed": False})
    assert daemon.wait_run("fork", "r")["state"] == "success"
    assert states(daemon, "fork", "r")["few"] == "skipped"


def test_a_short_circuit_skips_all_below(daemon):
    write_dag(daemon, "stop", [
        {"task_id": "gate", "operator": "short_circuit", "with": {"condition": "{{ params.go }}"}},
        empty("a", upstream="gate"), empty("b", upstream="a", trigger_rule="all_done"),
    ], params={"go": False})
    daemon.unpause("stop")
    trigger(daemon, "stop", "no")
    assert daemon.wait_run("stop", "no")["state"] == "success"
    assert states(daemon, "stop", "no") == {"gate": "success", "a": "skipped", "b": "skipped"}
    trigger(daemon, "stop", "yes", conf={"go": True})
    assert daemon.wait_run("stop", "yes")["state"] == "success"
    assert states(daemon, "stop", "yes") == {"gate": "success", "a": "success", "b": "success"}


def test_a_cancelled_run_still_runs_its_teardown(daemon, home):
    write_dag(daemon, "scoped", [
        shell("up", is_setup=True),
        shell("work", "sleep 600", upstream="up"),
        shell("down", f"echo done > {home}/torn-down", upstream=["up", "work"], is_teardown=True),
    ])
    daemon.unpause("scoped")
    trigger(daemon, "scoped", "r")

    def working():
        """the work has begun"""
        return states(daemon, "scoped", "r").get("work") == "running"
    wait_for(working)
    daemon.request("PATCH", "/api/v2/dags/scoped/dagRuns/r", json={"state": "failed"})
    run = daemon.wait_run("scoped", "r")
    assert run["state"] == "failed"
    assert states(daemon, "scoped", "r") == {"up": "success", "work": "failed", "down": "success"}
    assert (home / "torn-down").read_text() == "done\n"


def test_depends_on_past_waits_for_the_run_before_also_after_a_kill(daemon, home):
    gate = home / "open"
    write_dag(daemon, "chain", [
        shell("load", f"test -e {gate}", depends_on_past=True),
    ])
    daemon.unpause("chain")
    trigger(daemon, "chain", "first", logical_date="2026-01-01T00:00:00Z")
    assert daemon.wait_run("chain", "first")["state"] == "failed"
    trigger(daemon, "chain", "second", logical_date="2026-01-02T00:00:00Z")

    def waiting():
        """the second run has begun"""
        return daemon.run("chain", "second")["state"] == "running"
    wait_for(waiting)
    daemon.kill()
    gate.write_text("")
    daemon.start()
    assert states(daemon, "chain", "second").get("load") is None
    daemon.request("POST", "/api/v2/dags/chain/clearTaskInstances", json={
        "dry_run": False, "dag_run_id": "first", "task_ids": ["load"], "only_failed": False})
    assert daemon.wait_run("chain", "first")["state"] == "success"
    assert daemon.wait_run("chain", "second")["state"] == "success"


def test_fail_fast_and_failures_in_a_row_pause_the_dag(daemon):
    write_dag(daemon, "strict", [
        shell("bad", "exit 1"), shell("slow", "sleep 600"), empty("after", upstream=["bad", "slow"]),
    ], fail_fast=True, max_consecutive_failed_dag_runs=2)
    daemon.unpause("strict")
    for run_id in ("one", "two"):
        trigger(daemon, "strict", run_id)
        assert daemon.wait_run("strict", run_id)["state"] == "failed"
        assert states(daemon, "strict", run_id) == {"bad": "failed", "slow": "failed", "after": "skipped"}
    assert daemon.get("/api/v2/dags/strict")["is_paused"]
