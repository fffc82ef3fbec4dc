#!/usr/bin/env python3
"""Rounds of faults on the real daemon with a real PostgreSQL under load: `make soak ROUNDS=1000`, or as many as asked.

Every round starts backfills and triggered runs whose outcomes are known, does one thing to the daemon, its workers, its
database, its disk or its network at a random time, waits until everything has ended, and judges by the database's own rows:
lost (accepted, but not there or with another outcome), doubled (two successes of one instance, two live attempts, two runs
of one date), stuck (not ended in time). The same SEED gives the same faults at the same times.
"""
import argparse
import collections
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import requests

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
from conftest import ROOT, Patience, wait_for  # noqa: E402
from nodes import Node, Postgres, Proxy  # noqa: E402

# Where the daemon kills itself (base/fault.hpp), and the latest of the first passages at which it does.
DAEMON_POINTS = {
    "before_commit": 9, "sent_ahead": 9, "after_commit_before_ack": 9, "after_commit_before_effects": 9,
    "after_effects": 9,
    "before_result_posted": 9, "after_result_posted": 9, "during_load": 1, "during_restore": 1, "renewing_lease": 1,
}
MIGRATION_POINT = "during_migration"
WORKER_POINTS = ["worker_started", "worker_before_result", "extract_before_write", "lake_after_write"]
# Points of the load into a warehouse, operators/load/load_crash_test.cpp kills at each of them; and of callbacks,
# tests/api/test_callbacks.py.
ELSEWHERE = ["load_before_stage", "load_mid_copy", "load_after_stage", "load_inside_transaction",
             "load_after_commit_before_ack", "before_delivery", "extract_chunk_done",
             # Of uploads and of removal from the lake: tests/servers/test_s3.py.
             "s3_mid_upload", "s3_before_complete", "lake_before_removal", "lake_after_removal",
             # In tests/servers/test_mariadb_target.py, tests/pipelines/test_file_target.py.
             "target_before_stage", "target_after_stage", "target_before_commit", "target_after_commit",
             # Of the warm process: daemon/executor/warm_workers_test.cpp.
             "warm_before_copy", "warm_after_copy",
             # Of deleted DAGs: test_deleted_dags.py.
             "removing_dag", "deleted_run_swept"]
FAULTS = ["daemon killed", "worker killed", "warm process killed", "postgresql stopped", "connection cut", "connection silent", "disk full",
          "daemon stopped and continued", "restart", *(f"at {p}" for p in DAEMON_POINTS), f"at {MIGRATION_POINT}",
          *(f"at {p}" for p in WORKER_POINTS)]
KILLS_NOBODY = ["connection cut", "connection silent", "disk full", "daemon stopped and continued", "restart"]
SUCCESS, FAILED, UPSTREAM_FAILED, RUNNING, RESOURCE = 4, 5, 7, 3, 6
DEADLINE = 60  # seconds for everything of a round to end


def known_points():
    """The fault points that the sources have."""
    found = set()
    for folder in ("daemon", "operators"):
        for path in (ROOT / folder).rglob("*.cpp"):
            if not path.name.endswith("_test.cpp"):
                found |= set(re.findall(r'fault_point\("(\w+)"\)', path.read_text()))
    return found



def dags(effects):
    env = {"SOAK_EFFECTS": str(effects), "RUN": "{{ run_id }}"}

    def shell(task_id, command, **keys):
        return {"task_id": task_id, "operator": "shell", **keys, "with": {"bash_command": command, "env": env}}
    once = 'echo "$RUN" >> "$SOAK_EFFECTS"'
    fails_once = 'f="$SOAK_EFFECTS.$(echo "$RUN" | md5sum | cut -c1-32)"; [ -e "$f" ] && exit 0; touch "$f"; exit 1'
    daily = {"schedule": {"cron_interval": "@daily"}, "start_date": "2000-01-01", "catchup": False,
             "on_unpause": "none"}
    yield "chain", [shell("a", once), {"task_id": "b", "operator": "shell", "with": {"argv": ["sleep", "0.02"]},
                                       "upstream": ["a"]},
                    {"task_id": "c", "operator": "empty", "upstream": ["b"]}], daily
    yield "fan", [{"task_id": "start", "operator": "empty"},
                  *({"task_id": f"t{i}", "operator": "empty", "upstream": ["start"]} for i in range(6)),
                  {"task_id": "end", "operator": "empty", "upstream": [f"t{i}" for i in range(6)]}], {"schedule": None}
    yield "flaky", [shell("f", fails_once, retries=20, retry_delay="0s"),
                    {"task_id": "g", "operator": "empty", "upstream": ["f"]}], {"schedule": None}
    yield "broken", [shell("boom", "exit 3", retries=0), {"task_id": "after", "operator": "empty", "upstream": ["boom"]}], \
        {"schedule": None}
    yield "lake", [{"task_id": "extract", "operator": "extract", "retries": 200, "retry_delay": "1s", "with": {
        "from": {"conn_id": "landing", "path": "soak.csv"}, "to": "raw.soak"}}], \
        {"schedule": None, "datasets": {"raw.soak": {"columns": {"id": "bigint not null", "name": "varchar"}}}}


# DAG -> the state that each of its tasks, by number, must end in.
OUTCOMES = {"chain": [SUCCESS] * 3, "fan": [SUCCESS] * 8, "flaky": [SUCCESS] * 2, "broken": [FAILED, UPSTREAM_FAILED],
            "lake": [SUCCESS]}


class Soak:
    def __init__(self, folder, seed):
        self.folder, self.seed = folder, seed
        self.chance = random.Random(seed)
        self.postgres = Postgres(folder)
        self.proxy = Proxy(self.postgres.port)
        self.url = self.postgres.database("soak")
        self.dags = folder / "dags"
        self.dags.mkdir()
        self.effects = folder / "effects"
        self.effects.touch()
        for dag_id, tasks, keys in dags(self.effects):
            (self.dags / f"{dag_id}.json").write_text(
                json.dumps({"dag_id": dag_id, "is_paused_upon_creation": False, **keys, "tasks": tasks}))
        self.node = Node(folder / "home", self.dags, self.proxy.url(self.url), ["--log-level", "info"])
        self.logs = self.node.home / "logs"
        self.logs.mkdir()
        # A small file system for the logs, to be filled; where nothing may be mounted, a file stands in the way instead.
        self.mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", self.logs],
                                      capture_output=True, check=False).returncode == 0
        source = self.node.home / "sample" / "ecommerce" / "soak.csv"
        source.parent.mkdir(parents=True)
        source.write_text("id,name\n" + "".join(f"{i},n{i}\n" for i in range(200)))
        self.accepted = []  # (dag, run id): the daemon said so
        self.dates = 0
        self.counts = collections.Counter()
        self.reached = set()
        self.slowest = 0.0
        self.node.start()

    def close(self):
        if self.node.process.poll() is None:
            self.node.process.send_signal(signal.SIGCONT)
            self.node.kill()
        self.proxy.close()
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            self.postgres.stop("immediate")
        if self.mounted:
            subprocess.run(["umount", "-l", self.logs], check=False)

    # ---- load

    def ask(self, method, path, body):
        """One request; None while the daemon cannot tell whether it was done."""
        try:
            reply = self.node.session.request(method, self.node.url + path, json=body, timeout=3)
        except requests.RequestException:
            return None
        return None if reply.status_code in (401, 500, 503) else reply

    def trigger(self, dag_id, run_id):
        """True once it was accepted: the same run id, asked for again, is a conflict, not a second run."""
        reply = self.ask("POST", f"/api/v2/dags/{dag_id}/dagRuns", {"logical_date": None, "dag_run_id": run_id})
        if reply is None or reply.status_code == 404:
            return False
        assert reply.status_code in (200, 409), reply.text
        return True

    def backfill(self, days):
        first = time.strftime("%Y-%m-%d", time.gmtime(946_684_800 + 86_400 * self.dates))
        last = time.strftime("%Y-%m-%d", time.gmtime(946_684_800 + 86_400 * (self.dates + days - 1)))
        reply = self.ask("POST", "/api/v2/backfills", {"dag_id": "chain", "from_date": first, "to_date": last,
                                                       "max_active_runs": 8})
        return reply is not None and reply.status_code in (200, 409)

    def load(self, number, heavy):
        """What this round asks for; asked again, by the same names, until it was accepted."""
        wanted = [(dag, f"r{number}-{i}") for i, dag in enumerate(["fan", "flaky", "broken", "fan"] + ["lake"] * heavy)]
        return {"runs": wanted, "days": 4, "backfilled": False}

    def push(self, load):
        """Asks for what is not yet accepted. True when all is."""
        for item in list(load["runs"]):
            if self.trigger(*item):
                load["runs"].remove(item)
                self.accepted.append(item)
        if not load["backfilled"] and self.backfill(load["days"]):
            load["backfilled"] = True
            self.dates += load["days"]
        return not load["runs"] and load["backfilled"]

    # ---- faults

    def ready(self):
        if self.node.process.poll() is not None:
            self.node.start(wait=False)
        self.node.wait_ready(30)

    def pause(self):
        time.sleep(self.chance.uniform(0, 0.25))

    def at_daemon_point(self, point, load):
        """The daemon kills itself there."""
        self.node.kill()
        passage = self.chance.randint(1, DAEMON_POINTS[point])
        if point in ("during_load", "during_restore"):
            self.ready()
            self.push(load)
            self.node.kill()
        (self.node.home / "sluice.url").unlink(missing_ok=True)
        self.node.start(env={"SLUICE_FAULT": f"{point}:{passage}"}, wait=False)
        patience = Patience(30)
        while self.node.process.poll() is None and patience:
            url = self.node.home / "sluice.url"
            if url.exists():
                self.node.url = url.read_text().strip()
                if self.push(load):  # and more, until it comes there
                    load["runs"].append(("fan", f"{point}-{self.chance.randrange(1 << 40)}"))
            time.sleep(0.02)
        if self.node.process.poll() == -signal.SIGKILL:
            self.reached.add(point)

    def at_migration(self):
        """On a database of its own: the next start finds it empty or whole."""
        name = f"m{self.chance.randrange(1 << 40)}"
        url = self.postgres.database(name)
        home = self.folder / name
        node = Node(home, self.dags, url).start(env={"SLUICE_FAULT": f"{MIGRATION_POINT}:{self.chance.randint(1, 4)}"},
                                                wait=False)
        if node.process.wait(30) == -signal.SIGKILL:
            self.reached.add(MIGRATION_POINT)
        node.start()
        node.stop(20)

    def at_worker_point(self, point, load):
        """Every worker kills itself there, until the daemon is started again."""
        self.node.kill()
        self.node.start(env={"SLUICE_FAULT": f"{point}:1"})
        self.push(load)
        patience = Patience(30)
        with self.postgres.connect("soak") as db:
            while patience and point not in self.reached:
                died = db.execute("select count(*) from attempt where error_class = %s", (RESOURCE,)).fetchone()[0]
                if died > self.counts["workers died"]:
                    self.counts["workers died"] = died
                    self.reached.add(point)
                time.sleep(0.02)
        self.node.kill()

    def kill_a_worker(self, warm=False):
        """One that has a task, or the process that they are copied from."""
        patience = Patience(10)
        while patience:
            for path in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    if (int((path / "stat").read_text().rpartition(")")[2].split()[1]) == self.node.process.pid
                            and b"\0worker" in (cmdline := (path / "cmdline").read_bytes())
                            and warm == (b"--warm" in cmdline)):
                        time.sleep(self.chance.uniform(0, 0.05))
                        os.kill(int(path.name), signal.SIGKILL)
                        return
            time.sleep(0.005)

    def fill_disk(self):
        """The logs' file system is full for a while."""
        if self.mounted:
            filler = self.logs / "filler"
            with contextlib.suppress(OSError), open(filler, "wb") as out:
                while True:
                    out.write(b"\0" * 65_536)
            time.sleep(0.4)
            filler.unlink()
            return
        moved = self.logs.rename(self.logs.with_name("logs-away"))
        self.logs.touch()
        time.sleep(0.4)
        self.logs.unlink()
        moved.rename(self.logs)

    def do(self, fault, load):
        kind, _, point = fault.partition("at ")
        if not kind and point == MIGRATION_POINT:
            self.at_migration()
        elif not kind and point in WORKER_POINTS:
            self.at_worker_point(point, load)
        elif not kind:
            self.at_daemon_point(point, load)
        elif fault == "daemon killed":
            self.pause()
            self.node.kill()
        elif fault == "worker killed":
            self.kill_a_worker()
        elif fault == "warm process killed":
            self.kill_a_worker(warm=True)
        elif fault == "postgresql stopped":
            self.pause()
            self.postgres.stop("immediate")
            time.sleep(self.chance.uniform(0, 0.3))
            self.postgres.start()
        elif fault == "connection cut":
            self.pause()
            self.proxy.set("closed")
            time.sleep(self.chance.uniform(0, 1.0))
        elif fault == "connection silent":
            self.pause()
            self.proxy.set("silent")
            time.sleep(self.chance.uniform(0.5, 5.0))
        elif fault == "disk full":
            self.fill_disk()
        elif fault == "daemon stopped and continued":
            self.pause()
            self.node.process.send_signal(signal.SIGSTOP)
            time.sleep(self.chance.uniform(0.1, 4.0))
            self.node.process.send_signal(signal.SIGCONT)
        elif fault == "restart":
            self.pause()
            self.node.stop(30)
        self.proxy.set("open")

    # ---- judgement: the database's rows, nothing that Sluice says of itself

    def all_ended(self):
        """every run and backfill has ended"""
        with self.postgres.connect("soak") as db:
            return db.execute("select (select count(*) from dag_run where state < 2) + "
                              "(select count(*) from backfill where completed_at is null)").fetchone()[0] == 0

    def judge(self):
        """{kind: [what]} of everything that is wrong."""
        wrong = collections.defaultdict(list)
        with self.postgres.connect("soak") as db:
            runs = {(dag, run): (key, state) for key, dag, run, state in
                    db.execute("select run_key, dag_id, run_id, state from dag_run")}
            for item in self.accepted:
                if item not in runs:
                    wrong["lost"].append(f"accepted, but not there: {item}")
            tasks = collections.defaultdict(dict)
            starts = {}
            for key, task, state, started in db.execute("select run_key, task_no, state, starts from task_instance"):
                tasks[key][task] = state
                starts[key, task] = started
            for (dag, run), (key, state) in runs.items():
                if state < 2:
                    wrong["stuck"].append(f"{dag} {run}")
                    continue
                expected = dict(enumerate(OUTCOMES[dag]))
                if tasks[key] != expected or state != (3 if FAILED in expected.values() else 2):
                    wrong["lost"].append(f"{dag} {run} ended as {state} {tasks[key]}")
            dates = db.execute("select count(*), count(distinct logical_date) from dag_run where dag_id = 'chain'").fetchone()
            if dates[0] != dates[1]:
                wrong["doubled"].append(f"two runs of one date: {dates}")
            if dates[1] != self.dates:
                wrong["lost"].append(f"{self.dates} dates were accepted, {dates[1]} are there")
            self.judge_log(db, tasks, starts, wrong)
            slices = db.execute("select count(*) filter (where state = 'committed'), "
                                "count(distinct (dataset, partition, slice)), "
                                "count(*) filter (where state = 'committed' and dataset = 'raw.soak' and rows <> 200) from ledger").fetchone()
            if slices[2] or slices[0] > slices[1]:
                wrong["doubled"].append(f"slices {slices}")
        ran = collections.Counter(self.effects.read_text().split("\n"))
        for (dag, run), (key, _) in runs.items():
            if dag == "chain" and not 1 <= ran[run] <= starts.get((key, 0), 0):
                wrong["lost" if ran[run] == 0 else "doubled"].append(f"{run}: {ran[run]} effects, {starts.get((key, 0))} starts")
        return wrong

    def judge_log(self, db, tasks, starts, wrong):
        last, begun, succeeded = {}, collections.Counter(), collections.Counter()
        before = None
        for seq, key, task, lo, hi, old, new in db.execute(
                "select seq, run_key, task_no, map_lo, map_hi, from_state, to_state from transition order by seq"):
            if before is not None and seq != before + 1:
                wrong["lost"].append(f"the log has a gap at {seq}")
            before = seq
            if task < 0:
                continue
            if last.get((key, task), 0) != old:
                wrong["doubled"].append(f"{key}/{task} moved from {old} but was {last.get((key, task), 0)}")
            last[key, task] = new
            begun[key, task] += new == RUNNING
            succeeded[key, task] += new == SUCCESS
        for key, states in tasks.items():
            for task, state in states.items():
                if last.get((key, task)) != state:
                    wrong["lost"].append(f"{key}/{task} is {state}, its log says {last.get((key, task))}")
                if succeeded[key, task] > 1:
                    wrong["doubled"].append(f"{key}/{task} succeeded {succeeded[key, task]} times")
                if begun[key, task] != starts[key, task]:
                    wrong["doubled"].append(f"{key}/{task}: {starts[key, task]} starts, {begun[key, task]} in the log")
        self.counts["transitions"] = before or 0

    def round(self, number, fault):
        begin = time.monotonic()
        load = self.load(number, heavy="worker" in fault or "warm" in fault or "disk" in fault or
                         any(point in fault for point in WORKER_POINTS) or number % 10 == 0)
        if not any(point in fault for point in WORKER_POINTS):
            self.push(load)
        self.do(fault, load)
        self.ready()

        def accepted():
            """all was accepted"""
            return self.push(load)
        wait_for(accepted, DEADLINE)
        with contextlib.suppress(AssertionError):
            wait_for(self.all_ended, DEADLINE)
        wrong = self.judge()
        self.counts["rounds"] += 1
        self.counts[fault] += 1
        self.slowest = max(self.slowest, time.monotonic() - begin)
        self.counts["kills"] += fault not in KILLS_NOBODY
        return wrong


def plan(rounds, chance):
    """Every fault as often as the others, in an order of its own."""
    faults = []
    while len(faults) < rounds:
        some = list(FAULTS)
        chance.shuffle(some)
        faults += some
    return faults[:rounds]


def run(rounds, seed, out=print, seconds=None):
    """Returns (summary, what went wrong). With `seconds` no round begins later than that."""
    points = known_points()
    named = {*DAEMON_POINTS, MIGRATION_POINT, *WORKER_POINTS, *ELSEWHERE}
    assert points == named, f"fault points of the sources and of this file differ: {points ^ named}"
    with tempfile.TemporaryDirectory(prefix="sluice-soak-", ignore_cleanup_errors=True) as folder:
        soak = Soak(Path(folder), seed)
        begin = time.monotonic()
        wrong = collections.defaultdict(list)
        asked = set()
        try:
            for number, fault in enumerate(plan(rounds, soak.chance)):
                if seconds is not None and time.monotonic() - begin > seconds:
                    break
                if fault.startswith("at "):
                    asked.add(fault.removeprefix("at "))
                found = soak.round(number, fault)
                out(f"round {number}: {fault}{' ' + str(dict(found)) if found else ''}")
                if found:
                    out(soak.node.log(6000))
                    wrong.update(found)
                    break
        finally:
            soak.close()
        for point in sorted(asked - soak.reached):
            wrong["never reached"].append(point)
        summary = {"date": time.strftime("%Y-%m-%d"), "seed": seed, "rounds": soak.counts["rounds"],
                   "seconds": round(time.monotonic() - begin), "runs": len(soak.accepted) + soak.dates,
                   "kills": soak.counts["kills"], "transitions": soak.counts["transitions"], "slowest round, s": round(soak.slowest, 1),
                   **{kind: len(wrong[kind]) for kind in ("lost", "doubled", "stuck", "never reached")},
                   "faults": {fault: soak.counts[fault] for fault in FAULTS if soak.counts[fault]}}
        return summary, {kind: what for kind, what in wrong.items() if what}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--seconds", type=int, help="stop after this time even if rounds are left")
    options = parser.parse_args()
    print(f"SEED={options.seed}   (again: tests/faults/soak.py --rounds {options.rounds} --seed {options.seed})", flush=True)
    summary, wrong = run(options.rounds, options.seed, lambda text: print(text, flush=True),
                         options.seconds)
    print(json.dumps(summary, indent=1))
    print(json.dumps(wrong, indent=1) if wrong else "nothing lost, nothing doubled, nothing stuck")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
