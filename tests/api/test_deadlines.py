"""Deadlines by past runs and predicted ones, and what templates know of the run before."""
from conftest import wait_for, write_dag
from test_callbacks import hook, receiver  # noqa: F401 (a fixture)


def deadlines(daemon, dag_id, run_id):
    return daemon.get(f"/ui/v1/dags/{dag_id}/runs/{run_id}/deadlines")["deadlines"]


def test_a_run_that_takes_longer_than_usual_is_told(daemon, receiver):  # noqa: F811
    write_dag(daemon, "usual", [
        {"task_id": "work", "operator": "shell", "with": {"bash_command": "sleep {{ params.nap }}"},
         "deadlines": [{"reference": "percentile_runtime", "interval": "1h", "min_runs": 1}]}],
        params={"nap": {"type": "number", "default": 0.2}},
        deadlines=[{"reference": "average_runtime", "interval": "1s", "limit": 3, "min_runs": 2,
                    "callback": [hook(receiver.port, "late", why="{{ exception }}", run="{{ run_id }}")]}])
    for number in range(2):
        run = daemon.trigger("usual")["dag_run_id"]
        assert daemon.wait_run("usual", run)["state"] == "success"
        assert [row["due"] is None for row in deadlines(daemon, "usual", run)] == [True, number == 0]
    assert "too few past runs" in daemon.cli("runs", "show", "usual", run).stdout
    run = daemon.trigger("usual", conf={"nap": 60})["dag_run_id"]

    def missed():
        """the deadline is missed"""
        rows = deadlines(daemon, "usual", run)  # none until past runs have been looked at
        return rows[0] if rows and rows[0]["missed"] else None
    row = wait_for(missed, 20)
    assert row["reference"] == "average_runtime" and row["task_id"] is None
    assert row["due"] <= row["missed"] and row["interval_seconds"] == 1
    wait_for(lambda: receiver.requests, 20)
    assert receiver.requests[0][2] == {"why": "the deadline has passed", "run": run}
    # A restart tells nothing twice, and knows what was known.
    daemon.kill()
    daemon.start()
    assert deadlines(daemon, "usual", run)[0] == row
    assert "percentile_runtime" in daemon.cli("runs", "show", "usual", run).stdout
    daemon.cli("runs", "cancel", "usual", run)
    assert daemon.wait_run("usual", run)["state"] == "failed"
    assert len(receiver.requests) == 1


def test_a_deadline_that_cannot_be_met_is_told_before_it_passes(daemon, receiver):  # noqa: F811
    write_dag(daemon, "foreseen", [
        {"task_id": "first", "operator": "shell", "with": {"bash_command": "sleep {{ params.nap }}"}},
        {"task_id": "second", "operator": "shell", "with": {"bash_command": "sleep 1.5"}, "upstream": ["first"]}],
        params={"nap": {"type": "number", "default": 0}},
        deadlines=[{"reference": "dagrun_queued_at", "interval": "4s",
                    "callback": [hook(receiver.port, "late")],
                    "predicted_callback": [hook(receiver.port, "soon", why="{{ exception }}")]}])
    run = daemon.trigger("foreseen")["dag_run_id"]
    assert daemon.wait_run("foreseen", run)["state"] == "success"
    assert not receiver.requests and not deadlines(daemon, "foreseen", run)[0]["predicted"]
    run = daemon.trigger("foreseen", conf={"nap": 60})["dag_run_id"]
    wait_for(lambda: len(receiver.requests) == 2, 20)
    assert [path for path, _, _ in receiver.requests] == ["/soon", "/late"]
    assert "going to be missed" in receiver.requests[0][2]["why"]
    row = deadlines(daemon, "foreseen", run)[0]
    assert row["predicted"] < row["due"] <= row["missed"]
    # By the time that the second task takes.
    assert 1400 < row["due"] - row["predicted"] < 3500
    daemon.cli("runs", "cancel", "foreseen", run)


def test_templates_know_the_last_good_run_and_the_assets(daemon):
    shown = {"previous": "{{ prev_data_interval_start_success | ds if prev_data_interval_start_success else 'none' }}",
             "ended": "{{ prev_end_date_success or 'none' }}",
             "inlets": "{{ inlets[0].name }}", "outlets": "{{ outlets }}",
             "said": "{{ inlet_events['raw.seen'][0].extra.by if inlet_events['raw.seen'] else 'nobody' }}",
             "count": "{{ expanded_ti_count }}"}
    write_dag(daemon, "asks", [
        {"task_id": "show", "operator": "shell", "expand": {"n": [1, 2, 3]}, "inlets": ["raw.seen"],
         "with": {"argv": ["echo", *(f"{key}={value}" for key, value in shown.items())]}},
        {"task_id": "end", "operator": "shell", "upstream": ["show"],
         "with": {"bash_command": "exit {{ params.code }}"}}],
        schedule="@daily", start_date="2026-01-01", end_date="2026-01-01", params={"code": 0},
        is_paused_upon_creation=True, datasets={"raw.seen": {}})

    def run(date, code, state):
        name = daemon.trigger("asks", logical_date=f"{date}T00:00:00Z", conf={"code": code})["dag_run_id"]
        daemon.unpause("asks")
        assert daemon.wait_run("asks", name)["state"] == state
        value = daemon.get(f"/api/v2/dags/asks/dagRuns/{name}/taskInstances/show/xcomEntries/return_value?map_index=1")
        return dict(part.split("=", 1) for part in value["value"].strip('"').split(" "))
    first = run("2026-03-01", 0, "success")
    assert first == {"previous": "none", "ended": "none", "inlets": "raw.seen", "outlets": "[]", "said": "nobody",
                     "count": "3"}
    daemon.request("POST", "/api/v2/assets/events", json={"asset_id": next(
        asset["id"] for asset in daemon.get("/api/v2/assets")["assets"] if asset["name"] == "raw.seen"),
        "extra": {"by": "ada"}})
    second = run("2026-03-02", 1, "failed")
    assert second["previous"] == "2026-03-01" and second["ended"] != "none" and second["said"] == "ada"
    # The one before failed.
    assert run("2026-03-03", 0, "success")["previous"] == "2026-03-01"
