"""Mapped tasks through the real daemon: from the file to the API, over a kill."""
import json

from conftest import wait_for


def dag(dag_id, tasks, **more):
    return {"dag_id": dag_id, "is_paused_upon_creation": False, "tasks": tasks, **more}


def shell(task_id, argv, **more):
    return {"task_id": task_id, "operator": "shell", "with": {"argv": argv}, **more}


FORMS = dag("forms", [
    shell("list", ["echo", '["red", "green", "blue"]']),
    shell("each", ["echo", '"{{ map.colour }}-{{ map.n }}"'], expand={"colour": "{{ xcom.list }}", "n": [1, 2]},
          map_index_template="{{ map.colour }}/{{ map.n }}"),
    shell("joined", ["echo", "{{ xcom.each | join('+') }}"]),
    shell("none", ["echo", "[]"]),
    shell("nobody", ["echo", "{{ map.x }}"], expand={"x": "{{ xcom.none }}"}),
    shell("wrong", ["echo", "5"]),
    shell("fails", ["echo", "{{ map.x }}"], expand={"x": "{{ xcom.wrong }}"}),
    {"group_id": "g", "expand": {"zip": {"a": [1, 2, 3], "b": ["x"]}, "fill": "-"}, "tasks": [
        shell("first", ["echo", '"{{ map.a }}{{ map.b }}"']),
        shell("then", ["echo", "{{ xcom['g.first'] }}!"]),
    ]},
])


def run_of(daemon, dag):
    (daemon.dags / f"{dag['dag_id']}.json").write_text(json.dumps(dag))
    listed = f"{daemon.url}/api/v2/dags/{dag['dag_id']}"
    wait_for(lambda: daemon.session.get(listed, timeout=30).status_code == 200)
    daemon.trigger(dag["dag_id"], dag_run_id="r")
    return f"/api/v2/dags/{dag['dag_id']}/dagRuns/r"


def test_the_forms_of_expand(daemons):
    daemon = daemons().start()
    run = run_of(daemon, FORMS)
    daemon.wait_run("forms", "r")
    task = lambda path, **params: daemon.get(f"{run}/taskInstances/{path}", params=params)
    value = lambda task_id, index: task(f"{task_id}/xcomEntries/return_value", map_index=index)["value"]
    assert [value("each", i) for i in range(6)] == [
        f"{colour}-{n}" for colour in ("red", "green", "blue") for n in (1, 2)]
    assert task("each/3")["rendered_map_index"] == "green/2"
    assert value("joined", -1) == "red-1+red-2+green-1+green-2+blue-1+blue-2"
    assert [value("g.then", i) for i in range(3)] == ["1x!", "2-!", "3-!"]
    assert task("nobody")["state"] == "skipped"
    assert task("fails")["state"] == "failed"
    listed = task("each/listMapped")
    assert listed["total_entries"] == 6 and [i["map_index"] for i in listed["task_instances"]] == list(range(6))
    page = task("each/listMapped", limit=2, offset=3)
    assert [i["map_index"] for i in page["task_instances"]] == [3, 4]
    # Lists have the names too: of one run by task or by what it says, and of all runs.
    names = [f"{colour}/{n}" for colour in ("red", "green", "blue") for n in (1, 2)]
    assert [i["rendered_map_index"] for i in page["task_instances"]] == names[3:5]
    for path, keys in ((run, {"task_id": "each"}), (run, {"task_id": "each", "map_index": range(6)}),
                       ("/api/v2/dags/~/dagRuns/~", {"task_id": "each"})):
        listed = daemon.get(f"{path}/taskInstances", params=keys)["task_instances"]
        assert sorted((i["map_index"], i["rendered_map_index"]) for i in listed) == list(enumerate(names))
    # One without a template has its number, one that is not mapped nothing.
    assert {(i["map_index"], i["rendered_map_index"]) for i in task("g.then/listMapped")["task_instances"]} == {(i, str(i)) for i in range(3)}
    assert task("joined")["rendered_map_index"] is None
    assert daemon.get("/ui/v1/dags/forms/grid")["maps"][0]["each"] == {"s": 6}
    cleared = daemon.request("POST", "/api/v2/dags/forms/clearTaskInstances", json={
        "dag_run_id": "r", "task_ids": [["each", 2]], "only_failed": False, "dry_run": False})
    assert [i["map_index"] for i in cleared["task_instances"]] == [2]
    daemon.wait_run("forms", "r")
    assert task("each/2")["try_number"] == 2 and task("each/1")["try_number"] == 1


NESTED = dag("nested", [
    shell("regions", ["echo", '["n", "s", "w"]']),
    {"group_id": "g", "expand": {"region": "{{ xcom.regions }}"}, "tasks": [
        shell("files", ["sh", "-c", "case {{ map.region }} in n) sleep 1; echo '[\"a\", \"b\"]';; s) echo '[]';; "
                                    "*) echo '[\"c\", \"d\", \"e\"]';; esac"]),
        shell("read", ["echo", '"{{ map.region }}{{ map.file }}"'], expand={"file": "{{ xcom['g.files'] }}"}),
        shell("sum", ["echo", "{{ map.region }}: {{ xcom['g.read'] | join('+') }}"])]},
    shell("all", ["echo", "{{ xcom['g.read'] | join(',') }}"], trigger_rule="none_failed"),
])


def test_a_mapping_inside_a_mapped_group(daemons):
    daemon = daemons().start()
    run = run_of(daemon, NESTED)
    daemon.wait_run("nested", "r")
    task = lambda path, **params: daemon.get(f"{run}/taskInstances/{path}", params=params)
    value = lambda task_id, index: task(f"{task_id}/xcomEntries/return_value", map_index=index)["value"]
    # Each index of the group has a list of its own; what is outside sees all in order.
    assert value("all", -1) == "na,nb,wc,wd,we", daemon.log()
    assert [value("g.sum", i) for i in (0, 2)] == ["n: na+nb", "w: wc+wd+we"]
    assert task("g.sum/1")["state"] == "skipped" and task("g.read/1")["state"] == "skipped"
    assert len(task("g.read/listMapped")["task_instances"]) == 6
    read = lambda: [task(f"g.read/{i}") for i in range(6)]
    assert sorted(i["rendered_map_index"] for i in read()) == ["0/0", "0/1", "1", "2/0", "2/1", "2/2"]
    # One index is cleared, the daemon is killed: its list is made again, nobody else's.
    daemon.request("POST", "/api/v2/dags/nested/clearTaskInstances", json={
        "dag_run_id": "r", "task_ids": [["g.files", 2]], "include_downstream": True, "only_failed": False,
        "dry_run": False})
    daemon.kill()
    daemon.start()
    assert daemon.wait_run("nested", "r")["state"] == "success"
    tries = {i["rendered_map_index"]: i["try_number"] for i in read()}
    assert tries["0/0"] == 1 and tries["2/1"] == 2 and value("all", -1) == "na,nb,wc,wd,we"


def test_a_mapping_of_nothing_gives_an_empty_list(daemons):
    daemon = daemons().start()
    run = run_of(daemon, dag("nothing", [
        shell("names", ["echo", "[]"]),
        shell("each", ["echo", "{{ map.name }}"], expand={"name": "{{ xcom.names }}"}),
        shell("count", ["echo", "{{ xcom.each | length }}: {{ xcom.each | join('+') }}"], trigger_rule="all_done")]))
    assert daemon.wait_run("nothing", "r")["state"] == "success", daemon.log_lines("nothing", "r", "count")
    assert daemon.get(f"{run}/taskInstances/count/xcomEntries/return_value")["value"] == "0: "


def test_a_kill_in_the_middle_of_many_instances(daemons):
    daemon = daemons().start()
    run = run_of(daemon, dag("many", [
        {"task_id": "each", "operator": "empty", "expand": {"i": {"range": 20000}}},
        {"task_id": "end", "operator": "empty", "upstream": ["each"]}]))
    done = lambda: daemon.get(f"{run}/taskInstances", params={"state": "success", "limit": 1})["total_entries"]
    wait_for(lambda: done() > 500)
    daemon.kill()
    daemon.start()
    assert daemon.wait_run("many", "r")["state"] == "success"
    assert done() == 20001


def test_instances_that_write_one_data_set_have_a_slice_each(daemons, home):
    files = home / "in"
    files.mkdir()
    for name, rows in (("a", 1), ("b", 2), ("c", 3)):
        (files / f"{name}.csv").write_text("id\n" + "".join(f"{name}{i}\n" for i in range(rows)))
    daemon = daemons(env={"SLUICE_CONN_DROP": json.dumps({"conn_type": "file", "extra": {"path": str(files)}})}).start()
    body = dag("parts", [
        shell("names", ["echo", "{{ macros.json.dumps(params.names) }}"]),
        {"task_id": "read", "operator": "extract", "expand": {"name": "{{ xcom.names }}"},
         "with": {"from": {"conn_id": "drop", "path": "{{ map.name }}.csv"}, "to": "raw.things"}},
        {"task_id": "all", "operator": "transform",
         "with": {"sql": "select count(*) as n, count(distinct id) as ids from raw.things", "to": "processed.count"}},
        shell("show", ["echo", "{{ xcom.all.rows_in }}"])],
        schedule={"cron_interval": "@daily"}, start_date="2026-01-01", end_date="2026-01-01",
        is_paused_upon_creation=False, params={"names": ["a", "b", "c"]},
        datasets={"raw.things": {"columns": {"id": "varchar not null"}}})
    (daemon.dags / "parts.json").write_text(json.dumps(body))
    listed = f"{daemon.url}/api/v2/dags/parts"
    wait_for(lambda: daemon.session.get(listed, timeout=30).status_code == 200)
    at = "2026-02-01T00:00:00Z"

    def rows_read(run_id, names):
        daemon.trigger("parts", dag_run_id=run_id, logical_date=None, conf={"names": names},
                       data_interval_start=at, data_interval_end="2026-02-02T00:00:00Z")
        run = daemon.wait_run("parts", run_id)
        assert run["state"] == "success", daemon.log()
        run = f"/api/v2/dags/parts/dagRuns/{run_id}"
        return daemon.get(f"{run}/taskInstances/show/xcomEntries/return_value")["value"]
    assert rows_read("three", ["a", "b", "c"]) == 6
    events = daemon.get("/api/v2/assets/events")["asset_events"]
    assert sorted(event["source_map_index"] for event in events if event["uri"] == "raw.things") == [0, 1, 2]
    # Fewer items: the third slice is gone, the others are written anew.
    assert rows_read("two", ["c", "b"]) == 5
    assert rows_read("one", ["a"]) == 1
