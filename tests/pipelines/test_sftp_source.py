"""extract from files of an SFTP server: patterns, keys, what is new, transfers that break off, bad input."""
import gzip
import json

import pytest
from conftest import standalone, wait_for, write_dag
from sftp_server import SftpServer

ROWS = "id,v\n" + "".join(f"{i},{'x' * 50}\n" for i in range(40_000))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = SftpServer(tmp_path_factory.mktemp("sftp"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def daemon(server, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    (home / "key").write_text(server.user_key.export_private_key().decode())
    good = {"host_key_fingerprint": server.fingerprint, "retries": 1}
    other = server.user_key.export_public_key().decode()

    def connection(extra, **keys):
        return json.dumps({"conn_type": "sftp", "host": "127.0.0.1", "port": server.port, "login": "ada", "password": "pw secret",
                           "extra": {"path": "/in", **extra}, **keys})
    with standalone(env={"HOME": str(home), **{f"SLUICE_CONN_{name.upper()}": text for name, text in {
        "partner": connection(good),
        "by_key": connection({"key_file": str(home / "key"), "host_key": server.public_key}, password=""),
        "by_text": connection({"private_key": server.user_key.export_private_key().decode(), **good}, password=""),
        "wrong_password": connection(good, password="not the one"),
        "wrong_key": connection({"key_file": "/none", **good}),
        "unknown": connection({"retries": 1}),
        "changed": connection({"host_key": other}),
        "other_print": connection({"host_key_fingerprint": "SHA256:" + "A" * 43}),
    }.items()}}) as made:
        yield made


def run(daemon, dag_id, tasks, day=1, wait=True, **keys):
    """Runs extracts {task: (connection, path, more of `from`, more)} of a day; what became of each."""
    write_dag(daemon, dag_id, [
        {"task_id": task, "operator": "extract", "max_active_tis_per_dag": 1, **keys, "with": {
            "from": {"conn_id": conn, "path": path, **source}, "to": f"raw.{dag_id}_{task}", **more}}
        for task, (conn, path, source, more) in tasks.items()])
    interval = {"data_interval_start": f"2026-02-0{day}T00:00:00Z", "data_interval_end": f"2026-02-0{day + 1}T00:00:00Z"}
    run_id = daemon.trigger(dag_id, **interval)["dag_run_id"]
    if not wait:
        return run_id
    daemon.wait_run(dag_id, run_id)

    def outcome(task):
        if daemon.tasks(dag_id, run_id)[task]["state"] == "success":
            value = daemon.get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task}/xcomEntries/return_value")["value"]
            return value.get("files", 0), value.get("rows_out", 0)
        return next(line for line in reversed(daemon.log_lines(dag_id, run_id, task)) if line.endswith("]"))
    return {task: outcome(task) for task in tasks}


def test_files_of_an_sftp_server(daemon, server):
    top = server.root / "in"
    for name, text in {"a.csv": "id,v\n1,a\n", "two words.csv": "id,v\n2,b\n", "deep/er/c.csv": "id,v\n3,c\n", ".hidden.csv": "id,v\n9,z\n",
                       "empty.csv": "id,v\n", "../out.csv": "id,v\n8,y\n", "big.tsv": ROWS}.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    (top / "d.csv.gz").write_bytes(gzip.compress(b"id,v\n4,d\n"))
    (top / "folder.csv").mkdir()
    (top / "link.csv").symlink_to("a.csv")
    modified = {"incremental": {"files": "modified"}}
    tasks = {
        "one": ("partner", "two words.csv", {}, {}),
        "glob": ("by_key", "*.csv", {}, {}),
        "deep": ("by_text", "**/*.csv*", {}, {}),
        "none": ("partner", "no/such/*.csv", {"on_missing": "empty"}, {}),
        "new": ("partner", "*.csv*", {}, modified),
    }
    # a.csv, two words.csv, empty.csv and the link; with deep/er/c.csv and d.csv.gz
    assert run(daemon, "files", tasks) == {"one": (1, 1), "glob": (4, 3), "deep": (6, 5), "none": (0, 0), "new": (5, 4)}, daemon.log()
    (top / "e.csv").write_text("id,v\n5,e\n")
    assert run(daemon, "files", {"new": tasks["new"]}, day=2)["new"] == (1, 1)

    # What breaks off goes on where it was: no byte is asked for twice.
    server.cuts, server.reads = 1, []
    assert run(daemon, "cut", {"big": ("partner", "big.tsv", {"delimiter": ","}, {})})["big"] == (1, 40_000)
    assert server.cuts == 0 and server.reads.count(0) == 1, server.reads


def test_bad_input_over_sftp(daemon, server):
    folder = server.root / "in"
    (folder / "folder").mkdir(parents=True)
    (folder / "a.csv").write_text("id,v\n1,a\n")
    (folder / "big.csv").write_text(ROWS)
    (folder / "broken.csv.gz").write_bytes(gzip.compress(ROWS.encode())[:-30])
    tasks = {
        "password": ("wrong_password", "a.csv", {}, {}),
        "key": ("wrong_key", "a.csv", {}, {}),
        "unknown": ("unknown", "a.csv", {}, {}),
        "changed": ("changed", "a.csv", {}, {}),
        "print": ("other_print", "a.csv", {}, {}),
        "missing": ("partner", "b.csv", {}, {}),
        "folder": ("partner", "folder", {}, {}),
        "packed": ("partner", "broken.csv.gz", {}, {}),
    }
    found = run(daemon, "bad", tasks)
    at = f"sftp://127.0.0.1:{server.port}"
    for task, error_class, conn, words in (
            ("password", "auth", "wrong_password", f"{at}/in/a.csv: the login \"ada\" is refused with its password"),
            ("key", "permanent", "wrong_key", "the file of extra.key_file, /none, cannot be read"),
            ("unknown", "permanent", "unknown", f"{at}: the key of the server is not known, it shows {server.fingerprint}: if that is right, write it as extra.host_key_fingerprint"),
            ("changed", "auth", "changed", f"{at}: the key of the server is not the known one, it shows {server.fingerprint}"),
            ("print", "auth", "other_print", "is not the one of extra.host_key_fingerprint"),
            ("missing", "transient", "partner", f'the source file "b.csv" is missing in connection "partner" ({at}/in/)'),
            ("folder", "permanent", "partner", "is a folder"),
            ("packed", "data_quality", "partner", "broken.csv.gz")):
        assert found[task].endswith(f"[{error_class}]") and words in found[task] and f'"{conn}"' in found[task], (task, found[task])

    # A file that is replaced while it is read fails the attempt; the next one has the new file.
    def replace():
        server.before_read = lambda: None
        (folder / "big.csv").write_text("id,v\n7,z\n")
    server.before_read = replace
    run_id = run(daemon, "replaced", {"big": ("partner", "big.csv", {}, {})}, wait=False, retries=3, retry_delay="0s")
    assert daemon.wait_run("replaced", run_id)["state"] == "success"
    assert "has changed or gone while it was read" in "\n".join(daemon.log_lines("replaced", run_id, "big"))

    # A server that is away: transient, and the task succeeds when it is back.
    server.stop()
    run_id = run(daemon, "away", {"a": ("partner", "a.csv", {}, {})}, wait=False, retries=60, retry_delay="1s")
    wait_for(lambda: daemon.tasks("away", run_id)["a"]["state"] == "up_for_retry")
    assert f'connection "partner": {at}/in/a.csv: Failed to connect' in "\n".join(daemon.log_lines("away", run_id, "a"))
    server.call(server.listen(server.port))
    assert daemon.wait_run("away", run_id)["state"] == "success"
