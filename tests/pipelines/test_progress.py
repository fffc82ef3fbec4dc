"""What a long task says of itself while it runs: over the API, and on the command line at its end."""
from conftest import wait_for, write_dag

ROWS = 600_000


def test_a_long_extract_reports_rows_share_and_rate(daemon):
    folder = daemon.home / "sample" / "ecommerce" / "long"
    folder.mkdir(parents=True)
    with open(folder / "rows.jsonl", "w") as lines:
        lines.writelines(f'{{"id": {i}, "name": "customer number {i}", "note": "{"x" * 60}"}}\n' for i in range(ROWS))
    write_dag(daemon, "long", datasets={"raw.long": {"columns": {
        "id": "bigint not null", "name": "varchar", "note": "varchar"}}},
        tasks=[{"task_id": "extract", "operator": "extract",
                "with": {"from": {"conn_id": "landing", "path": "long/rows.jsonl"}, "to": "raw.long"}}])
    run = daemon.trigger("long")["dag_run_id"]
    path = f"/ui/v1/dags/long/runs/{run}/progress"
    seen = []

    def ended():
        """the run ended"""
        answer = daemon.get(path)
        seen.extend(one for one in answer["progress"] if one not in seen)
        return answer if answer["state"] in ("success", "failed") else None

    # Nothing is left of it once the task has ended.
    assert wait_for(ended, 90)["progress"] == []
    assert daemon.run("long", run)["state"] == "success"
    assert seen, "no report came in"
    assert {one["t"] for one in seen} == {"extract"}
    assert any((one["bytes"] or 0) > 0 for one in seen), seen
    assert all(0 <= one["fraction"] <= 1 for one in seen), seen
    assert [one["at"] for one in seen] == sorted(one["at"] for one in seen), seen
    assert str(ROWS) in daemon.cli("runs", "flow", "long", run).stdout
