"""Backfills as plans and of some tasks; clears and marks over several runs."""

from conftest import wait_for, write_dag

KEYS = {"schedule": {"cron_interval": "@daily"}, "start_date": "2026-01-01", "end_date": "2026-01-02"}
TASKS = [
    {"task_id": "a", "operator": "empty"},
    {"task_id": "b", "operator": "empty", "upstream": "a"},
    {"task_id": "c", "operator": "empty", "upstream": "b"},
]
CLEAR = "/api/v2/dags/scoped/clearTaskInstances"


def states(daemon, run_id):
    return {task: row["state"] for task, row in daemon.tasks("scoped", run_id).items()}


def test_backfill_of_a_subset_and_scopes(daemon):
    write_dag(daemon, "scoped", TASKS, **KEYS)
    body = {"dag_id": "scoped", "from_date": "2025-03-01", "to_date": "2025-03-03",
            "task_ids": ["b"], "include_downstream": True}
    daemon.request("POST", "/api/v2/backfills", 422, json={**body, "task_ids": ["x"]})
    plan = daemon.request("POST", "/api/v2/backfills/dry_run", json=body)
    assert plan["total_entries"] == 3 and plan["task_ids"] == ["b", "c"]
    assert {date["action"] for date in plan["backfills"]} == {"create"}

    made = daemon.request("POST", "/api/v2/backfills", json=body)
    one = f"/api/v2/backfills/{made['id']}"
    wait_for(lambda: daemon.get(one)["completed_at"])
    shown = daemon.get(one)
    assert shown["dag_run_counts"] == {"queued": 0, "running": 0, "success": 3, "failed": 0}
    assert shown["task_ids"] == ["b", "c"]
    rows = daemon.get(f"/api/v2/dags/scoped/dagRuns?backfill_id={made['id']}&order_by=logical_date")["dag_runs"]
    runs = [row["dag_run_id"] for row in rows]
    for run in runs:
        assert states(daemon, run) == {"a": "skipped", "b": "success", "c": "success"}
    assert len(daemon.get(one + "/plan")["dates"]) == 3

    # What exists is told; how long it took is known now.
    again = daemon.request("POST", "/api/v2/backfills/dry_run", json={**body, "to_date": "2025-03-04"})
    assert again["total_entries"] == 1
    assert {date["reason"] for date in again["skipped"]} == {"already exists"}
    assert again["estimated_seconds"] is not None

    # Runs that a later backfill runs again are that one's; the first says where its dates went.
    later = daemon.request("POST", "/api/v2/backfills", json={**body, "to_date": "2025-03-02", "reprocess_behavior": "completed"})
    wait_for(lambda: daemon.get(f"/api/v2/backfills/{later['id']}")["completed_at"])
    shown = daemon.get(one)
    assert (shown["taken_over_dates"], shown["dag_run_counts"]["success"]) == (2, 1)

    # Marks and clears over several runs, first dry.
    mark = {"new_state": "failed", "include_past": True}
    path = f"/api/v2/dags/scoped/dagRuns/{runs[1]}/taskInstances/c"
    assert daemon.request("PATCH", path + "/dry_run", json=mark)["total_entries"] == 2
    assert daemon.request("PATCH", path, json=mark)["total_entries"] == 2
    assert [states(daemon, run)["c"] for run in runs] == ["failed", "failed", "success"]
    clear = {"dag_run_id": runs[0], "task_ids": ["c"], "include_future": True, "only_failed": True}
    assert daemon.request("POST", CLEAR, json={**clear, "dry_run": True})["total_entries"] == 2
    assert daemon.request("POST", CLEAR, json={**clear, "dry_run": False})["total_entries"] == 2
    wait_for(lambda: [states(daemon, run)["c"] for run in runs] == ["success"] * 3)
    dates = {"start_date": "2025-03-02T00:00:00Z", "end_date": "2025-03-03T00:00:00Z", "only_failed": False}
    listed = daemon.request("POST", CLEAR, json=dates)["task_instances"]
    assert {row["dag_run_id"] for row in listed} == set(runs[1:])
    assert {row["task_id"] for row in listed} == {"b", "c"}, "the task outside the subset is not meant"


def test_cli_scopes(daemon):
    write_dag(daemon, "scoped", TASKS, **KEYS)
    dates = ("--from", "2024-03-01", "--to", "2024-03-02")
    dry = daemon.cli("backfill", "create", "scoped", *dates, "--dry-run", "--task-id", "b").stdout
    assert "create" in dry and "2 runs would be created" in dry and "tasks: b" in dry
    daemon.cli("backfill", "create", "scoped", *dates, "--wait")
    cleared = daemon.cli("tasks", "clear", "scoped", "~", "c", *dates, "--dry-run").stdout
    assert "2 task instances would be cleared" in cleared
    run = cleared.split()[0]
    marked = daemon.cli("tasks", "mark", "scoped", run, "c", "skipped", "--future", "--dry-run").stdout
    assert "task instances would be marked skipped" in marked
    assert "up_for_retry" in daemon.cli("explain", "states").stdout


def test_a_task_group_is_marked_whole(daemon):
    write_dag(daemon, "grouped", [
        {"task_id": "before", "operator": "empty"},
        {"group_id": "g", "upstream": "before", "tasks": [
            {"task_id": "a", "operator": "empty"},
            {"group_id": "inner", "upstream": "g.a", "tasks": [
                {"task_id": "each", "operator": "shell", "expand": {"n": [1, 2, 3]}, "with": {"argv": ["echo", "{{ map.n }}"]}}]}]},
        {"task_id": "after", "operator": "empty", "upstream": "g"}], **KEYS)
    run = daemon.trigger("grouped")["dag_run_id"]
    assert daemon.wait_run("grouped", run)["state"] == "success"
    path = f"/api/v2/dags/grouped/dagRuns/{run}/taskGroupInstances/"

    def found():
        listed = daemon.get(f"/api/v2/dags/grouped/dagRuns/{run}/taskInstances")["task_instances"]
        return {(one["task_id"], one["map_index"]): one["state"] for one in listed}
    whole = {("g.a", -1), ("g.inner.each", 0), ("g.inner.each", 1), ("g.inner.each", 2)}
    before = found()
    assert {place for place in before if place[0].startswith("g.")} == whole
    marked = daemon.request("PATCH", path + "g/dry_run", json={"new_state": "failed"})["task_instances"]
    assert {(one["task_id"], one["map_index"]) for one in marked} == whole and found() == before
    marked = daemon.request("PATCH", path + "g.inner", json={"new_state": "failed"})["task_instances"]
    assert [(one["map_index"], one["state"]) for one in marked] == [(0, "failed"), (1, "failed"), (2, "failed")]
    assert {state for (task, _), state in found().items() if task == "g.inner.each"} == {"failed"}
    # What is as asked already is not named; those below come too if asked for.
    marked = daemon.request("PATCH", path + "g.inner/dry_run", json={"new_state": "failed", "include_downstream": True})["task_instances"]
    assert {one["task_id"] for one in marked} == {"after"}
    daemon.request("PATCH", path + "nothing", 404, json={"new_state": "failed"})
    daemon.request("PATCH", path + "g", 422, json={})
