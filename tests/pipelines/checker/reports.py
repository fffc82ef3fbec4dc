"""The queries of the sample's report, done again by DuckDB over rows that come from the source files alone (invariant 15)."""
import decimal
import json

import duckdb

from .invariants import invariant

# By the report's names; `sales`: a row a fact; `versions`: a row a customer with the number of its versions.
QUERIES = {
    "revenue_by_month": "select strftime(day, '%Y-%m'), sum(net) / 100.0 from sales group by 1",
    "revenue_by_fiscal_quarter":
        "select year(day + interval 9 month) as y, quarter(day + interval 9 month), count(distinct order_id), sum(net) / 100.0 "
        "from sales group by 1, 2",
    "revenue_by_country": "select country, sum(net) / 100.0 from sales group by 1",
    "revenue_by_weekday": "select isodow(day), isodow(day) >= 6, sum(net) / 100.0 from sales group by 1, 2",
    "revenue_by_location": "select location, location_state, count(distinct order_id), sum(net) / 100.0 from sales group by 1, 2",
    "top_products": "select product, sum(qty), sum(net) / 100.0 from sales group by 1 order by 3 desc, 1 limit 10",
    "order_value_by_segment": "select segment, sum(net) / 100.0 / count(distinct order_id) from sales group by 1",
    "share_by_category": "select category, sum(net) / (select sum(net) from sales) from sales group by 1",
    "orders_by_channel": "select channel, method, count(distinct order_id) from sales group by 1, 2",
    "returns_by_category": "select category, sum((status = 'returned')::int) / count(*) from sales group by 1",
    "discount_by_brand": "select brand, sum(gross - net) / 100.0, sum(gross - net) / sum(gross) from sales group by 1",
    "orders_per_customer":
        "select n, count(*) from (select customer, count(distinct order_id) as n from sales where customer is not null group by 1) group by 1",
    "customer_versions": "select n, count(*) from versions group by 1",
}


def _plain(cell):
    """One text for equal values, whatever engine wrote them: numbers to nine digits behind the point."""
    if cell is None:
        return "null"
    if isinstance(cell, bool):
        return "ft"[cell]
    try:
        return f"{decimal.Decimal(str(cell)):.9f}"
    except decimal.InvalidOperation:
        return str(cell)


def expected(star):
    """{query: rows}"""
    with duckdb.connect() as db:
        db.execute("create table sales (order_id bigint, line_no int, day date, status varchar, channel varchar, method varchar, qty int, "
                   "gross bigint, net bigint, customer bigint, segment varchar, country varchar, category varchar, brand varchar, "
                   "product varchar, location varchar, location_state varchar)")
        db.execute("create table versions (customer bigint, n int)")
        for table, rows in (("sales", list(star.sales())), ("versions", [(key, len(chain)) for key, chain in star.customers.items()])):
            columns = [list(column) for column in zip(*rows)]
            db.execute(f"insert into {table} select " + ", ".join(["unnest(?)"] * len(columns)), columns)
        return {name: db.execute(sql).fetchall() for name, sql in QUERIES.items()}


@invariant
def reports(star, path):
    """Every query of the page's JSON, row for row."""
    page = json.loads(path.read_text())
    wanted, out = expected(star), []
    there = {name: [tuple(row.values()) for row in rows] for name, rows in page["queries"].items()}
    out += [f"the report has no {name}" for name in wanted if name not in there]
    out += [f"nobody recomputes {name}" for name in there if name not in wanted]
    for name in wanted.keys() & there.keys():
        mine = sorted(tuple(map(_plain, row)) for row in wanted[name])
        theirs = sorted(tuple(map(_plain, row)) for row in there[name])
        if mine != theirs:
            differ = sorted(set(mine) ^ set(theirs))
            out.append(f"{name}: {len(theirs)} rows, expected {len(mine)}; e.g. {differ[:2]}")
    if len(wanted) < 10:
        out.append("fewer than ten queries")
    return out
