"""Loads into PostgreSQL beside psql, extracts from it beside dlt."""
import re
import subprocess
import tempfile
import time

from harness import PSQL, Limit, save

from . import plane
from .plane import Plane, median, ratio, task

FACTS = {"order_id": "bigint not null", "line_no": "integer not null", "customer_id": "bigint", "product_id": "bigint",
         "ordered_at": "timestamptz not null", "status": "varchar", "channel": "varchar", "qty": "integer", "gross_cents": "bigint",
         "net": "decimal(12,2)", "card": "varchar"}
PRODUCTS = {"product_id": "bigint not null", "name": "varchar", "category": "varchar"}
# What the load adds to a row; the hash is the row's own.
ADDED = ["_sluice_row_hash"]


def inputs():
    return {"dag_id": "bench_load_input", "datasets": {"raw.facts": {"columns": FACTS}, "raw.products": {"columns": PRODUCTS}}, "tasks": [
        task("facts", "extract", **{"from": {"conn_id": "landing", "path": "facts.parquet"}, "to": "raw.facts"}),
        task("products", "extract", **{"from": {"conn_id": "landing", "path": "products.parquet"}, "to": "raw.products"})]}


def loads(schema):
    return {"dag_id": f"bench_load_{schema}", "schemas": {schema: "warehouse"}, "tasks": [
        task("dim_date", "load", **{"from": {"date_spine": {"start": "2026-01-01", "end": "2026-12-31"}}, "to": f"{schema}.dim_date"}),
        task("dim_product", "load", **{"from": "raw.products", "to": f"{schema}.dim_product", "key": "product_id"}),
        task("fact", "load", ["dim_date", "dim_product"], **{
            "from": "raw.facts", "to": f"{schema}.fact", "key": ["order_id", "line_no"], "event_time": "ordered_at",
            "dimensions": [f"{schema}.dim_date", f"{schema}.dim_product"]})]}


class Psql:
    """One session that says how long each part took."""

    def __init__(self, url):
        self.url = url

    def run(self, parts):
        """{name: SQL} in order -> {name: seconds}"""
        script, begin = "", {}
        for name, sql in parts.items():
            script += f"\\echo begin {name}\n{sql}\n"
        script += "\\echo begin end\n"
        process = subprocess.Popen([PSQL, self.url, "-XqAt", "-v", "ON_ERROR_STOP=1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
        process.stdin.write(script)
        process.stdin.close()
        other = ""
        for line in process.stdout:
            if line.startswith("begin "):
                begin[line.split()[1]] = time.perf_counter()
            else:
                other += line
        if process.wait() != 0:
            raise SystemExit(other)
        at = list(begin.values())
        return dict(zip(begin, (b - a for a, b in zip(at, at[1:]))))


def columns_of(daemon, table):
    """[(name, type)] of a table, as the warehouse has them."""
    rows = daemon.psql(f"select attname, format_type(atttypid, atttypmod) from pg_attribute where attrelid = '{table}'::regclass "
                       "and attnum > 0 and not attisdropped order by attnum", "warehouse")
    return [tuple(line.split("|")) for line in rows.split("\n")]


def by_hand(daemon, sluice, hand, csv):
    """The same tables, filled by psql: an unlogged stage from CSV, and the statements of the load."""
    names = ", ".join([*FACTS, *ADDED])
    types = dict(columns_of(daemon, f"{sluice}.fact"))
    definitions = ", ".join(f"{name} {types[name]}" for name in [*FACTS, *ADDED])
    table = ", ".join(f"{name} {type_}" for name, type_ in columns_of(daemon, f"{sluice}.fact"))
    constants = {"_sluice_run_id": "manual", "_sluice_task": "by.hand", "_sluice_interval": "2026-01-05", "_sluice_source": "facts.csv"}
    indexes = daemon.psql("select indexdef from pg_indexes where schemaname = '{}' and tablename = 'fact' and indexdef not like "
                          "'%UNIQUE%' order by 1".format(sluice), "warehouse").split("\n")
    made = ";\n".join(re.sub(r"INDEX \S+ ON \S+", f"INDEX ON {hand}.fact", line) for line in indexes)
    return Psql(daemon.url_of("warehouse")).run({
        "setup": f"create schema {hand}; create table {hand}.dim_date as select * from {sluice}.dim_date; "
                 f"create table {hand}.dim_product as select * from {sluice}.dim_product; alter table {hand}.dim_date add primary key (date_sk); "
                 f"alter table {hand}.dim_product add primary key (product_sk), add unique (product_id); analyze;",
        "stage": f"create unlogged table {hand}.stage ({definitions});\n\\copy {hand}.stage ({names}) from '{csv}' (format csv)",
        "rest": f"""analyze {hand}.stage;
begin;
create table {hand}.fact ({table});
select 1 from {hand}.stage s left join {hand}.dim_date d on d.date_sk = to_char((s.ordered_at at time zone 'UTC')::date, 'YYYYMMDD')::integer
 where d.date_sk is null limit 1;
select distinct s.product_id from {hand}.stage s where product_id is not null and not exists
 (select 1 from {hand}.dim_product d where d.product_id = s.product_id) limit 1;
insert into {hand}.fact ({names}, date_sk, product_sk, {', '.join(constants)}, _sluice_loaded_at)
 select {', '.join('s.' + name for name in [*FACTS, *ADDED])}, coalesce(d.date_sk, -1), coalesce(p.product_sk, -1),
  {', '.join(f"'{value}'" for value in constants.values())}, timestamptz '2026-01-05'
 from {hand}.stage s left join {hand}.dim_date d on d.date_sk = to_char((s.ordered_at at time zone 'UTC')::date, 'YYYYMMDD')::integer
 left join {hand}.dim_product p on p.product_id = s.product_id;
alter table {hand}.fact add primary key (order_id, line_no), alter ordered_at set not null;
alter table {hand}.fact add foreign key (date_sk) references {hand}.dim_date (date_sk) deferrable initially deferred;
alter table {hand}.fact add foreign key (product_sk) references {hand}.dim_product (product_sk) deferrable initially deferred;
{made};
select (select count(*) from {hand}.stage) = (select count(*) from {hand}.fact);
commit;
analyze {hand}.fact;""",
    })


def warehouse_digest(daemon, schema):
    names = [*FACTS, "date_sk", "product_sk"]
    items = ", ".join(f"f.{name}" for name in names)
    return daemon.psql(f"select count(*), sum(hashtextextended(row({items})::text, 0)::numeric) from {schema}.fact f", "warehouse")


def staged_seconds(daemon, dag_id):
    """What the load says of its stage: "staged 5000000 rows in 6.1 s"."""
    found = re.search(r"staged (\d+) rows, \d+ bytes, in ([0-9.]+) s", daemon.log_of(dag_id, "fact"))
    return float(found.group(2))


def load():
    """PostgreSQL load of 5 M facts: stage beside psql \\copy of CSV, and end to end (look-ups, keys, indexes, verification) beside SQL by hand."""
    rows, rounds = plane.size("BENCH_LOAD_ROWS", 5_000_000), plane.size("BENCH_ROUNDS", 3)
    with Plane() as daemon:
        plane.peer("load_peers", "facts", daemon.landing, rows)
        daemon.run_day(inputs())
        csv = daemon.landing / "facts.csv"
        # The hash of a row comes with it: by hand nothing has to be worked out.
        plane.peer("load_peers", "csv", daemon.files("raw.facts")[0], csv, ", ".join([*FACTS, *ADDED]))
        ours, theirs, stage, copy, peaks = [], [], [], [], []
        for number in range(rounds):
            sluice, hand = f"sluice{number}", f"hand{number}"
            done = daemon.run_day(loads(sluice))["fact"]
            ours.append(done["seconds"])
            peaks.append(done["peak_mb"])
            stage.append(staged_seconds(daemon, f"bench_load_{sluice}"))
            seconds = by_hand(daemon, sluice, hand, csv)
            theirs.append(seconds["stage"] + seconds["rest"])
            copy.append(seconds["stage"])
            plane.same("load", {"sluice": warehouse_digest(daemon, sluice), "psql": warehouse_digest(daemon, hand)})
            daemon.psql(f"drop schema {hand} cascade; drop schema {sluice} cascade", "warehouse")
        figures = {"rows": rows, "stage_rows_per_second": round(rows / median(stage)), "psql_copy_rows_per_second": round(rows / median(copy)),
                   "stage_ratio": ratio(copy, stage), "end_to_end_s": median(ours), "by_hand_s": median(theirs),
                   "end_to_end_ratio": ratio(theirs, ours), "peak_mb": max(peaks)}
        return save("load", "D3", figures, [Limit("stage_ratio", 1.5, over=True), Limit("end_to_end_ratio", 1.0, over=True)], daemon)


def extract():
    """PostgreSQL to Parquet, 2 M rows, beside dlt with Arrow."""
    rows, rounds = plane.size("BENCH_EXTRACT_ROWS", 2_000_000), plane.size("BENCH_ROUNDS", 3)
    with Plane() as daemon:
        plane.peer("load_peers", "facts", daemon.landing, rows)
        csv = daemon.landing / "facts.csv"
        plane.peer("load_peers", "csv", daemon.landing / "facts.parquet", csv, ", ".join(FACTS))
        types = {"bigint not null": "bigint not null", "integer not null": "integer not null", "timestamptz not null": "timestamptz not null",
                 "varchar": "text", "decimal(12,2)": "numeric(12, 2)"}
        definitions = ", ".join(f"{name} {types.get(kind, kind)}" for name, kind in FACTS.items())
        Psql(daemon.url_of("shop")).run({"table": f"create table facts ({definitions});\n\\copy facts from '{csv}' (format csv)\n"
                                                  "alter table facts add primary key (order_id, line_no); vacuum analyze facts;"})
        ours, theirs, peaks, peak_dlt, version = [], [], [], [], ""
        for number in range(rounds):
            dataset = f"raw.extracted_{number}"
            done = daemon.run_day({"dag_id": f"bench_extract_{number}", "datasets": {dataset: {"columns": FACTS}}, "tasks": [
                task("facts", "extract", **{"from": {"conn_id": "shop", "table": "facts"}, "to": dataset})]})["facts"]
            ours.append(done["seconds"])
            peaks.append(done["peak_mb"])
            with tempfile.TemporaryDirectory(prefix="sluice-dlt-") as folder:
                told = plane.peer("load_peers", "dlt", daemon.url_of("shop"), "public", "facts", folder)
                theirs.append(told["seconds"])
                peak_dlt.append(told["peak_mb"])
                version = told["version"]
                plane.same("extract", {"sluice": plane.peer("load_peers", "digest", *daemon.files(dataset)),
                                       "dlt": plane.peer("load_peers", "digest", *told["files"])})
        figures = {"rows": rows, "rows_per_second": round(rows / median(ours)), "seconds": median(ours), "dlt_seconds": median(theirs),
                   "faster_than_dlt": ratio(theirs, ours), "peak_mb": max(peaks), "dlt_mb": max(peak_dlt)}
        return save("extract", "D4", figures, [Limit("faster_than_dlt", 5, over=True)], daemon, versions={"dlt": version})


load.number, extract.number = "D3", "D4"
