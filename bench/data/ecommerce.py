"""The sample shop's pipeline at 1,000,000 order lines a day, beside the same steps by hand."""
import json
import shutil
import subprocess
import tempfile

from harness import PSQL, ROOT, SLUICE, Limit, save

from . import plane
from .plane import Plane, median, ratio

INTERVAL = {"logical_date": "2026-01-01T00:00:00Z", "data_interval_start": "2026-01-01T00:00:00Z",
            "data_interval_end": "2026-01-02T00:00:00Z"}
LIMIT_MB = 1024 * 1.048576 * 1.2  # resources of a task that asks for none, and what is ended at


def pipeline():
    """The repository's DAG. What its API lets pass a second would be all that is measured: no limit, its largest pages."""
    dag = json.loads((ROOT / "dags/ecommerce_daily.json").read_text())
    for group in dag["tasks"]:
        for task in group["tasks"]:
            source = task["with"].get("from", {})
            if "rate_limit" in source:
                del source["rate_limit"]
                source["pagination"]["size"] = 1000
    return dag | {"on_unpause": "none", "$schema": None}


def start(orders):
    """A daemon of its own with the sample in it: a round must find nothing that one before it left."""
    daemon = Plane()
    daemon.__enter__()
    subprocess.run([SLUICE, "sample", "ecommerce", "--home", daemon.home, "--days", "1", "--orders-per-day", str(orders)],
                   check=True, stdout=subprocess.DEVNULL)
    for folder in ("policies", "access", "calendars"):
        shutil.copytree(ROOT / "dags" / folder, daemon.dags / folder)
    dag = pipeline()
    del dag["$schema"]
    daemon.put(dag)
    daemon.wait_listed("ecommerce_daily")
    return daemon


def by_hand(daemon, folder):
    api = daemon.call("GET", "/api/v2/connections/orders_api")
    secret = json.loads((daemon.home / "secrets").read_text())["orders_api_client_secret"]
    return plane.peer("ecommerce_peers", "run", daemon.home, folder, f"http://{api['host']}:{api['port']}", f"{api['login']}:{secret}",
                      daemon.url_of("shop"), daemon.url_of("warehouse"), PSQL, ROOT / "dags/ecommerce_daily.json")


def ecommerce():
    """ecommerce_daily at 1,000,000 order lines a day, beside the same steps by hand (DuckDB to Parquet, COPY, SQL)."""
    # 2.5 lines an order.
    orders, rounds = plane.size("BENCH_ORDERS", 400_000), plane.size("BENCH_ROUNDS", 3)
    ours, theirs, peaks, slowest, lines = [], [], {}, {}, 0
    for _ in range(rounds):
        daemon = start(orders)
        try:
            done = daemon.wait_day(daemon.trigger_day("ecommerce_daily", INTERVAL))
            ours.append(done.pop("")["seconds"])
            lines = done["extract.order_items"]["rows_out"]
            for name, task in done.items():
                peaks[name] = max(peaks.get(name, 0), task.get("peak_mb", 0))
                slowest.setdefault(name, []).append(task["seconds"])
            with tempfile.TemporaryDirectory(prefix="sluice-hand-") as folder:
                hand = by_hand(daemon, folder)
                theirs.append(hand["seconds"])
                plane.same("curated.sales", {
                    "sluice": plane.peer("ecommerce_peers", "digest", daemon.files("curated.sales")[0]),
                    "by hand": plane.peer("ecommerce_peers", "digest", f"{folder}/curated.sales.parquet")})
            found = daemon.psql("select count(*), count(distinct order_id), sum(gross_cents)::bigint, sum(net_cents)::bigint from sales.fact_sales",
                                "warehouse")
            plane.same("the facts", {"by hand": hand["counts"], "sluice": [int(n) for n in found.split("|")]})
        finally:
            daemon.__exit__()
    figures = {"order_lines": lines, "seconds": median(ours), "by_hand_seconds": median(theirs), "ratio": ratio(ours, theirs),
               "by_hand_steps": hand["steps"], "peak_mb": max(peaks.values()), "limit_mb": round(LIMIT_MB, 1),
               "tasks_s": {name: median(values) for name, values in sorted(slowest.items(), key=lambda item: -max(item[1]))[:12]},
               "by_hand_mb": hand["peak_mb"]}
    return save("ecommerce", "D1", figures, [Limit("ratio", 1.3), Limit("peak_mb", figures["limit_mb"])], daemon)


ecommerce.number = "D1"
