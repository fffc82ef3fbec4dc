"""The sample shop's pipeline in a daemon of its own: loaded, emptied, run again in any order, read while it runs."""
import contextlib
import json
import os
import random
import shutil
import threading
import time

import psycopg

from checker import invariants
from checker.dimensions import Star
from checker.found import Found
from checker.source import Source
from conftest import ROOT, Daemon, wait_for

# `make invariants` has more of both. Eight days have all that the generator does: deletes from the sixth day on, changes that come
# five days late, a new column on the eighth day.
ORDERS = int(os.environ.get("ORDERS_PER_DAY", 1000))
DAYS = [f"2026-01-{d:02d}" for d in range(1, 1 + int(os.environ.get("DAYS", 8)))]
RUNS = "/api/v2/dags/ecommerce_daily/dagRuns"


def backfill(daemon, first=DAYS[0], last=DAYS[-1], reprocess="none", wait=True, **keys):
    made = daemon.request("POST", "/api/v2/backfills", json={
        "dag_id": "ecommerce_daily", "from_date": first, "to_date": last, "reprocess_behavior": reprocess,
        "max_active_runs": 4, **keys})
    if wait:
        wait_backfill(daemon, made)
    return made


def wait_backfill(daemon, made):
    def completed():
        """the backfill has completed"""
        return daemon.get(f"/api/v2/backfills/{made['id']}")["completed_at"]
    wait_for(completed, 240 * ORDERS // 1000, 0.1)
    wait_success(daemon)


def runs(daemon):
    """{day: run}"""
    return {run["logical_date"][:10]: run for run in daemon.get(RUNS + "?limit=100")["dag_runs"]}


def wait_success(daemon):
    def ended():
        """all runs have ended"""
        return all(run["state"] in ("success", "failed") for run in runs(daemon).values())
    wait_for(ended, 240 * ORDERS // 1000, 0.1)
    failed = [run["dag_run_id"] for run in runs(daemon).values() if run["state"] != "success"]
    for run_id in failed[:1]:
        for task, instance in daemon.tasks("ecommerce_daily", run_id).items():
            if instance["state"] == "failed":
                print(task, *daemon.log_lines("ecommerce_daily", run_id, task, instance["try_number"])[-15:], sep="\n  ")
    assert not failed


def ask_again(daemon, days):
    """Has the days run once more, asked for in this order."""
    known = runs(daemon)
    for day in days:
        daemon.request("POST", f"{RUNS}/{known[day]['dag_run_id']}/clear", json={"dry_run": False, "only_failed": False})


def again(daemon, days):
    ask_again(daemon, days)
    wait_success(daemon)


def chance():
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    print(f"SEED={seed}")
    return random.Random(seed)


def kill(daemon, when, times):
    for _ in range(times):
        time.sleep(when.uniform(0.5, 2.5))
        daemon.kill()
        daemon.start()


# What a reader may find at any moment: an interval's facts whole or not at all; no fact without its dimensions; tables that have
# all their rows as soon as they are there.
FACTS = "select _sluice_interval, count(*), sum(net_cents)::bigint from sales.fact_sales group by 1"
WHOLE = {
    "select (select count(*) from sales.fact_sales) = (select count(*) from sales.fact_sales join sales.dim_date using (date_sk) "
    "join sales.dim_location using (location_sk) join sales.dim_customer using (customer_sk) "
    "join sales.dim_product using (product_sk))": True,
    "select count(*) filter (where date_sk > 0) from sales.dim_date": 5844,
    "select count(*) filter (where location_sk > 0) from sales.dim_location": 50,
    "select count(*) > 0 from sales.dim_customer": True,
    "select count(*) > 0 from sales.dim_product": True,
    "select count(*) > 0 from sales.mv_daily_sales": True,
}


class Shop:
    def __init__(self, home):
        # DAGs of the tests' own come to the repository's.
        shutil.copytree(ROOT / "dags", home / "dag-files")
        self.daemon = Daemon(home, home / "dag-files").start()

    def load(self):
        self.daemon.cli("sample", "ecommerce", "--days", str(len(DAYS)), "--orders-per-day", str(ORDERS))
        wait_for(lambda: self.daemon.session.get(self.daemon.url + "/api/v2/dags/ecommerce_daily").status_code == 200, 20)
        self.daemon.unpause("ecommerce_daily")
        backfill(self.daemon)
        self.source = Source(self.daemon.home / "sample/ecommerce", self.daemon.database("shop"), DAYS)
        self.master = bytes.fromhex(json.loads((self.daemon.home / "secrets").read_text())["mask_master"])
        self.star = Star(self.source, self.master)
        self.found = Found(self.daemon.database("warehouse"), self.daemon.database(), self.daemon.home)
        self.facts = {row[0]: row[1:] for row in self.found.warehouse.execute(FACTS)}
        self.contents = self.found.warehouse_hashes()
        self.lake = self.found.lake_hashes()

    def connect(self):
        """Anew, after a kill."""
        self.found = Found(self.daemon.database("warehouse"), self.daemon.database(), self.daemon.home)

    def empty(self):
        """A warehouse that nothing has been loaded into; the vault and the lake stay."""
        for schema in ("sales", "_sluice"):
            self.found.warehouse.execute(f"drop schema {schema} cascade")

    @contextlib.contextmanager
    def read_all_the_time(self):
        """Reads as a dashboard would until the block ends; whatever is not whole fails."""
        facts, wrong, reads, done = self.facts, [], [0], threading.Event()

        def look(db):
            for interval, *found in db.execute(FACTS).fetchall() or [("no interval", 0)]:
                if facts.get(interval) != tuple(found):
                    wrong.append(f"facts of {interval}: {found}, expected {facts.get(interval)}")
            for sql, wanted in WHOLE.items():
                (found,) = db.execute(sql).fetchone()
                if found != wanted:
                    wrong.append(f"{sql}: {found}")
            reads[0] += 1

        def read():
            url = self.found.warehouse.info.dsn
            while not done.wait(0.01) and not wrong:
                # Not there yet, or the server restarts: neither is a half-loaded table.
                with contextlib.suppress(psycopg.errors.UndefinedTable, psycopg.OperationalError), psycopg.connect(url, autocommit=True) as db:
                    while not done.wait(0.01) and not wrong:
                        look(db)
        reader = threading.Thread(target=read)
        reader.start()
        try:
            yield
        finally:
            done.set()
            reader.join()
        assert not wrong, wrong
        assert reads[0] > 20

    def same(self):
        invariants.same_contents(self.contents, self.found.warehouse_hashes())
        invariants.same_contents(self.lake, self.found.lake_hashes())
