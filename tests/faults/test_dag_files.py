"""DAG files dropped into the folder of a running daemon: new, changed, broken, mended, gone."""
import json
import time

import pytest

from conftest import standalone, wait_for, write_dag


@pytest.fixture(scope="module")
def daemon():
    with standalone() as made:
        yield made


def put(daemon, name, content):
    """Writes a file of the DAG folder in one step, as a deployment does."""
    data = content if isinstance(content, bytes) else content.encode()
    hidden = daemon.dags / f".{name}.new"
    hidden.write_bytes(data)
    hidden.rename(daemon.dags / name)


def text_of(dag_id, *tasks, **keys):
    return json.dumps({"dag_id": dag_id, "is_paused_upon_creation": False, **keys,
                       "tasks": list(tasks) or [{"task_id": "a", "operator": "empty"}]})


def errors(daemon):
    listed = daemon.get("/api/v2/importErrors?limit=100")["import_errors"]
    return {error["filename"]: error for error in listed}


def wait_error(daemon, name):
    def told():
        """the import error is told"""
        return errors(daemon).get(name)
    return wait_for(told, 10)


def wait_listed(daemon, dag_id, seconds=10):
    def listed():
        """the DAG is listed"""
        return daemon.session.get(f"{daemon.url}/api/v2/dags/{dag_id}", timeout=10).status_code == 200
    wait_for(listed, seconds)


def versions(daemon, dag_id):
    with daemon.database() as db:
        return db.execute("select count(*) from dag_version where dag_id = %s", (dag_id,)).fetchone()[0]


EMPTY = '{"task_id": "%s", "operator": "empty"%s}'
# words: file name, content, the line and pointer that are told, what is wrong, what was probably meant, code
BROKEN = {
    "empty": (b"", "1", "", "empty", None, "E-FILE-EMPTY"),
    "over the limit": (b" " * (4 << 20) + b"{}", None, "", "4 MiB", None, "E-FILE-SIZE"),
    "deeply nested": (b"[" * 200_000, "1", "", "deep", None, "E-DEPTH"),
    "not UTF-8": (b'{"dag_id": "d",\n "doc_md": "\xff\xfe", "tasks": []}', "2", "", "UTF-8", None, "E-FILE-UTF8"),
    "duplicate keys": (b'{"dag_id": "d",\n "dag_id": "e", "tasks": []}', "2", "", "dag_id", None, "E-DUPLICATE-KEY"),
    "not JSON": (b'{"dag_id": "d",\n "tasks": [,]}', "2", "", "", None, "E-JSON"),
    "a cycle": ('{"dag_id": "d", "tasks": [\n %s,\n %s]}' % (
        EMPTY % ("a", ', "upstream": "b"'), EMPTY % ("b", ', "upstream": "a"')),
        "3", "/tasks/1", "b -> a -> b", None, "E-CYCLE"),
    "an unknown operator": ('{"dag_id": "d",\n "tasks": [\n{"task_id": "a", "operator": "shel"}]}',
                            "3", "/tasks/0/operator", "shel", 'did you mean "shell"?', "E-OPERATOR"),
    "an unknown key": ('{"dag_id": "d",\n "shedule": "@daily", "tasks": [%s]}' % EMPTY % ("a", ""),
                       "2", "/shedule", "shedule", 'did you mean "schedule"?', "E-UNKNOWN-KEY"),
    "bad cron": ('{"dag_id": "d", "start_date": "2026-01-01",\n "schedule": "61 * * * *",'
                 ' "tasks": [%s]}' % EMPTY % ("a", ""), "2", "/schedule", "61", None, "E-CRON"),
    "an unknown zone": ('{"dag_id": "d",\n "timezone": "Europe/Amsterdm", "tasks": [%s]}' % EMPTY % ("a", ""),
                        "2", "/timezone", "Europe/Amsterdm", 'did you mean "Europe/Amsterdam"?', "E-ZONE"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_file_is_an_import_error_and_the_last_good_version_stays(daemon, what):
    content, line, pointer, wrong, meant, code = BROKEN[what]
    dag_id = "broken_" + what.replace(" ", "_").replace("-", "_")
    name = dag_id + ".json"
    go = daemon.home / f"go-{dag_id}"
    put(daemon, name, text_of(dag_id, {"task_id": "wait", "operator": "shell", "with": {
        "bash_command": f"until [ -e '{go}' ]; do sleep 0.05; done"}}))
    wait_listed(daemon, dag_id)
    run_id = daemon.trigger(dag_id)["dag_run_id"]
    wait_for(lambda: daemon.tasks(dag_id, run_id)["wait"]["state"] == "running")

    put(daemon, name, content.replace(b'"d"', b'"%s"' % dag_id.encode()) if isinstance(content, bytes)
        else content.replace('"d"', f'"{dag_id}"'))
    told = wait_error(daemon, name)["stack_trace"]
    print(told)
    assert name + (f":{line}:" if line else ":") in told
    assert pointer in told and wrong in told and f"[{code}]" in told
    if meant:
        assert meant in told

    listed = daemon.get(f"/api/v2/dags/{dag_id}")
    assert listed["has_import_errors"] is True and listed["is_stale"] is False
    assert versions(daemon, dag_id) == 1
    assert daemon.tasks(dag_id, run_id)["wait"]["state"] == "running"
    go.touch()
    assert daemon.wait_run(dag_id, run_id)["state"] == "success"
    # and the last good version can still be started
    assert daemon.wait_run(dag_id, daemon.trigger(dag_id)["dag_run_id"])["state"] == "success"

    put(daemon, name, text_of(dag_id))
    wait_for(lambda: name not in errors(daemon), 10)
    assert daemon.get(f"/api/v2/dags/{dag_id}")["has_import_errors"] is False
    wait_for(lambda: versions(daemon, dag_id) == 2, 10)


def test_all_problems_of_a_file_are_told_at_once(daemon):
    put(daemon, "many.json", '{"dag_id": "many",\n "shedule": "@daily",\n "max_active_runs": 0,\n'
        '"tasks": [{"task_id": "a", "operator": "emty"}]}')
    told = wait_error(daemon, "many.json")["stack_trace"].splitlines()
    assert [line.rsplit(" ", 1)[1] for line in told] == ["[E-UNKNOWN-KEY]", "[E-VALUE]", "[E-OPERATOR]"]


def test_a_new_file_is_listed_within_1_s_and_a_changed_one_is_a_new_version(daemon):
    begun = time.monotonic()
    put(daemon, "fresh.json", text_of("fresh"))
    wait_listed(daemon, "fresh", 1)
    assert time.monotonic() - begun <= 1
    begun = time.monotonic()
    (daemon.dags / "sub" / "deeper").mkdir(parents=True)
    (daemon.dags / "sub" / "deeper" / "nested.yaml").write_text(
        "dag_id: nested\ntasks:\n  - {task_id: a, operator: empty}\n")
    wait_listed(daemon, "nested", 1)
    assert time.monotonic() - begun <= 1

    daemon.wait_run("fresh", daemon.trigger("fresh")["dag_run_id"])
    put(daemon, "fresh.json", text_of("fresh", {"task_id": "b", "operator": "empty"}))
    wait_for(lambda: versions(daemon, "fresh") == 2, 1)
    second = daemon.trigger("fresh")["dag_run_id"]
    assert daemon.wait_run("fresh", second)["state"] == "success"
    assert set(daemon.tasks("fresh", second)) == {"b"}
    # Spaces and the order of keys are no change.
    same = json.loads((daemon.dags / "fresh.json").read_text())
    put(daemon, "fresh.json", json.dumps(same, indent=4, sort_keys=True))
    put(daemon, "marker.json", text_of("marker"))
    wait_listed(daemon, "marker")
    assert versions(daemon, "fresh") == 2


def test_a_second_file_with_the_same_dag_id_is_refused_until_the_first_is_gone(daemon):
    write_dag(daemon, "twin", [{"task_id": "a", "operator": "empty"}])
    put(daemon, "zwilling.json", text_of("twin", {"task_id": "z", "operator": "empty"}))
    told = wait_error(daemon, "zwilling.json")["stack_trace"]
    assert "twin.json" in told and "already defined" in told
    assert daemon.get("/api/v2/dags/twin")["fileloc"].endswith("twin.json")
    (daemon.dags / "twin.json").unlink()
    wait_for(lambda: "zwilling.json" not in errors(daemon), 5)
    wait_for(lambda: daemon.get("/api/v2/dags/twin")["fileloc"].endswith("zwilling.json"), 5)


def test_a_file_broken_by_its_policy_is_mended_by_the_policy_alone(daemon):
    (daemon.dags / "policies").mkdir()
    (daemon.dags / "policies" / "p.yaml").write_text("classes: [\n")
    put(daemon, "governed.json", text_of("governed", policy="policies/p.yaml"))
    told = wait_error(daemon, "governed.json")["stack_trace"]
    assert "p.yaml" in told
    first = errors(daemon)["governed.json"]
    put(daemon, "marker2.json", text_of("marker2"))
    wait_listed(daemon, "marker2")
    assert errors(daemon)["governed.json"] == first  # the same error is no new one
    (daemon.dags / "policies" / "p.yaml").unlink()
    (daemon.dags / "policies" / "p.yaml").write_text('key: k\nallow: {}\nclasses:\n  dob: year\n')
    wait_for(lambda: "governed.json" not in errors(daemon), 5)
    wait_listed(daemon, "governed")


def test_a_deleted_file_is_a_stale_dag_with_its_history(daemon):
    write_dag(daemon, "leaving", [{"task_id": "a", "operator": "empty"}])
    run_id = daemon.trigger("leaving")["dag_run_id"]
    daemon.wait_run("leaving", run_id)
    (daemon.dags / "leaving.json").unlink()
    wait_for(lambda: daemon.get("/api/v2/dags/leaving")["is_stale"], 5)
    assert daemon.run("leaving", run_id)["state"] == "success"
