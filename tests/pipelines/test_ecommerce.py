"""The main example pipeline, from the sample's files to the warehouse, judged by the checker (checker/__init__.py): its lake,
its warehouse and its report against plain Python over the same files, for every order in which the days may be run."""
import json
import os
import re
import subprocess

import duckdb
import psycopg
import pytest

from checker import invariants, leaks, reports
from conftest import ROOT, SLUICE, write_dag
from shop import DAYS, ORDERS, RUNS, Shop, again, ask_again, backfill, chance, kill, runs, wait_success


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """The pipeline after its ten days, oldest first, and what its source says."""
    made = Shop(tmp_path_factory.mktemp("shop"))
    try:
        made.load()
        yield made
    finally:
        made.daemon.stop(20)


def test_rows_flow_without_loss_and_the_quarantine_holds_what_the_rules_name(shop):
    invariants.row_flow(shop.star, shop.found)
    invariants.quarantine(shop.star, shop.found)
    for day, run in runs(shop.daemon).items():
        for task in ("orders", "order_items"):
            flow = shop.source.days[day].flows[task]
            base = f"{RUNS}/{run['dag_run_id']}/taskInstances/"
            summary = shop.daemon.get(base + f"validate.{task}/xcomEntries/return_value")["value"]
            assert (summary["rows_in"], summary["rows_quarantined"], summary["rows_out"]) == (flow.raw, flow.aside.total(), flow.processed)
            assert shop.daemon.get(base + f"extract.{task}/xcomEntries/return_value")["value"].get("rows_rejected", 0) == flow.rejected
        read = shop.daemon.get(f"{RUNS}/{run['dag_run_id']}/taskInstances/extract.orders/xcomEntries/return_value")["value"]
        orders = shop.source.days[day].flows["orders"].raw
        assert (read["rows_out"], read["files"]) == (orders, -(-orders // 500) + 1)  # pages


def test_every_fact_is_there_once_with_the_cents_of_its_files(shop):
    invariants.facts(shop.star, shop.found)
    invariants.sums(shop.star, shop.found)
    invariants.orders_counted(shop.star, shop.found, ORDERS)


@pytest.mark.parametrize("dimension", ["customer", "product"])
def test_versions_equal_a_recomputation_from_the_change_log(shop, dimension):
    invariants.no_overlap(shop.star, shop.found, dimension)
    invariants.versions(shop.star, shop.found, dimension)


def test_every_fact_points_to_the_version_that_was_valid_when_it_happened(shop):
    invariants.surrogate_keys(shop.star, shop.found)


def test_dates_and_locations_are_whole(shop):
    invariants.dates(shop.star, shop.found)
    invariants.locations(shop.star, shop.found)


def test_masked_columns_are_what_python_makes_of_the_source(shop):
    invariants.masked(shop.star, shop.found)


def test_no_canary_is_readable_in_any_guise(shop):
    values = leaks.canaries(shop.source, shop.daemon.home / "sample/ecommerce")
    assert {column for column, _ in values} >= {"full_name", "email", "phone", "ssn", "street", "card_number", "ip", "gift_note"}
    leaks.leaks(values, leaks.places(shop.found))


def test_the_lineage_shows_a_mask_between_every_private_column_and_its_readers(shop):
    """Classes and columns from the DAG file, what may stay readable from the policy, the way from the API, the columns that
    there are from the warehouse itself."""
    dag = json.loads((ROOT / "dags/ecommerce_daily.json").read_text())
    private = {f"{name}.{column}" for name, dataset in dag["datasets"].items() for column, type_ in dataset["columns"].items()
               if "@" in str(type_) and "@quasi" not in str(type_)}
    datasets = {one["dataset"]: one for one in shop.daemon.get("/ui/v1/dags/ecommerce_daily/lineage")["datasets"]}
    steps = {f"{name}.{column['name']}": column["from"] for name, one in datasets.items() for column in one["columns"]}

    def ways(place):
        """[(column outside, the methods on the way)]"""
        above = [(how, way) for how in steps[place] for way in ways(f"{how['dataset']}.{how['column']}")]
        return [(begin, masks + [how["method"]] * how["masking"]) for how, (begin, masks) in above] or [(place, [])]
    published = [place for place in steps if not place.startswith(("raw.", "processed."))]
    for place in published:
        for begin, masks in ways(place):
            assert masks or begin not in private, f"{begin} reaches {place} unmasked"
    emails = {place: ways(place) for place in published if place.startswith("curated.") and ".email" in place}
    assert emails == {"curated.customers.email_key": [("raw.customers.email", ["hmac"])],
                      "curated.customers.email_masked": [("raw.customers.email", ["email"])]}
    assert {begin for place in published for begin, _ in ways(place)} >= private - {"raw.customers.street"}  # dropped
    assert ways("sales.v_customers.birth_year") == [("raw.customers.birth_date", ["year"])]
    assert sorted(ways("sales.fact_sales.net_cents")) == [
        ("raw.order_items.qty", []), ("raw.order_items.unit_price_cents", []), ("raw.orders.discount_bp", [])]
    for (table,) in shop.found.warehouse.execute("select relname from pg_class where relnamespace = 'sales'::regnamespace "
                                                 "and relkind in ('r', 'v', 'm')").fetchall():
        there = {name for (name,) in shop.found.warehouse.execute(
            "select attname from pg_attribute where attrelid = ('sales.' || %s)::regclass and attnum > 0 and not attisdropped", (table,))}
        known = {column["name"] for column in datasets["sales." + table]["columns"]}
        assert {name for name in there if not name.startswith("_sluice")} == known, table
    said = shop.daemon.cli("lineage", "ecommerce_daily", "sales.dim_customer.email_key").stdout
    assert "<- processed.customers_clean.email @email  by mask.customers (mask), masked by hmac" in said
    assert "read from outside by extract.customers" in said
    assert "curated.customers.email_masked" in shop.daemon.cli("lineage", "ecommerce_daily", "raw.customers.email", "--down").stdout
    assert "has no column" in shop.daemon.cli("lineage", "ecommerce_daily", "sales.dim_customer.nothing", check=False).stderr


def test_views_hold_what_their_queries_give_and_the_report_what_the_files_say(shop):
    invariants.materialized_views(shop.star, shop.found)
    # The last day's report may have been made before another day was loaded: made again, it shows all.
    last = runs(shop.daemon)[DAYS[-1]]["dag_run_id"]
    shop.daemon.request("POST", "/api/v2/dags/ecommerce_daily/clearTaskInstances", json={
        "dry_run": False, "dag_run_id": last, "task_ids": ["publish.report"], "only_failed": False})
    wait_success(shop.daemon)
    folder = shop.daemon.home / "lake/reports/ecommerce_daily" / DAYS[-1]
    reports.reports(shop.star, folder / "report.json")
    page = (folder / "report.html").read_text()
    for name in reports.QUERIES:
        assert (folder / f"{name}.csv").exists()
        assert name in page or name.replace("_", " ") in page.lower()


def test_readers_see_their_views_and_nothing_else(shop):
    """Logins of the roles of dags/access/warehouse.yaml, over connections of their own."""
    warehouse = shop.found.warehouse
    views = {"ana": ("sluice_bi", {"v_sales", "v_customers", "mv_daily_sales"}), "web": ("sluice_bi_web", {"v_sales"})}
    for login, (role, _) in views.items():
        warehouse.execute(f"create role {login} login in role {role}")
    everything = [f'"{schema}"."{name}"' for schema, name in warehouse.execute(
        "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "where n.nspname in ('sales', '_sluice', 'vault') and c.relkind in ('r', 'v', 'm')")]
    assert len(everything) > 15
    for login, (_, allowed) in views.items():
        with psycopg.connect(warehouse.info.dsn, user=login, autocommit=True) as db:
            for name in everything:
                if name.removeprefix('"sales".').strip('"') in allowed:
                    db.execute(f"select * from {name}").fetchall()
                    continue
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    db.execute(f"select * from {name}")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                db.execute("delete from sales.v_customers")
            seen = db.execute("select channel, count(*), sum(net_cents)::bigint from sales.v_sales group by 1 order by 1").fetchall()
            wanted = sorted((channel, n, net) for channel, (n, _, net) in shop.source.by(lambda fact: fact["channel"]).items()
                            if login == "ana" or channel != "store")
            assert seen == wanted and len(wanted) == (3 if login == "ana" else 2)


PLANTED = {
    "a row lost": ("delete from sales.fact_sales where (order_id, line_no) = (1234, 1)", "facts: line (1234, 1) is missing"),
    "a row doubled": (
        "alter table sales.fact_sales drop constraint fact_sales_pkey; "
        "insert into sales.fact_sales select * from sales.fact_sales where (order_id, line_no) = (1234, 1)",
        "facts: line (1234, 1) is there twice"),
    "a wrong surrogate key": (
        "update sales.fact_sales f set customer_sk = (select max(c.customer_sk) from sales.dim_customer c "
        "where c.customer_id = f.customer_id and c.customer_sk <> f.customer_sk) where (order_id, line_no) = "
        "(select order_id, line_no from sales.fact_sales g where (select count(*) from sales.dim_customer c "
        "where c.customer_id = g.customer_id) > 1 order by 1, 2 limit 1)",
        "surrogate_keys: line .* points to customer_id .* expected"),
    "a version that overlaps the next": (
        "update sales.dim_customer set valid_to = valid_to + interval '1 hour' where customer_sk = "
        "(select min(customer_sk) from sales.dim_customer where not is_current and customer_sk > 0)",
        "no_overlap: customer_id .* overlap"),
    "cents off by one": (
        "update sales.fact_sales set net_cents = net_cents + 1 where (order_id, line_no) = (1234, 1)",
        "facts: line (1234, 1): net_cents is"),
    "an unmasked value": (
        "update sales.dim_customer set full_name = 'Zq500canary Person' where customer_id = 500 and is_current",
        "versions: customer_id 500 .* full_name is"),
}


@pytest.mark.parametrize("error", PLANTED)
def test_the_checker_finds_a_planted_error(shop, error):
    sql, message = PLANTED[error]
    warehouse = shop.found.warehouse
    with pytest.raises(invariants.Broken) as caught, warehouse.transaction(force_rollback=True):
        for statement in sql.split("; "):
            assert warehouse.execute(statement).rowcount != 0
        invariants.of_warehouse(shop.star, shop.found, ORDERS)
    assert re.match(re.escape(message).replace(r"\.\*", ".*"), str(caught.value)), str(caught.value)


def test_the_leak_scan_finds_a_canary_in_any_guise(shop, tmp_path):
    values = leaks.canaries(shop.source, shop.daemon.home / "sample/ecommerce")
    number = next(value for column, value in values if column == "ssn")
    address = next(value for column, value in values if column == "email")
    with duckdb.connect() as db:
        for i, text in enumerate((address.upper(), number, number.replace("-", ""))):
            db.execute(f"copy (select range as id, if(range = 777, '{text}', 'x') as note from range(1000)) to '{tmp_path}/{i}.parquet'")
            with pytest.raises(invariants.Broken, match="^leaks: .* shows"):
                leaks.leaks(values, leaks.parquet(tmp_path / f"{i}.parquet"))
    plain, exact, digests = leaks.guises(values)
    for text in [*plain, *exact, *digests]:
        with pytest.raises(invariants.Broken, match="^leaks: a file shows"):
            leaks.leaks(values, [("a file", b"some " + text + b" text")])
    leaks.leaks(values, [("a file", b"z***@example.com ****-****-****-0500")])


def publish(daemon, name, **gate):
    """Publishes all customers that there are by age band, state and segment; returns the run's states and the mask's log."""
    people = "select * from (select distinct on (customer_id) * from customers where recorded_at < '2026-01-11' order by customer_id, " \
             "updated_at desc) x where deleted_at is null"
    write_dag(daemon, name, [
        {"task_id": "extract", "operator": "extract", "with": {"from": {
            "conn_id": "shop", "query": f"select customer_id, birth_date, state, segment from ({people}) y"}, "to": f"raw.{name}"}},
        {"task_id": "validate", "operator": "validate", "with": {"from": f"raw.{name}", "to": f"processed.{name}"}},
        {"task_id": "mask", "operator": "mask", "with": {
            "from": f"processed.{name}", "to": f"curated.{name}", "rules": {"birth_date": {"method": "bucket", "unit": "decade"}},
            "k_anonymity": {"quasi": ["birth_date", "state", "segment"], "k": 5, "force": True, **gate}}},
    ], policy="policies/pii.yaml", schedule={"cron_interval": "@daily"}, start_date="2026-01-01", end_date="2026-01-10", on_unpause="none",
        datasets={f"raw.{name}": {"columns": {
            "customer_id": "bigint not null", "birth_date": "date @dob", "state": "varchar @quasi", "segment": "varchar @quasi"}}})
    run_id = daemon.trigger(name, logical_date="2026-01-10T00:00:00Z", data_interval_start="2026-01-10T00:00:00Z",
                            data_interval_end="2026-01-11T00:00:00Z")["dag_run_id"]
    daemon.wait_run(name, run_id)
    states = {task: instance["state"] for task, instance in daemon.tasks(name, run_id).items()}
    return states, "\n".join(daemon.log_lines(name, run_id, "mask"))


def test_small_classes_of_customers_stop_a_publication_or_are_suppressed(shop):
    people = {}
    for row in sorted(shop.source.customers, key=lambda row: row["updated_at"]):
        people[row["key"]] = row
    with shop.daemon.database("shop") as db:
        segments = dict(db.execute("select customer_id, max(segment) from customers group by 1").fetchall())
    classes = [(row["birth_date"].replace(row["birth_date"].year // 10 * 10, 1, 1), row["state"], segments[row["key"]])
               for row in people.values() if not row["deleted_at"]]
    states, log = publish(shop.daemon, "strict")
    assert states["mask"] == "failed" and "classes of birth_date, state, segment" in log, log
    assert ("curated.strict", "2026-01-10") not in shop.found.slices("strict")
    states, log = publish(shop.daemon, "lenient", enforce="suppress", max_suppressed="100%")
    assert set(states.values()) == {"success"}, log
    with duckdb.connect() as db:
        files = shop.found.slices("lenient")["curated.lenient", "2026-01-10"]
        found = db.execute("select birth_date, state, segment from read_parquet(?, hive_partitioning = false)", [files]).fetchall()
    assert len(found) == len(classes)
    invariants.anonymous(found, classes, 5, suppressed=True)
    with pytest.raises(invariants.Broken, match="^anonymous: .* rows"):
        invariants.anonymous(classes, classes, 5, suppressed=False)


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
    daemon = shop.daemon
    files, tables = snapshot(daemon)
    before = shop.found.warehouse_hashes()
    done = subprocess.run([SLUICE, "dags", "test", ROOT / "dags/ecommerce_daily.json", "2026-01-03", "--home", daemon.home],
                          capture_output=True, text=True, timeout=120, cwd=tmp_path,
                          env={**os.environ, "TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "load.fact_sales success" in done.stdout
    after = snapshot(daemon)
    assert after[0] == files
    assert after[1] == tables
    assert shop.found.warehouse_hashes() == before
    assert not list(tmp_path.iterdir())


def test_a_second_run_of_any_interval_changes_nothing_and_readers_see_nothing_half(shop):
    with shop.read_all_the_time():
        backfill(shop.daemon, DAYS[2], DAYS[4], reprocess="completed", run_backwards=True)
    shop.same()


def test_an_interval_that_was_wrong_and_is_corrected_leaves_no_trace(shop):
    """Orders lost, orders of customers, products and places that there are not, moves and deletes that never were."""
    day, folder = DAYS[3], shop.daemon.home / "sample/ecommerce"
    files = {folder / f"orders/{day}.jsonl": None, folder / f"order_items/{day}.csv": None}
    for path in files:
        files[path] = path.read_text()
    orders, items = (text.splitlines(keepends=True) for text in files.values())
    wrong = []
    for i, line in enumerate(orders):
        order = json.loads(line)
        order["customer_id"] = 5000 + i if i % 7 == 0 else order["customer_id"]
        order["location_id"] = None if i % 11 == 0 else 700 if i % 11 == 1 else order["location_id"]
        if i % 40:
            wrong.append(json.dumps(order) + "\n")
    first, second = files
    first.write_text("".join(wrong))
    second.write_text("".join(
        re.sub(r"^(\d+,\d+),(\d+)", r"\1,9\2", line) if i % 9 == 1 else line for i, line in enumerate(items)))
    latest = "select distinct on (customer_id) * from customers where recorded_at <= %(at)s::timestamptz and customer_id <= 80 " \
             "order by customer_id, updated_at desc"
    with shop.daemon.database("shop") as db:
        db.execute("create table held as table customers")
        db.execute(f"""insert into customers select (jsonb_populate_record(null::customers, to_jsonb(x) || jsonb_build_object(
                       'city', 'Nowhere', 'recorded_at', %(at)s::timestamptz, 'updated_at', %(at)s::timestamptz - interval '2 days 1 second',
                       'deleted_at', case when customer_id > 40 then %(at)s::timestamptz - interval '2 days 1 second' end))).*
                       from ({latest}) x""", {"at": day + " 05:00:00+00"})
    again(shop.daemon, [day])
    shop.connect()
    with pytest.raises(invariants.Broken):
        shop.same()
    (gaps,) = shop.found.warehouse.execute("select count(*) from sales.fact_sales where customer_sk = -2").fetchone()
    assert gaps > 0
    for path, text in files.items():
        path.write_text(text)
    with shop.daemon.database("shop") as db:
        db.execute("delete from customers")
        db.execute("insert into customers table held")
        db.execute("drop table held")
    again(shop.daemon, [day])
    shop.same()


def test_newest_to_oldest_gives_the_same_warehouse(shop):
    shop.empty()
    with shop.read_all_the_time():
        backfill(shop.daemon, reprocess="completed", run_backwards=True)
    shop.same()


def test_any_order_with_repeats_and_kills_gives_the_same_warehouse(shop):
    shop.empty()
    when = chance()
    days = when.sample(DAYS, len(DAYS))
    with shop.read_all_the_time():
        ask_again(shop.daemon, days)
        kill(shop.daemon, when, 3)
        wait_success(shop.daemon)
        again(shop.daemon, days[:2])
    shop.connect()
    shop.same()
    invariants.of_warehouse(shop.star, shop.found, ORDERS)


def test_tokens_give_their_values_back_to_the_role_privacy_alone(shop):
    daemon = shop.daemon
    with daemon.database("shop") as db:
        source = dict(db.execute("select customer_id, min(ssn) from customers where recorded_at < '2026-01-11' "
                                 "group by 1 having count(distinct ssn) = 1"))
    tokens = dict(shop.found.warehouse.execute("select customer_id, ssn from sales.dim_customer where is_current and ssn is not null and customer_id is not null"))
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
