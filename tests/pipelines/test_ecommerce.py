"""The main example pipeline, from the sample's files to the warehouse, against plain Python over the same files."""
import datetime
import hashlib
import hmac
import json
import os
import random
import re
import shutil
import subprocess
import time

import pytest

from conftest import ROOT, SLUICE, Daemon, wait_for
from ecommerce_reference import UTC, Reference, scd2_versions

DAYS = [f"2026-01-{d:02d}" for d in range(1, 11)]
TABLES = ["dim_date", "dim_location", "dim_customer", "dim_product", "fact_sales"]


def start(home):
    """A daemon on the repository's DAGs with the sample in its home."""
    daemon = Daemon(home, ROOT / "dags").start()
    daemon.cli("sample", "ecommerce")
    wait_for(lambda: daemon.session.get(daemon.url + "/api/v2/dags/ecommerce_daily").status_code == 200, 20)
    daemon.unpause("ecommerce_daily")
    return daemon


def backfill(daemon, first=DAYS[0], last=DAYS[-1], reprocess="none", wait=True, **keys):
    made = daemon.request("POST", "/api/v2/backfills", json={
        "dag_id": "ecommerce_daily", "from_date": first, "to_date": last, "reprocess_behavior": reprocess,
        "max_active_runs": 4, **keys})
    if wait:
        wait_backfill(daemon, made)
    return made


def wait_backfill(daemon, made, seconds=240):
    def completed():
        """the backfill has completed"""
        return daemon.get(f"/api/v2/backfills/{made['id']}")["completed_at"]
    wait_for(completed, seconds, 0.1)
    runs = daemon.get("/api/v2/dags/ecommerce_daily/dagRuns?limit=100")["dag_runs"]
    failed = [run["dag_run_id"] for run in runs if run["state"] != "success"]
    for run_id in failed[:1]:
        for task, instance in daemon.tasks("ecommerce_daily", run_id).items():
            if instance["state"] == "failed":
                print(task, *daemon.log_lines("ecommerce_daily", run_id, task, instance["try_number"])[-15:], sep="\n  ")
    assert not failed


def contents(daemon):
    """Hash of every warehouse table without what may differ between equal warehouses (surrogate keys' values)."""
    out = {}
    with daemon.database("warehouse") as db:
        names = {}
        for table in TABLES:
            names[table] = [c for (c,) in db.execute(
                "select column_name from information_schema.columns where table_schema = 'sales' and table_name = %s "
                "order by 1", (table,)) if not c.endswith("_sk") and not c.startswith("_sluice")
                and c not in ("hd", "ssn")]  # tokens are random: those of two vaults differ
        for table, columns in names.items():
            rows = db.execute(f"select md5(x::text) from (select {', '.join(columns)} from sales.{table}) x order by 1")
            out[table] = hashlib.md5("".join(r for (r,) in rows).encode()).hexdigest()
        # Which version of which customer and product a fact points to, by natural key.
        rows = db.execute(
            "select md5(x::text) from (select f.order_id, f.line_no, c.customer_id, c.valid_from, p.product_id, "
            "p.valid_from from sales.fact_sales f join sales.dim_customer c using (customer_sk) "
            "join sales.dim_product p using (product_sk)) x order by 1")
        out["keys"] = hashlib.md5("".join(r for (r,) in rows).encode()).hexdigest()
    return out


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """The pipeline after its ten days, and the reference."""
    home = tmp_path_factory.mktemp("shop")
    daemon = start(home)
    try:
        backfill(daemon)
        yield daemon, Reference(home / "sample/ecommerce", DAYS)
    finally:
        daemon.stop(20)


def query(daemon, sql, *args):
    with daemon.database("warehouse") as db:
        return db.execute(sql, args).fetchall()


def test_the_facts_equal_the_files_by_day_and_in_all(shop):
    daemon, reference = shop
    mine = {row[0]: tuple(map(int, row[1:])) for row in query(
        daemon, "select (ordered_at at time zone 'UTC')::date, count(*), sum(gross_cents), sum(net_cents) "
        "from sales.fact_sales group by 1")}
    assert mine == reference.by(lambda fact: fact["at"].astimezone(UTC).date())


def test_the_facts_equal_the_files_by_channel_status_and_payment_method(shop):
    daemon, reference = shop
    mine = {(a, b, c): tuple(map(int, rest)) for a, b, c, *rest in query(
        daemon, "select channel, status, payment_method, count(*), sum(gross_cents), sum(net_cents) "
        "from sales.fact_sales group by 1, 2, 3")}
    assert mine == reference.by(lambda fact: (fact["channel"], fact["status"], fact["method"]))


def test_every_order_that_is_neither_cancelled_nor_quarantined_is_a_fact(shop):
    daemon, reference = shop
    (count,), = query(daemon, "select count(distinct order_id) from sales.fact_sales")
    # 10 days of 1,000 orders, one of 20 cancelled; 4 a day have an unreadable date (k % 500 = 47, 147) and one
    # more item fails its check without emptying its order (k % 250 = 99 has four lines).
    assert count == 10 * 1000 * 19 // 20 - 40
    assert count == len({order for order, _ in reference.facts})


def test_rows_flow_without_loss_raw_equals_processed_and_quarantined(shop):
    daemon, reference = shop
    for day in DAYS:
        run_id = next(run["dag_run_id"] for run in daemon.get(
            "/api/v2/dags/ecommerce_daily/dagRuns?limit=100")["dag_runs"] if run["logical_date"].startswith(day))
        base = f"/api/v2/dags/ecommerce_daily/dagRuns/{run_id}/taskInstances/"
        summary = daemon.get(base + "validate.orders/xcomEntries/return_value")["value"]
        expected = reference.days[day]
        assert (summary["rows_in"], summary["rows_quarantined"]) == (expected.orders_raw, expected.orders_quarantined)
        assert summary["rows_out"] == expected.orders_raw - expected.orders_quarantined
        read = daemon.get(base + "extract.orders/xcomEntries/return_value")["value"]
        assert (read["rows_out"], read["files"]) == (expected.orders_raw, -(-expected.orders_raw // 500) + 1)  # pages
        items = daemon.get(base + "validate.order_items/xcomEntries/return_value")["value"]
        assert items["rows_quarantined"] == expected.items_quarantined
        rejected = daemon.get(base + "extract.order_items/xcomEntries/return_value")["value"]
        assert rejected["rows_rejected"] == expected.items_rejected == 2


def test_customer_versions_equal_a_recomputation_from_the_change_log(shop):
    daemon, _ = shop
    tracked = ["full_name", "email", "phone", "ssn", "birth_date", "city", "state", "postal_code", "country", "segment"]
    with daemon.database("shop") as db:
        rows = db.execute("select customer_id, updated_at, recorded_at, deleted_at, " + ", ".join(tracked) +
                          " from customers where recorded_at < '2026-01-11'").fetchall()
    log = []
    for key, updated, recorded, deleted, *values in rows:
        attributes = dict(zip(tracked, values))
        attributes["city"] = attributes["city"].strip().title()
        attributes["segment"] = attributes["segment"] or "unknown"
        log.append(dict(key=key, updated_at=updated, recorded_at=recorded, deleted_at=deleted, **attributes))
    versions = scd2_versions(log, tracked)
    mine = dict(query(daemon, "select customer_id, count(*) from sales.dim_customer where customer_id is not null "
                      "and not is_inferred group by 1"))
    assert mine == {key: sum(state is not None for _, state in v) for key, v in versions.items()}


@pytest.mark.parametrize("table,key", [("dim_customer", "customer_id"), ("dim_product", "product_id")])
def test_scd2_has_no_overlap_and_one_current_row_a_key(shop, table, key):
    daemon, _ = shop
    (overlaps,), = query(daemon, f"select count(*) from sales.{table} a join sales.{table} b on a.{key} = b.{key} "
                         f"and a.{table[4:]}_sk < b.{table[4:]}_sk and a.valid_from < b.valid_to and b.valid_from < a.valid_to")
    assert overlaps == 0
    (doubled,), = query(daemon, f"select count(*) from (select {key} from sales.{table} where is_current "
                        f"group by 1 having count(*) > 1) x")
    assert doubled == 0
    (empty,), = query(daemon, f"select count(*) from sales.{table} where valid_from >= valid_to")
    assert empty == 0


def test_every_fact_points_to_the_version_that_was_valid_when_it_happened(shop):
    daemon, reference = shop
    for dim, key in (("customer", "customer_id"), ("product", "product_id")):
        (wrong,), = query(daemon, f"select count(*) from sales.fact_sales f join sales.dim_{dim} d using ({dim}_sk) "
                          f"where d.{key} is not null and d.{dim}_sk > 0 "
                          "and not (d.valid_from <= f.ordered_at and f.ordered_at < d.valid_to)")
        assert wrong == 0
    (unknown,), = query(daemon, "select count(*) from sales.fact_sales where customer_sk = -1")
    assert unknown == sum(fact["customer_id"] is None for fact in reference.facts.values())


def test_dim_date_is_whole_and_dim_location_is_unique(shop):
    daemon, _ = shop
    days = (datetime.date(2035, 12, 31) - datetime.date(2020, 1, 1)).days + 1
    assert query(daemon, "select count(*), min(date), max(date) from sales.dim_date where date_sk > 0")[0] == (
        days, datetime.date(2020, 1, 1), datetime.date(2035, 12, 31))
    assert query(daemon, "select count(*), count(distinct location_id) from sales.dim_location where location_sk > 0")[0] == (50, 50)


def test_no_personal_data_is_readable_in_warehouse_curated_files_logs_or_reports(shop):
    daemon, _ = shop
    canary = re.compile(rb"zq\d+canary|900-\d\d-\d{4}|9999-0000|2001:db8:cafe", re.IGNORECASE)
    with daemon.database("warehouse") as db:
        for table in TABLES:
            for (row,) in db.execute(f"select x::text from sales.{table} x"):
                found = canary.search(row.encode())
                # an e-mail keeps its domain and first letter by the policy (email_masked), never its local part
                assert found is None, f"{table}: {found}"
    for folder in ("lake/curated", "lake/reports", "logs"):
        for path in (daemon.home / folder).rglob("*"):
            if path.is_file() and path.suffix != ".parquet":
                assert canary.search(path.read_bytes()) is None, path


def hkdf(master, info):
    """HKDF-SHA256 with the salt of masking, by RFC 5869."""
    extracted = hmac.new(b"sluice/mask/v1", master, hashlib.sha256).digest()
    return hmac.new(extracted, info.encode() + b"\x01", hashlib.sha256).digest()


def test_masked_columns_equal_what_python_computes_from_the_source(shop):
    daemon, _ = shop
    secrets = json.loads((daemon.home / "secrets").read_text())
    key = hkdf(bytes.fromhex(secrets["mask_master"]), "hmac|email|k1")
    with daemon.database("shop") as db:
        source = {c: (email.strip().lower(), card) for c, email, card in db.execute(
            "select distinct on (customer_id) customer_id, email, birth_date from customers "
            "where recorded_at < '2026-01-11' order by customer_id, updated_at desc, recorded_at desc")}
    masked = query(daemon, "select customer_id, email_key, email_masked, birth_date from sales.dim_customer "
                   "where is_current and customer_id is not null and not is_inferred")
    assert len(masked) > 900
    for customer, email_key, email_masked, year in masked:
        email, born = source[customer]
        assert email_key == hmac.new(key, email.encode(), hashlib.sha256).hexdigest()
        assert email_masked == email[0] + "***" + email[email.rindex("@"):]
        assert year == born.year
    assert len({row[1] for row in masked}) == len({source[row[0]][0] for row in masked})


def test_tokens_give_their_values_back_to_the_role_privacy_alone(shop):
    daemon, _ = shop
    with daemon.database("shop") as db:
        source = dict(db.execute("select customer_id, min(ssn) from customers where recorded_at < '2026-01-11' "
                                 "group by 1 having count(distinct ssn) = 1"))
    tokens = dict(query(daemon, "select customer_id, ssn from sales.dim_customer where is_current and ssn is not null and customer_id is not null"))
    assert len(tokens) > 900 and all(re.fullmatch("tok_[0-9a-z]{26}", token) for token in tokens.values())
    assert len(set(tokens.values())) == len({source[c] for c in tokens if c in source})
    some = sorted(set(tokens) & set(source))[:20]
    ask = {"domain": "person", "tokens": [tokens[c] for c in some], "reason": "a test"}
    vault = "/ui/v1/vault/"
    # Not even an administrator.
    daemon.request("POST", vault + "detokenize", 403, json=ask)
    password = daemon.request("POST", "/ui/v1/users", 201, json={"name": "eve", "role": "privacy"})["password"]
    token = daemon.request("POST", "/auth/token", 201, json={"username": "eve", "password": password})["access_token"]
    eve = {"headers": {"Authorization": "Bearer " + token}}
    daemon.request("POST", vault + "detokenize", 422, json={**ask, "reason": ""}, **eve)
    assert daemon.request("POST", vault + "detokenize", json=ask, **eve)["values"] == [source[c] for c in some]
    daemon.request("POST", "/api/v2/pools", 403, json={"name": "x", "slots": 1}, **eve)
    # A new key changes no token and no value.
    assert "rows were brought under it" in daemon.cli("vault", "rotate", "--domain", "person").stdout
    assert daemon.request("POST", vault + "detokenize", json=ask, **eve)["values"] == [source[c] for c in some]
    # Erased by its value: gone, but the row can still be counted.
    gone = {"domain": "person", "values": [source[some[0]]], "reason": "asked to"}
    assert daemon.request("POST", vault + "erase", json=gone, **eve)["erased"] == 1
    assert daemon.request("POST", vault + "detokenize", json=ask, **eve)["values"][:2] == [None, source[some[1]]]
    assert "holds" in daemon.cli("vault", "verify").stdout
    with daemon.database("warehouse") as db:
        actions = db.execute("select actor, action, n from vault.access order by id").fetchall()
        assert ("ecommerce_daily.mask.customers", "tokenize") in {row[:2] for row in actions}
        assert [row for row in actions if row[0] == "eve"] == [
            ("eve", "detokenize", 20), ("eve", "detokenize", 20), ("eve", "erase", 1), ("eve", "detokenize", 19)]
        everything = " ".join(row for (row,) in db.execute(
            "select t::text || coalesce(encode(value_enc, 'escape'), '') from vault.token t"))
        assert not any(ssn in everything for ssn in source.values())
    audit = daemon.get("/api/v2/eventLogs?limit=100&order_by=-event_log_id")["event_logs"]
    assert sum(entry["event"] == "vault_detokenize" and entry["owner"] == "eve" for entry in audit) == 3
    assert not any(ssn in json.dumps(audit) for ssn in source.values())


def test_a_second_run_of_any_interval_changes_nothing(shop):
    daemon, _ = shop
    before = contents(daemon)
    backfill(daemon, DAYS[3], DAYS[5], reprocess="completed", run_backwards=True)
    assert contents(daemon) == before


def test_the_report_has_seven_queries_or_more_and_its_sums_equal_the_warehouse(shop):
    daemon, reference = shop
    reports = [path for path in daemon.home.rglob("revenue_by_month*") if path.suffix in (".csv", ".json")]
    pages = [path for path in daemon.home.rglob("*.html") if "ecommerce_daily" in str(path)]
    assert reports and pages
    page = max(pages, key=lambda path: path.stat().st_mtime).read_text()
    for title in ("revenue_by_month", "revenue_by_country", "top_products", "order_value_by_segment",
                  "share_by_category", "orders_by_channel", "returns_by_category", "customer_versions"):
        assert title in page or title.replace("_", " ") in page.lower()


def snapshot(daemon):
    """Every file of the home but PostgreSQL's and the daemon's log, every schema, every table with its rows."""
    files = {}
    for path in daemon.home.rglob("*"):
        relative = path.relative_to(daemon.home)
        if path.is_file() and not relative.parts[0].startswith("pg") and relative.parts[0] != "daemon.log":
            files[str(relative)] = (path.stat().st_size, path.stat().st_mtime_ns)
    tables = {}
    for database in ("sluice", "shop", "warehouse"):
        with daemon.database(database) as db:
            tables[database] = db.execute(
                "select nspname from pg_namespace where nspname !~ '^pg_(toast_)?temp' order by 1").fetchall()
            for schema, table in db.execute(
                    "select schemaname, tablename from pg_tables where schemaname !~ '^(pg_|information_schema)'").fetchall():
                tables[database, schema, table] = db.execute(f'select count(*) from "{schema}"."{table}"').fetchone()
    return files, tables


def test_dags_test_runs_a_day_beside_the_daemon_and_leaves_nothing_behind(shop, tmp_path):
    daemon, _ = shop
    files, tables = snapshot(daemon)
    before = contents(daemon)
    done = subprocess.run([SLUICE, "dags", "test", ROOT / "dags/ecommerce_daily.json", "2026-01-03", "--home", daemon.home],
                          capture_output=True, text=True, timeout=120, cwd=tmp_path,
                          env={**os.environ, "TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "load.fact_sales success" in done.stdout
    after = snapshot(daemon)
    assert after[0] == files
    assert after[1] == tables
    assert contents(daemon) == before
    assert not list(tmp_path.iterdir())


def test_kill_9_in_the_middle_gives_the_same_warehouse_as_no_kill(shop, tmp_path_factory):
    reference, _ = shop
    home = tmp_path_factory.mktemp("killed")
    # Pseudonyms depend on the master secret: the same one, so that they can be compared.
    shutil.copy(reference.home / "secrets", home / "secrets")
    daemon = start(home)
    try:
        made = backfill(daemon, wait=False)
        seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
        print(f"SEED={seed}")
        chance = random.Random(seed)
        for _ in range(3):
            time.sleep(chance.uniform(0.5, 2.5))
            daemon.kill()
            daemon.start()
        wait_backfill(daemon, made)
        assert contents(daemon) == contents(reference)
    finally:
        daemon.stop(20)
