"""Benchmarks of the loop: chains, fan-outs, lag, mapped tasks, backfills."""
import datetime
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import ROOT, Daemon, Limit, chain as line, dag, empty, fan as wide, fdatasync_us, percentile, save, seconds, tool, true

# ---- chains

# A turn in which `width` tasks end and as many others start: two task rows and two log rows for each pair.
REPLAY = r"""\set seq :seq + {pairs}
\set task :task + {width}
select commit_turn_p0(1, '10 s', now(), :seq, 1, 0, null, null, {started}, {ended}, {log}, null, null, null, null, null);
"""
STARTED = "row(0, 1, :task{i}, -1, 3, 1, 0, 1, 1, 0, now(), now(), now(), null, null, 0, '', '')::turn_task"
ENDED = "row(3, 1, :task - {width}{i}, -1, 4, 1, 0, 1, 1, 0, now(), now(), now(), now(), null, 0, '', '')::turn_task"
LOG_ENDED = "row(:seq - {last}{i}, 1, now(), :task - {width}{i}, -1, -1, 1, 3, 4, 'result', '')::turn_log"
LOG_STARTED = "row(:seq - {half}{i}, 1, now(), :task{i}, -1, -1, 1, 0, 3, 'dispatch', '')::turn_log"
# The journal's session.
SESSION = "-c plan_cache_mode=force_generic_plan -c session_replication_role=replica"
FIRST_TASKS = """
update lease set epoch = 1, holder = 'bench', expires = 'infinity', last_seq = 0;
insert into task_instance (run_key, task_no, map_index, state, try_number, max_tries, starts, attempts_since_clear,
    lost_in_a_row, error_class, error, note)
    select 1, i, -1, 3, 1, 0, 1, 1, 0, 0, '', '' from generate_series(0, {width} - 1) i;
"""


def replay_script(width):
    """The call of such a turn, for pgbench."""
    numbers = {"width": width, "pairs": 2 * width, "last": 2 * width - 1, "half": width - 1}

    def rows(*kinds):
        if width == 1:
            return "array[" + ", ".join(kind.format(i="", **numbers) for kind in kinds) + "]"
        return " || ".join(f"array(select {kind.format(i=' + i', **numbers)} from generate_series(0, {width - 1}) i)" for kind in kinds)
    return REPLAY.format(started=rows(STARTED), ended=rows(ENDED), log=rows(LOG_ENDED, LOG_STARTED), **numbers)


class Replay:
    """pgbench with the call that a turn makes, on a database of the same server with the same tables."""

    def __init__(self, daemon, width=1):
        self.daemon, self.width, self.done = daemon, width, 0
        database = f"bench_replay_{width}"
        daemon.psql(f"create database {database}")
        self.url = daemon.url_of(database)
        for migration in sorted((ROOT / "migrations").glob("*.sql")):
            subprocess.run([tool("psql"), self.url, "-XqAt", "-v", "ON_ERROR_STOP=1", "-1", "-f", migration],
                           check=True, stdout=subprocess.DEVNULL)
        daemon.psql("call make_partition(0, 65536)", database)
        daemon.psql(FIRST_TASKS.format(width=width), database)

    def commits_ms(self, commits, warm_up=200):
        """Milliseconds of each commit of one client, behind a session's first ones, which plan."""
        total = commits + warm_up
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder) / "replay.sql"
            script.write_text(replay_script(self.width))
            subprocess.run(
                [tool("pgbench"), "-n", "-M", "prepared", "-c", "1", "-t", str(total), "-D", f"seq={2 * self.width * self.done}",
                 "-D", f"task={self.width * self.done}", "-l", "--log-prefix", Path(folder) / "log", "-f", script, self.url],
                capture_output=True, check=True,
                env={**os.environ, "PGOPTIONS": SESSION})
            lines = next(Path(folder).glob("log.*")).read_text().splitlines()
        self.done += total
        return [int(line.split()[2]) / 1000 for line in lines[warm_up:]]


def chain_figures(daemon, dag_id, runs):
    """Times and commits of chains of 40, each beside a replay of as many commits."""
    daemon.wait_listed(dag_id)
    replay = Replay(daemon)
    daemon.run(dag_id)
    times, commits, baseline = [], set(), []
    # In turns, so that both see the same machine.
    for _ in range(4):
        for _ in range(runs // 4):
            before = daemon.turns()
            # The row's end is the beginning of the last of 41 commits. pgbench has the cores for itself, too.
            times.append(seconds(daemon.run(dag_id, undisturbed=0.05)) * 1000 * 41 / 40)
            commits.add(daemon.turns() - before)
        ms = replay.commits_ms(41 * 10)
        baseline += [sum(ms[i:i + 41]) for i in range(0, len(ms), 41)]
    daemon.check_transitions(dag_id, 40 * (runs + 1))
    median = statistics.median(times)
    return {"tasks": 40, "median_ms": round(median, 2), "p95_ms": round(percentile(times, 0.95), 2),
            "commits": max(commits) if len(commits) == 1 else sorted(commits),
            "pgbench_41_commits_ms": round(statistics.median(baseline), 2),
            "ratio": round(median / statistics.median(baseline), 2)}


def chain():
    """A chain of 40 empty tasks, beside pgbench with one call of the same function a commit."""
    with Daemon([dag("bench_chain", line(40))]) as daemon:
        figures = chain_figures(daemon, "bench_chain", 40)
        figures["commits_beyond_41"] = 0 if figures["commits"] == 41 else 1
        # On a slower disk each commit may take as much longer as its fdatasync.
        slow_disk = round(41 * (fdatasync_us(daemon.home) / 1000 + 0.2), 2)
        return save("chain", "B1", figures, [Limit("median_ms", max(16, slow_disk), max(11, slow_disk)),
                                             Limit("commits_beyond_41", 0), Limit("ratio", 1.25, 1.1)], daemon)


def chain_shell():
    """A chain of 40 real processes (shell `true`)."""
    with Daemon([dag("bench_chain_shell", line(40, true))]) as daemon:
        figures = chain_figures(daemon, "bench_chain_shell", 12)
        begin = time.perf_counter()
        for _ in range(40):
            subprocess.run(["true"], check=True)
        figures["spawn_40_from_python_ms"] = round((time.perf_counter() - begin) * 1000, 2)
        return save("chain_shell", "", figures, [], daemon)


# ---- fan-outs

def fan():
    """20,000 parallel empty tasks, 64 slots and 8 slots, each beside pgbench with one call for as many tasks."""
    figures, width = {}, 20_000
    with Daemon([dag(f"bench_fan_{slots}", wide(width), max_active_tasks_per_run=slots) for slots in (64, 8)]) as daemon:
        for slots in (64, 8):
            dag_id = f"bench_fan_{slots}"
            daemon.wait_listed(dag_id)
            before = daemon.cpu_seconds(), daemon.cpu_seconds(whole=True)
            turns = daemon.turns()
            rates = [(width + 2) / seconds(daemon.run(dag_id)) for _ in range(5)]
            used = daemon.cpu_seconds() - before[0], daemon.cpu_seconds(whole=True) - before[1]
            turns = daemon.turns() - turns
            daemon.check_transitions(dag_id, 5 * (width + 2))
            replayed = slots * 1000 / statistics.median(Replay(daemon, slots).commits_ms(400))
            figures |= {f"tasks_per_second_{slots}": round(statistics.median(rates)),
                        f"lowest_{slots}": round(min(rates)),
                        f"tasks_a_commit_{slots}": round(5 * width / turns, 1),
                        f"pgbench_tasks_per_second_{slots}": round(replayed),
                        f"ratio_{slots}": round(statistics.median(rates) / replayed, 2),
                        f"daemon_us_a_task_{slots}": round(used[0] / 5 / width * 1e6, 1),
                        f"all_us_a_task_{slots}": round(used[1] / 5 / width * 1e6, 1)}
        rows = int(daemon.psql("select count(*) from task_instance where state = 4"))
        if rows != 10 * (width + 2):
            sys.exit(f"{rows} instances succeeded")
        return save("fan", "B3", figures, [Limit("tasks_per_second_64", 30_000, 50_000, over=True),
                                           Limit("tasks_per_second_8", 12_000, 20_000, over=True)], daemon)


def fan_shell():
    """2,000 parallel real processes (shell `true`), 8 slots."""
    width = 2_000
    with Daemon([dag("bench_fan_shell", wide(width, true), max_active_tasks_per_run=8)]) as daemon:
        daemon.wait_listed("bench_fan_shell")
        rates = [width / seconds(daemon.run("bench_fan_shell")) for _ in range(3)]
        begin = time.perf_counter()
        subprocess.run(["xargs", "-P", "8", "-n", "1", "true"], input="\n".join(map(str, range(width))), text=True, check=True)
        bare = width / (time.perf_counter() - begin)
        return save("fan_shell", "", {"processes": width, "slots": 8, "tasks_per_second": round(statistics.median(rates)),
                                      "xargs_processes_per_second": round(bare)}, [], daemon)


# ---- lag

LAG_SQL = """
with ended as (
    select t.start_date, t.end_date, coalesce(u.end_date, r.run_after) as ready, r.run_after, r.end_date as over
    from task_instance t join dag_run r using (run_key)
    left join task_instance u on u.run_key = t.run_key and u.task_no = {parent} and t.task_no > 0
    where r.dag_id like '{shape}\\_%')
select count(*), extract(epoch from max(over) - min(run_after)), sum(extract(epoch from start_date - ready)) from ended"""


def lag():
    """1,000 empty tasks in three shapes, all DAGs of a shape due at the same time: what the scheduler adds."""
    def tree(size):
        return [empty(f"t{i:03d}", [f"t{(i - 1) // 2:03d}"] if i else ()) for i in range(size)]

    shapes = {"100x10": (100, line(10), "t.task_no - 1"), "10x100": (10, line(100), "t.task_no - 1"),
              "tree": (100, tree(10), "(t.task_no - 1) / 2")}
    figures = {}
    with Daemon() as daemon:
        for shape, (dags, tasks, parent) in shapes.items():
            found = []
            for again in range(3):
                due = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)
                name = f"{shape}_{again}"
                for i in range(dags):
                    daemon.put(dag(f"{name}_{i:03d}", tasks, schedule={"events": [due.isoformat()]}, start_date="2026-01-01"))
                daemon.wait_ended(name + "\\_%", dags)
                count, *times = daemon.psql(LAG_SQL.format(shape=name, parent=parent)).split("|")
                if int(count) != 1_000:
                    sys.exit(f"{count} tasks ran")
                found.append([float(t) for t in times])
            total, waited = sorted(found)[1]
            # From the tick to the last end; the tasks take no time themselves.
            figures |= {f"total_lag_s_{shape}": round(total, 3), f"waited_ms_a_task_{shape}": round(waited, 3)}
        return save("lag", "B4", figures, [Limit(f"total_lag_s_{shape}", 0.5, 0.2) for shape in shapes], daemon)


# ---- mapped tasks

def mapped():
    """1,000,000 mapped instances in one run; the API is read meanwhile."""
    instances, slots = int(os.environ.get("BENCH_MAPPED", 1_000_000)), 64
    tasks = [empty("each", expand={"i": {"range": instances}}), empty("end", ["each"])]
    with Daemon([dag("bench_mapped", tasks, max_active_tasks_per_run=slots)]) as daemon:
        daemon.wait_listed("bench_mapped")
        run = daemon.trigger("bench_mapped")
        path = daemon.run_path(run)
        reads = [path, path + f"/taskInstances?limit=100&offset={instances // 2}", "/ui/v1/dags/bench_mapped/grid?runs=10",
                 "/api/v2/dags"]
        waits, resident = [], 0.0
        while run["state"] not in ("success", "failed"):
            for read in reads:
                begin = time.perf_counter()
                daemon.call("GET", read)
                waits.append((time.perf_counter() - begin) * 1000)
            resident = max(resident, daemon.memory_mb())
            time.sleep(0.5)
            run = daemon.call("GET", path)
        if run["state"] != "success":
            sys.exit("bench_mapped failed")
        done = int(daemon.psql("select count(*) from task_instance where map_index >= 0 and state = 4"))
        if done != instances:
            sys.exit(f"{done} of {instances} instances succeeded")
        first = daemon.numbers("select extract(epoch from min(t.end_date) - min(r.start_date)) * 1000 from task_instance t "
                               "join dag_run r using (run_key) where map_index >= 0")[0]
        # How long the tenths took, by the order in which the instances ended.
        marks = daemon.numbers("select unnest(percentile_disc(array[0, 0.1, 0.9, 1]) within group "
                               "(order by extract(epoch from end_date))) from task_instance where map_index >= 0")
        figures = {"instances": instances, "slots": slots, "tasks_per_second": round((instances + 1) / seconds(run)),
                   "last_tenth_to_first": round((marks[1] - marks[0]) / (marks[3] - marks[2]), 2),
                   "first_start_ms": round(first, 1), "resident_mb": max(resident, daemon.memory_mb("VmHWM")),
                   "api_p50_ms": round(percentile(waits, 0.5), 1), "api_p95_ms": round(percentile(waits, 0.95), 1),
                   "api_reads": len(waits)}
        return save("mapped", "B7", figures, [
            Limit("tasks_per_second", 25_000, 45_000, over=True), Limit("last_tenth_to_first", 0.9, over=True),
            Limit("first_start_ms", 50), Limit("resident_mb", 512), Limit("api_p95_ms", 50)], daemon)


# ---- backfills

def backfill_seconds(daemon, dag_id, runs, pool_slots, active):
    """From sending the request to the last run's end."""
    first = datetime.date(1990, 1, 1)
    daemon.call("POST", "/api/v2/pools", {"name": dag_id, "slots": pool_slots})
    daemon.put(dag(dag_id, [empty("extract", pool=dag_id), empty("transform", ["extract"], pool=dag_id),
                            empty("load", ["transform"], pool=dag_id)],
                   schedule="@daily", start_date=str(first), catchup=False, max_active_tasks_per_run=64))
    daemon.wait_listed(dag_id)
    scheduled = int(daemon.psql(f"select count(*) from dag_run where dag_id = '{dag_id}'"))
    begin = time.time()
    daemon.call("POST", "/api/v2/backfills", {
        "dag_id": dag_id, "from_date": str(first), "to_date": str(first + datetime.timedelta(days=runs - 1)),
        "max_active_runs": active})
    planned = time.time() - begin
    daemon.wait_ended(dag_id, runs + scheduled)
    end = daemon.numbers(f"select extract(epoch from max(end_date)) from dag_run where dag_id = '{dag_id}' and "
                         "backfill_id is not null")[0]
    tasks = int(daemon.psql("select count(*) from task_instance t join dag_run r using (run_key) where "
                            f"dag_id = '{dag_id}' and backfill_id is not null and t.state = 4"))
    if tasks != 3 * runs:
        sys.exit(f"{tasks} of {3 * runs} tasks succeeded")
    return end - begin, planned


def backfill():
    """10,000 daily runs of 3 empty tasks, creation included: 64 slots without run limit; 16 slots and 16 runs."""
    with Daemon() as daemon:
        wide_open = [backfill_seconds(daemon, f"bench_open_{i}", 10_000, 64, 10_000) for i in range(3)]
        narrow = [backfill_seconds(daemon, f"bench_narrow_{i}", 10_000, 16, 16) for i in range(3)]
        return save("backfill", "B9", {
            "runs": 10_000, "tasks": 30_000,
            "seconds_64_slots": round(statistics.median(s for s, _ in wide_open), 2),
            "answer_s_64_slots": round(statistics.median(p for _, p in wide_open), 2),
            "seconds_16_slots_16_runs": round(statistics.median(s for s, _ in narrow), 2),
        }, [Limit("seconds_64_slots", 2.0, 1.0), Limit("seconds_16_slots_16_runs", 2.5, 1.5)], daemon)


for bench, number in ((chain, "B1"), (fan, "B3"), (lag, "B4"), (mapped, "B7"), (backfill, "B9"), (chain_shell, ""),
                      (fan_shell, "")):
    bench.number = number
