"""What is there: the tables of the warehouse, read through one connection (so that a transaction can hide or show a change),
and the live Parquet files of the lake, which the run state's ledger names."""
import hashlib

import duckdb

DIMENSIONS = {"customer": ("dim_customer", "customer_id"), "product": ("dim_product", "product_id")}
TABLES = ["dim_date", "dim_location", "dim_customer", "dim_product", "fact_sales"]
# What a second run of the same interval may write otherwise: who wrote, and numbers that are handed out.
OWN = {"_sluice_run_id", "customer_sk", "product_sk", "location_sk"}


class Found:
    def __init__(self, warehouse, metadata, home):
        self.warehouse, self.metadata, self.home = warehouse, metadata, home

    def rows(self, sql, *args):
        cursor = self.warehouse.execute(sql, args or None)
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row)) for row in cursor]

    def facts(self):
        return self.rows("select * from sales.fact_sales")

    def versions(self, dimension):
        table, _ = DIMENSIONS[dimension]
        # Python has no infinite time: a version that holds still has `until` None.
        names = ", ".join(f'"{name}"' for name in self.columns(table) if name != "valid_to")
        return self.rows(f"select {names}, nullif(valid_to, 'infinity') as until from sales.{table}")

    def columns(self, table, schema="sales"):
        return [name for (name,) in self.warehouse.execute(
            "select attname from pg_attribute where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped order by 1",
            (f'"{schema}"."{table}"',))]

    def slices(self, dag_id="ecommerce_daily"):
        """{(dataset, day): [file]} of all live data of the lake that a DAG has written, but for what tells how it came about:
        rows that a quarantine has let go."""
        out = {}
        for dataset, partition, files in self.metadata.execute(
                "select dataset, partition, files from ledger where state = 'committed' and dag_id = %s and right(dataset, 9) <> '_released'", (dag_id,)):
            paths = [str(self.home / "lake" / file["path"]) for file in files or []]
            if paths:
                out.setdefault((dataset, partition.removeprefix("dt=")), []).extend(paths)
        return out

    def warehouse_hashes(self):
        """{table: hash} without what may differ between equal warehouses; and `keys`: the version of each dimension that a
        fact points to, by natural keys."""
        out = {}
        for table in TABLES + ["mv_daily_sales"]:
            columns = ", ".join(f'"{name}"' for name in self.columns(table) if name not in OWN)
            out[table] = self._hash(f"select {columns} from sales.{table}")
        out["keys"] = self._hash(
            "select f.order_id, f.line_no, c.customer_id, c.valid_from, p.product_id, p.valid_from, l.location_id "
            "from sales.fact_sales f join sales.dim_customer c using (customer_sk) join sales.dim_product p using (product_sk) "
            "join sales.dim_location l using (location_sk)")
        for (table,) in self.warehouse.execute("select tablename from pg_tables where schemaname = '_sluice' and tablename ~ 'obs$'").fetchall():
            columns = ", ".join(f'"{name}"' for name in self.columns(table, "_sluice") if name not in OWN)
            out[table] = self._hash(f'select {columns} from _sluice."{table}"')
        return out

    def _hash(self, sql):
        (digest,) = self.warehouse.execute(
            f"select md5(coalesce(string_agg(h, '' order by h), '')) from (select md5(x::text) as h from ({sql}) x) y").fetchone()
        return digest

    def lake_hashes(self):
        """{(dataset, partition): rows and hash}, free of order, of what readers of the lake see."""
        out = {}
        with duckdb.connect() as db:
            for place, files in sorted(self.slices().items()):
                names = [row[0] for row in db.execute("describe select * from read_parquet(?, union_by_name = true, hive_partitioning = false)", [files]).fetchall()]
                text = ", ".join(f'"{name}"' for name in sorted(names) if name not in OWN)
                hashes = db.execute(f"select md5(cast(row({text}) as varchar)) as h from read_parquet(?, union_by_name = true, hive_partitioning = false) order by h",
                                    [files]).fetchall()
                out[place] = (len(hashes), hashlib.md5("".join(h for (h,) in hashes).encode()).hexdigest())
        return out
