"""The search for canaries (invariant 10): the generator's marked values, as they are and in every guise that a careless step
could give them, in all that may be read by more than the shop: curated files, the warehouse, logs, the run state with its
XCom and samples of failures, reports."""
import base64
import hashlib
import json
import re
import urllib.parse
from pathlib import Path

import duckdb

from .invariants import invariant

# What the policy lets through on purpose: plain MD5 of an address (raw.orders.ip: legacy).
ALLOWED = {("ip", "md5")}


def canaries(source, folder):
    """{(column, value)} of the rows that carry a marker: every thousandth customer and order."""
    out = set()
    for row in source.customers:
        if row["key"] % 1000 == 500:
            out |= {(name, row[name]) for name in ("full_name", "email", "phone", "ssn", "street")}
    for path in sorted((folder / "orders").glob("*.jsonl")):
        for line in path.read_text().splitlines():
            order = json.loads(line)
            if order["order_id"] % 1000 == 500:
                out |= {("card_number", order["card_number"]), ("ip", order["ip"])}
                if order.get("gift_note"):
                    out |= {("gift_note", order["gift_note"]), ("gift_note", order["gift_note"].split()[-1])}
    return out


def guises(values):
    """(texts to look for without regard to case, texts to look for as they are, digests)"""
    plain, exact, digests = {}, {}, {}
    for column, value in values:
        forms = {value, re.sub(r"\W", "", value) if column in ("phone", "ssn", "card_number") else value}
        for form in forms:
            data = form.encode()
            names = {"itself": form, "reversed": form[::-1], "hex": data.hex(), "URL-encoded": urllib.parse.quote(form, safe=""),
                     "escaped": json.dumps(form)[1:-1]}
            for how, text in names.items():
                plain.setdefault(text.lower().encode(), f"{column}, {how}")
            for shift in range(3):
                # Whatever comes before: the part of the text that is the same behind 0, 1 and 2 bytes.
                text = base64.b64encode(bytes(shift) + data)[4 if shift else 0:-4]
                exact.setdefault(text, f"{column}, base64")
                exact.setdefault(text.replace(b"+", b"-").replace(b"/", b"_"), f"{column}, base64")
            for how in ("md5", "sha1", "sha256"):
                for text in {form, form.lower(), form.upper()}:
                    if (column, how) not in ALLOWED:
                        digests[hashlib.new(how, text.encode()).hexdigest().encode()] = f"{column}, {how}"
    # The marker alone, for parts of a value.
    for number in {int(n) for _, value in values for n in re.findall(r"(?i)zq(\d+)canary", value)}:
        plain.setdefault(f"zq{number}canary".encode(), "a marker")
    return plain, {text: what for text, what in exact.items() if len(text) >= 10}, digests


class Search:
    def __init__(self, values):
        self.plain, self.exact, self.digests = guises(values)
        self.bytes = 0

    def hits(self, data):
        """What of the canaries is in these bytes, by name; never the value itself."""
        self.bytes += len(data)
        lower = data.lower()
        found = {what for text, what in self.plain.items() if text in lower}
        found |= {what for text, what in self.exact.items() if text in data}
        if self.digests:
            found |= {self.digests[run] for run in set(re.findall(rb"(?<![0-9a-f])[0-9a-f]{32,64}(?![0-9a-f])", lower)) & self.digests.keys()}
        return sorted(found)


def _tables(connection, schemas):
    for schema, table in connection.execute(
            "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace "
            "where c.relkind in ('r', 'm', 'p') and n.nspname ~ %s order by 1, 2", (schemas,)).fetchall():
        rows = connection.execute(f'select t::text from "{schema}"."{table}" t').fetchall()
        yield f"{schema}.{table}", "\n".join(row for (row,) in rows).encode()


def places(found):
    """(name, bytes) of all that is searched."""
    yield from _tables(found.warehouse, "^(sales|_sluice|vault)$")
    yield from _tables(found.metadata, "^(?!pg_|information_schema)")
    for folder in ("lake/curated", "lake/reports", "logs", "artefacts"):
        for path in sorted((Path(found.home) / folder).rglob("*")):
            if path.suffix == ".parquet":
                yield from parquet(path)
            if path.is_file():
                yield str(path), path.read_bytes()
    yield "daemon.log", (Path(found.home) / "daemon.log").read_bytes()


def parquet(path):
    with duckdb.connect() as db:
        names = [row[0] for row in db.execute("describe select * from read_parquet(?, hive_partitioning = false)", [str(path)]).fetchall()]
        text = ", ".join(f'cast("{name}" as varchar)' for name in names)
        rows = db.execute(f"select concat_ws(chr(10), {text}) from read_parquet(?, hive_partitioning = false)", [str(path)]).fetchall()
    yield f"{path} (its rows)", "\n".join(row for (row,) in rows).encode()


@invariant
def leaks(values, where):
    """No canary in any guise in any of the places; `where`: (name, bytes)."""
    search, out = Search(values), []
    for name, data in where:
        out += [f"{name} shows {what}" for what in search.hits(data)]
    if not search.bytes:
        out.append("nothing was searched")
    return out
