"""incremental by cursor and by files through the daemon: what was read stands in its ledger."""
import subprocess

from conftest import SLUICE, write_dag


def test_a_cursor_and_new_files_are_read_once_and_a_cleared_run_reads_its_own_again(daemon):
    landing = daemon.home / "sample/ecommerce"
    landing.mkdir(parents=True, exist_ok=True)

    def task(name, incremental):
        return {"task_id": name, "operator": "extract", "max_active_tis_per_dag": 1, "with": {
            "from": {"conn_id": "landing", "path": f"{name}*.csv"}, "incremental": incremental, "to": f"raw.{name}"}}
    write_dag(daemon, "new", [task("c", {"cursor": "n", "key": "id"}), task("f", {"files": "modified"})], datasets={
        f"raw.{name}": {"partition": "none", "columns": {"id": "bigint", "n": "bigint"}} for name in "cf"})

    def rows(run_id):
        assert daemon.wait_run("new", run_id)["state"] == "success"
        return [daemon.get(f"/api/v2/dags/new/dagRuns/{run_id}/taskInstances/{name}/xcomEntries/return_value")
                ["value"]["rows_out"] for name in "cf"]

    def run():
        run_id = daemon.trigger("new")["dag_run_id"]
        return run_id, rows(run_id)
    for name in "cf":
        (landing / f"{name}1.csv").write_text("id,n\n1,9\n2,10\n")
    first, read = run()
    assert read == [2, 2]
    assert run()[1] == [0, 0]
    for name in "cf":
        (landing / f"{name}2.csv").write_text("id,n\n3,10\n4,100\n5,101\n")
    assert run()[1] == [3, 3]
    daemon.request("POST", "/api/v2/dags/new/clearTaskInstances", json={
        "dag_run_id": first, "dry_run": False, "only_failed": False, "reset_dag_runs": True})
    assert rows(first) == [2, 2]
    assert run()[1] == [0, 0]


def test_two_runs_at_once_of_a_cursor_are_refused_at_load(tmp_path):
    file = tmp_path / "wrong.json"
    file.write_text('{"dag_id": "wrong", "tasks": [{"task_id": "c", "operator": "extract", "with": {'
                    '"from": {"conn_id": "shop", "table": "t"}, "incremental": {"cursor": "n"}, "to": "raw.wrong"}}]}')
    said = subprocess.run([SLUICE, "check", file], capture_output=True, text=True, timeout=60)
    assert said.returncode != 0 and "E-EXTRACT-CURSOR" in said.stdout + said.stderr
