"""The versions of a slowly changing dimension as a function of its change log, and which of them a fact belongs to."""
import datetime
from collections import defaultdict, namedtuple

from . import masking

UTC = datetime.timezone.utc
BEGINNING = datetime.datetime(1900, 1, 1, tzinfo=UTC)
UNKNOWN, INVALID = "member -1 (unknown)", "member -2 (invalid)"

# `until` None: it holds still. `values` None: an inferred member, of which nothing but the key is known.
Version = namedtuple("Version", "since until values")


def history(log, shown, type1=()):
    """{key: [Version]} of a change log, in order.

    `log`: rows with key, updated_at, recorded_at, deleted_at and attributes; `shown(row)`: what the dimension has of a row.
    Of several rows of a key and updated_at the one recorded last counts. A row that says nothing new makes no version, a
    deletion ends the history until a later row, the first version holds from the beginning. Columns of `type1` make no
    versions: all show the latest value.
    """
    by_key = defaultdict(dict)
    for row in sorted(log, key=lambda r: r["recorded_at"]):
        by_key[row["key"]][row["updated_at"]] = row
    out = {}
    for key, changes in by_key.items():
        kept, last, latest = [], object(), {}
        for at in sorted(changes):
            row = changes[at]
            values = None if row["deleted_at"] else shown(row)
            if values is not None:
                latest = {name: values.pop(name) for name in type1}
            if values != last:
                kept.append((at, values))
            last = values
        if kept[0][1] is not None:
            kept[0] = (BEGINNING, kept[0][1])
        ends = [at for at, _ in kept[1:]] + [None]
        out[key] = [Version(at, end, {**values, **latest}) for (at, values), end in zip(kept, ends) if values is not None]
    return out


def version_at(versions, key, at):
    """The number of the version of `key` that holds at `at`, INVALID if none does, UNKNOWN without a key."""
    if key is None:
        return UNKNOWN
    for number, version in enumerate(versions[key]):
        if version.since <= at and (version.until is None or at < version.until):
            return number
    return INVALID


class Star:
    """What the warehouse must hold: versions of both dimensions, with the members that facts made up, and the facts."""

    def __init__(self, source, master):
        self.source, self.master = source, master
        plain = ["city", "state", "postal_code", "country", "segment", "marketing_opt_in"]
        self.customers = history(
            source.customers,
            lambda row: {**{name: row[name] for name in plain}, **masking.customer(master, row), "ssn": row["ssn"]},
            type1=["marketing_opt_in"])
        names = ["sku", "name", "category", "brand", "list_price_cents", "cost_cents"]
        self.products = history(source.products, lambda row: {name: row[name] for name in names})
        for versions, key in ((self.customers, "customer_id"), (self.products, "product_id")):
            for fact in source.facts.values():
                if fact[key] is not None and not versions.get(fact[key]):
                    versions[fact[key]] = [Version(BEGINNING, None, None)]

    def customer_of(self, fact):
        return version_at(self.customers, fact["customer_id"], fact["at"])

    def product_of(self, fact):
        return version_at(self.products, fact["product_id"], fact["at"])

    def sales(self):
        """One flat row a fact, with what its versions of customer and product, its date and its location say."""
        for fact in self.source.facts.values():
            customer, product = self.customer_of(fact), self.product_of(fact)
            person = self.customers[fact["customer_id"]][customer].values if isinstance(customer, int) else {
                "segment": "Unknown", "country": "Unknown"}
            thing = self.products[fact["product_id"]][product].values
            person, place = person or {}, self.source.locations[fact["location_id"]]
            yield (fact["order_id"], fact["line_no"], fact["at"].astimezone(UTC).date(), fact["status"], fact["channel"], fact["method"],
                   fact["qty"], fact["gross"], fact["net"], fact["customer_id"], person.get("segment"), person.get("country"),
                   thing["category"], thing["brand"], thing["name"], place[0], place[2])
