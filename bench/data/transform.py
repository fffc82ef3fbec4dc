"""The whole transform of order lines, beside plain DuckDB SQL, pandas, polars and PySpark."""
from harness import Limit, save

from . import plane
from .plane import Plane, median, ratio, task

LINES = {"order_id": "bigint not null", "line_no": "integer not null", "product_id": "bigint", "sku": "varchar", "qty": "integer",
         "unit_price_cents": "bigint", "updated_at": "timestamptz"}
ORDERS = {"order_id": "bigint not null", "customer_id": "bigint", "status": "varchar", "channel": "varchar",
          "discount_bp": "integer", "country": "varchar"}
MEMORY = "1GiB"


def inputs(rows):
    """The DAG that brings both files into the lake."""
    lines, orders = f"raw.lines_{rows}", f"raw.orders_{rows}"
    return {"dag_id": f"bench_input_{rows}", "datasets": {lines: {"columns": LINES}, orders: {"columns": ORDERS}}, "tasks": [
        task("lines", "extract", **{"from": {"conn_id": "landing", "path": f"{rows}/lines.parquet"}, "to": lines}),
        task("orders", "extract", **{"from": {"conn_id": "landing", "path": f"{rows}/orders.parquet"}, "to": orders})]}


def transforms(rows, number):
    clean, sales = f"processed.orders_{rows}_{number}", f"processed.sales_{rows}_{number}"
    return {"dag_id": f"bench_transform_{rows}_{number}", "tasks": [
        task("orders", "transform", memory=MEMORY, **{"from": f"raw.orders_{rows}", "to": clean, "steps": [
            {"normalize": {"status": ["trim", "lower"], "country": ["trim", "upper"]}}, {"fill_null": {"discount_bp": 0}}]}),
        task("sales", "transform", memory=MEMORY, **{"from": f"raw.lines_{rows}", "to": sales, "steps": [
            {"dedup": {"key": ["order_id", "line_no"], "order_by": "updated_at desc"}},
            {"normalize": {"sku": ["trim", "upper"]}}, {"fill_null": {"qty": 1}},
            {"join": {"dataset": clean, "using": "order_id"}},
            {"filter": "status <> 'cancelled'"},
            {"derive": {"gross_cents": "qty * unit_price_cents",
                        "net_cents": "cast(floor(qty * unit_price_cents * (10000 - discount_bp) / 10000) as bigint)"}}]})]}


class Side:
    """One engine's rounds."""

    def __init__(self):
        self.seconds, self.peak_mb, self.version = [], [], ""

    def add(self, seconds, peak_mb, version=""):
        self.seconds.append(seconds)
        self.peak_mb.append(peak_mb)
        self.version = version


def measure(daemon, rows, rounds, engines):
    folder = daemon.landing / str(rows)
    folder.mkdir()
    plane.peer("transform_peers", "generate", folder, rows)
    daemon.run_day(inputs(rows))
    # The very files that Sluice reads.
    lines, orders = daemon.files(f"raw.lines_{rows}")[0], daemon.files(f"raw.orders_{rows}")[0]
    sides, digests = {name: Side() for name in ("sluice", *engines)}, {}
    for number in range(rounds):
        done = daemon.run_day(transforms(rows, number))
        tasks = [done["orders"], done["sales"]]
        sides["sluice"].add(sum(t["seconds"] for t in tasks), max(t["peak_mb"] for t in tasks))
        digests["sluice"] = plane.peer("transform_peers", "digest", *daemon.files(f"processed.sales_{rows}_{number}"))
        for engine in engines:
            out = folder / f"{engine}.parquet"
            told = plane.peer("transform_peers", engine, out, lines, orders)
            sides[engine].add(told["seconds"], told["peak_mb"], told["version"])
            files = sorted(out.glob("*.parquet")) if out.is_dir() else [out]
            digests[engine] = plane.peer("transform_peers", "digest", *files)
        plane.same(f"transform of {rows} rows", digests)
    return sides


def transform():
    """Whole transform (dedup, clean, join, filter, derive) at 1 M and 10 M rows, beside DuckDB SQL, pandas, polars, PySpark."""
    engines = ["duckdb", "pandas", "polars"] + (["pyspark"] if plane.has_java() else [])
    figures, limits, versions = {}, [], {}
    with Plane() as daemon:
        for name, rows, rounds in (("1m", plane.size("BENCH_ROWS", 1_000_000), 5), ("10m", plane.size("BENCH_ROWS_LARGE", 10_000_000), 3)):
            sides = measure(daemon, rows, rounds, engines)
            for engine, side in sides.items():
                figures |= {f"{engine}_{name}_s": median(side.seconds), f"{engine}_{name}_mb": max(side.peak_mb)}
                if side.version:
                    versions[engine] = side.version
            ours = sides["sluice"].seconds
            figures[f"duckdb_ratio_{name}"] = ratio(ours, sides["duckdb"].seconds)
            limits.append(Limit(f"duckdb_ratio_{name}", 1.15))
            for engine, least in (("pandas", 2), ("polars", 1), ("pyspark", 2)):
                if engine in sides:
                    figures[f"faster_than_{engine}_{name}"] = ratio(sides[engine].seconds, ours)
                    limits.append(Limit(f"faster_than_{engine}_{name}", least, over=True))
            if name == "10m":
                figures["memory_of_polars_10m"] = round(max(sides["sluice"].peak_mb) / max(sides["polars"].peak_mb), 3)
                limits.append(Limit("memory_of_polars_10m", 0.333))
        if "pyspark" not in engines:
            print("     PySpark is left out: there is no java", flush=True)
        return save("transform", "D2", figures, limits, daemon, versions=versions)


transform.number = "D2"
