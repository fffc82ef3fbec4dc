"""What loads and extracts are compared with: load_peers.py WHAT ...

    facts FOLDER ROWS           facts.parquet and products.parquet
    csv FROM TO COLUMNS         a Parquet file as CSV, as psql reads it
    digest FILES...             count and hash of the rows of Parquet files, whatever their order
    dlt URL SCHEMA TABLE FOLDER extract of a table to Parquet by dlt with its Arrow backend
"""
import glob
import json
import os
import resource
import sys
import time


def facts(folder, rows):
    import duckdb
    db, rows = duckdb.connect(), int(rows)
    db.execute("set timezone = 'UTC'")
    db.execute(f"""
        copy (select (i // 4)::bigint + 1 as order_id, (i % 4)::int + 1 as line_no, (hash(i // 4) % 100000)::bigint + 1 as customer_id,
            (hash(i) % 20000)::bigint + 1 as product_id, timestamptz '2026-01-05 00:00:00+00' + interval 1 second * (i % 86400) as ordered_at,
            ['completed', 'shipped', 'returned'][i % 3 + 1] as status, ['web', 'app', 'store'][i % 3 + 1] as channel,
            case when i % 50 = 9 then null else (i % 9)::int end as qty, (hash(i) % 20000 + 500)::bigint as gross_cents,
            ((hash(i) % 20000 + 500) * 0.9)::decimal(12, 2) as net, md5(i::varchar) as card
            from range({rows}) t(i))
        to '{folder}/facts.parquet' (format parquet, compression zstd)""")
    db.execute(f"""
        copy (select i + 1 as product_id, 'Product ' || i as name, ['Books', 'Toys', 'Food'][i % 3 + 1] as category from range(20000) t(i))
        to '{folder}/products.parquet' (format parquet, compression zstd)""")
    return {"rows": rows}


def csv(source, target, columns):
    import duckdb
    db = duckdb.connect()
    db.execute("set timezone = 'UTC'")
    db.execute(f"copy (select {columns} from '{source}') to '{target}' (format csv, header false)")
    return {"bytes": os.path.getsize(target)}


def digest(*files):
    import duckdb
    db = duckdb.connect()
    db.execute("set timezone = 'UTC'")
    names = [row[0] for row in db.execute("describe select * from read_parquet(?, hive_partitioning = false)", [list(files)]).fetchall()
             if not row[0].startswith("_")]
    items = ", ".join(f'"{name}"::varchar' for name in sorted(names))
    count, total = db.execute(f"select count(*), sum(hash({items})::hugeint)::varchar from read_parquet(?, hive_partitioning = false)",
                              [list(files)]).fetchone()
    return {"rows": count, "columns": len(names), "hash": total}


def by_dlt(url, schema, table, folder):
    os.environ |= {"DLT_DATA_DIR": folder + "/dlt", "RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR",
                   "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true"}
    import dlt
    from dlt.sources.sql_database import sql_table
    begin = time.perf_counter()
    pipeline = dlt.pipeline("bench", destination=dlt.destinations.filesystem(bucket_url="file://" + folder + "/out"),
                            dataset_name="bench", pipelines_dir=folder + "/pipelines")
    source = sql_table(credentials=url.replace("postgresql:", "postgresql+psycopg2:", 1), schema=schema, table=table, backend="pyarrow", chunk_size=100_000)
    pipeline.run(source, loader_file_format="parquet", write_disposition="replace").raise_on_failed_jobs()
    seconds = time.perf_counter() - begin
    files = glob.glob(folder + f"/out/bench/{table}/*.parquet")
    return {"seconds": round(seconds, 3), "version": dlt.__version__, "files": files,
            "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, 1)}


print(json.dumps({"facts": facts, "csv": csv, "digest": digest, "dlt": by_dlt}[sys.argv[1]](*sys.argv[2:])))
