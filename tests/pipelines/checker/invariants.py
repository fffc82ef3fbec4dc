"""One function an invariant of docs/design/operators.md, section 11. Each raises Broken, whose text begins with the function's
name and says what differs; `star` is the expected side, `found` what is there."""
import collections
import datetime
import functools
import re

import duckdb

from . import masking
from .dimensions import INVALID, UNKNOWN, UTC
from .found import DIMENSIONS


class Broken(AssertionError):
    """An invariant does not hold."""


def invariant(check):
    """Puts the check's name before what it has found."""
    @functools.wraps(check)
    def run(*args, **keys):
        found = check(*args, **keys)
        if found:
            raise Broken(f"{check.__name__}: " + "; ".join(found[:5]) + (f"; and {len(found) - 5} more" if len(found) > 5 else ""))
    return run


def compared(expected, there, what=""):
    """What differs between two dictionaries."""
    out = [f"{what}{key} is missing (expected {expected[key]})" for key in expected if key not in there]
    out += [f"{what}{key} should not be there ({there[key]})" for key in there if key not in expected]
    out += [f"{what}{key} is {there[key]}, expected {expected[key]}" for key in expected if key in there and there[key] != expected[key]]
    return out


# 1. rows flow

@invariant
def row_flow(star, found):
    """Of every table and day: raw = set aside + doubled + kept, and each of these is what the files say."""
    out, slices = [], found.slices()
    steps = {"orders": "processed.orders_clean", "customers": "processed.customers_clean"}
    with duckdb.connect() as db:
        def count(dataset, day):
            files = slices.get((dataset, day), [])
            return db.execute("select count(*) from read_parquet(?, hive_partitioning = false)", [files]).fetchone()[0] if files else 0
        for day, expected in star.source.days.items():
            for table, flow in expected.flows.items():
                there = dict(raw=count(f"raw.{table}", day), rejected=count(f"raw.{table}_rejects", day),
                             aside=count(f"raw.{table}_quarantine", day), processed=count(f"processed.{table}", day))
                wanted = dict(raw=flow.raw, rejected=flow.rejected, aside=flow.aside.total(), processed=flow.processed)
                if table in steps:
                    there["clean"], wanted["clean"] = count(steps[table], day), flow.clean
                    if there["raw"] != there["aside"] + (there["processed"] - there["clean"]) + there["clean"]:
                        out.append(f"{table} of {day}: {there} do not add up")
                out += compared(wanted, there, f"{table} of {day}: ")
            sales = sum(fact["at"] is not None for fact in expected.facts().values())
            if count("curated.sales", day) != sales:
                out.append(f"curated.sales of {day} has {count('curated.sales', day)} rows, expected {sales}")
    return out


@invariant
def quarantine(star, found):
    """The rows set aside are those that the rules name, with their reasons."""
    out, slices = [], found.slices()
    with duckdb.connect() as db:
        for day, expected in star.source.days.items():
            for table in ("orders", "order_items", "payments"):
                files = slices.get((f"raw.{table}_quarantine", day), [])
                rows = db.execute("select order_id, _reasons from read_parquet(?, hive_partitioning = false)", [files]).fetchall() if files else []
                there = collections.Counter(
                    (int(order), "+".join(sorted({re.split(r"[: ]", reason)[0] for reason in reasons}))) for order, reasons in rows)
                out += compared(expected.flows[table].aside, there, f"{table} of {day}, order ")
    return out


# 2. and 3. facts and their sums

@invariant
def facts(star, found):
    """Every line of every order, once, with every column as the files have it after cleaning and masking."""
    wanted = {
        key: dict(product_id=fact["product_id"], qty=fact["qty"], unit_price_cents=fact["price"], customer_id=fact["customer_id"],
                  ordered_at=fact["at"], status=fact["status"], channel=fact["channel"], location_id=fact["location_id"],
                  currency=fact["currency"], discount_bp=fact["discount_bp"], updated_at=fact["updated_at"],
                  payment_method=fact["method"], gross_cents=fact["gross"], net_cents=fact["net"],
                  date_sk=int(fact["at"].astimezone(UTC).strftime("%Y%m%d")), **masking.order(fact))
        for key, fact in star.source.facts.items()}
    there, out = {}, []
    for row in found.facts():
        key = (row.pop("order_id"), row.pop("line_no"))
        if key in there:
            out.append(f"line {key} is there twice")
        there[key] = row
    for key, fact in wanted.items():
        if key not in there:
            out.append(f"line {key} is missing")
            continue
        out += [f"line {key}: {name} is {there[key][name]}, expected {value}" for name, value in fact.items() if there[key][name] != value]
    return out + [f"line {key} should not be there" for key in there if key not in wanted]


def _total(rows, key):
    out = collections.defaultdict(lambda: [0, 0, 0, 0])
    for row in rows:
        for i, value in enumerate((1, row[6], row[7], row[8])):
            out[key(row)][i] += value
    return {k: tuple(v) for k, v in out.items()}


@invariant
def sums(star, found):
    """Lines, units, gross and net cents by day, by category and by country of the versions that were valid."""
    sales, out = list(star.sales()), []
    for name, sql, key in (("day", "d.date", 2), ("category", "p.category", 12), ("country", "c.country", 11)):
        there = {row["key"]: (row["n"], row["units"], row["gross"], row["net"]) for row in found.rows(
            f"select {sql} as key, count(*) as n, sum(qty)::bigint as units, sum(gross_cents)::bigint as gross, "
            "sum(net_cents)::bigint as net from sales.fact_sales f join sales.dim_date d using (date_sk) "
            "join sales.dim_product p using (product_sk) join sales.dim_customer c using (customer_sk) group by 1")}
        out += compared(_total(sales, lambda row, key=key: row[key]), there, f"{name} ")
    return out


@invariant
def orders_counted(star, found, orders_per_day):
    """Orders in the facts, by arithmetic over the generator's rules alone: one of twenty is cancelled; those without a
    readable date (k % 500 = 47, 147) are set aside. An order with a bad quantity (k % 250 = 99) has a second line, and one that
    is late (k % 200 = 77) comes in the last day's file at the latest."""
    days, n = len(star.source.days), orders_per_day
    wanted = days * n * 19 // 20 - days * n // 500 * 2
    (row,) = found.rows("select count(distinct order_id) as n from sales.fact_sales")
    return [] if row["n"] == wanted else [f"{row['n']} orders, expected {wanted}"]


# 4. and 5. versions, and the facts that point to them

@invariant
def versions(star, found, dimension):
    """Every version of every key is the one that the change log makes: times, values, flags; the made-up members are there."""
    _, key = DIMENSIONS[dimension]
    expected = star.customers if dimension == "customer" else star.products
    wanted, there, out = {}, {}, []
    for one, chain in expected.items():
        for version in chain:
            flags = dict(until=version.until, is_current=version.until is None, is_inferred=version.values is None)
            wanted[one, version.since] = {**(version.values or {}), **flags}
    rows = found.versions(dimension)
    tokens = {}
    for row in rows:
        if row[dimension + "_sk"] < 0:
            continue
        place = (row[key], row["valid_from"])
        if place in there:
            out.append(f"version {place} is there twice")
        there[place] = row
    for place, values in wanted.items():
        row = there.get(place)
        if row is None:
            out.append(f"{key} {place[0]} has no version from {place[1]}")
            continue
        secret = values.pop("ssn", None)  # a random token, but the same one for the same number
        if secret is not None and not re.fullmatch("tok_[0-9a-z]{26}", row["ssn"] or ""):
            out.append(f"{key} {place[0]}: ssn is no token")
        if secret is not None and tokens.setdefault(secret, row["ssn"]) != row["ssn"]:
            out.append(f"{key} {place[0]}: its ssn has two tokens")
        out += [f"{key} {place[0]} from {place[1]}: {name} is {row[name]}, expected {value}"
                for name, value in values.items() if row[name] != value]
    if len(set(tokens.values())) != len(tokens):
        out.append("two numbers have one token")
    out += [f"{key} {place[0]} should have no version from {place[1]}" for place in there if place not in wanted]
    return out


@invariant
def no_overlap(star, found, dimension):
    """By the table alone: times in order, no overlap, one current row a key at most, neighbours that differ, a gap only where
    the log has a deletion."""
    _, key = DIMENSIONS[dimension]
    log = star.source.customers if dimension == "customer" else star.source.products
    gone = {(row["key"], row["updated_at"]) for row in log if row["deleted_at"]}
    by_key, out = collections.defaultdict(list), []
    for row in found.versions(dimension):
        if row[dimension + "_sk"] > 0:
            by_key[row[key]].append(row)
    own = {dimension + "_sk", "valid_from", "until", "is_current", "is_inferred", "updated_at"}
    for one, chain in by_key.items():
        chain.sort(key=lambda row: row["valid_from"])
        for row in chain:
            if row["until"] is not None and row["until"] <= row["valid_from"]:
                out.append(f"{key} {one}: a version ends at {row['until']}, before it begins")
            if row["is_current"] != (row["until"] is None):
                out.append(f"{key} {one}: the version from {row['valid_from']} is current and ended, or neither")
        if sum(row["is_current"] for row in chain) > 1:
            out.append(f"{key} {one} has two current versions")
        for a, b in zip(chain, chain[1:]):
            if a["until"] is None or a["until"] > b["valid_from"]:
                out.append(f"{key} {one}: the versions from {a['valid_from']} and {b['valid_from']} overlap")
            elif a["until"] < b["valid_from"]:
                if (one, a["until"]) not in gone:
                    out.append(f"{key} {one}: a gap from {a['until']} without a deletion")
            elif all(a[name] == b[name] for name in a if name not in own and not name.startswith("_sluice")):
                out.append(f"{key} {one}: the version from {b['valid_from']} says nothing new")
        if chain[-1]["until"] is not None and (one, chain[-1]["until"]) not in gone:
            out.append(f"{key} {one} ends at {chain[-1]['until']} without a deletion")
    return out


@invariant
def surrogate_keys(star, found):
    """Every fact points to the version that held when it happened, by both sides: the log's and the table's own times;
    to member -1 or -2 only where the rules say so."""
    out = []
    there = {(row["order_id"], row["line_no"]): row for row in found.facts()}
    for dimension, version_of in (("customer", star.customer_of), ("product", star.product_of)):
        _, key = DIMENSIONS[dimension]
        table = {row[dimension + "_sk"]: row for row in found.versions(dimension)}
        chains = star.customers if dimension == "customer" else star.products
        for place, fact in star.source.facts.items():
            sk = there.get(place, {}).get(dimension + "_sk")
            row = table.get(sk)
            if place not in there:
                continue
            if row is None:
                out.append(f"line {place}: {dimension}_sk {sk} is in no version")
                continue
            wanted = version_of(fact)
            if wanted in (UNKNOWN, INVALID):
                if sk != (-1 if wanted == UNKNOWN else -2):
                    out.append(f"line {place}: {dimension}_sk is {sk}, expected {wanted}")
                continue
            version = chains[fact[key]][wanted]
            if sk < 0 or row[key] != fact[key] or row["valid_from"] != version.since:
                out.append(f"line {place} points to {key} {row[key]} from {row['valid_from']}, expected {fact[key]} from {version.since}")
            elif not (row["valid_from"] <= fact["at"] and (row["until"] is None or fact["at"] < row["until"])):
                out.append(f"line {place} of {fact['at']} points to a version from {row['valid_from']} to {row['until']}")
    places = {row["location_sk"]: row["location_id"] for row in found.rows("select * from sales.dim_location")}
    out += [f"line {place}: location_sk {there[place]['location_sk']} is {places.get(there[place]['location_sk'])}, expected "
            f"{fact['location_id']}" for place, fact in star.source.facts.items()
            if place in there and places.get(there[place]["location_sk"]) != fact["location_id"]]
    return out


# 6. dates and locations

@invariant
def dates(_, found, first=datetime.date(2020, 1, 1), last=datetime.date(2035, 12, 31), fiscal=4):
    """dim_date by Python's calendar: no hole, quarters, ISO weeks, the fiscal year that begins in month `fiscal` and is named
    after the year in which it ends."""
    wanted = {}
    for n in range((last - first).days + 1):
        day = first + datetime.timedelta(days=n)
        wanted[int(day.strftime("%Y%m%d"))] = dict(
            date=day, year=day.year, quarter=(day.month + 2) // 3, month=day.month, year_month=day.strftime("%Y-%m"),
            iso_week=day.isocalendar()[1], day_of_week=day.isoweekday(), is_weekend=day.isoweekday() > 5,
            fiscal_year=day.year + (1 < fiscal <= day.month), fiscal_quarter=(day.month - fiscal) % 12 // 3 + 1)
    names = list(next(iter(wanted.values())))
    there = {row["date_sk"]: {name: row[name] for name in names} for row in found.rows("select * from sales.dim_date") if row["date_sk"] > 0}
    return compared(wanted, there, "date_sk ")


@invariant
def locations(star, found):
    """dim_location is the file's, each location once."""
    rows = [row for row in found.rows("select * from sales.dim_location") if row["location_sk"] > 0]
    there = {row["location_id"]: (row["name"], row["city"], row["state"], row["country"]) for row in rows}
    twice = [] if len(there) == len(rows) else [f"{len(rows)} rows of {len(there)} locations"]
    return twice + compared(star.source.locations, there, "location ")


# 7. and 8. any order of runs gives the same

@invariant
def same_contents(expected, there):
    """Two dictionaries of hashes, by table or slice."""
    return [f"{key} differs" for key in sorted(set(expected) | set(there), key=str) if expected.get(key) != there.get(key)]


# 9. masking

@invariant
def masked(star, found):
    """As many pseudonyms as addresses, and what joins by the raw value joins by the masked one."""
    out, raw, there = [], collections.defaultdict(set), collections.defaultdict(set)
    for row in star.source.customers:
        raw[row["email"]].add(row["key"])
    for row in found.versions("customer"):
        if row["email_key"] is not None and row["customer_sk"] > 0:
            there[row["email_key"]].add(row["customer_id"])
            if not re.fullmatch("[0-9a-f]{64}", row["email_key"]):
                out.append(f"customer {row['customer_id']}: email_key is no pseudonym")
            if not re.fullmatch(r".\*\*\*@[a-z.]+", row["email_masked"] or ""):
                out.append(f"customer {row['customer_id']}: email_masked is not masked")
    if len(raw) != len(there):
        out.append(f"{len(there)} pseudonyms of {len(raw)} addresses")
    if sorted(map(sorted, raw.values())) != sorted(map(sorted, there.values())):
        out.append("customers that share an address are not those that share a pseudonym")
    for row in found.facts():
        fact = star.source.facts.get((row["order_id"], row["line_no"]))
        if fact and (row["card_number"][-4:] != fact["card_number"][-4:] or row["card_number"][:-4].strip("*-")):
            out.append(f"line {row['order_id'], row['line_no']}: card_number shows other than the last four")
    return out


# 11. k-anonymity

@invariant
def anonymous(rows, source, k, suppressed):
    """`rows`: quasi-identifiers as published, `source` as they were. No class but the suppressed one is smaller than k, and
    with `suppressed` exactly the rows of small classes were."""
    sizes = collections.Counter(rows)
    hidden = (None,) * len(rows[0])
    out = [f"{value} has {n} rows" for value, n in sizes.items() if n < k and value != hidden]
    if suppressed:
        before = collections.Counter(source)
        out += compared({value: n for value, n in before.items() if n >= k}, {v: n for v, n in sizes.items() if v != hidden}, "class ")
        wanted = sum(n for n in before.values() if n < k)
        if sizes[hidden] != wanted:
            out.append(f"{sizes[hidden]} rows are suppressed, expected {wanted}")
    return out


# 15. views

@invariant
def materialized_views(_, found):
    """Every materialised view of the schema holds what its query gives now."""
    out = []
    for (name, query) in found.warehouse.execute("select matviewname, definition from pg_matviews where schemaname = 'sales'").fetchall():
        query = query.rstrip().rstrip(";")
        (differ,) = found.warehouse.execute(
            f"select (select count(*) from ((table sales.{name} except all {query}) union all ({query} except all table sales.{name})) x)"
        ).fetchone()
        if differ:
            out.append(f"{differ} rows of {name} differ from its query")
    return out


def all_of(star, found, orders_per_day):
    """Everything that can be asked of a finished warehouse and its lake."""
    row_flow(star, found)
    quarantine(star, found)
    of_warehouse(star, found, orders_per_day)


def of_warehouse(star, found, orders_per_day):
    facts(star, found)
    orders_counted(star, found, orders_per_day)
    for dimension in DIMENSIONS:
        no_overlap(star, found, dimension)
        versions(star, found, dimension)
    surrogate_keys(star, found)
    sums(star, found)
    dates(star, found)
    locations(star, found)
    masked(star, found)
    materialized_views(star, found)
