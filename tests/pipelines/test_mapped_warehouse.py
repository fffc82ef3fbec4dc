"""Instances of a mapped task that load one table of a warehouse, through the real daemon: one file a region."""
import json
import os
import subprocess

import pytest
from conftest import SLUICE, wait_for

DAY = ("2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z")
MODES = {
    "append": {"mode": "append"},
    "merge": {"mode": "merge", "key": "id"},
    "fact": {"mode": "merge", "key": "id", "event_time": "at"},
    "replace": {"mode": "replace", "key": "id"},
    "scd2": {"mode": "scd2", "key": "id"},
}


def pipeline(mode):
    """Each region's file into a slice of the lake, and that slice into the table that all regions share."""
    return {
        "dag_id": f"regions_{mode}", "is_paused_upon_creation": False, "schemas": {"shop": "warehouse"},
        "params": {"regions": ["north", "south", "west"]},
        "default_args": {"retries": 9, "retry_delay": "1s"},
        "tasks": [
            {"task_id": "list", "operator": "shell", "with": {"argv": ["echo", "{{ macros.json.dumps(params.regions) }}"]}},
            {"group_id": "each", "expand": {"region": "{{ xcom.list }}"}, "tasks": [
                {"task_id": "read", "operator": "extract",
                 "with": {"from": {"conn_id": "drop", "path": "{{ map.region }}.csv"}, "to": f"raw.{mode}"}},
                {"task_id": "type", "operator": "transform",
                 "with": {"from": f"raw.{mode}", "to": f"processed.{mode}", "steps": [{"cast": "declared"}]}},
                {"task_id": "load", "operator": "load",
                 "with": {"from": f"processed.{mode}", "to": f"shop.{mode}", **MODES[mode]}}]}],
        "datasets": {f"raw.{mode}": {"columns": {"id": "integer not null", "v": "varchar", "at": "timestamptz"}}}}


class Regions:
    def __init__(self, daemons, home):
        self.files = home / "in"
        self.files.mkdir()
        connection = {"conn_type": "file", "extra": {"path": str(self.files)}}
        self.env = {"SLUICE_CONN_DROP": json.dumps(connection)}
        self.daemon = daemons(env=self.env).start()
        self.write(north=(1, 2), south=(3,), west=(4, 5))

    def write(self, **regions):
        for region, ids in regions.items():
            rows = "".join(f"{i},{region},2026-02-01T10:00:00Z\n" for i in ids)
            (self.files / f"{region}.csv").write_text("id,v,at\n" + rows)

    def trigger(self, mode, run_id, regions, day=DAY):
        dag_id = f"regions_{mode}"
        if not (self.daemon.dags / f"{dag_id}.json").exists():
            (self.daemon.dags / f"{dag_id}.json").write_text(json.dumps(pipeline(mode)))
            wait_for(lambda: self.daemon.session.get(f"{self.daemon.url}/api/v2/dags/{dag_id}", timeout=30).status_code == 200)
        self.daemon.trigger(dag_id, dag_run_id=run_id, logical_date=None, conf={"regions": regions},
                            data_interval_start=day[0], data_interval_end=day[1])

    def run(self, mode, run_id, regions, day=DAY):
        self.trigger(mode, run_id, regions, day)
        assert self.daemon.wait_run(f"regions_{mode}", run_id)["state"] == "success", self.daemon.log()

    def rows(self, mode):
        with self.daemon.database("warehouse") as db:
            return db.execute(f"select id, v from shop.{mode} order by id, v").fetchall()

    def slices(self, mode):
        query = "select slice from {} where dataset = %s and state = 'committed' order by 1"
        with self.daemon.database("warehouse") as db:
            there = [row[0] for row in db.execute(query.format("_sluice.ledger"), (f"shop.{mode}",))]
        with self.daemon.database() as db:
            # The mirror for the dashboard says the same.
            assert there == [row[0] for row in db.execute(query.format("ledger"), (f"shop.{mode}",))]
        return [slice.split("#")[1] for slice in there]


@pytest.fixture
def regions(daemons, home):
    return Regions(daemons, home)


NORTH, SOUTH, WEST = [(1, "north"), (2, "north")], [(3, "south")], [(4, "west"), (5, "west")]


@pytest.mark.parametrize("mode", MODES)
def test_each_instance_replaces_what_its_item_loaded(regions, mode):
    daemon = regions.daemon
    regions.run(mode, "first", ["north", "south", "west"])
    assert regions.rows(mode) == NORTH + SOUTH + WEST
    assert regions.slices(mode) == ['{"region":"north"}', '{"region":"south"}', '{"region":"west"}']
    # One instance again, after its file was mended: the others keep theirs.
    regions.write(south=(3, 6))
    daemon.request("POST", f"/api/v2/dags/regions_{mode}/clearTaskInstances", json={
        "dag_run_id": "first", "task_ids": [["each.read", 1]], "include_downstream": True, "only_failed": False,
        "dry_run": False})
    daemon.wait_run(f"regions_{mode}", "first")
    assert regions.rows(mode) == NORTH + SOUTH + WEST + [(6, "south")]
    tries = [daemon.get(f"/api/v2/dags/regions_{mode}/dagRuns/first/taskInstances/each.load/{i}")["try_number"]
             for i in range(3)]
    assert tries == [1, 2, 1]
    # A shorter list in another order; a key of the region that is gone is another's now.
    regions.write(south=(3, 1))
    regions.run(mode, "shorter", ["west", "south"])
    assert regions.rows(mode) == [(1, "south")] + SOUTH + WEST
    assert regions.slices(mode) == ['{"region":"south"}', '{"region":"west"}']


def test_workers_killed_while_instances_load_one_table(regions):
    daemon = regions.daemon
    for point in ("load_mid_copy", "load_inside_transaction", "load_after_commit_before_ack"):
        daemon.stop()
        daemon.start(env={**regions.env, "SLUICE_FAULT": f"{point}:1"})
        regions.trigger("append", point, ["north", "south", "west"])
        failed = lambda: daemon.get("/api/v2/dags/regions_append/dagRuns/~/taskInstances",
                                    params={"state": "up_for_retry", "limit": 9})["total_entries"]
        wait_for(failed)
        daemon.kill()
        daemon.start(env=regions.env)
        assert daemon.wait_run("regions_append", point)["state"] == "success", daemon.log()
        assert regions.rows("append") == NORTH + SOUTH + WEST


def test_dags_test_of_a_mapped_load(regions, tmp_path):
    path = tmp_path / "trial.json"
    path.write_text(json.dumps({**pipeline("merge"), "schedule": {"cron_interval": "@daily"}, "start_date": "2026-01-01"}))
    done = subprocess.run([SLUICE, "dags", "test", path, "2026-02-01", "--home", regions.daemon.home],
                          capture_output=True, text=True, timeout=120, env={**os.environ, **regions.env})
    assert done.returncode == 0, done.stdout + done.stderr


def folders(modes):
    """Each region's list of files, read side by side into one slice; and of that slice each file's rows into tables that all share."""
    inner = {"expand": {"file": "{{ xcom['each.files'] }}"}}
    return {
        "dag_id": "folders", "is_paused_upon_creation": False, "schemas": {"shop": "warehouse"},
        "default_args": {"retries": 9, "retry_delay": "1s"},
        "tasks": [{"group_id": "each", "expand": {"region": ["north", "south"]}, "tasks": [
            {"task_id": "files", "operator": "shell",
             "with": {"argv": ["cat", "{{ conn.drop.path }}/{{ map.region }}.json"]}},
            {"task_id": "read", "operator": "extract", **inner,
             "with": {"from": {"conn_id": "drop", "path": "{{ map.region }}-{{ map.file }}.csv"}, "to": "raw.folder"}},
            {"task_id": "type", "operator": "transform",
             "with": {"from": "raw.folder", "to": "processed.folder", "steps": [{"cast": "declared"}]}},
            *({"task_id": f"load_{mode}", "operator": "load", **inner,
               "with": {"from": {"dataset": "processed.folder", "where": "v = {{ map.region ~ '-' ~ map.file }}"},
                        "to": f"shop.{mode}", **MODES[mode]}} for mode in modes)]}],
        "datasets": {"raw.folder": {"columns": {"id": "integer not null", "v": "varchar", "at": "timestamptz"}}}}


def test_a_mapped_load_inside_a_mapped_group_replaces_by_outer_and_inner_item(regions):
    daemon, modes = regions.daemon, ("append", "merge")

    def lists(**files):
        for region, names in files.items():
            (regions.files / f"{region}.json").write_text(json.dumps(names))

    def run(run_id):
        daemon.trigger("folders", dag_run_id=run_id, logical_date=None, data_interval_start=DAY[0], data_interval_end=DAY[1])
        assert daemon.wait_run("folders", run_id)["state"] == "success", daemon.log()

    # The same inner item in both outer ones: rows of "a" are told apart by the region.
    lists(north=["a", "b"], south=["a", "c"])
    regions.write(**{"north-a": (1,), "north-b": (2,), "south-a": (3,), "south-c": (4, 5)})
    (daemon.dags / "folders.json").write_text(json.dumps(folders(modes)))
    wait_for(lambda: daemon.session.get(f"{daemon.url}/api/v2/dags/folders", timeout=30).status_code == 200)
    run("first")
    rows = [(1, "north-a"), (2, "north-b"), (3, "south-a"), (4, "south-c"), (5, "south-c")]
    items = lambda *pairs: sorted('{"region":"%s"}/{"file":"%s"}' % pair for pair in pairs)
    for mode in modes:
        assert regions.rows(mode) == rows
        assert regions.slices(mode) == items(("north", "a"), ("north", "b"), ("south", "a"), ("south", "c"))

    # One inner instance again, after its file was mended (the lists came in any order): nobody else's rows.
    regions.write(**{"south-a": (3, 6)})
    read = daemon.get("/api/v2/dags/folders/dagRuns/first/taskInstances/each.read/listMapped")["task_instances"]
    mended = next(instance["map_index"] for instance in read if instance["rendered_map_index"] == "1/0")
    daemon.request("POST", "/api/v2/dags/folders/clearTaskInstances", json={
        "dag_run_id": "first", "task_ids": [["each.read", mended]], "include_downstream": True, "only_failed": False,
        "dry_run": False})
    assert daemon.wait_run("folders", "first")["state"] == "success", daemon.log()
    for mode in modes:
        assert regions.rows(mode) == sorted(rows + [(6, "south-a")])

    # Lists that are shorter and in another order; a key of a file that is gone is another's now.
    lists(north=["b"], south=["c", "a"])
    regions.write(**{"north-b": (2, 1)})
    run("second")
    for mode in modes:
        assert regions.rows(mode) == [(1, "north-b"), (2, "north-b"), (3, "south-a"), (4, "south-c"), (5, "south-c"), (6, "south-a")]
        assert regions.slices(mode) == items(("north", "b"), ("south", "a"), ("south", "c"))
