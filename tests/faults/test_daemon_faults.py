"""What the daemon does when things go wrong: killed, doubled, its port taken, its database gone."""
import os
import random
import signal
import socket
import subprocess
import time

import pytest

from conftest import SLUICE, wait_for, write_dag

SHELL_CHAIN = [
    {"task_id": "a", "operator": "shell", "with": {"argv": ["true"]}},
    {"task_id": "b", "operator": "shell", "with": {"argv": ["sleep", "0.05"]}, "upstream": ["a"]},
    {"task_id": "c", "operator": "empty", "upstream": ["b"]},
]
# Ended ahead: two commits are under way at once.
EMPTY_CHAIN = [{"task_id": t, "operator": "empty", "upstream": up} for t, up in [("a", []), ("b", ["a"]), ("c", ["b"])]]


def start_backfill(daemon, dag_id, last):
    return daemon.request("POST", "/api/v2/backfills", json={
        "dag_id": dag_id, "from_date": "2026-01-01", "to_date": last, "max_active_runs": 8})


def wait_backfill(daemon, backfill, seconds=90):
    def completed():
        """the backfill has completed"""
        return daemon.get(f"/api/v2/backfills/{backfill['id']}")["completed_at"]
    wait_for(completed, seconds)


def check_every_run_once(daemon, dag_id, count):
    """Every date has one successful run, every task of it one successful end; nothing lost or doubled."""
    with daemon.database() as db:
        runs = db.execute("select count(*), count(distinct logical_date), count(*) filter (where state = 2) "
                          "from dag_run where dag_id = %s", (dag_id,)).fetchone()
        assert runs == (count, count, count)
        ends = db.execute(
            "select t.run_key, t.task_no, count(*) from transition t join dag_run r using (run_key) "
            "where r.dag_id = %s and t.task_no >= 0 and t.to_state = 4 group by 1, 2", (dag_id,)).fetchall()
        assert len(ends) == count * len(SHELL_CHAIN)
        assert {n for _, _, n in ends} == {1}
        gaps = db.execute("select count(*), max(seq) - min(seq) + 1 from transition").fetchone()
        assert gaps[0] == gaps[1]


def test_kill_9_of_the_daemon_in_a_backfill_loses_nothing_and_does_nothing_twice(daemons):
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    print(f"SEED={seed}")
    chance = random.Random(seed)
    daemon = daemons().start()
    write_dag(daemon, "killed", SHELL_CHAIN, schedule={"cron_interval": "@daily"}, start_date="2026-01-01",
              end_date="2026-02-09")
    backfill = start_backfill(daemon, "killed", "2026-02-09")
    for _ in range(3):
        time.sleep(chance.uniform(0.02, 0.4))
        daemon.kill()
        daemon.start()
    wait_backfill(daemon, backfill)
    check_every_run_once(daemon, "killed", 40)


@pytest.mark.parametrize("point, tasks", [
    ("before_commit:9", SHELL_CHAIN), ("after_commit_before_ack:9", SHELL_CHAIN), ("sent_ahead:3", EMPTY_CHAIN),
    ("before_commit:5", EMPTY_CHAIN), ("after_commit_before_ack:5", EMPTY_CHAIN)])
def test_a_kill_at_the_fault_point_is_survived(daemons, point, tasks):
    daemon = daemons().start()
    write_dag(daemon, "faulty", tasks, schedule={"cron_interval": "@daily"}, start_date="2026-01-01",
              end_date="2026-01-12")
    daemon.stop()
    daemon.start(env={"SLUICE_FAULT": point})
    backfill = start_backfill(daemon, "faulty", "2026-01-12")
    assert daemon.process.wait(30) == -signal.SIGKILL, "the fault point was never reached"
    daemon.start()
    wait_backfill(daemon, backfill)
    check_every_run_once(daemon, "faulty", 12)


def test_port_in_use_is_a_clear_error_that_names_the_port(daemons, home):
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    port = taken.getsockname()[1]
    (home / "dags").mkdir()
    done = subprocess.run([SLUICE, "standalone", "--home", home, "--port", str(port)], capture_output=True, text=True,
                          timeout=60)
    taken.close()
    assert done.returncode == 1
    assert str(port) in done.stderr and "in use" in done.stderr
    # and the next start on a free port is not in its way
    daemons().start()


def test_two_daemons_on_one_home_the_second_says_which_process_has_it(daemon):
    done = subprocess.run([SLUICE, "standalone", "--home", daemon.home, "--port", "0"], capture_output=True, text=True,
                          timeout=30)
    assert done.returncode == 1
    assert str(daemon.process.pid) in done.stderr
    assert daemon.get("/api/v2/monitor/health")["scheduler"]["status"] == "healthy"


def test_sigterm_stops_daemon_and_its_postgresql_within_10_s_and_running_tasks_go_on_after_a_start(daemons):
    daemon = daemons(args=["--drain", "0.2"]).start()
    write_dag(daemon, "slow", [{"task_id": "s", "operator": "shell", "with": {"argv": ["sleep", "1"]}}])
    run = daemon.trigger("slow")
    wait_for(lambda: daemon.tasks("slow", run["dag_run_id"])["s"]["state"] == "running")
    postmaster = int((daemon.home / "pg" / "postmaster.pid").read_text().split()[0])
    assert daemon.stop(10) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(postmaster, 0)
    daemon.start()
    assert daemon.wait_run("slow", run["dag_run_id"])["state"] == "success"
    # The attempt that outlasted the drain was lost, not failed: it used up no retry, and there were none.
    instance = daemon.tasks("slow", run["dag_run_id"])["s"]
    assert (instance["try_number"], instance["max_tries"]) == (2, 1)


def test_sigterm_waits_for_tasks_that_end_in_time_and_starts_no_others(daemons):
    daemon = daemons().start()
    write_dag(daemon, "short", [
        {"task_id": "one", "operator": "shell", "with": {"argv": ["sleep", "0.5"]}},
        {"task_id": "two", "operator": "empty", "upstream": ["one"]}])
    run = daemon.trigger("short")
    wait_for(lambda: daemon.tasks("short", run["dag_run_id"])["one"]["state"] == "running")
    assert daemon.stop(10) == 0
    daemon.start()
    assert daemon.wait_run("short", run["dag_run_id"])["state"] == "success"
    assert daemon.tasks("short", run["dag_run_id"])["one"]["try_number"] == 1


def test_postgresql_stopped_and_started_again_tasks_go_on_and_writes_are_refused_meanwhile(daemons):
    daemon = daemons().start()
    write_dag(daemon, "patient", [
        {"task_id": "one", "operator": "shell", "with": {"argv": ["sleep", "1"]}},
        {"task_id": "two", "operator": "empty", "upstream": ["one"]}])
    run = daemon.trigger("patient")
    wait_for(lambda: daemon.tasks("patient", run["dag_run_id"])["one"]["state"] == "running")
    pg = daemon.home / "pg"
    owner = pg.stat().st_uid
    ctl = ["setpriv", f"--reuid={owner}", "--clear-groups"] if os.getuid() == 0 else []
    binary = sorted(__import__("pathlib").Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))[-1]
    options = (pg / "postmaster.opts").read_text().split(" ", 1)[1].strip()
    subprocess.run([*ctl, binary, "-D", pg, "-m", "immediate", "stop"], check=True, capture_output=True)
    refused = daemon.session.post(f"{daemon.url}/api/v2/dags/patient/dagRuns", json={"logical_date": None}, timeout=40)
    assert refused.status_code == 503
    subprocess.run([*ctl, binary, "-D", pg, "-l", "/dev/null", "-o", options.replace(f'"-D" "{pg}"', ""), "start"],
                   check=True, capture_output=True)
    path = f"{daemon.url}/api/v2/dags/patient/dagRuns/{run['dag_run_id']}"
    wait_for(lambda: daemon.session.get(path, timeout=10).status_code == 200, 30)
    by_hand = postmaster(daemon)
    assert daemon.wait_run("patient", run["dag_run_id"])["state"] == "success"
    # The daemon took over the server that was started by hand, started none of its own, and stops it in the end.
    assert postmaster(daemon) == by_hand
    assert daemon.stop(10) == 0
    assert postmaster(daemon) == 0


def postmaster(daemon):
    """The process id of its PostgreSQL; 0 = not running, or just being started."""
    try:
        return int((daemon.home / "pg" / "postmaster.pid").read_text().split()[0])
    except (FileNotFoundError, IndexError):
        return 0


def test_postgresql_killed_the_daemon_starts_it_again_and_goes_on(daemons):
    """PostgreSQL killed"""
    daemon = daemons().start()
    write_dag(daemon, "patient", [
        {"task_id": "one", "operator": "shell", "with": {"argv": ["sleep", "1"]}},
        {"task_id": "two", "operator": "empty", "upstream": ["one"]}])
    for _ in range(2):
        run = daemon.trigger("patient")
        wait_for(lambda: daemon.tasks("patient", run["dag_run_id"])["one"]["state"] == "running")
        killed = postmaster(daemon)
        os.kill(killed, signal.SIGKILL)

        def healthy():
            """the database is back"""
            reply = daemon.session.get(daemon.url + "/api/v2/monitor/health", timeout=10).json()
            return postmaster(daemon) not in (0, killed) and reply["metadatabase"]["status"] == "healthy"
        wait_for(healthy, 8)
        assert wait_for(lambda: ended(daemon, "patient", run["dag_run_id"]))["state"] == "success"
        assert daemon.tasks("patient", run["dag_run_id"])["one"]["try_number"] == 1
    assert daemon.process.poll() is None
    assert daemon.stop(10) == 0
    assert postmaster(daemon) == 0


def ended(daemon, dag_id, run_id):
    """The run when it has ended; a reply of 5xx while the database comes back is no answer."""
    reply = daemon.session.get(f"{daemon.url}/api/v2/dags/{dag_id}/dagRuns/{run_id}", timeout=10)
    if reply.status_code >= 500:
        return None
    return reply.json() if reply.json()["state"] in ("success", "failed") else None


def test_a_dag_file_deleted_while_the_daemon_was_down_leaves_a_stale_dag(daemons):
    daemon = daemons().start()
    for name in ("kept", "deleted"):
        write_dag(daemon, name, SHELL_CHAIN)
    daemon.stop()
    (daemon.dags / "deleted.json").unlink()
    # A new owner whose folder lacks a DAG waits (5 minutes if nothing is said).
    daemon.start()
    assert not daemon.get("/api/v2/dags/deleted")["is_stale"]
    daemon.stop()
    daemon.args.extend(["--dag-stale-after", "0.5"])
    daemon.start()

    def stale():
        """the DAG is stale"""
        return daemon.get("/api/v2/dags/deleted")["is_stale"]
    wait_for(stale, 5)
    assert not daemon.get("/api/v2/dags/kept")["is_stale"]
    processor = daemon.get("/api/v2/monitor/health")["dag_processor"]
    assert processor["status"] == "healthy" and processor["latest_dag_processor_heartbeat"]
