"""Benchmarks of what is around the loop: REST, files, schedules, memory."""
import datetime
import json
import os
import statistics
import subprocess
import sys
import time

from harness import BUILD, ROOT, Daemon, Limit, chain as line, dag, empty, percentile, save

# ---- REST


def offer(daemon, dag_id, connections, seconds, rate=0, burst=1):
    """Triggers runs over keep-alive connections; a rate of 0 = each as soon as its last is answered."""
    host, port = daemon.url.removeprefix("http://").split(":")
    out = subprocess.run([BUILD / "bench/offer", host, port, f"/api/v2/dags/{dag_id}/dagRuns", str(connections),
                          str(seconds), str(rate), str(burst)], input=daemon.token + '\n{"logical_date": null, "conf": {"n": 7}}\n',
                         capture_output=True, text=True, check=True).stdout
    answer = json.loads(out)
    if answer["failed"]:
        sys.exit(f"{answer['failed']} of {answer['sent']} requests failed, the first with {answer['first_failure']}")
    return answer


RUN_SQL = """
with r as (select run_key, extract(epoch from end_date - queued_at) * 1000 as ms, queued_at, end_date, state from dag_run
           where run_key > {after})
select count(*), count(*) filter (where state = 2), extract(epoch from max(end_date) - min(queued_at)),
    percentile_disc(0.5) within group (order by ms), percentile_disc(0.99) within group (order by ms) from r"""


def offered(daemon, seconds, rate, burst=1):
    """One load, and what became of its runs."""
    after = int(daemon.psql("select coalesce(max(run_key), 0) from dag_run"))
    cpu, begin = daemon.cpu_seconds(whole=True), time.monotonic()
    answer = offer(daemon, "bench_rest", 32, seconds, rate, burst)
    cores = (daemon.cpu_seconds(whole=True) - cpu) / (time.monotonic() - begin)
    while int(daemon.psql(f"select count(*) from dag_run where run_key > {after} and state < 2")):
        time.sleep(0.05)
    runs, good, span, half, most = daemon.psql(RUN_SQL.format(after=after)).split("|")
    if not int(runs) == int(good) == answer["sent"]:
        sys.exit(f"{answer['sent']} runs were accepted, {runs} are there, {good} succeeded")
    return {"runs": int(runs), "finished_per_second": round(int(runs) / float(span)), "answer_p50_ms": answer["p50_ms"],
            "answer_p99_ms": answer["p99_ms"], "run_p50_ms": round(float(half), 2), "run_p99_ms": round(float(most), 2),
            "cores": round(cores, 2)}


def rest():
    """Two-task runs by REST with authentication and validation: 32 connections; then 1,000 a second, in bursts and evenly."""
    one = dag("bench_rest", line(2), max_active_runs=10_000, max_active_tasks_per_run=64,
              params={"n": {"type": "integer", "minimum": 1, "maximum": 100, "default": 1}})
    with Daemon([one]) as daemon:
        daemon.wait_listed("bench_rest")
        offered(daemon, 1, 0)
        full = [offered(daemon, 4, 0) for _ in range(3)]
        full = sorted(full, key=lambda f: f["finished_per_second"])[1]
        figures = full
        # In bursts of one request a connection, as durable-loop.md measured it, and one by one, where nearly every
        # run has its commits for itself.
        for name, burst in (("at_1000", 32), ("at_1000_evenly", 1)):
            calm = [offered(daemon, 4, 1_000, burst) for _ in range(3)]
            calm = sorted(calm, key=lambda f: f["answer_p99_ms"])[1]
            figures |= {f"{key}_{name}": value for key, value in calm.items()}
        return save("rest", "B5", figures, [
            Limit("finished_per_second", 5_000, 12_000, over=True), Limit("answer_p99_ms", 10), Limit("run_p99_ms", 10),
            Limit("answer_p99_ms_at_1000", 8), Limit("cores_at_1000", 0.4),
            Limit("answer_p99_ms_at_1000_evenly", 8)], daemon)


# ---- trigger

def trigger():
    """One run by REST at a time: from sending the request, and from its answer, to the start of the first task."""
    count = 300
    with Daemon([dag("bench_one", [empty("one")])]) as daemon:
        daemon.wait_listed("bench_one")
        sent, answered = {}, {}
        for _ in range(count):
            begin = time.time()
            run = daemon.trigger("bench_one")["dag_run_id"]
            sent[run], answered[run] = begin, time.time()
            # Each finds a daemon that has nothing to do and sleeps.
            time.sleep(0.02)
        daemon.wait_ended("bench_one", count)
        starts = daemon.psql("select run_id, extract(epoch from t.start_date) from dag_run join task_instance t using (run_key)")
        waits, more = [], []
        for line in starts.splitlines():
            run, start = line.split("|")
            waits.append((float(start) - sent[run]) * 1000)
            # A task may start before the client has read the answer.
            more.append(max(0, (float(start) - answered[run]) * 1000))
        figures = {"runs": len(waits), "sent_to_start_p50_ms": round(percentile(waits, 0.5), 2),
                   "sent_to_start_p95_ms": round(percentile(waits, 0.95), 2),
                   "accepted_to_start_p95_ms": round(percentile(more, 0.95), 2)}
        return save("trigger", "", figures, [Limit("sent_to_start_p95_ms", 5)], daemon)


# ---- ballast

def probe(daemon, dag_id, seconds):
    """Runs of a DAG that is due each second: from the tick to the end of its task."""
    daemon.put(dag(dag_id, [empty("one")], schedule={"delta": "1s"}, start_date="2026-01-01"))
    daemon.wait_ended(dag_id, 1)
    time.sleep(seconds + 1)
    daemon.call("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": True})
    # The first run is that of the tick before the DAG was there.
    return daemon.numbers(f"select extract(epoch from t.end_date - r.run_after) * 1000 from dag_run r join task_instance t "
                          f"using (run_key) where dag_id = '{dag_id}' and t.state = 4 order by run_key offset 1")


def ballast():
    """5,000 blocked task instances, an unrelated DAG each second."""
    seconds = int(os.environ.get("BENCH_BALLAST_SECONDS", 60))
    with Daemon() as daemon:
        without = probe(daemon, "bench_probe_before", seconds)
        # Half wait for a pool without slots, half for the one place that a long task has.
        daemon.call("POST", "/api/v2/pools", {"name": "none", "slots": 0})
        sleeper = {"task_id": "sleeper", "operator": "shell", "with": {"argv": ["sleep", "3600"]}, "priority_weight": 100}
        for i in range(5):
            daemon.put(dag(f"ballast_pool_{i}", [empty(f"t{n:03d}", pool="none") for n in range(500)]))
            daemon.put(dag(f"ballast_gate_{i}", [sleeper, *(empty(f"t{n:03d}") for n in range(500))],
                           max_active_tasks_per_run=1))
        for kind in ("pool", "gate"):
            for i in range(5):
                daemon.wait_listed(f"ballast_{kind}_{i}")
                daemon.trigger(f"ballast_{kind}_{i}")
        time.sleep(1)
        with_it = probe(daemon, "bench_probe_after", seconds)
        figures = {"blocked": 5_000, "ticks": len(with_it), "p50_ms": round(percentile(with_it, 0.5), 2),
                   "p99_ms": round(percentile(with_it, 0.99), 2), "without_p50_ms": round(percentile(without, 0.5), 2),
                   "without_p99_ms": round(percentile(without, 0.99), 2)}
        figures["p50_growth_ms"] = round(figures["p50_ms"] - figures["without_p50_ms"], 2)
        return save("ballast", "B8", figures, [Limit("p99_ms", 10, 5), Limit("p50_growth_ms", 1)], daemon)


# ---- DAG files

def files():
    """5,000 DAG files: one is touched; the daemon starts with all of them known."""
    count = 5_000
    body = line(3)
    with Daemon([dag(f"file_{i:04d}", body) for i in range(count)]) as daemon:
        begin = time.monotonic()
        daemon.wait_listed(f"file_{count - 1:04d}")
        first = daemon.start_seconds + time.monotonic() - begin
        waits = []
        for n in range(60):
            dag_id, text = f"file_{n * 83 % count:04d}", f"touched {n}"
            begin = time.perf_counter()
            daemon.put(dag(dag_id, body, description=text))
            while daemon.call("GET", f"/api/v2/dags/{dag_id}")["description"] != text:
                pass
            waits.append((time.perf_counter() - begin) * 1000)
            time.sleep(0.05)
        starts = []
        for _ in range(3):
            daemon.stop()
            daemon.start()
            begin = time.monotonic()
            # Touched while it started: seen only when all others have been looked at.
            total = daemon.call("GET", "/api/v2/dags?limit=1")["total_entries"]
            starts.append(daemon.start_seconds + time.monotonic() - begin)
            if total != count:
                sys.exit(f"{total} DAGs are listed after the start")
        figures = {"files": count, "first_start_s": round(first, 2), "start_s": round(statistics.median(starts), 2),
                   "visible_p50_ms": round(percentile(waits, 0.5), 1), "visible_p95_ms": round(percentile(waits, 0.95), 1),
                   "resident_mb": daemon.memory_mb()}
        return save("files", "B10", figures, [Limit("visible_p95_ms", 200, 50), Limit("start_s", 3, 1)], daemon)


# ---- idle

def statements(daemon, log):
    """The statements that the server has logged, shortened, and how often."""
    found = {}
    for text in log.splitlines():
        for mark in (" execute ", " statement: "):
            if mark in text and "LOG:" in text:
                statement = " ".join(text.split(mark, 1)[1].split()[:3]).rstrip(":")
                found[statement] = found.get(statement, 0) + 1
    return found


def idle():
    """1,000 DAGs, nothing due, 5 minutes."""
    count, minutes = 1_000, float(os.environ.get("BENCH_IDLE_MINUTES", 5))
    dags = [dag(f"idle_{i:03d}", line(5), schedule={"cron_interval": "0 0 1 1 *"}, start_date="2026-06-01") for i in range(count)]
    with Daemon(dags) as daemon:
        daemon.wait_listed(f"idle_{count - 1:03d}")
        time.sleep(3)
        daemon.psql("alter system set log_statement = 'all'")
        daemon.psql("select pg_reload_conf()")
        log = daemon.home / "pg.log"
        time.sleep(1)
        place = log.stat().st_size
        before, all_before, begin = daemon.cpu_seconds(), daemon.cpu_seconds(whole=True), time.monotonic()
        time.sleep(60 * minutes)
        took = time.monotonic() - begin
        core, whole = daemon.cpu_seconds() - before, daemon.cpu_seconds(whole=True) - all_before
        with open(log, "rb") as text:
            text.seek(place)
            asked = statements(daemon, text.read().decode(errors="replace"))
        other = sum(n for statement, n in asked.items() if "lease" not in statement)
        figures = {"dags": count, "minutes": minutes, "core_percent": round(core / took * 100, 2),
                   "with_postgresql_percent": round(whole / took * 100, 2), "resident_mb": daemon.memory_mb(),
                   "statements": asked, "other_statements": other}
        return save("idle", "B12", figures, [Limit("core_percent", 0.5), Limit("other_statements", 0), Limit("resident_mb", 80)],
                    daemon)


# ---- schedules

def due():
    """2,000 DAGs due in the same minute."""
    count = 2_000
    with Daemon([dag(f"due_{i:04d}", [empty("one")], schedule="* * * * *", start_date="2026-01-01") for i in range(count)]) as daemon:
        daemon.wait_listed(f"due_{count - 1:04d}")
        waits, ticks = [], 2
        began = datetime.datetime.now(datetime.timezone.utc)
        first = (began + datetime.timedelta(seconds=65)).replace(second=0, microsecond=0)
        where = f"r.run_after >= '{first.isoformat()}'"
        while len(waits) < ticks * count:
            time.sleep(2)
            # The end of an empty task: behind the commit of its start.
            waits = daemon.numbers("select extract(epoch from t.end_date - r.run_after) * 1000 from dag_run r join task_instance t "
                                   f"using (run_key) where {where} and t.state = 4")
        figures = {"dags": count, "ticks": ticks, "p50_ms": round(percentile(waits, 0.5), 1),
                   "p99_ms": round(percentile(waits, 0.99), 1), "last_ms": round(max(waits), 1)}
        return save("due", "B13", figures, [Limit("p99_ms", 150, 80)], daemon)


# ---- start

def start():
    """From nothing to healthy, and from an existing home."""
    cold, warm = [], []
    with Daemon() as daemon:
        for _ in range(3):
            with Daemon() as fresh:
                cold.append(fresh.start_seconds)
            daemon.stop()
            daemon.start()
            warm.append(daemon.start_seconds)
        return save("start", "", {"from_nothing_s": round(statistics.median(cold), 2),
                                  "from_existing_home_s": round(statistics.median(warm), 2)},
                    [Limit("from_nothing_s", 2.5), Limit("from_existing_home_s", 0.7)], daemon)


for bench, number in ((rest, "B5"), (ballast, "B8"), (files, "B10"), (idle, "B12"), (due, "B13"), (trigger, ""), (start, "")):
    bench.number = number
