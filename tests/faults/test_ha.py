"""High availability: several daemons on one PostgreSQL, the owner killed, stopped, cut off, restarted."""
import json
import os
import random
import signal
import time

import pytest
import requests

from conftest import wait_for
from nodes import Node, Proxy, owner_among, world

TAKE_OVER = 5.0  # seconds, from the owner's death to a new owner


@pytest.fixture(scope="module")
def server():
    with world() as made:
        yield made


@pytest.fixture
def cluster(server, request):
    """Nodes on a database of the test's own: cluster(n) starts n of them, the first is the owner."""
    folder, postgres = server
    name = "t" + str(abs(hash(request.node.name)))[:12]
    url = postgres.database(name)
    dags = folder / name
    dags.mkdir()
    nodes, proxies = [], []

    class Cluster:
        database = staticmethod(lambda: postgres.connect(name))

        def write_dag(self, dag_id, tasks, **keys):
            (dags / f"{dag_id}.json").write_text(
                json.dumps({"dag_id": dag_id, "is_paused_upon_creation": False, **keys, "tasks": tasks}))

        def proxied(self):
            proxies.append(Proxy(postgres.port))
            return proxies[-1]

        def node(self, at=None, args=()):
            made = Node(folder / f"{name}-{len(nodes)}", dags, at or url, args)
            nodes.append(made)
            return made.start()

        def start(self, count):
            return [self.node() for _ in range(count)]
    yield Cluster()
    for node in nodes:
        if node.process.poll() is None:
            node.process.send_signal(signal.SIGCONT)
            node.kill()
    for proxy in proxies:
        proxy.close()


def sleeper(seconds):
    return [{"task_id": "s", "operator": "shell", "with": {"argv": ["sleep", str(seconds)]}},
            {"task_id": "after", "operator": "empty", "upstream": ["s"]}]


def running(node, run, dag_id="d", task_id="s"):
    """the task runs"""
    return node.tasks(dag_id, run["dag_run_id"])[task_id]["state"] == "running"


def listed(node, dag_id):
    """the DAG is listed"""
    return node.session.get(f"{node.url}/api/v2/dags/{dag_id}", timeout=10).status_code == 200


def each_instance_succeeded_once(db):
    rows = db.execute("select run_key, task_no, map_lo, count(*) from transition where task_no >= 0 and to_state = 4 "
                      "group by 1, 2, 3 having count(*) > 1").fetchall()
    assert rows == []
    assert db.execute("select count(*), max(seq) - min(seq) + 1 from transition").fetchone()[0] == \
        db.execute("select coalesce(max(seq) - min(seq) + 1, 0) from transition").fetchone()[0]


def test_sigkill_of_the_owner_one_of_two_standbys_takes_over_within_5_s_and_the_run_ends_well(cluster):
    cluster.write_dag("d", sleeper(1))
    owner, second, third = cluster.start(3)
    assert owner.is_owner() and second.is_standby() and third.is_standby()
    assert second.node()["owner"] == owner.url
    run = owner.trigger("d")
    wait_for(lambda: running(owner, run))
    owner.kill()
    begin = time.monotonic()
    new = owner_among([second, third], TAKE_OVER)
    assert time.monotonic() - begin <= TAKE_OVER
    other = third if new is second else second
    # Through the node that is still a standby.
    assert other.wait_run("d", run["dag_run_id"])["state"] == "success"
    instance = other.tasks("d", run["dag_run_id"])["s"]
    assert (instance["try_number"], instance["max_tries"]) == (2, 1)  # lost, not failed: no retry was used up
    wait_for(lambda: other.node()["owner"] == new.url)
    with cluster.database() as db:
        each_instance_succeeded_once(db)
        assert db.execute("select count(*) from lease_epoch").fetchone()[0] == 2
    # The killed one comes back as a standby.
    owner.start()
    assert owner.is_standby() and new.is_owner()


def test_sigstop_and_sigcont_the_zombie_changes_nothing_ends_its_workers_and_stands_by(cluster):
    cluster.write_dag("d", sleeper(1))
    cluster.write_dag("long", sleeper(300))
    owner, second = cluster.start(2)
    run, long = owner.trigger("d"), owner.trigger("long")
    wait_for(lambda: running(owner, run) and running(owner, long, "long"))
    children = [int(p) for p in os.listdir("/proc") if p.isdigit() and is_child_of(p, owner.process.pid)]
    assert children
    owner.process.send_signal(signal.SIGSTOP)
    begin = time.monotonic()
    owner_among([second], TAKE_OVER)
    assert time.monotonic() - begin <= TAKE_OVER
    assert second.wait_run("d", run["dag_run_id"])["state"] == "success"
    with cluster.database() as db:
        last = db.execute("select last_seq, epoch from lease").fetchone()
        owner.process.send_signal(signal.SIGCONT)
        wait_for(owner.is_standby, 10)
        wait_for(lambda: not any(is_child_of(str(p), owner.process.pid) for p in children), 10)
        # Nothing that it did, knew or had in hand went into the run state.
        assert db.execute("select epoch from lease").fetchone()[0] == last[1] == 2
        each_instance_succeeded_once(db)
        ours = db.execute("select count(*) from transition where to_state = 4 and task_no = 0").fetchone()[0]
        assert ours == 1
    # It serves on: a write through it reaches the owner.
    again = owner.trigger("d")
    assert owner.wait_run("d", again["dag_run_id"])["state"] == "success"
    # And it takes over again when the other dies.
    second.kill()
    owner_among([owner], TAKE_OVER)
    state = owner.tasks("long", long["dag_run_id"])["s"]
    assert state["state"] in ("running", "queued", "scheduled") and state["try_number"] >= 2


def check_time(end):
    assert time.monotonic() < end, "the stream does not tell it"
    return True


def is_child_of(pid, parent):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return int(fields[1]) == parent and fields[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("how", ["closed", "silent"])
def test_network_cut_between_owner_and_database_a_standby_takes_over_within_5_s(cluster, how):
    cluster.write_dag("d", sleeper(1))
    proxy = cluster.proxied()
    with cluster.database() as db:
        url = f"postgresql://sluice@127.0.0.1:{db.info.port}/{db.info.dbname}"
    owner = cluster.node(at=proxy.url(url))
    second = cluster.node()
    run = owner.trigger("d")
    wait_for(lambda: running(owner, run))
    proxy.set(how)
    begin = time.monotonic()
    owner_among([second], TAKE_OVER)
    assert time.monotonic() - begin <= TAKE_OVER
    # Cut off it refuses writes at once or after a moment, with a word on when to try again.
    refused = requests.post(f"{owner.url}/api/v2/dags/d/dagRuns", json={"logical_date": None}, timeout=60,
                            headers=owner.session.headers)
    assert refused.status_code == 503 and refused.headers["Retry-After"]
    assert second.wait_run("d", run["dag_run_id"])["state"] == "success"
    proxy.set("open")
    wait_for(owner.is_standby, 20)
    with cluster.database() as db:
        each_instance_succeeded_once(db)
    again = owner.trigger("d")
    assert second.wait_run("d", again["dag_run_id"])["state"] == "success"


def test_rolling_restart_under_load_no_task_fails_and_none_is_lost(cluster):
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    print(f"SEED={seed}")
    chance = random.Random(seed)
    cluster.write_dag("load", [
        {"task_id": "a", "operator": "shell", "with": {"argv": ["sleep", "0.1"]}},
        {"task_id": "b", "operator": "shell", "with": {"argv": ["sleep", "0.1"]}, "upstream": ["a"]},
    ], schedule={"cron_interval": "@daily"}, start_date="2026-01-01", end_date="2026-02-09")
    nodes = cluster.start(2)
    backfill = nodes[1].request("POST", "/api/v2/backfills", json={
        "dag_id": "load", "from_date": "2026-01-01", "to_date": "2026-02-09", "max_active_runs": 2})
    for turn in range(4):
        old = owner_among(nodes, TAKE_OVER)
        time.sleep(chance.uniform(0, 0.5))
        begin = time.monotonic()
        assert old.stop(20) == 0
        owner_among([node for node in nodes if node is not old], 3)  # handed over, not waited for
        print(f"restart {turn}: {time.monotonic() - begin:.2f} s")
        old.start()

    def completed():
        """the backfill has completed"""
        return nodes[0].get(f"/api/v2/backfills/{backfill['id']}")["completed_at"]
    wait_for(completed, 60)
    with cluster.database() as db:
        assert db.execute("select state, count(*) from dag_run group by 1").fetchall() == [(2, 40)]
        assert db.execute("select state, count(*) from task_instance group by 1").fetchall() == [(4, 80)]
        assert db.execute("select count(*) from attempt").fetchone()[0] == 0  # every task had one attempt
        each_instance_succeeded_once(db)


def test_a_standby_passes_writes_on_reads_itself_and_streams_what_the_owner_does(cluster):
    cluster.write_dag("d", [{"task_id": "s", "operator": "shell", "with": {"bash_command": "echo told by the owner"}}])
    owner, standby = cluster.start(2)
    wait_for(lambda: listed(standby, "d"))
    stream = requests.get(f"{standby.url}/ui/v1/stream?topics=dags,dag:d", headers=standby.session.headers, stream=True,
                          timeout=20)
    assert stream.status_code == 200
    lines = stream.iter_lines(decode_unicode=True)
    assert next(line for line in lines if line.startswith("event:")) == "event: hello"
    # A write: who asked, with which credentials, stays the same.
    run = standby.trigger("d", note="through the standby")
    assert standby.run("d", run["dag_run_id"])["triggering_user_name"] == "admin"
    assert standby.wait_run("d", run["dag_run_id"])["state"] == "success"
    end = time.monotonic() + 20
    moves = (item for line in lines if check_time(end) and line.startswith("data:") for item in json.loads(line[5:]).get("run", []))
    assert next(item for item in moves if item[1] == run["dag_run_id"] and item[2] == "s")
    stream.close()
    # The log is a file of the owner's home.
    assert "told by the owner" in standby.log_lines("d", run["dag_run_id"], "s")
    # What only core knows, and what only the reader of the folder knows.
    assert standby.get("/api/v2/pools")["total_entries"] >= 1
    (standby.dags / "broken.json").write_text("{")
    wait_for(lambda: standby.get("/api/v2/importErrors")["total_entries"] == 1)
    # A refusal is passed back as it is.
    assert standby.request("POST", "/api/v2/dags/nothing/dagRuns", 404, json={"logical_date": None})
    refused = requests.post(f"{standby.url}/api/v2/dags/d/dagRuns", json={"logical_date": None}, timeout=10)
    assert refused.status_code == 401
    # Paused through the standby, seen by the standby; a new DAG too.
    standby.request("PATCH", "/api/v2/dags/d", json={"is_paused": True})
    wait_for(lambda: standby.get("/api/v2/dags/d")["is_paused"], 5)
    cluster.write_dag("new", [{"task_id": "x", "operator": "empty"}])
    wait_for(lambda: listed(standby, "new"), 10)
    # With no owner: reads go on, writes are told when to try again.
    owner.process.send_signal(signal.SIGSTOP)
    wait_for(standby.is_owner, TAKE_OVER)
    owner.process.send_signal(signal.SIGCONT)
    wait_for(owner.is_standby, 10)


def test_a_session_closed_on_one_node_is_closed_on_all(cluster):
    cluster.write_dag("d", [{"task_id": "x", "operator": "empty"}])
    one, two = cluster.start(2)
    browser = requests.Session()
    login = browser.post(one.url + "/ui/v1/login", json={"username": "admin", "password": "secret-of-the-test"}, timeout=10)
    assert login.status_code == 200, login.text
    cookie = {"sluice_session": browser.cookies["sluice_session"]}
    assert requests.get(two.url + "/api/v2/dags", cookies=cookie, timeout=10).status_code == 200
    out = browser.post(one.url + "/ui/v1/logout", headers={"X-CSRF-Token": login.json()["csrf"]}, timeout=10)
    assert out.status_code == 204, out.text
    wait_for(lambda: requests.get(two.url + "/api/v2/dags", cookies=cookie, timeout=10).status_code == 401, 5)


def test_a_dag_that_was_deleted_is_on_no_node_and_a_new_owner_goes_on_with_its_removal(cluster):
    cluster.write_dag("d", [{"task_id": "t", "operator": "empty"}])
    cluster.write_dag("kept", [{"task_id": "t", "operator": "empty"}])
    owner = cluster.node()
    run = owner.trigger("d")
    owner.wait_run("d", run["dag_run_id"])
    owner.kill()
    owner.start(env={"SLUICE_FAULT": "removing_dag:1"})
    second = cluster.node()
    wait_for(lambda: listed(second, "d") and listed(second, "kept"))
    (owner.dags / "d.json").unlink()
    wait_for(lambda: owner.get("/api/v2/dags/d")["is_stale"])
    second.request("DELETE", "/api/v2/dags/d", 204)  # passed on
    owner_among([second], TAKE_OVER)

    def removed():
        """nothing is left of the DAG"""
        with cluster.database() as db:
            return db.execute("select (select count(*) from deleted_dag) + (select count(*) from deleted_run)"
                              " + (select count(*) from dag_version where dag_id = 'd')").fetchone()[0] == 0
    wait_for(removed)
    assert not listed(second, "d") and listed(second, "kept")
    owner.start()
    assert owner.is_standby()
    wait_for(lambda: listed(owner, "kept"))
    assert not listed(owner, "d")
    # And while both are there.
    (owner.dags / "kept.json").unlink()
    wait_for(lambda: second.get("/api/v2/dags/kept")["is_stale"])
    second.request("DELETE", "/api/v2/dags/kept", 204)
    wait_for(lambda: not listed(owner, "kept"))
