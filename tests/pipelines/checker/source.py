"""What the sample's files and the shop's change logs say, after cleaning. Plain Python over the lines of the files."""
import collections
import csv
import datetime
import decimal
import gzip
import json

import duckdb

STATUSES = {"completed", "shipped", "cancelled", "returned"}
UTC = datetime.timezone.utc
CUSTOMER = ["full_name", "email", "phone", "ssn", "birth_date", "street", "city", "state", "postal_code", "country", "segment",
            "marketing_opt_in"]
PRODUCT = ["sku", "name", "category", "brand", "list_price_cents", "cost_cents"]


def instant(value):
    """The three formats of `ordered_at`; None when it is none of them."""
    if isinstance(value, int):
        return datetime.datetime.fromtimestamp(value / 1000, UTC)
    for form in ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M:%S%z", "%d/%m/%Y %H:%M"):
        try:
            at = datetime.datetime.strptime(value, form)
            return at if at.tzinfo else at.replace(tzinfo=UTC)
        except ValueError:
            pass
    return None


def cents(text):
    """Plain integers are cents; a currency sign or a decimal mark makes it major units."""
    text = text.strip()
    if text.startswith("$") or "," in text or "." in text:
        return int(decimal.Decimal(text.lstrip("$").replace(",", ".")) * 100)
    return int(text)


def half_even(numerator, denominator):
    return int((decimal.Decimal(numerator) / denominator).quantize(decimal.Decimal(1), decimal.ROUND_HALF_EVEN))


def title(text):
    return " ".join(word[:1].upper() + word[1:] for word in text.strip().lower().split(" "))


class Flow:
    """Rows of one table on one day: as they came, set aside with why, kept, and kept once."""

    def __init__(self, raw, rejected, aside, processed, clean):
        self.raw, self.rejected, self.processed, self.clean = raw, rejected, processed, clean
        self.aside = collections.Counter(aside)

    @property
    def doubled(self):
        return self.processed - self.clean


class Day:
    """One data interval: what its files say after cleaning."""

    def __init__(self, folder, day):
        self.flows = {}
        self._orders(folder / f"orders/{day}.jsonl")
        self._payments(folder / f"payments/{day}.jsonl.gz")
        self._items(folder / f"order_items/{day}.csv")

    def _orders(self, path):
        orders = [json.loads(line) for line in path.read_text().splitlines()]
        aside, kept = [], []
        for order in orders:
            order["at"] = instant(order["ordered_at"])
            order["status"] = order["status"].strip().lower()
            order["currency"] = order["currency"].strip().upper()
            if order["at"] is None:
                aside.append((order["order_id"], "date_format"))
            elif order["status"] not in STATUSES:
                aside.append((order["order_id"], "expr"))
            elif not 0 <= order["discount_bp"] <= 10000:
                aside.append((order["order_id"], "range"))
            else:
                kept.append(order)
        self.orders = {}
        for order in kept:
            known = self.orders.get(order["order_id"])
            if known is None or order["updated_at"] > known["updated_at"]:
                self.orders[order["order_id"]] = order
        self.flows["orders"] = Flow(len(orders), 0, aside, len(kept), len(self.orders))

    def _payments(self, path):
        with gzip.open(path, "rt") as lines:
            payments = [json.loads(line) for line in lines]
        kept = [payment for payment in payments if payment["amount_cents"] >= 0]
        aside = [(payment["order_id"], "range") for payment in payments if payment["amount_cents"] < 0]
        self.payments = {payment["order_id"]: payment for payment in kept}
        self.flows["payments"] = Flow(len(payments), 0, aside, len(kept), len(kept))

    def _items(self, path):
        rejected, items = 0, []
        for line in path.read_text().splitlines()[1:]:
            fields = next(csv.reader([line]))
            if len(fields) != 5 or line.count('"') % 2:
                rejected += 1
                continue
            items.append(dict(order_id=int(fields[0]), line_no=int(fields[1]), product_id=int(fields[2]),
                              qty=int(fields[3]), price=cents(fields[4])))
        aside, self.items = [], {}
        kept = 0
        for item in items:
            reasons = []
            if item["order_id"] not in self.orders:
                reasons.append("fk")
            if not 1 <= item["qty"] <= 1000 or item["price"] < 0:
                reasons.append("range")
            if reasons:
                aside.append((item["order_id"], "+".join(reasons)))
                continue
            kept += 1
            self.items.setdefault((item["order_id"], item["line_no"]), item)
        self.flows["order_items"] = Flow(len(items), rejected, aside, kept, len(self.items))

    def facts(self):
        """Lines of orders that were not cancelled, by order and line."""
        out = {}
        for key, item in self.items.items():
            order = self.orders[item["order_id"]]
            if order["status"] == "cancelled":
                continue
            gross = item["qty"] * item["price"]
            out[key] = dict(
                item, gross=gross, net=half_even(gross * (10000 - order["discount_bp"]), 10000), at=order["at"],
                updated_at=instant(order["updated_at"]), method=self.payments.get(item["order_id"], {}).get("method"),
                **{name: order[name] for name in ("customer_id", "location_id", "status", "channel", "currency", "discount_bp",
                                                  "card_number", "ip")})
        return out


class Source:
    """The whole sample as far as the days given: `days` (label to Day), `facts`, `customers`, `products`, `locations`."""

    def __init__(self, folder, shop, days):
        self.days = {day: Day(folder, day) for day in days}
        self.facts = {}
        for day in self.days.values():
            for key, fact in day.facts().items():
                assert key not in self.facts, f"the sample delivers {key} twice"
                self.facts[key] = fact
        until = datetime.datetime.fromisoformat(max(days)).replace(tzinfo=UTC) + datetime.timedelta(days=1)
        since = datetime.datetime.fromisoformat(min(days)).replace(tzinfo=UTC)
        self.customers = self._log(shop, "customers", CUSTOMER, since, until)
        self.products = self._log(shop, "products", PRODUCT, since, until)
        for row in self.customers:
            row.update(full_name=row["full_name"].strip(), email=row["email"].strip().lower(), city=title(row["city"]),
                       country=row["country"].strip().upper(), segment=row["segment"] or "unknown",
                       marketing_opt_in=bool(row["marketing_opt_in"]))
        for row in self.products:
            row.update(category=title(row["category"]), brand=row["brand"] or "unknown")
        with duckdb.connect() as db:
            self.locations = {row[0]: (row[1], title(row[2]), row[3], row[4]) for row in db.execute(
                "select location_id, name, city, state, country from read_parquet(?, hive_partitioning = false)",
                [str(folder / "locations.parquet")]).fetchall()}
        self._count(days)

    @staticmethod
    def _log(shop, table, columns, since, until):
        rows = shop.execute(
            f"select {table[:-1]}_id, updated_at, recorded_at, deleted_at, {', '.join(columns)} from {table} "
            "where recorded_at >= %s and recorded_at < %s order by recorded_at", (since, until)).fetchall()
        return [dict(zip(["key", "updated_at", "recorded_at", "deleted_at", *columns], row)) for row in rows]

    def _count(self, days):
        for day in days:
            for table, log in (("customers", self.customers), ("products", self.products)):
                rows = [row for row in log if row["recorded_at"].astimezone(UTC).date().isoformat() == day]
                once = {(row["key"], row["updated_at"]) for row in rows}
                self.days[day].flows[table] = Flow(len(rows), 0, [], len(rows), len(once))
            self.days[day].flows["locations"] = Flow(*[len(self.locations), 0, [], *[len(self.locations)] * 2])

    def by(self, key):
        """(rows, gross, net) by a field of the facts."""
        out = collections.defaultdict(lambda: [0, 0, 0])
        for fact in self.facts.values():
            total = out[key(fact)]
            total[0] += 1
            total[1] += fact["gross"]
            total[2] += fact["net"]
        return {k: tuple(v) for k, v in out.items()}
