"""extract from MySQL, against a real MariaDB: types, chunks, what goes wrong, and the sample pipeline with its catalogue there."""
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import pytest

from conftest import ROOT, Daemon, standalone, wait_for, write_dag

sys.path.append(str(ROOT / "tests/pipelines"))

HERE = Path(__file__).parent
TRANSIENT, AUTH, SCHEMA, DATA_QUALITY, PERMANENT = 1, 3, 4, 5, 7  # ErrorClass in the run-state database


class MariaDB:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.start()
        self.port = int((self.folder / "port").read_text())
        self.sql("create database shop")

    def start(self):
        subprocess.run([HERE / "mariadb.sh", "start", self.folder], check=True, env={**os.environ, "MARIADB_TLS": "1"})

    def stop(self):
        subprocess.run([HERE / "mariadb.sh", "stop", self.folder], check=True)

    def kill(self):
        pid = int((self.folder / "pid").read_text())
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not Path(f"/proc/{pid}/exe").exists())

    def sql(self, text, database=None):
        done = subprocess.run(
            ["mariadb", "--no-defaults", "-uroot", f"--socket={self.folder}/sock", "--batch", "--skip-column-names", "--raw",
             "--default-character-set=utf8mb4", *([database] if database else [])], input=text, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def connection(self, **keys):
        extra = keys.pop("extra", {"sslmode": "disable"})
        return json.dumps({"conn_type": "mysql", "host": "127.0.0.1", "port": self.port, "login": "sluice", "password": "sluice-secret",
                           "schema": "shop", "extra": extra, **keys})


@contextlib.contextmanager
def mariadb():
    with tempfile.TemporaryDirectory(prefix="sluice-mariadb-", ignore_cleanup_errors=True) as folder:
        server = MariaDB(folder)
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="module")
def server():
    with mariadb() as made:
        yield made


@pytest.fixture(scope="module")
def daemon(server):
    ca = str(server.folder / "tls/ca.crt")
    connections = {
        "shop": server.connection(),
        # Airflow's form of the same.
        "uri": f"mysql://sluice:sluice-secret@127.0.0.1:{server.port}/shop?sslmode=disable&zero_dates=null&tinyint1_as_boolean=false",
        "checked": server.connection(host="localhost", extra={"sslrootcert": ca}),
        "encrypted": server.connection(extra={"sslmode": "require"}),
        "unknown_authority": server.connection(host="localhost", extra={}),
        "other_host": server.connection(extra={"ssl": {"ca": ca}}),
        "wrong_password": server.connection(password="mistaken"),
        "wrong_mode": server.connection(extra={"sslmode": "perhaps"}),
        "down": server.connection(port=1),
    }
    with standalone(env={"SLUICE_CONN_" + name.upper(): value for name, value in connections.items()}) as made:
        yield made


def start(daemon, name, source, columns=None, **keys):
    """Triggers one extract into raw.NAME; returns the run."""
    task = {key: keys.pop(key) for key in ("retries", "retry_delay") if key in keys}
    dataset = {"datasets": {f"raw.{name}": {"columns": columns}}} if columns else {}
    source = {"conn_id": "shop", **source}
    write_dag(daemon, name, [{"task_id": "read", "operator": "extract", **task,
                              "with": {"from": source, "to": f"raw.{name}", **keys.pop("with_", {})}}], **dataset, **keys)
    return daemon.trigger(name)["dag_run_id"]


def log(daemon, name, run, attempt=1):
    return "\n".join(daemon.log_lines(name, run, "read", attempt))


def succeed(daemon, name, *args, **keys):
    run = start(daemon, name, *args, **keys)
    assert daemon.wait_run(name, run)["state"] == "success", log(daemon, name, run)
    return run


def errors(daemon, name):
    """(error class, message) of the attempts that failed, in order."""
    with daemon.database() as db:
        return db.execute(
            "select error_class, error from (select a.run_key, a.start_no, a.error_class, a.error from attempt a "
            "union all select t.run_key, 1000, t.error_class, t.error from task_instance t) e join dag_run r using (run_key) "
            "where r.dag_id = %s and error <> '' order by start_no", (name,)).fetchall()


def fail(daemon, name, *args, **keys):
    """Error class and message."""
    run = start(daemon, name, *args, **keys)
    assert daemon.wait_run(name, run)["state"] == "failed"
    return errors(daemon, name)[-1]


def lake(daemon, name, sql):
    """Rows of a query over raw.NAME as `x`."""
    with duckdb.connect() as db:
        db.execute("set timezone = 'UTC'")
        db.execute(f"create view x as select * from read_parquet('{daemon.home}/lake/raw/{name}/**/*.parquet', hive_partitioning = false)")
        return db.execute(sql).fetchall()


TYPES = """create table types (
  id int primary key, small smallint unsigned, big bigint unsigned, flag tinyint(1), one bit(1), bits bit(12),
  price decimal(12,3), huge decimal(60,5), f float, d double, v varchar(40), fixed char(4), e enum('a','b'), s set('x','y'),
  j json, b varbinary(8), da date, dt datetime(6), ts timestamp(3) null, t time(2), y year, u uuid, txt longtext character set latin1);
insert into types values (1, 65535, 18446744073709551615, true, b'1', b'100000000001', -123456789.125,
  1234567890123456789012345678901234567890123456789012345.12345, 0.1, 0.1, 'Zoë 😀 ''"\\\\', 'ab', 'b', 'x,y',
  '{"a": [1, 2.50]}', x'00ff', '2026-01-05', '2026-01-05 07:08:09.123456', '2026-01-05 07:08:09.5', '23:59:59.25', 2026,
  '00112233-4455-6677-8899-aabbccddeeff', 'café'),
 (2, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null)"""


def test_every_type_keeps_its_digits(server, daemon):
    server.sql("set time_zone = '+00:00'; " + TYPES, "shop")
    run = succeed(daemon, "types", {"table": "types"})
    _, empty = lake(daemon, "types", "select columns('^[^_]')::varchar from x order by id")
    (types,) = lake(daemon, "types", "select " + ", ".join(
        f"typeof({c})" for c in "id small big flag one bits price huge f d v j b da dt ts t y u".split()) + " from x limit 1")
    assert types == ("INTEGER", "USMALLINT", "UBIGINT", "BOOLEAN", "BOOLEAN", "UBIGINT", "DECIMAL(12,3)", "VARCHAR", "FLOAT", "DOUBLE",
                     "VARCHAR", "JSON", "BLOB", "DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIME", "SMALLINT", "UUID")
    assert all(cell is None for cell in empty[1:23])
    (shown,) = lake(daemon, "types", "select concat_ws('|', small, big, flag, one, bits, price, huge, f, d, v, fixed, e, s) from x where id = 1")
    assert shown[0] == ("65535|18446744073709551615|true|true|2049|-123456789.125|1234567890123456789012345678901234567890123456789012345.12345|"
                        "0.1|0.1|Zoë 😀 '\"\\|ab|b|x,y")
    (shown,) = lake(daemon, "types", "select concat_ws('|', j->>'$.a[1]', hex(b), da, dt, ts, t, y, u, txt, _sluice_source) from x where id = 1")
    assert shown[0] == ("2.5|00FF|2026-01-05|2026-01-05 07:08:09.123456|2026-01-05 07:08:09.5+00|23:59:59.25|2026|"
                        "00112233-4455-6677-8899-aabbccddeeff|café|shop:types")
    summary = daemon.get(f"/api/v2/dags/types/dagRuns/{run}/taskInstances/read/xcomEntries/return_value")["value"]
    assert (summary["rows_in"], summary["rows_out"]) == (2, 2)


def test_values_that_are_none_name_connection_table_row_and_column(server, daemon):
    server.sql("set sql_mode = 'ALLOW_INVALID_DATES'; create table odd (id int primary key, made date, flag tinyint(1)); "
               "insert into odd values (1, '2026-01-05', 1), (2, '0000-00-00', 7), (3, '2026-01-06', 0)", "shop")
    kind, error = fail(daemon, "zero_date", {"table": "odd"})
    assert kind == DATA_QUALITY and error.startswith('connection "shop", odd: row 2, column "made" (date): a date with zeros') and "zero_dates" in error
    kind, error = fail(daemon, "no_boolean", {"table": "odd", "columns": ["id", "flag"]})
    assert kind == DATA_QUALITY and error.startswith('connection "shop", odd: row 2, column "flag" (tinyint(1)): neither 0 nor 1')
    # The connection may say what they are.
    succeed(daemon, "odd_by_uri", {"conn_id": "uri", "table": "shop.odd"})
    assert lake(daemon, "odd_by_uri", "select id, made::varchar, flag from x order by id") == [
        (1, "2026-01-05", 1), (2, None, 7), (3, "2026-01-06", 0)]
    server.sql("set sql_mode = 'ALLOW_INVALID_DATES'; update odd set made = '2026-02-31' where id = 3; update odd set made = null where id = 2", "shop")
    kind, error = fail(daemon, "no_such_date", {"table": "odd", "columns": "made"})
    assert kind == DATA_QUALITY and 'row 3, column "made" (date): a date that does not exist' in error and "31" not in error


def test_queries_conditions_and_what_is_new(server, daemon):
    server.sql("set time_zone = '+00:00'; create table new (id int primary key, zoned timestamp(6) null, naive datetime, label varchar(10)); "
               "insert into new select seq, '2026-01-04 22:00' + interval seq hour, '2026-01-04 22:00' + interval seq hour, concat('l', seq) "
               "from seq_0_to_30", "shop")
    day = {"conf": {}, "data_interval_start": "2026-01-04T23:00:00Z", "data_interval_end": "2026-01-05T23:00:00Z", "logical_date": "2026-01-04T23:00:00Z"}
    for column, name, zone in (("zoned", "by_zoned", "UTC"), ("naive", "by_naive", "Europe/Berlin")):
        write_dag(daemon, name, [{"task_id": "read", "operator": "extract", "with": {
            "from": {"conn_id": "shop", "table": "new", "where": "label <> {{ params.not }}"}, "incremental": column, "to": f"raw.{name}"}}],
            timezone=zone, params={"not": "l3'\\"}, schedule={"cron_interval": "@daily"}, start_date="2026-01-01", end_date="2026-01-01")
        run = daemon.request("POST", f"/api/v2/dags/{name}/dagRuns", json=day)["dag_run_id"]
        assert daemon.wait_run(name, run)["state"] == "success", log(daemon, name, run)
    assert lake(daemon, "by_zoned", "select min(id), max(id), count(*) from x") == [(1, 24, 24)]
    # 2026-01-05 in Berlin, whose local time the column has.
    assert lake(daemon, "by_naive", "select min(id), max(id), count(*) from x") == [(2, 25, 24)]
    succeed(daemon, "by_query", {"query": "select label, count(*) over () as n from new where id > 28"})
    assert lake(daemon, "by_query", "select label, n, _sluice_source from x order by 1") == [("l29", 2, "shop:query"), ("l30", 2, "shop:query")]


def test_a_cursor_goes_on_behind_what_was_read(server, daemon):
    server.sql("set time_zone = '+00:00'; create table log (id int primary key, zoned timestamp(6) null, naive datetime(3), day date, label varchar(10)); "
               "insert into log select seq, '2026-01-05' + interval seq hour, '2026-01-05' + interval seq hour, '2026-01-05' + interval seq day, "
               "concat('l', 100 + seq) from seq_1_to_20", "shop")
    for column, back in (("zoned", "3h"), ("naive", None), ("day", None), ("id", None), ("label", None)):
        server.sql("delete from log where id > 20", "shop")
        name = f"cursor_{column}"
        incremental = {"cursor": column, "key": "id", **({"lookback": back} if back else {})}
        write_dag(daemon, name, [{"task_id": "read", "operator": "extract", "max_active_tis_per_dag": 1,
                                  "with": {"from": {"conn_id": "shop", "table": "log"}, "incremental": incremental, "to": f"raw.{name}"}}],
                  timezone="Asia/Kolkata", datasets={f"raw.{name}": {"partition": "none"}})
        counts = []
        for _ in range(2):
            run = daemon.trigger(name)["dag_run_id"]
            assert daemon.wait_run(name, run)["state"] == "success", log(daemon, name, run)
            summary = daemon.get(f"/api/v2/dags/{name}/dagRuns/{run}/taskInstances/read/xcomEntries/return_value")["value"]
            counts.append((summary["rows_in"], summary["rows_out"]))
            server.sql("insert into log select id + 20, zoned + interval 20 hour, naive + interval 20 hour, day + interval 20 day, "
                       "concat('l', 120 + id) from log where id <= 20 and (select max(id) from log) = 20", "shop")
        # Only what is new leaves the server, and the last value again.
        assert counts == [(20, 20), (21 if back is None else 24, 20 if back is None else 23)], column


def test_chunks_are_the_table(server, daemon):
    server.sql("create table many (id bigint unsigned null, code varchar(12) collate utf8mb4_general_ci, made datetime, pad varchar(200), key (id)); "
               "insert into many select if(seq % 1000 = 0, null, seq), elt(seq % 3 + 1, concat('A', seq % 50), concat('a', seq % 50), null), "
               "'2026-01-05' + interval seq second, repeat('x', 150) from seq_1_to_20000", "shop")
    sums = "select count(*), count(id), count(distinct id), sum(id), count(code), min(made), max(made), sum(length(pad)) from x"
    succeed(daemon, "unchunked", {"table": "many"})
    whole = lake(daemon, "unchunked", sums)
    for name, chunk in {"by_id": {"column": "id", "rows": 1500, "parallel": 4}, "by_code": {"column": "code", "rows": 1000},
                        "by_time": {"column": "made", "rows": 19999, "parallel": 1}}.items():
        succeed(daemon, name, {"table": "many", "chunk": chunk})
        assert lake(daemon, name, sums) == whole
    # The key of the data set, else of the table, names the column.
    kind, error = fail(daemon, "by_nothing", {"table": "many", "chunk": {}})
    assert kind == SCHEMA and '"chunk" needs a column' in error
    succeed(daemon, "by_primary_key", {"table": "types", "chunk": {"rows": 1}})
    assert lake(daemon, "by_primary_key", "select count(*), count(ts) from x") == [(2, 1)]
    assert not (daemon.home / "lake/_spool").exists()


def test_a_server_killed_in_the_middle_costs_only_the_chunks_that_were_not_read(server, daemon):
    server.sql("create table slow as select seq as id from seq_1_to_1000", "shop")
    slow = {"query": "select id, sleep(0.01) as waited from slow", "chunk": {"column": "id", "rows": 100, "parallel": 2}}
    run = start(daemon, "killed", slow, retries=20, retry_delay="1s")
    done = lambda: len(list((daemon.home / "lake/_spool").glob("*/*.parquet")))
    wait_for(lambda: done() >= 2)
    server.kill()
    wait_for(lambda: daemon.tasks("killed", run)["read"]["state"] == "up_for_retry")
    kept = done()
    assert kept >= 2
    server.start()
    assert daemon.wait_run("killed", run)["state"] == "success"
    tried = errors(daemon, "killed")
    assert {kind for kind, _ in tried} == {TRANSIENT}
    assert 'connection "shop"' in tried[0][1] and "of 10, after row" in tried[0][1]
    tries = daemon.tasks("killed", run)["read"]["try_number"]
    assert f"goes on with {kept} of 10 chunks" in log(daemon, "killed", run, tries)
    assert lake(daemon, "killed", "select count(*), count(distinct id), sum(id) from x") == [(1000, 1000, 500500)]


def test_a_server_killed_under_a_whole_read_names_the_row(server, daemon):
    run = start(daemon, "cut_off", {"query": "select id, sleep(0.005) as waited, repeat('x', 20000) as pad from slow"})
    wait_for(lambda: "sleep" in server.sql("show full processlist"))
    time.sleep(0.3)  # let rows come
    server.kill()
    server.start()
    assert daemon.wait_run("cut_off", run)["state"] == "failed"
    kind, error = errors(daemon, "cut_off")[-1]
    assert kind == TRANSIENT and 'connection "shop"' in error and "after row " in error and "after row 0" not in error


def test_a_column_cannot_change_while_it_is_read_and_a_new_one_begins_anew(server, daemon):
    run = start(daemon, "altered", {"query": "select id, sleep(0.02) as waited from slow where id <= 100"})
    wait_for(lambda: "sleep(0.02)" in server.sql("show full processlist"))
    with pytest.raises(AssertionError, match="1205"):
        server.sql("set lock_wait_timeout = 1; alter table slow modify id varchar(20)", "shop")
    assert daemon.wait_run("altered", run)["state"] == "success"


def test_a_cancel_ends_the_attempt_and_the_statement_within_a_second(server, daemon):
    for name, query in {"sorts": "select sleep(60) as waited", "streams": "select id, sleep(0.05) as waited from slow"}.items():
        run = start(daemon, name, {"query": query})
        running = lambda: [line for line in server.sql("show full processlist").splitlines() if query in line]
        wait_for(running)
        begin = time.monotonic()
        daemon.request("PATCH", f"/api/v2/dags/{name}/dagRuns/{run}", json={"state": "failed"})
        wait_for(lambda: not running(), 5)
        assert time.monotonic() - begin < 2


@pytest.mark.parametrize("conn_id, kind, says", [
    ("wrong_password", AUTH, "Access denied"),
    ("unknown_authority", AUTH, "sslrootcert"),
    ("other_host", AUTH, "sslmode"),
    ("wrong_mode", PERMANENT, "perhaps"),
    ("down", TRANSIENT, "127.0.0.1"),
])
def test_a_server_that_is_not_there_or_not_itself(daemon, conn_id, kind, says):
    found, error = fail(daemon, "refused_" + conn_id, {"conn_id": conn_id, "table": "types"})
    assert found == kind and f'connection "{conn_id}"' in error and says in error, error
    assert "sluice-secret" not in error


def test_tls_is_used_where_it_can_be_checked(server, daemon):
    for conn_id in ("checked", "encrypted"):
        succeed(daemon, "tls_" + conn_id, {"conn_id": conn_id, "query": "select variable_value as cipher from information_schema.session_status "
                                                                       "where variable_name = 'ssl_cipher'"})
        assert lake(daemon, "tls_" + conn_id, "select cipher <> '' from x") == [(True,)]


def test_tables_and_columns_that_are_not_there(daemon):
    kind, error = fail(daemon, "no_table", {"table": "nothing"})
    assert kind == SCHEMA and error.startswith("connection \"shop\", nothing: Table 'shop.nothing' doesn't exist [1146]")
    kind, error = fail(daemon, "no_column", {"table": "types", "columns": ["id", "nope"]})
    assert kind == SCHEMA and 'connection "shop", types: the source has no column "nope"' in error
    kind, error = fail(daemon, "no_sql", {"query": "selec 1"})
    assert kind == PERMANENT and 'connection "shop"' in error and "[1064]" in error


def test_the_sample_pipeline_with_its_catalogue_in_mysql(server, tmp_path):
    from checker import invariants
    from checker.dimensions import Star
    from checker.found import Found
    from checker.source import Source
    from shop import backfill
    import shutil
    days = [f"2026-01-0{d}" for d in (1, 2, 3)]
    shutil.copytree(ROOT / "dags", tmp_path / "dag-files")
    daemon = Daemon(tmp_path, tmp_path / "dag-files", env={
        "SLUICE_CONN_CATALOG": f"mysql://sluice:sluice-secret@127.0.0.1:{server.port}/catalog?sslmode=disable"}).start()
    try:
        daemon.cli("sample", "ecommerce", "--days", "3", "--orders-per-day", "1000")
        with daemon.database("shop") as db:
            # The pipeline has them from MySQL alone.
            db.execute("alter table products rename to products_elsewhere")
            quoted = lambda v: "null" if v is None else "'" + (
                v.strftime("%Y-%m-%d %H:%M:%S.%f") if hasattr(v, "strftime") else str(v)).replace("\\", "\\\\").replace("'", "''") + "'"
            db.execute("set timezone = 'UTC'")
            rows = db.execute("select * from products_elsewhere").fetchall()
            server.sql("create database catalog; use catalog; set time_zone = '+00:00'; create table products (product_id bigint, sku varchar(40), "
                       "name varchar(200), category varchar(40), brand varchar(40), list_price_cents bigint, cost_cents bigint, "
                       "updated_at timestamp(6) null, deleted_at timestamp(6) null, recorded_at timestamp(6) null); insert into products values "
                       + ", ".join("(" + ", ".join(map(quoted, row)) + ")" for row in rows))
        wait_for(lambda: daemon.session.get(daemon.url + "/api/v2/dags/ecommerce_daily").status_code == 200, 20)
        daemon.unpause("ecommerce_daily")
        backfill(daemon, days[0], days[-1])
        with daemon.database("shop") as db:
            db.execute("alter table products_elsewhere rename to products")
        source = Source(tmp_path / "sample/ecommerce", daemon.database("shop"), days)
        star = Star(source, bytes.fromhex(json.loads((tmp_path / "secrets").read_text())["mask_master"]))
        found = Found(daemon.database("warehouse"), daemon.database(), tmp_path)
        invariants.versions(star, found, "product")
        invariants.facts(star, found)
        invariants.surrogate_keys(star, found)
        run = daemon.get("/api/v2/dags/ecommerce_daily/dagRuns?limit=1")["dag_runs"][0]["dag_run_id"]
        files = [file for (name, _), paths in found.slices().items() if name == "raw.products" for file in paths]
        assert run and duckdb.sql(f"select distinct _sluice_source from read_parquet({files})").fetchall() == [("catalog:products",)]
    finally:
        daemon.stop(20)
