"""A day of ecommerce_daily by hand: ecommerce_peers.py run HOME FOLDER API SECRET SHOP WAREHOUSE PSQL DAG | digest FILE

Reads the same sources, writes the same tiers as Parquet by DuckDB, masks to the same values, copies CSV into stages of the
warehouse, fills the same star, builds the same keys and views, compares counts and sums, and asks the report's queries. It
keeps no observations, no history of dimensions, no ledger and no hashes of rows.
"""
import base64
import csv
import datetime
import http.client
import json
import resource
import secrets
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests/pipelines"))
from checker import masking  # noqa: E402

DAY = datetime.date(2026, 1, 1)
PAGE = 1000
ORDER = ("order_id bigint, customer_id bigint, ordered_at varchar, status varchar, channel varchar, location_id bigint, "
         "currency varchar, discount_bp integer, card_number varchar, ip varchar, updated_at timestamptz")


def log_in(server, secret):
    server.request("POST", "/oauth/token", "grant_type=client_credentials", {
        "Authorization": "Basic " + base64.b64encode(secret.encode()).decode(), "Content-Type": "application/x-www-form-urlencoded"})
    return json.loads(server.getresponse().read())["access_token"]


def fetch_orders(api, secret, target):
    """All orders, one a line: they have no objects inside them. The API has its troubles, as every API."""
    host = urllib.parse.urlsplit(api)
    server = http.client.HTTPConnection(host.hostname, host.port)
    token, page = log_in(server, secret), 1
    with open(target, "wb") as out:
        while True:
            server.request("GET", f"/v1/orders?since={DAY}T00:00:00Z&until={DAY + datetime.timedelta(1)}T00:00:00Z&page={page}&per_page={PAGE}",
                           headers={"Authorization": "Bearer " + token})
            answer = server.getresponse()
            body = answer.read()
            if answer.status == 401:
                token = log_in(server, secret)
            elif answer.status != 200:
                time.sleep(float(answer.headers.get("Retry-After", 1)))
            elif body.startswith(b'{"data":[]'):
                return
            else:
                out.write(body[body.index(b"[") + 1:body.rindex(b"]")].replace(b"},{", b"}\n{") + b"\n")
                page += 1


class Hand:
    def __init__(self, home, folder, api, secret, shop, warehouse, psql, dag):
        import duckdb
        self.db = duckdb.connect()
        self.db.execute("set timezone = 'UTC'")
        self.landing, self.folder = Path(home) / "sample/ecommerce", Path(folder)
        self.api, self.secret, self.shop, self.warehouse, self.psql = api, secret, shop, warehouse, psql
        self.dag = json.loads(Path(dag).read_text())
        self.master = bytes.fromhex(json.loads((Path(home) / "secrets").read_text())["mask_master"])

    def write(self, name, sql):
        self.db.execute(f"copy ({sql}) to '{self.folder}/{name}.parquet' (format parquet, compression zstd)")

    def table(self, name):
        return f"'{self.folder}/{name}.parquet'"

    def sql(self, url, text):
        subprocess.run([self.psql, url, "-XqAt", "-v", "ON_ERROR_STOP=1"], input=text, text=True, check=True, stdout=subprocess.DEVNULL)

    def extract(self):
        landing = self.landing
        for table in ("customers", "products"):
            self.sql(self.shop, f"\\copy (select * from {table} where recorded_at >= '{DAY}' and recorded_at < '{DAY + datetime.timedelta(1)}') "
                                f"to '{self.folder}/{table}.csv' (format csv, header)")
            self.write("raw." + table, f"from read_csv('{self.folder}/{table}.csv', all_varchar = true)")
        fetch_orders(self.api, self.secret, self.folder / "orders.jsonl")
        fields = ", ".join(f"{name}: '{type_}'" for name, type_ in (part.split() for part in ORDER.split(", ")))
        self.write("raw.orders", f"from read_json('{self.folder}/orders.jsonl', format = 'newline_delimited', columns = {{{fields}}})")
        self.write("raw.order_items", f"from read_csv('{landing}/order_items/{DAY}.csv', header = true, delim = ',', quote = '\"', escape = '\"', ignore_errors = true, columns = "
                                      "{order_id: 'bigint', line_no: 'integer', product_id: 'bigint', qty: 'integer', unit_price_cents: 'varchar'})")
        self.write("raw.payments", f"from read_json('{landing}/payments/{DAY}.jsonl.gz', columns = {{payment_id: 'bigint', order_id: 'bigint', "
                                   "method: 'varchar', amount_cents: 'bigint', paid_at: 'timestamptz'})")
        self.write("raw.locations", f"from '{landing}/locations.parquet'")

    def validate(self):
        moment = ("coalesce(try_cast(ordered_at as timestamptz), try_strptime(ordered_at, '%d/%m/%Y %H:%M')::timestamptz, "
                  "to_timestamp(try_cast(ordered_at as bigint) / 1000))")
        money = ("case when unit_price_cents like '$%' then round(replace(unit_price_cents, '$', '')::decimal(18, 2) * 100)::bigint "
                 "when unit_price_cents like '%,%' then round(replace(unit_price_cents, ',', '.')::decimal(18, 2) * 100)::bigint "
                 "else try_cast(unit_price_cents as bigint) end")
        self.write("processed.customers", "select * replace (customer_id::bigint as customer_id, birth_date::date as birth_date, "
                   "marketing_opt_in::boolean as marketing_opt_in, updated_at::timestamptz as updated_at, deleted_at::timestamptz as deleted_at, "
                   f"recorded_at::timestamptz as recorded_at) from {self.table('raw.customers')} where birth_date::date >= date '1900-01-01'")
        self.write("processed.products", "select * replace (product_id::bigint as product_id, list_price_cents::bigint as list_price_cents, "
                   "cost_cents::bigint as cost_cents, updated_at::timestamptz as updated_at, deleted_at::timestamptz as deleted_at, "
                   f"recorded_at::timestamptz as recorded_at) from {self.table('raw.products')}")
        self.write("processed.orders", f"select * replace ({moment} as ordered_at) from {self.table('raw.orders')} where {moment} is not null "
                   "and lower(trim(status)) in ('completed', 'shipped', 'cancelled', 'returned') and discount_bp between 0 and 10000")
        self.write("processed.order_items", f"select * replace ({money} as unit_price_cents) from {self.table('raw.order_items')} i "
                   f"where qty between 1 and 1000 and {money} >= 0 and exists (from {self.table('processed.orders')} o where o.order_id = i.order_id)")
        self.write("processed.payments", f"from {self.table('raw.payments')} where amount_cents >= 0")
        self.write("processed.locations", f"from {self.table('raw.locations')}")

    def transform(self):
        title = "array_to_string(list_transform(string_split(lower(trim({0})), ' '), w -> upper(w[1]) || w[2:]), ' ')"
        self.write("processed.customers_clean", "select * exclude (recorded_at) replace (nfc_normalize(trim(full_name)) as full_name, "
                   f"lower(trim(email)) as email, {title.format('city')} as city, upper(trim(country)) as country, "
                   f"coalesce(segment, 'unknown') as segment, coalesce(marketing_opt_in, false) as marketing_opt_in) from {self.table('processed.customers')} "
                   "qualify row_number() over (partition by customer_id, updated_at order by recorded_at desc) = 1")
        self.write("curated.products", f"select * exclude (recorded_at) replace ({title.format('category')} as category, coalesce(brand, 'unknown') as brand) "
                   f"from {self.table('processed.products')}")
        self.write("curated.locations", f"select * replace ({title.format('city')} as city) from {self.table('processed.locations')}")
        self.write("processed.orders_clean", "select * replace (lower(trim(status)) as status, upper(trim(currency)) as currency, "
                   f"coalesce(discount_bp, 0) as discount_bp) from {self.table('processed.orders')} "
                   "qualify row_number() over (partition by order_id order by updated_at desc) = 1")
        self.write("processed.sales", f"""
            select *, qty * unit_price_cents as gross_cents,
                round_even(qty * unit_price_cents * (10000 - discount_bp) / 10000, 0)::bigint as net_cents
            from (select i.*, o.* exclude (order_id), p.method as payment_method
                from (from {self.table('processed.order_items')} qualify row_number() over (partition by order_id, line_no) = 1) i
                join {self.table('processed.orders_clean')} o using (order_id) left join {self.table('processed.payments')} p using (order_id))
            where status <> 'cancelled'""")

    def mask(self):
        rows = self.db.execute(f"from {self.table('processed.customers_clean')}").fetchall()
        names = [d[0] for d in self.db.description]
        keep = ["customer_id", "city", "state", "postal_code", "country", "segment", "marketing_opt_in", "updated_at", "deleted_at"]
        with open(self.folder / "customers_masked.csv", "w", newline="") as out:
            writer = None
            for values in rows:
                row = dict(zip(names, values))
                masked = {name: row[name] for name in keep} | masking.customer(self.master, row)
                masked["ssn"] = "tok_" + secrets.token_hex(13)
                writer = writer or csv.DictWriter(out, masked)
                if out.tell() == 0:
                    writer.writeheader()
                writer.writerow(masked)
        self.write("curated.customers", f"from read_csv('{self.folder}/customers_masked.csv')")
        card = "regexp_replace(left(card_number, -4), '[0-9A-Za-z]', '*', 'g') || right(card_number, 4)"
        self.write("curated.sales", f"select * replace ({card} as card_number, md5(ip) as ip) from {self.table('processed.sales')}")

    def load(self):
        schema, copies = "hand", ""
        tables = {"customers": "curated.customers", "products": "curated.products", "locations": "curated.locations", "sales": "curated.sales"}
        types = {"BIGINT": "bigint", "INTEGER": "integer", "BOOLEAN": "boolean", "DATE": "date", "TIMESTAMP WITH TIME ZONE": "timestamptz",
                 "TIMESTAMP": "timestamptz"}
        for name, source in tables.items():
            columns = [row[:2] for row in self.db.execute(f"describe from {self.table(source)}").fetchall()]
            self.db.execute(f"copy (from {self.table(source)}) to '{self.folder}/{name}_stage.csv' (format csv, header false)")
            definitions = ", ".join(f"{column} {types.get(type_, 'text')}" for column, type_ in columns)
            copies += (f"create unlogged table {schema}.stage_{name} ({definitions});\n"
                       f"\\copy {schema}.stage_{name} from '{self.folder}/{name}_stage.csv' (format csv)\nanalyze {schema}.stage_{name};\n")
        sales = [row[0] for row in self.db.execute(f"describe from {self.table('curated.sales')}").fetchall()]
        self.sql(self.warehouse, f"""
drop schema if exists hand cascade; create schema hand;
{copies}
begin;
create table hand.dim_date as select to_char(d, 'YYYYMMDD')::integer as date_sk, d::date as date, extract(year from d)::integer as year,
  extract(quarter from d)::integer as quarter, extract(month from d)::integer as month, to_char(d, 'YYYY-MM') as year_month,
  extract(week from d)::integer as iso_week, extract(isodow from d)::integer as day_of_week, extract(isodow from d) >= 6 as is_weekend,
  (extract(year from d) + (extract(month from d) >= 4)::int)::integer as fiscal_year, ((extract(month from d)::int + 8) % 12 / 3 + 1) as fiscal_quarter
  from generate_series(timestamp '2020-01-01', '2035-12-31', '1 day') d;
alter table hand.dim_date add primary key (date_sk);
create table hand.dim_location as select row_number() over (order by location_id) as location_sk, * from hand.stage_locations;
alter table hand.dim_location add primary key (location_sk), add unique (location_id);
create table hand.dim_product as select row_number() over (order by product_id, updated_at) as product_sk, *,
  case when row_number() over w = 1 then timestamptz '1900-01-01' else updated_at end as valid_from, coalesce(lead(updated_at) over w, 'infinity') as valid_to
  from hand.stage_products window w as (partition by product_id order by updated_at);
alter table hand.dim_product add primary key (product_sk), add unique (product_id, valid_from);
create table hand.dim_customer as select row_number() over (order by customer_id, updated_at) as customer_sk, *, false as is_inferred,
  case when row_number() over w = 1 then timestamptz '1900-01-01' else updated_at end as valid_from, coalesce(lead(updated_at) over w, 'infinity') as valid_to,
  lead(updated_at) over w is null as is_current
  from hand.stage_customers window w as (partition by customer_id order by updated_at);
insert into hand.dim_customer (customer_sk, customer_id, is_inferred, valid_from, valid_to, is_current)
  select (select max(customer_sk) from hand.dim_customer) + row_number() over (order by customer_id), customer_id, true, '1900-01-01', 'infinity', true
  from (select distinct customer_id from hand.stage_sales s where customer_id is not null
    and not exists (select from hand.dim_customer c where c.customer_id = s.customer_id)) x;
insert into hand.dim_customer (customer_sk, is_inferred, valid_from, valid_to, is_current) values (-1, false, '1900-01-01', 'infinity', true);
alter table hand.dim_customer add primary key (customer_sk), add unique (customer_id, valid_from);
analyze hand.dim_date; analyze hand.dim_location; analyze hand.dim_product; analyze hand.dim_customer;
create table hand.fact_sales as select s.{', s.'.join(sales)}, d.date_sk, coalesce(l.location_sk, -1) as location_sk,
  coalesce(c.customer_sk, -1) as customer_sk, coalesce(p.product_sk, -1) as product_sk, timestamptz '2026-01-01' as loaded_at
  from hand.stage_sales s left join hand.dim_date d on d.date = (s.ordered_at at time zone 'UTC')::date
  left join hand.dim_location l on l.location_id = s.location_id
  left join hand.dim_customer c on c.customer_id = s.customer_id and s.ordered_at >= c.valid_from and s.ordered_at < c.valid_to
  left join hand.dim_product p on p.product_id = s.product_id and s.ordered_at >= p.valid_from and s.ordered_at < p.valid_to;
alter table hand.fact_sales add primary key (order_id, line_no), add foreign key (date_sk) references hand.dim_date,
  add foreign key (location_sk) references hand.dim_location, add foreign key (customer_sk) references hand.dim_customer,
  add foreign key (product_sk) references hand.dim_product;
create index on hand.fact_sales (date_sk); create index on hand.fact_sales (location_sk); create index on hand.fact_sales (customer_sk);
create index on hand.fact_sales (product_sk); create index on hand.fact_sales (location_id); create index on hand.fact_sales (customer_id);
create index on hand.fact_sales (product_id);
commit;
analyze hand.fact_sales;""")

    def verify(self):
        items = "count(*), count(distinct order_id), sum(gross_cents)::bigint, sum(net_cents)::bigint"
        ours = self.db.execute(f"select {items} from {self.table('processed.sales')}").fetchone()
        theirs = subprocess.run([self.psql, self.warehouse, "-XqAtc", f"select {items} from hand.fact_sales"],
                                capture_output=True, text=True, check=True).stdout.strip()
        if "|".join(map(str, ours)) != theirs:
            raise SystemExit(f"processed {ours}, warehouse {theirs}")
        return list(ours)

    def publish(self):
        group = next(task for task in self.dag["tasks"] if task.get("group_id") == "publish")["tasks"]
        script = ""
        for task in group:
            with_ = task["with"]
            sql = "\n".join(with_["sql"]) if isinstance(with_.get("sql"), list) else with_.get("sql", "")
            sql = sql.replace("sales.", "hand.")
            if "to" in with_:
                kind = with_["materialized"].replace("_", " ")
                script += f"create {kind} {with_['to'].replace('sales.', 'hand.')} as {sql};\n"
            for query in with_.get("queries", {}).values():
                script += query.replace("sales.", "hand.") + ";\n"
        self.sql(self.warehouse, script)


def run(*args):
    hand, seconds = Hand(*args), {}
    begin = time.perf_counter()
    counts = None
    for step in ("extract", "validate", "transform", "mask", "load", "verify", "publish"):
        at = time.perf_counter()
        counts = getattr(hand, step)() or counts
        seconds[step] = round(time.perf_counter() - at, 3)
    return {"seconds": round(time.perf_counter() - begin, 3), "steps": seconds, "counts": counts,
            "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, 1)}


def digest(file):
    import duckdb
    db = duckdb.connect()
    db.execute("set timezone = 'UTC'")
    names = sorted(row[0] for row in db.execute("describe from read_parquet(?, hive_partitioning = false)", [file]).fetchall() if not row[0].startswith("_"))
    items = ", ".join(["count(*)", f"sum(hash({', '.join(f'{quoted(name)}::varchar' for name in names)})::hugeint)::varchar",
                       *(f"sum(hash({quoted(name)}::varchar)::hugeint)::varchar" for name in names)])
    values = db.execute(f"select {items} from read_parquet(?, hive_partitioning = false)", [file]).fetchone()
    return dict(zip(["rows", "whole rows", *names], values))


def quoted(name):
    return f'"{name}"'


print(json.dumps({"run": run, "digest": digest}[sys.argv[1]](*sys.argv[2:])))
