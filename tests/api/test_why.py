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


def test_a_mapped_task_is_asked_about_as_a_whole_and_by_index(daemons):
    daemon = daemons().start()
    ask = {"task_id": "ask", "operator": "approval", "with": {"subject": "Publish {{ map.c }}?"},
           "expand": {"c": ["de", "fr"]}, "map_index_template": "{{ map.c }}"}
    wrong = {"task_id": "wrong", "operator": "shell", "with": {"bash_command": "exit 1"},
             "expand": {"c": ["de"]}, "map_index_template": "{{ map.c }}"}
    far = {"task_id": "far", "operator": "empty", "pool": "narrow", "pool_slots": 5}
    write_dag(daemon, "asks", [ask, wrong, far])
    daemon.request("POST", "/api/v2/pools", 201, json={"name": "narrow", "slots": 1})
    daemon.trigger("asks", dag_run_id="r")
    tasks = "/api/v2/dags/asks/dagRuns/r/taskInstances"
    wait_for(lambda: daemon.get("/api/v2/dags/asks/dagRuns/r/hitlDetails")["total_entries"] == 2)
    say = lambda *words: daemon.cli(*words).stdout
    assert say("why", "asks", "r", "ask").startswith("input: it waits for somebody's answer")
    assert say("why", "asks", "r", "ask").count("\n") == 1, "what is the same for all is told once"
    assert "pool \"narrow\" has only 1 slots, 5 are needed: make it larger" in say("why", "asks", "r", "far")
    assert "asks r ask[0]: Publish de?" in say("approve") and "asks r ask[1]: Publish fr?" in say("approve")
    assert "ask[1]" in say("runs", "show", "asks", "r")
    say("approve", "asks", "r", "ask", "--map-index", "0")
    say("approve", "asks", "r", "ask", "--map-index", "1")

    def ended():
        """all instances have ended"""
        return [i["state"] for i in daemon.get(tasks + "/ask/listMapped")["task_instances"]] == ["success"] * 2
    wait_for(ended)
    assert say("why", "asks", "r", "ask") == "nothing is in its way: its instances run or have ended\n"
    assert "r ask[1]\n1 task" in say("tasks", "clear", "asks", "r", "ask", "--map-index", "1", "--dry-run")
    # One that failed has its name, too: it is the one that is looked for.
    assert daemon.get(tasks + "/wrong/0")["rendered_map_index"] == "de"


def test_an_instance_of_a_mapped_task_without_its_list_yet_waits_for_what_the_task_waits_for(daemons):
    daemon = daemons().start()
    items = {"operator": "empty", "expand": {"c": ["de", "fr"]}}
    write_dag(daemon, "waits", [{"task_id": "each", **items}], is_paused_upon_creation=True)
    daemon.trigger("waits", dag_run_id="r")
    assert daemon.cli("why", "waits", "r", "each", "--map-index", "1").stdout.startswith("run_queued: its run is queued")
    reasons = daemon.get("/ui/v1/dags/waits/runs/r/tis/each/1/why")["reasons"]
    assert [reason["condition"] for reason in reasons] == ["run_queued", "dag_paused"]
    daemon.unpause("waits")
    daemon.wait_run("waits", "r")
    assert daemon.get("/ui/v1/dags/waits/runs/r/tis/each/1/why")["state"] == "success"
    daemon.request("GET", "/ui/v1/dags/waits/runs/r/tis/each/2/why", 404)


def test_why_a_date_has_no_run(daemons):
    daemon = daemons().start()
    write_dag(daemon, "dated", [{"task_id": "only", "operator": "empty"}], schedule="@daily", start_date="2026-01-01",
              end_date="2026-01-05", catchup=True, timezone="America/New_York")
    wait_for(lambda: daemon.get("/api/v2/dags/dated/dagRuns")["total_entries"] == 5)
    made = daemon.request("GET", "/ui/v1/dags/dated/why?date=2026-01-02", 200)
    assert made["state"] == "made" and made["reasons"] == [] and len(made["dag_runs"]) == 1
    missing = daemon.request("GET", "/ui/v1/dags/dated/why?date=2026-01-06", 200)
    assert (missing["state"], missing["reasons"][0]["condition"], missing["dag_runs"]) == ("missing", "end_date", [])
    assert "date is neither" in daemon.request("GET", "/ui/v1/dags/dated/why?date=soon", 422)["detail"]
    assert daemon.cli("why", "dated", "--date", "2026-01-02").stdout.startswith("scheduled__2026-01-02T05:00:00+00:00 ")
    said = daemon.cli("why", "dated", "--date", "2025-12-30").stdout
    assert said == "start_date: 2025-12-30T05:00:00Z: it lies before the start_date 2026-01-01T05:00:00Z\n"
