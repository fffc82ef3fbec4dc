"""The operator `lake`: retention, holds, verification, rollback, compaction, erasure, lifecycle rules."""
import json

import pytest

from conftest import standalone, wait_for, write_dag

DAYS = ["2025-01-01", "2025-01-02", "2025-01-03"]
COLUMNS = {"id": "bigint not null", "who": "varchar"}
PEOPLE = {
    "schedule": "@daily", "start_date": DAYS[0], "end_date": DAYS[-1], "catchup": True,
    "datasets": {"raw.people": {"columns": COLUMNS}},
    "tasks": [
        {"task_id": "extract", "operator": "extract",
         "with": {"from": {"conn_id": "landing", "path": "people/{{ ds }}.csv"}, "to": "raw.people"}},
        {"task_id": "sort", "operator": "transform",
         "with": {"from": "raw.people", "to": "processed.people", "steps": [{"cast": "declared"}]}}]}


class Keeper:
    """A lake with raw.people and processed.people, three days each, and a DAG for each action."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.made = 0
        self.folder = daemon.home / "sample" / "ecommerce" / "people"
        self.folder.mkdir(parents=True)
        for day in DAYS:
            self.source(day, "1,ana\n2,ben\n3,eve\n")
        keys = dict(PEOPLE)
        write_dag(daemon, "people", keys.pop("tasks"), **keys)
        self.finished("people", 3)
        self.runs = {run["logical_date"][:10]: run["dag_run_id"] for run in self.runs_of("people")}

    def source(self, day, rows):
        (self.folder / f"{day}.csv").write_text("id,who\n" + rows)

    def runs_of(self, dag_id):
        return self.daemon.get(f"/api/v2/dags/{dag_id}/dagRuns")["dag_runs"]

    def finished(self, dag_id, count):
        def ended():
            runs = self.runs_of(dag_id)
            return len(runs) == count and all(run["state"] in ("success", "failed") for run in runs)
        wait_for(ended, 60)

    def write_again(self, day, rows):
        self.source(day, rows)
        self.daemon.request("POST", "/api/v2/dags/people/clearTaskInstances", json={
            "dag_run_id": self.runs[day], "only_failed": False, "dry_run": False})
        self.finished("people", 3)

    def keep(self, day="2025-01-04", state="success", **params):
        """Runs the action as of the end of `day`; its summary, or the lines of its log if it fails."""
        self.made += 1
        dag_id = f"keeper_{self.made}"
        write_dag(self.daemon, dag_id, [{"task_id": "keep", "operator": "lake", "with": params}],
                  schedule="@daily", start_date=day, end_date=day, catchup=True)
        self.finished(dag_id, 1)
        run = self.runs_of(dag_id)[0]
        lines = self.daemon.log_lines(dag_id, run["dag_run_id"], "keep")
        assert run["state"] == state, lines
        if state == "failed":
            return lines
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run['dag_run_id']}/taskInstances/keep/xcomEntries/return_value"
        return self.daemon.get(path)["value"]

    def rows(self, sql):
        with self.daemon.database() as connection:
            return connection.execute(sql).fetchall()

    def live(self, dataset):
        """Day -> files of the live generation."""
        found = {}
        for partition, files in self.rows(
                f"select partition, files from ledger where dataset = '{dataset}' and state = 'committed'"):
            found[partition.removeprefix("dt=")] = [self.daemon.home / "lake" / file["path"] for file in files]
        return found

    def people(self, dataset, day):
        import duckdb
        files = [str(file) for file in self.live(dataset)[day]]
        return [row[0] for row in duckdb.sql(f"select who from read_parquet({files}) order by id").fetchall()]


@pytest.fixture(scope="module")
def keeper():
    with standalone() as daemon:
        yield Keeper(daemon)


def test_a_slice_that_is_damaged_is_named_and_a_sound_lake_passes(keeper):
    assert keeper.keep(action="verify") == {"slices": 9, "rows": 18, "unknown_folders": 0}, "the rejects of each day too"
    file = keeper.live("raw.people")[DAYS[1]][0]
    sound = file.read_bytes()
    file.write_bytes(sound[:-1])
    lines = keeper.keep(action="verify", state="failed")
    assert any("1 of 9 slices are not what the ledger says" in line and f"raw.people dt={DAYS[1]}" in line for line in lines)
    file.unlink()
    assert any("No such file" in line for line in keeper.keep(action="verify", datasets="raw.*", state="failed"))
    file.write_bytes(sound)
    stray = keeper.daemon.home / "lake" / "raw" / "people" / "g=000999-lost"
    stray.mkdir()
    assert keeper.keep(action="verify")["unknown_folders"] == 1
    stray.rmdir()


def test_rollback_makes_the_generation_before_live_again(keeper):
    before = keeper.live("raw.people")[DAYS[2]]
    keeper.write_again(DAYS[2], "1,ana\n2,wrong\n")
    assert keeper.people("raw.people", DAYS[2]) == ["ana", "wrong"]
    asked = {"action": "rollback", "datasets": ["raw.people"], "day": DAYS[2]}
    assert keeper.keep(**asked, dry_run=True)["slices_rolled_back"] == 1
    assert keeper.people("raw.people", DAYS[2]) == ["ana", "wrong"], "a dry run changes nothing"
    keeper.keep(**asked)
    assert keeper.live("raw.people")[DAYS[2]] == before
    lines = keeper.keep(**asked, generation=7, state="failed")
    assert any("generation 7 is not" in line for line in lines)
    keeper.write_again(DAYS[2], "1,ana\n2,ben\n3,eve\n")
    assert keeper.people("raw.people", DAYS[2]) == ["ana", "ben", "eve"], "the next writer has a newer one still"


def test_a_subject_is_erased_from_every_generation(keeper):
    keeper.write_again(DAYS[0], "1,ana\n2,ben\n3,eve\n4,zoe\n")
    files = [path for path in (keeper.daemon.home / "lake").rglob("*.parquet")]
    asked = {"action": "erase", "subject": {"who": ["eve"]}}
    dry = keeper.keep(**asked, dry_run=True)
    assert dry["rows_erased"] == 6 and dry["generations_erased"] > 6
    assert all(file.exists() for file in files)
    done = keeper.keep(**asked)
    assert {key: done[key] for key in ("rows_erased", "slices_rewritten")} == {"rows_erased": 6, "slices_rewritten": 6}
    import duckdb
    for file in (keeper.daemon.home / "lake").glob("*/people/**/*.parquet"):
        assert ("eve",) not in duckdb.sql(f"select who from read_parquet('{file}')").fetchall(), file
    assert keeper.people("processed.people", DAYS[0]) == ["ana", "ben", "zoe"]
    assert keeper.keep(**asked)["rows_erased"] == 0
    assert keeper.keep(action="verify")["rows"] == 14
    why = keeper.rows("select count(*), min(deleted_by) from ledger where delete_reason = 'erased'")
    assert why[0][0] == dry["generations_erased"] and why[0][1].startswith("keeper_")


def test_several_files_of_a_slice_become_one_with_the_same_rows(keeper):
    path = keeper.live("processed.people")[DAYS[0]][0]
    import duckdb
    parts = []
    for part in (0, 1):
        parts.append(path.with_name(f"half-{part}.parquet"))
        duckdb.sql(f"copy (select * from read_parquet('{path}') where id % 2 = {part}) to '{parts[-1]}' (format parquet)")
    listed = [{"path": str(file.relative_to(keeper.daemon.home / "lake")), "rows": 0, "bytes": file.stat().st_size} for file in parts]
    with keeper.daemon.database() as connection:
        connection.execute("update ledger set files = %s, bytes = %s where dataset = 'processed.people' and partition = %s and state = 'committed'",
                           (json.dumps(listed), sum(file["bytes"] for file in listed), f"dt={DAYS[0]}"))
    keeper.keep(action="verify")
    assert keeper.keep(action="compact") == {"slices_compacted": 1, "files_before": 2}
    assert len(keeper.live("processed.people")[DAYS[0]]) == 1
    assert keeper.people("processed.people", DAYS[0]) == ["ana", "ben", "zoe"]
    keeper.keep(action="verify")


def ninety_days_of_raw(keeper, there):
    """Invariant 12: the clock stands at the end of the run's interval. `there()`: the partitions of raw.people that the lake has."""
    def because_of_age(**params):
        return keeper.keep(action="retain", grace="0s", **params)["reasons"].get("raw is kept 90d", 0)
    assert because_of_age(day="2025-03-31", dry_run=True) == 0, "a day early"
    assert because_of_age(day="2025-04-02", hold="raw.people*", datasets="raw.*") == 0
    assert len(keeper.live("raw.people")) == 3
    dry = keeper.keep(action="retain", day="2025-04-02", dry_run=True)
    assert dry["reasons"]["raw is kept 90d"] >= 2 and len(keeper.live("raw.people")) == 3
    # As of the end of 2025-04-02: 90 days after the ends of the first two days, not of the third.
    keeper.keep(action="retain", day="2025-04-02")
    assert sorted(keeper.live("raw.people")) == [DAYS[2]]
    assert sorted(keeper.live("processed.people")) == DAYS
    assert there() == [f"dt={DAYS[2]}"]
    # A row for each deletion: of both data sets, both days; who, and that the files are gone.
    rows = keeper.rows("select dataset, partition, deleted_by like 'keeper_%', files_removed_at is not null from ledger "
                       "where delete_reason = 'raw is kept 90d' order by dataset, partition")
    assert set(rows) == {(dataset, f"dt={day}", True, True) for dataset in ("raw.people", "raw.people_rejects") for day in DAYS[:2]}
    keeper.keep(action="verify")


def test_after_ninety_days_raw_is_gone_and_processed_kept_and_what_is_on_hold_too(keeper):
    raw = keeper.daemon.home / "lake" / "raw" / "people"
    ninety_days_of_raw(keeper, lambda: sorted(path.name for path in raw.iterdir()))


def test_what_a_crash_left_between_row_and_files_is_removed(keeper):
    with keeper.daemon.database() as connection:
        connection.execute("update ledger set state = 'deleted', deleted_at = now() where dataset = 'processed.people' "
                           "and partition = %s and state = 'committed'", (f"dt={DAYS[1]}",))
    folder = keeper.daemon.home / "lake" / "processed" / "people" / f"dt={DAYS[1]}"
    assert any(folder.iterdir())
    keeper.keep(action="retain", min_generations=1, grace="0s")
    assert not folder.exists() or not any(path.rglob("*.parquet") for path in folder.iterdir())


def test_the_rules_of_an_object_store_agree_with_what_is_kept(keeper):
    rules = keeper.keep(action="publish_lifecycle", keep={"raw": "30d", "curated": "forever"})["Rules"]
    assert [(rule["Filter"]["Prefix"], rule["Expiration"]["Days"]) for rule in rules] == [("processed/", 182), ("raw/", 32)]


def test_a_legal_hold_keeps_everything_until_the_role_privacy_lifts_it(keeper):
    daemon = keeper.daemon
    daemon.cli("lake", "hold", "processed.*", "--reason", "case 7")
    assert "processed.*" in daemon.cli("lake", "holds").stdout
    late = {"action": "retain", "day": "2026-01-02", "datasets": "processed.people"}
    live = keeper.live("processed.people")
    assert live and keeper.keep(**late)["generations_deleted"] == 0
    lines = keeper.keep(action="erase", datasets="processed.people", subject={"who": "ana"}, state="failed")
    assert any("processed.people is on hold" in line for line in lines)
    rules = keeper.keep(action="publish_lifecycle")["Rules"]
    assert "processed/" not in [rule["Filter"]["Prefix"] for rule in rules], "a store's rule would not know the hold"
    number = daemon.get("/ui/v1/lake/holds")["holds"][0]["id"]
    daemon.request("DELETE", f"/ui/v1/lake/holds/{number}", status=403)
    made = daemon.request("POST", "/ui/v1/users", status=201, json={"name": "pia", "role": "privacy"})
    (daemon.home / "pia").write_text(made["password"])
    daemon.cli("lake", "lift", str(number), "--user", "pia", "--password-file", str(daemon.home / "pia"))
    daemon.request("POST", "/ui/v1/lake/holds", status=422, json={"dataset": "raw.*", "reason": ""})
    assert keeper.live("processed.people") == live
    keeper.keep(**late)
    assert keeper.live("processed.people") == {}
    events = [row[0] for row in keeper.rows("select event from audit_log where event like '%lake_hold' order by id")]
    assert events == ["lake_hold", "lift_lake_hold"]


@pytest.mark.parametrize("params, code, pointer", [
    ({"action": "erase"}, "E-REQUIRED", "subject"),
    ({"action": "rollback"}, "E-REQUIRED", "datasets"),
    ({"action": "rollback", "datasets": "raw.x", "generation": 0}, "E-RANGE", "generation"),
    ({"action": "retain", "keep": {"raw": "long"}}, "E-TYPE", "keep/raw"),
])
def test_wrong_parameters_are_load_errors(keeper, params, code, pointer):
    (keeper.daemon.dags / "wrong.json").write_text(json.dumps(
        {"dag_id": "wrong", "tasks": [{"task_id": "keep", "operator": "lake", "with": params}]}))

    def refused():
        errors = keeper.daemon.get("/api/v2/importErrors")["import_errors"]
        return any(code in error["stack_trace"] and f"/tasks/0/with/{pointer}" in error["stack_trace"] for error in errors)
    wait_for(refused, 10)
    (keeper.daemon.dags / "wrong.json").unlink()
