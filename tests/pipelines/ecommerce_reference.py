"""What the sample shop's warehouse must hold, worked out from the source files and the shop's tables
alone. Uses none of Sluice's code, and no engine: plain Python over the lines of the files."""
import csv
import datetime
import decimal
import gzip
import json
from collections import defaultdict

STATUSES = {"completed", "shipped", "cancelled", "returned"}
UTC = datetime.timezone.utc


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


class Day:
    """One data interval: what its files say after cleaning."""

    def __init__(self, folder, day):
        lines = (folder / f"orders/{day}.jsonl").read_text().splitlines()
        orders = [json.loads(line) for line in lines]
        self.orders_raw = len(orders)
        kept = []
        for order in orders:
            order["at"] = instant(order["ordered_at"])
            order["status"] = order["status"].strip().lower()
            if order["at"] and order["status"] in STATUSES and 0 <= order["discount_bp"] <= 10000:
                kept.append(order)
        self.orders_quarantined = len(orders) - len(kept)
        best = {}
        for order in kept:
            known = best.get(order["order_id"])
            if known is None or order["updated_at"] > known["updated_at"]:
                best[order["order_id"]] = order
        self.orders = best

        self.items_rejected, items = 0, []
        for line in (folder / f"order_items/{day}.csv").read_text().splitlines()[1:]:
            fields = next(csv.reader([line]))
            if len(fields) != 5 or line.count('"') % 2:
                self.items_rejected += 1
                continue
            items.append(dict(order_id=int(fields[0]), line_no=int(fields[1]), product_id=int(fields[2]),
                              qty=int(fields[3]), price=cents(fields[4])))
        good = [i for i in items if 1 <= i["qty"] <= 1000 and i["price"] >= 0 and i["order_id"] in best]
        self.items_quarantined = len(items) - len(good)
        self.payments = {}
        with gzip.open(folder / f"payments/{day}.jsonl.gz", "rt") as lines:
            for line in lines:
                payment = json.loads(line)
                self.payments[payment["order_id"]] = payment
        self.facts = {}
        for item in good:
            order = best[item["order_id"]]
            if order["status"] == "cancelled":
                continue
            gross = item["qty"] * item["price"]
            self.facts.setdefault((item["order_id"], item["line_no"]), dict(
                item, gross=gross, net=half_even(gross * (10000 - order["discount_bp"]), 10000),
                at=order["at"], customer_id=order["customer_id"], location_id=order["location_id"],
                status=order["status"], channel=order["channel"],
                method=self.payments.get(item["order_id"], {}).get("method")))


class Reference:
    def __init__(self, folder, days):
        self.days = {day: Day(folder, day) for day in days}
        self.facts = {}
        for day in self.days.values():
            self.facts.update(day.facts)

    def by(self, key):
        """(rows, gross, net) by a field of the facts."""
        out = defaultdict(lambda: [0, 0, 0])
        for fact in self.facts.values():
            total = out[key(fact)]
            total[0] += 1
            total[1] += fact["gross"]
            total[2] += fact["net"]
        return {k: tuple(v) for k, v in out.items()}


def scd2_versions(rows, tracked):
    """Versions of every key of a change log: [(valid_from, attributes)] without unchanged re-sends.

    `rows`: dicts with key, updated_at, recorded_at, deleted_at and attributes. Among rows of one key and
    updated_at the one recorded last counts. A deletion ends the history until a later row.
    """
    by_key = defaultdict(dict)
    for row in sorted(rows, key=lambda r: r["recorded_at"]):
        by_key[row["key"]][row["updated_at"]] = row
    versions = {}
    for key, changes in by_key.items():
        out, last = [], object()
        for at in sorted(changes):
            row = changes[at]
            state = None if row["deleted_at"] else tuple(row[c] for c in tracked)
            if state != last:
                out.append((at, state))
            last = state
        versions[key] = out
    return versions
