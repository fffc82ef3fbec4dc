"""The transform of the benchmark by DuckDB, pandas, polars and PySpark: transform_peers.py WHAT ...

    generate FOLDER ROWS               lines.parquet and orders.parquet
    digest FILES...                    count and hash of the rows, whatever their order
    duckdb|pandas|polars|pyspark OUT LINES ORDERS
Each prints one line of JSON: seconds from the first byte read to the last one written (imports and PySpark's session
not counted), peak memory of the process (of PySpark: of its JVM too), version.
"""
import glob
import json
import os
import resource
import shutil
import sys
import time

COLUMNS = ("order_id, line_no, product_id, sku, qty, unit_price_cents, updated_at, customer_id, status, channel, "
           "discount_bp, country, gross_cents, net_cents")


def generate(folder, rows):
    """Order lines, one of 100 a second time with a later change, and their orders."""
    import duckdb
    db, rows = duckdb.connect(), int(rows)
    db.execute("set timezone = 'UTC'")
    db.execute(f"""
        copy (select (i // 4)::bigint + 1 as order_id, (i % 4)::int + 1 as line_no, (hash(i) % 20000)::bigint + 1 as product_id,
            case when i % 10 = 3 then '  sku-' || hash(i) % 20000 || ' ' else 'SKU-' || hash(i) % 20000 end as sku,
            case when i % 100 = 7 then null else (hash(i + 1) % 9 + 1)::int end as qty,
            (hash(i + 2) % 20000 + 500)::bigint as unit_price_cents,
            timestamptz '2026-01-05 00:00:00+00' + interval 1 second * (i % 86400) as updated_at
            from range({rows}) t(i)
          union all
          select i * 50 // 4 + 1, (i * 50 % 4)::int + 1, (hash(i * 50) % 20000)::bigint + 1, 'sku-again', 1, 999,
            timestamptz '2026-01-06 12:00:00+00' from range({rows // 100}) t(i))
        to '{folder}/lines.parquet' (format parquet, compression zstd)""")
    db.execute(f"""
        copy (select i + 1 as order_id, (hash(i) % 100000)::bigint + 1 as customer_id,
            case i % 20 when 18 then 'cancelled' when 19 then ' Returned ' else 'completed' end as status,
            ['web', 'app', 'store'][i % 3 + 1] as channel,
            case when i % 50 = 9 then null else (i % 4 * 250)::int end as discount_bp, ['US', 'de ', 'Fr'][i % 3 + 1] as country
            from range({rows // 4}) t(i))
        to '{folder}/orders.parquet' (format parquet, compression zstd)""")
    return {"rows": rows}


def digest(*files):
    import duckdb
    db = duckdb.connect()
    db.execute("set timezone = 'UTC'")
    types = {"sku": "varchar", "status": "varchar", "channel": "varchar", "country": "varchar", "updated_at": "timestamptz"}
    items = ", ".join(f"cast({name} as {types.get(name, 'bigint')})" for name in COLUMNS.split(", "))
    count, total = db.execute(f"select count(*), sum(hash({items})::hugeint)::varchar from read_parquet(?)",
                              [list(files)]).fetchone()
    return {"rows": count, "hash": total}


def by_duckdb(out, lines, orders):
    import duckdb
    db = duckdb.connect()
    db.execute("set timezone = 'UTC'")
    begin = time.perf_counter()
    db.execute(f"""
        copy (
            with line as (
                select order_id, line_no, product_id, upper(trim(sku)) as sku, coalesce(qty, 1) as qty, unit_price_cents, updated_at
                from '{lines}' qualify row_number() over (partition by order_id, line_no order by updated_at desc) = 1),
            "order" as (
                select order_id, customer_id, lower(trim(status)) as status, channel, coalesce(discount_bp, 0) as discount_bp,
                    upper(trim(country)) as country from '{orders}')
            select order_id, line_no, product_id, sku, qty, unit_price_cents, updated_at, customer_id, status, channel,
                discount_bp, country, qty * unit_price_cents as gross_cents,
                floor(qty * unit_price_cents * (10000 - discount_bp) / 10000)::bigint as net_cents
            from line join "order" using (order_id) where status <> 'cancelled'
        ) to '{out}' (format parquet, compression zstd)""")
    return begin, duckdb.__version__


def by_pandas(out, lines, orders):
    import pandas
    begin = time.perf_counter()
    names = ["order_id", "line_no", "product_id", "sku", "qty", "unit_price_cents", "updated_at"]
    line = pandas.read_parquet(lines, columns=names)
    order = pandas.read_parquet(orders, columns=["order_id", "customer_id", "status", "channel", "discount_bp", "country"])
    line = line.sort_values("updated_at", ascending=False).drop_duplicates(["order_id", "line_no"])
    line["sku"] = line["sku"].str.strip().str.upper()
    line["qty"] = line["qty"].fillna(1).astype("int64")
    order["status"] = order["status"].str.strip().str.lower()
    order["country"] = order["country"].str.strip().str.upper()
    order["discount_bp"] = order["discount_bp"].fillna(0).astype("int64")
    order = order[order["status"] != "cancelled"]
    all_ = line.merge(order, on="order_id")
    all_["gross_cents"] = all_["qty"] * all_["unit_price_cents"]
    all_["net_cents"] = all_["gross_cents"] * (10000 - all_["discount_bp"]) // 10000
    all_.to_parquet(out, compression="zstd", index=False)
    return begin, pandas.__version__


def by_polars(out, lines, orders):
    import polars
    from polars import col
    begin = time.perf_counter()
    line = (polars.scan_parquet(lines)
            .select("order_id", "line_no", "product_id", col("sku").str.strip_chars().str.to_uppercase(),
                    col("qty").fill_null(1).cast(polars.Int64), "unit_price_cents", "updated_at")
            .sort("updated_at", descending=True).unique(["order_id", "line_no"], keep="first"))
    order = (polars.scan_parquet(orders)
             .select("order_id", "customer_id", col("status").str.strip_chars().str.to_lowercase(), "channel",
                     col("discount_bp").fill_null(0).cast(polars.Int64), col("country").str.strip_chars().str.to_uppercase())
             .filter(col("status") != "cancelled"))
    (line.join(order, on="order_id")
     .with_columns((col("qty") * col("unit_price_cents")).alias("gross_cents"))
     .with_columns((col("gross_cents") * (10000 - col("discount_bp")) // 10000).alias("net_cents"))
     .sink_parquet(out, compression="zstd"))
    return begin, polars.__version__


def by_pyspark(out, lines, orders):
    import pyspark
    from pyspark.sql import SparkSession, Window
    from pyspark.sql import functions as f
    spark = (SparkSession.builder.master(f"local[{os.cpu_count()}]").config("spark.driver.memory", "6g")
             .config("spark.sql.shuffle.partitions", str(2 * os.cpu_count())).config("spark.ui.enabled", "false")
             .config("spark.sql.parquet.compression.codec", "zstd").config("spark.sql.session.timeZone", "UTC")
             .config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1")
             .config("spark.local.dir", os.path.dirname(out)).getOrCreate())
    spark.sparkContext.setLogLevel("ERROR")
    begin = time.perf_counter()
    last = Window.partitionBy("order_id", "line_no").orderBy(f.desc("updated_at"))
    line = (spark.read.parquet(lines).withColumn("place", f.row_number().over(last)).where("place = 1")
            .select("order_id", "line_no", "product_id", f.upper(f.trim("sku")).alias("sku"),
                    f.coalesce("qty", f.lit(1)).cast("bigint").alias("qty"), "unit_price_cents", "updated_at"))
    order = (spark.read.parquet(orders)
             .select("order_id", "customer_id", f.lower(f.trim("status")).alias("status"), "channel",
                     f.coalesce("discount_bp", f.lit(0)).cast("bigint").alias("discount_bp"), f.upper(f.trim("country")).alias("country"))
             .where("status <> 'cancelled'"))
    (line.join(order, "order_id").withColumn("gross_cents", f.expr("qty * unit_price_cents"))
     .withColumn("net_cents", f.expr("gross_cents * (10000 - discount_bp) div 10000")).write.parquet(out))
    end = time.perf_counter()
    # The JVM has no parent's rusage while it runs.
    peak = int(next(line for line in open(f"/proc/{jvm()}/status") if line.startswith("VmHWM")).split()[1])
    spark.stop()
    return begin, pyspark.__version__, end, peak


def jvm():
    """The child of this process that is Java."""
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            text = open(path).read()
        except OSError:
            continue
        if text.split("(")[1].startswith("java") and int(text.rsplit(")", 1)[1].split()[1]) == os.getpid():
            return int(text.split()[0])
    raise SystemExit("there is no JVM")


def main(what, *args):
    if what in ("generate", "digest"):
        return {"generate": generate, "digest": digest}[what](*args)
    if os.path.isdir(args[0]):
        shutil.rmtree(args[0])
    begin, version, *rest = globals()[f"by_{what}"](*args)
    end = rest[0] if rest else time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + (rest[1] if rest else 0)
    return {"seconds": round(end - begin, 3), "peak_mb": round(peak * 1024 / 1e6, 1), "version": version}


print(json.dumps(main(*sys.argv[1:])))
