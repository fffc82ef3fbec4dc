"""What masking a value and a task's ledger cost."""
import json
import re
import subprocess

from harness import BUILD, ROOT, Limit, dag, empty, save

from . import plane
from .plane import Plane, task

MASK_LEAST = {"hmac": 3_000_000, "ff1, card, keep_last 4": 500_000}


def mask():
    """Masked values a second on one core, with the scan of their Parquet file."""
    subprocess.run(["ninja", "-C", BUILD, "mask_speed"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    done = subprocess.run([BUILD / "bench/mask_speed", str(plane.size("BENCH_MASK_ROWS", 2_000_000))],
                          check=True, capture_output=True, text=True)
    told = json.loads(done.stdout)
    figures = {"rows": told["rows"]}
    for name, row in told["methods"].items():
        figures[name] = row["values_per_second"]
    with Plane() as daemon:
        return save("mask", "D5", figures, [Limit(name, least, over=True) for name, least in MASK_LEAST.items()], daemon,
                    scan_alone_seconds={name: row["scan_alone_seconds"] for name, row in told["methods"].items()})


def chained(count):
    """Tasks that each read a data set of one row and write one."""
    first = {"from": {"conn_id": "landing", "path": "one.csv"}, "to": "raw.one"}
    tasks = [task("t000", "extract", **first)]
    for i in range(1, count):
        tasks.append(task(f"t{i:03d}", "transform", **{
            "from": "raw.one" if i == 1 else f"processed.one_{i - 1}", "to": f"processed.one_{i}", "steps": [{"derive": {"b": "coalesce(a, '1')"}}]}))
    return {"dag_id": "bench_ledger", "datasets": {"raw.one": {"columns": {"a": "bigint"}}}, "tasks": tasks}


DURATION = re.compile(r"\[(\d+)\] .*?duration: ([0-9.]+) ms  (?:(parse|bind|execute) ([^:]*)|(statement)): ?(.*)")


def ledger_ms(log):
    """Milliseconds of the ledger's own statements: transactions that claim, and look-ups of live slices."""
    total, claims, open_, turns = 0.0, 0, {}, []
    for line in log.split("\n"):
        found = DURATION.search(line)
        if not found:
            continue
        pid, ms, text = found[1], float(found[2]), found[4] or found[6]
        if "live_slices" in text:
            total += ms
        if "commit_turn" in line and found[3] != "parse":
            turns.append(ms)
        if found[6].lower().startswith("begin"):
            open_[pid] = [0.0, False]
        if pid in open_:
            open_[pid][0] += ms
            open_[pid][1] |= "lock_slice" in text
            if found[6].lower().startswith(("commit", "rollback")):
                spent, claimed = open_.pop(pid)
                total += spent if claimed else 0
                claims += claimed
    return total, claims, turns


def logged(daemon, run):
    """The server's log of what `run` does."""
    place = (daemon.home / "pg.log").stat().st_size
    run()
    with open(daemon.home / "pg.log", "rb") as text:
        text.seek(place)
        return text.read().decode(errors="replace")


def ledger():
    """What the ledger adds to a task that reads and writes one data set: claim, look-up, its part of the turn's commit."""
    count = 40
    with Plane() as daemon:
        (daemon.landing / "one.csv").write_text("a\n1\n")
        plain = dag("bench_plain", [empty(f"t{i:03d}", [f"t{i - 1:03d}"] if i else ()) for i in range(count)])
        daemon.put(plain)
        daemon.wait_listed("bench_plain")
        daemon.run("bench_plain")
        daemon.psql("alter system set log_min_duration_statement = 0")
        daemon.psql("select pg_reload_conf()")
        _, _, without = ledger_ms(logged(daemon, lambda: daemon.run("bench_plain")))
        total, claims, with_ = ledger_ms(logged(daemon, lambda: daemon.run_day(chained(count))))
        if claims < count:
            raise SystemExit(f"{claims} claims, not {count}")
        turn = max(0.0, sum(with_) / len(with_) - sum(without) / len(without))
        figures = {"tasks": count, "claims": claims, "claim_and_look_up_ms": round(total / count, 3), "more_of_a_turn_ms": round(turn, 3),
                   "ledger_ms_a_task": round(total / count + turn, 3)}
        return save("ledger", "D6", figures, [Limit("ledger_ms_a_task", 5)], daemon)


mask.number, ledger.number = "D5", "D6"
