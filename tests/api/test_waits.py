"""Tasks that wait: sensors, triggered runs, questions to people. In the real daemon, killed in between."""
import json

import pytest

from conftest import standalone, wait_for, write_dag


@pytest.fixture(scope="module")
def shared():
    with standalone() as daemon:
        yield daemon


def state_of(daemon, dag_id, run_id, task_id):
    return daemon.tasks(dag_id, run_id).get(task_id, {}).get("state")


def wait_state(daemon, dag_id, run_id, task_id, state, seconds=20):
    wait_for(lambda: state_of(daemon, dag_id, run_id, task_id) == state, seconds)


def task(task_id, operator, upstream=(), **with_):
    return {"task_id": task_id, "operator": operator, "with": with_, "upstream": list(upstream)}


def test_a_sensor_waits_for_a_file_over_a_kill(daemons):
    daemon = daemons().start()
    files = daemon.home / "incoming"
    files.mkdir()
    daemon.request("POST", "/api/v2/connections", 201, json={
        "connection_id": "incoming", "conn_type": "fs", "extra": json.dumps({"path": str(files)})})
    write_dag(daemon, "waits", [
        task("arrives", "sensor", file={"conn_id": "incoming", "path": "*.csv"}, poke_interval="100ms"),
        task("work", "empty", ["arrives"]),
    ])
    daemon.trigger("waits", dag_run_id="r")
    wait_state(daemon, "waits", "r", "arrives", "up_for_reschedule")
    with daemon.database() as database:
        def looked_again():
            """the sensor has looked some times more"""
            return len(daemon.log_lines("waits", "r", "arrives")) >= 1
        wait_for(looked_again)
        before = database.execute("select last_seq, turn from lease").fetchone()
        daemon_turns = [before]

        def quiet():
            """several pokes of 100 ms went by"""
            daemon_turns.append(database.execute("select last_seq, turn from lease").fetchone())
            return len(daemon_turns) > 40
        wait_for(quiet)
        assert set(daemon_turns) == {before}, "a poke that says not yet wrote to the database"
    daemon.kill()
    daemon.start()
    assert state_of(daemon, "waits", "r", "arrives") == "up_for_reschedule"
    (files / "a.csv").write_text("x")
    assert daemon.wait_run("waits", "r")["state"] == "success"
    assert daemon.tasks("waits", "r")["arrives"]["try_number"] == 1
    with daemon.database() as database:
        assert database.execute("select count(*) from task_wait").fetchone() == (0,)


def test_a_sensor_that_waits_too_long_fails_or_is_skipped(shared):
    write_dag(shared, "too_long", [
        task("fails", "sensor", time="2999-01-01T00:00:00Z", timeout="200ms") | {"retries": 3},
        task("skips", "sensor", time="2999-01-01T00:00:00Z", timeout="200ms", soft_fail=True),
    ])
    shared.trigger("too_long", dag_run_id="r")
    assert shared.wait_run("too_long", "r")["state"] == "failed"
    ended = shared.tasks("too_long", "r")
    assert (ended["fails"]["state"], ended["fails"]["try_number"]) == ("failed", 1)
    assert ended["skips"]["state"] == "skipped"


def test_waiting_tasks_are_cleared_and_marked(shared):
    write_dag(shared, "by_hand", [task("a", "sensor", time="2999-01-01T00:00:00Z", mode="deferrable"),
                                  task("b", "empty", ["a"])])
    shared.trigger("by_hand", dag_run_id="r")
    wait_state(shared, "by_hand", "r", "a", "deferred")
    shared.request("POST", "/api/v2/dags/by_hand/clearTaskInstances",
                   json={"dry_run": False, "dag_run_id": "r", "task_ids": ["a"], "only_failed": False})
    wait_for(lambda: shared.tasks("by_hand", "r")["a"]["try_number"] == 2)
    wait_state(shared, "by_hand", "r", "a", "deferred")
    shared.request("PATCH", "/api/v2/dags/by_hand/dagRuns/r/taskInstances/a", json={"new_state": "success"})
    assert shared.wait_run("by_hand", "r")["state"] == "success"


def test_one_dag_waits_for_another_and_is_woken_by_its_end(shared):
    write_dag(shared, "upstream_dag", [task("gate", "approval", subject="go?"), task("last", "empty", ["gate"])])
    write_dag(shared, "downstream_dag", [
        task("run_of", "sensor", dag={"external_dag_id": "upstream_dag"}),
        task("task_of", "sensor", dag={"external_dag_id": "upstream_dag", "external_task_ids": ["last"]}),
    ])
    date = {"logical_date": "2026-01-05T00:00:00Z"}
    shared.trigger("downstream_dag", dag_run_id="d", **date)
    wait_state(shared, "downstream_dag", "d", "run_of", "up_for_reschedule")
    shared.trigger("upstream_dag", dag_run_id="u", **date)
    wait_state(shared, "upstream_dag", "u", "gate", "awaiting_input")
    assert state_of(shared, "downstream_dag", "d", "run_of") == "up_for_reschedule"
    assert "go?" in shared.cli("approve", "upstream_dag").stdout
    shared.cli("approve", "upstream_dag", "u", "gate")
    assert shared.wait_run("downstream_dag", "d")["state"] == "success"
    # Long after its end it is found at the first look.
    shared.trigger("downstream_dag", dag_run_id="late", logical_date=None)
    assert shared.wait_run("downstream_dag", "late")["state"] == "failed"  # no logical date: said at once


def test_a_triggered_run_is_made_once_and_waited_for(shared):
    write_dag(shared, "target", [task("a", "shell", argv=["echo", "{{ params.n }}"])],
              params={"n": {"type": "integer", "default": 0}})
    write_dag(shared, "source", [task("go", "trigger_dag_run", trigger_dag_id="target",
                                      conf={"n": "{{ 40 + 2 }}"}, wait_for_completion=True),
                                 task("after", "empty", ["go"])])
    shared.trigger("source", dag_run_id="s")
    assert shared.wait_run("source", "s")["state"] == "success"
    runs = shared.get("/api/v2/dags/target/dagRuns")["dag_runs"]
    assert [(run["run_type"], run["triggered_by"], run["state"]) for run in runs] == [
        ("operator_triggered", "operator", "success")]
    assert shared.log_lines("target", runs[0]["dag_run_id"], "a")[-1] == "42"
    shared.request("PATCH", "/api/v2/dags/target", json={"is_paused": True})
    shared.trigger("source", dag_run_id="s2")
    wait_state(shared, "source", "s2", "go", "deferred")
    wait_for(lambda: shared.get("/api/v2/dags/target/dagRuns")["total_entries"] == 2)
    shared.request("PATCH", "/api/v2/dags/target", json={"is_paused": False})
    assert shared.wait_run("source", "s2")["state"] == "success"
    assert shared.get("/api/v2/dags/target/dagRuns")["total_entries"] == 2


def test_a_triggered_run_survives_a_kill_without_a_double(daemons):
    daemon = daemons().start()
    write_dag(daemon, "target", [task("ask", "approval", subject="go?")])
    write_dag(daemon, "source", [task("go", "trigger_dag_run", trigger_dag_id="target", wait_for_completion=True)])
    daemon.trigger("source", dag_run_id="s")
    wait_for(lambda: daemon.get("/api/v2/dags/target/dagRuns")["total_entries"] == 1)
    run_id = daemon.get("/api/v2/dags/target/dagRuns")["dag_runs"][0]["dag_run_id"]
    wait_state(daemon, "target", run_id, "ask", "awaiting_input")
    daemon.kill()
    daemon.start()
    daemon.cli("approve", "target", run_id, "ask")
    assert daemon.wait_run("source", "s")["state"] == "success"
    assert daemon.get("/api/v2/dags/target/dagRuns")["total_entries"] == 1


def test_people_answer_questions(shared):
    write_dag(shared, "people", [
        task("approve", "approval", subject="Load?"),
        task("loaded", "empty", ["approve"]),
        task("form", "hitl_entry", subject="How many?", params={"n": {"type": "integer"}, "word": "x"}),
        task("way", "hitl_branch", subject="Where?", options=["left", "right"]),
        task("left", "empty", ["way"]), task("right", "empty", ["way"]),
        task("alone", "approval", subject="Grace only", assigned_users=["grace"]),
        task("never", "approval", subject="?", defaults="Reject") | {"execution_timeout": "300ms"},
        task("skipped", "empty", ["never"]),
    ])
    shared.trigger("people", dag_run_id="r", logical_date=None)
    base = "/api/v2/dags/people/dagRuns/r"
    wait_for(lambda: shared.get(base + "/hitlDetails")["total_entries"] == 5)

    def answer(task_id, option, status=200, **more):
        return shared.request("PATCH", f"{base}/taskInstances/{task_id}/-1/hitlDetails", status,
                              json={"chosen_options": [option], **more})
    wait_state(shared, "people", "r", "form", "awaiting_input")
    detail = shared.get(f"{base}/taskInstances/form/-1/hitlDetails")
    assert (detail["subject"], detail["options"], detail["response_received"]) == ("How many?", ["OK"], False)
    answer("form", "Maybe", 400)
    answer("form", "OK", 400)  # n has no default
    answer("form", "OK", 400, params_input={"n": "many"})
    answer("form", "OK", params_input={"n": 7})
    answer("form", "OK", 409, params_input={"n": 8})
    answer("alone", "Approve", 403)
    answer("approve", "Reject")
    answer("way", "right")
    wait_state(shared, "people", "r", "loaded", "skipped")
    wait_state(shared, "people", "r", "right", "success")
    assert state_of(shared, "people", "r", "left") == "skipped"
    wait_state(shared, "people", "r", "skipped", "skipped")
    value = shared.get(f"{base}/taskInstances/form/xcomEntries/return_value")["value"]
    assert value["params_input"] == {"n": 7, "word": "x"}
    assert shared.get(f"{base}/taskInstances/way/-1/hitlDetails")["chosen_options"] == ["right"]
    shared.request("PATCH", base, json={"state": "failed"})
    assert state_of(shared, "people", "r", "alone") == "skipped"


def test_a_policy_decides_about_retries(shared):
    write_dag(shared, "policy", [
        task("again", "sql", conn_id="nowhere", sql="select 1") | {
            "retries": 2, "retry_delay": "1h",
            "retry_policy": [{"error_class": "permanent", "action": "retry", "delay": "50ms"}]},
    ])
    shared.trigger("policy", dag_run_id="r")
    assert shared.wait_run("policy", "r")["state"] == "failed"
    assert shared.tasks("policy", "r")["again"]["try_number"] == 3
