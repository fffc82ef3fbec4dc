#!/usr/bin/env python3
"""Every data operator over more rows than fit into its memory: `make soak` runs it with 10 GB and a limit of 512 MiB.

    tests/pipelines/memory.py [--gigabytes 10] [--memory 512MiB] [--dir FOLDER]

Writes CSV of so many bytes, then extract, validate, transform (dedup, join, aggregate, SQL), mask, load (append, merge), extract from
PostgreSQL, gate and report, each with that limit. Fails if a task does, or used more than its limit + 20 %. Takes about eight
times the size in free disk. The program is build/dev/sluice, or what SLUICE names.
"""
import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from conftest import Daemon, wait_for  # noqa: E402

UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
INTERVAL = {"logical_date": "2026-01-05T00:00:00Z", "data_interval_start": "2026-01-05T00:00:00Z",
            "data_interval_end": "2026-01-06T00:00:00Z"}
COLUMNS = {"id": "bigint not null", "customer_id": "bigint", "email": "varchar @email", "card": "varchar @card", "amount_cents": "bigint",
           "sold_at": "timestamptz", "note": "varchar"}
POLICY = {"key": "mask_master", "allow": {"curated": [], "warehouse": []},
          "classes": {"email": "hmac", "card": {"method": "ff1", "keep_last": 4}}}
KEPT = ["customer_id", "email", "card", "amount_cents", "sold_at", "note"]
WORDS = ("order", "gift", "late", "return", "damaged", "parcel", "neighbour", "door", "ring", "please")


def bytes_of(text):
    return int(text[:-3]) * UNITS[text[-3:]]


def write_csv(path, size):
    """Rows of about 150 bytes, one of 100 there twice; returns how many there are, and how many ids."""
    written = rows = number = 0
    with open(path, "w") as out:
        written += out.write("id,customer_id,email,card,amount_cents,sold_at,note\n")
        while written < size:
            lines = []
            for number in range(number + 1, number + 10_001):
                words = " ".join(WORDS[(number * k >> 3) % 10] for k in (3, 7, 11, 13, 17))
                line = (f"{number},{number * 7919 % 1_000_003},user{number % 5_000_011}@example.com,4111-{number // 10_000 % 10_000:04d}-"
                        f"{number % 10_000:04d}-{number * 31 % 10_000:04d},{number % 99_991},2026-01-05T{number % 24:02d}:{number % 60:02d}:00Z,"
                        f"{words} {number * 104_729 % 1_000_000_007}\n")
                lines += [line] * (2 if number % 100 == 0 else 1)
            rows += len(lines)
            written += out.write("".join(lines))
    return rows, number


def dag(memory):
    def task(task_id, operator, **with_):
        return {"task_id": task_id, "operator": operator, "resources": {"memory": memory, "threads": 2}, "with": with_}
    lake = [
        task("extract", "extract", **{"from": {"conn_id": "landing", "path": "big.csv"}, "to": "raw.big"}),
        task("validate", "validate", **{"from": "raw.big", "to": "processed.big", "checks": [
            {"range": "amount_cents", "min": 0}, {"regex": "email", "pattern": "[^@]+@[^@]+"}, {"not_null": ["customer_id", "sold_at"]}]}),
        task("dedup", "transform", **{"from": "processed.big", "to": "processed.once", "steps": [
            {"dedup": {"key": "id", "order_by": "sold_at desc"}}, {"normalize": {"email": ["trim", "lower"]}}]}),
        task("customers", "transform", **{"from": "processed.once", "to": "processed.customers", "steps": [
            {"aggregate": {"group_by": "customer_id", "measures": {"total_cents": "sum(amount_cents)", "rows_": "count(id)"}}}]}),
        task("joined", "transform", **{"from": "processed.once", "to": "processed.joined", "steps": [
            {"join": {"dataset": "processed.customers", "using": "customer_id"}}, {"filter": "total_cents >= 0"}]}),
        task("sorted", "transform", **{"from": {"one": "processed.joined"}, "to": "processed.sorted",
                                       "sql": f"select id, {', '.join(KEPT)}, total_cents, rows_ from one order by note, id"}),
        task("mask", "mask", **{"from": "processed.sorted", "to": "curated.big"}),
    ]
    warehouse = [
        task("append", "load", **{"from": "curated.big", "to": "sales.big"}),
        task("merge", "load", **{"from": "processed.customers", "to": "sales.customers", "key": "customer_id"}),
        task("fact", "load", **{"from": "curated.big", "to": "sales.fact", "key": "id", "event_time": "sold_at"}),
        task("gate", "validate", **{"from": "sales.big", "checks": [{"compare": "curated.big", "aggregates": ["count(*)", "sum(amount_cents)"]}]}),
        task("report", "report", **{"title": "Big", "format": ["json"], "queries": {
            "rows": "select count(*) as rows, sum(amount_cents) as cents from sales.big"}}),
    ]
    return {"dag_id": "memory", "policy": "policies/memory.json", "schemas": {"sales": "warehouse"}, "is_paused_upon_creation": False,
            "schedule": {"cron_interval": "@daily"}, "start_date": "2026-01-01", "end_date": "2026-01-10", "on_unpause": "none",
            "datasets": {"raw.big": {"columns": COLUMNS}}, "tasks": lake + warehouse}


def summary_of(daemon, run_id, task):
    answer = daemon.get(f"/api/v2/dags/memory/dagRuns/{run_id}/taskInstances/{task}/xcomEntries/return_value")["value"]
    return json.loads(answer) if isinstance(answer, str) else answer


def run(home, size, memory):
    """Runs all of it; returns {task: summary}, rows, distinct ids."""
    home = Path(home)
    (home / "sample/ecommerce").mkdir(parents=True)
    rows, ids = write_csv(home / "sample/ecommerce/big.csv", size)
    dags = home / "dag-files"
    (dags / "policies").mkdir(parents=True)
    (dags / "policies/memory.json").write_text(json.dumps(POLICY))
    (dags / "memory.json").write_text(json.dumps(dag(memory)))
    daemon = Daemon(home, dags).start()
    try:
        wait_for(lambda: daemon.session.get(daemon.url + "/api/v2/dags/memory").status_code == 200, 60)
        run_id = daemon.trigger("memory", **INTERVAL)["dag_run_id"]

        def ended():
            """the run has ended"""
            return daemon.run("memory", run_id)["state"] in ("success", "failed")
        wait_for(ended, 300 + size // 200_000, 0.2)
        tasks, found = daemon.tasks("memory", run_id), {}
        for name, instance in tasks.items():
            if instance["state"] == "success":
                found[name] = summary_of(daemon, run_id, name)
            elif instance["state"] == "failed":
                print(name, *daemon.log_lines("memory", run_id, name)[-10:], sep="\n  ")
        return {name: (tasks[name]["state"], found.get(name, {})) for name in tasks}, rows, ids
    finally:
        daemon.stop(60)


def judge(tasks, memory, rows, ids):
    """What is wrong, as lines of text."""
    most = bytes_of(memory) * 1.2
    wrong = [f"{name} {state}" for name, (state, _) in tasks.items() if state != "success"]
    wrong += [f"{name} used {summary['peak_memory_bytes'] / 1e6:.0f} MB, its limit and 20 % are {most / 1e6:.0f} MB"
              for name, (_, summary) in tasks.items() if summary.get("peak_memory_bytes", 0) > most]
    for name, wanted in (("extract", rows), ("validate", rows), ("dedup", ids), ("joined", ids), ("mask", ids), ("append", ids), ("fact", ids)):
        found = tasks[name][1].get("rows_out")
        if found != wanted:
            wrong.append(f"{name} wrote {found} rows, not {wanted}")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=10)
    parser.add_argument("--memory", default="512MiB")
    parser.add_argument("--dir", help="where the home is made (default: the temporary folder)")
    options = parser.parse_args()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sluice-memory-", dir=options.dir, ignore_cleanup_errors=True) as home:
        tasks, rows, ids = run(home, int(options.gigabytes * 1e9), options.memory)
    for name, (state, summary) in tasks.items():
        print(f"{name:10} {state:8} {summary.get('rows_out', ''):>12} rows {summary.get('seconds', ''):>9} s "
              f"{summary.get('peak_memory_bytes', 0) / 1e6:8.0f} MB")
    wrong = judge(tasks, options.memory, rows, ids)
    print(f"{options.gigabytes} GB, {rows} rows, limit {options.memory}, {time.monotonic() - begin:.0f} s")
    for line in wrong:
        print("WRONG:", line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
