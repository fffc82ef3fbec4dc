"""Masking through the real daemon, file in, file out, against plain Python and SQL: a policy in YAML and in JSON,
FF1 on cards, tokens, k-anonymity, the search for personal data, masking functions inside SQL."""
import json

import pytest

from checker import masking
from conftest import standalone, wait_for

POLICY = {
    "key": "mask_master", "allow": {"curated": ["quasi"], "warehouse": ["quasi"]},
    "classes": {
        "email": {"method": "hmac", "normalize": ["trim", "lower"]},
        "card": {"method": "ff1", "keep_last": 4},
        "national_id": {"method": "token", "domain": "person"},
        "dob": {"method": "bucket", "unit": "decade"},
    },
    "columns": {"raw.people.note": {"method": "hmac", "domain": "email", "normalize": ["lower"]}},
}
YAML = """
key: mask_master
allow: {curated: [quasi], warehouse: [quasi]}
classes:
  email: {method: hmac, normalize: [trim, lower]}
  card: {method: ff1, keep_last: 4}
  national_id: {method: token, domain: person}
  dob: {method: bucket, unit: decade}
columns:
  raw.people.note: {method: hmac, domain: email, normalize: [lower]}
"""
COLUMNS = {"id": "bigint not null", "email": "varchar @email", "card": "varchar @card", "ssn": "varchar @national_id",
           "born": "date @dob", "state": "varchar @quasi", "note": "varchar"}


def luhn(text):
    return masking.luhn_valid([int(c) for c in text if c.isdigit()])


def card(number):
    body = f"4111-1111-{number // 10000 % 1000:03d}{number % 10}-{number % 1000:03d}"
    return next(body + str(check) for check in range(10) if luhn(body + str(check)))


# 1,200 people; three of them alone in their decade.
ALONE = {1: "1900-01-01", 2: "1910-01-01", 3: "1920-01-01"}
PEOPLE = [(i, f"Person{i % 900}@Example.com", card(i), f"{100 + i % 500:03d}-12-{3000 + i % 500}",
           ALONE.get(i, f"{1960 + i % 4 * 10}-05-06"), f"S{i % 3}", f"person{i % 900}@example.com")
          for i in range(1, 1201)]


def dag(name, mask, policy="policies/people.json"):
    """The pipeline that publishes people, with data sets of its own."""
    here = {tier: f"{tier}.{name}" for tier in ("raw", "processed", "curated")}
    return {
        "dag_id": name, "is_paused_upon_creation": False, "policy": policy, "schemas": {"sales": "warehouse"},
        "schedule": {"cron_interval": "@daily"}, "start_date": "2026-01-01", "end_date": "2026-01-10", "on_unpause": "none",
        "datasets": {here["raw"]: {"columns": COLUMNS}},
        "tasks": [
            {"task_id": "extract", "operator": "extract", "with": {"from": {"conn_id": "landing", "path": "people.csv"}, "to": here["raw"]}},
            {"task_id": "validate", "operator": "validate", "with": {"from": here["raw"], "to": here["processed"]}},
            {"task_id": "mask", "operator": "mask", "with": {"from": here["processed"], "to": here["curated"], **mask}},
            {"task_id": "load", "operator": "load", "with": {"from": here["curated"], "to": f"sales.{name}", "mode": "replace", "key": "id"}},
        ]}


def run(daemon, body):
    name = body["dag_id"]
    (daemon.dags / f"{name}.json").write_text(json.dumps(body))
    wait_for(lambda: daemon.session.get(f"{daemon.url}/api/v2/dags/{name}", timeout=10).status_code == 200, 20)
    run_id = daemon.trigger(name, logical_date="2026-01-05T00:00:00Z", data_interval_start="2026-01-05T00:00:00Z",
                            data_interval_end="2026-01-06T00:00:00Z")["dag_run_id"]
    daemon.wait_run(name, run_id, 60)
    states = {task: one["state"] for task, one in daemon.tasks(name, run_id).items()}
    log = "\n".join(str(line) for task in ("mask", "validate", "extract", "load") if states[task] not in (None, "upstream_failed")
                    for line in daemon.log_lines(name, run_id, task))
    return states, f"{states}\n{log}"


@pytest.fixture(scope="module")
def daemon():
    with standalone() as made:
        (made.dags / "policies").mkdir()
        (made.dags / "policies/people.json").write_text(json.dumps(POLICY))
        (made.dags / "policies/people.yaml").write_text(YAML)
        folder = made.home / "sample/ecommerce"
        folder.mkdir(parents=True, exist_ok=True)
        lines = ["id,email,card,ssn,born,state,note"] + [",".join(map(str, row)) for row in PEOPLE]
        (folder / "people.csv").write_text("\n".join(lines) + "\n")
        yield made


VECTORS = [  # NIST SP 800-38G, FF1: bytes of the key, radix, tweak, plain text, cipher text
    (16, 10, "", "0123456789", "2433477484"), (16, 10, "39383736353433323130", "0123456789", "6124200773"),
    (16, 36, "3737373770717273373737", "0123456789abcdefghi", "a9tv40mll9kdu509eum"),
    (24, 10, "", "0123456789", "2830668132"), (24, 10, "39383736353433323130", "0123456789", "2496655549"),
    (24, 36, "3737373770717273373737", "0123456789abcdefghi", "xbj3kv35jrawxv32ysr"),
    (32, 10, "", "0123456789", "6657667009"), (32, 10, "39383736353433323130", "0123456789", "1001623463"),
    (32, 36, "3737373770717273373737", "0123456789abcdefghi", "xs8a0azh2avyalyzuwd")]


@pytest.mark.parametrize("size,radix,tweak,text,masked", VECTORS)
def test_the_checkers_own_ff1_is_the_standards(size, radix, tweak, text, masked):
    key = bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3CEF4359D8D580AA4F7F036D6F04FC6A94")[:size]
    plain, cipher = [int(c, 36) for c in text], [int(c, 36) for c in masked]
    assert masking.ff1(key, radix, bytes.fromhex(tweak), plain) == cipher
    assert masking.ff1(key, radix, bytes.fromhex(tweak), cipher, back=True) == plain


def rows(daemon, table):
    with daemon.database("warehouse") as db:
        return db.execute(f"select id, email, card, ssn, born::text, state, note from sales.{table} order by id").fetchall()


def test_a_file_of_people_is_masked_and_the_two_forms_of_a_policy_agree(daemon):
    states, log = run(daemon, dag("people", {}))
    assert set(states.values()) == {"success"}, log
    states, log = run(daemon, dag("people_yaml", {"rules": {"note": "drop"}}, "policies/people.yaml"))
    assert set(states.values()) == {"success"}, log
    masked = rows(daemon, "people")
    with daemon.database("warehouse") as db:
        assert db.execute("select id, email, card, ssn, born::text from sales.people_yaml order by id").fetchall() == [
            row[:5] for row in masked]
    master = bytes.fromhex(json.loads((daemon.home / "secrets").read_text())["mask_master"])
    tokens = {}
    for source, row in zip(PEOPLE, masked, strict=True):
        pseudonym = masking.pseudonym(master, "email", source[1].lower())
        # One domain: the e-mail and the note join, whatever their case was.
        assert row[1] == row[6] == pseudonym
        assert luhn(source[2]) and not luhn(row[2])
        assert row[2][-4:] == source[2][-4:] and row[2] != source[2]
        assert [c for c in row[2] if not c.isdigit()] == ["-"] * 3 and len(row[2]) == len(source[2])
        assert row[4] == source[4][:3] + "0-01-01"
        tokens.setdefault(source[3], set()).add(row[3])
    for source, row in zip(PEOPLE[:200], masked):
        assert row[2] == masking.card(master, source[2])
    assert all(len(found) == 1 for found in tokens.values())
    assert len(set.union(*tokens.values())) == len(tokens) == 500
    assert len({row[2] for row in masked}) == len({source[2] for source in PEOPLE})
    # The role privacy gets the cards back.
    password = daemon.request("POST", "/ui/v1/users", 201, json={"name": "eve", "role": "privacy"})["password"]
    token = daemon.request("POST", "/auth/token", 201, json={"username": "eve", "password": password})["access_token"]
    ask = {"domain": "card", "rule": POLICY["classes"]["card"], "values": [row[2] for row in masked], "reason": "a test"}
    daemon.request("POST", "/ui/v1/vault/unmask", 403, json=ask)
    back = daemon.request("POST", "/ui/v1/vault/unmask", json=ask, headers={"Authorization": "Bearer " + token})
    assert back["values"] == [source[2] for source in PEOPLE]


def test_small_classes_stop_the_run_or_are_suppressed(daemon):
    gate = {"quasi": ["born", "state"], "k": 5}
    states, log = run(daemon, dag("strict", {"k_anonymity": gate, "rules": {"note": "drop"}}))
    assert states["mask"] == "failed" and states["load"] == "upstream_failed"
    assert "3 classes of born, state with 3 of 1200 rows" in log and "1910-01-01" not in log
    states, log = run(daemon, dag("lenient", {"k_anonymity": {**gate, "enforce": "suppress"}, "rules": {"note": "drop"}}))
    assert set(states.values()) == {"success"}, log
    with daemon.database("warehouse") as db:
        assert db.execute("select min(n) >= 5, sum(n) from (select count(*) as n from sales.lenient where born is not null "
                          "group by born, state) x").fetchone() == (True, 1197)
        assert db.execute("select id from sales.lenient where born is null and state is null order by 1").fetchall() == [(1,), (2,), (3,)]


def test_a_column_that_nobody_classified_is_found_by_its_values(daemon):
    states, log = run(daemon, dag("found", {}))
    assert states["mask"] == "failed"
    assert "note: email (100% of 900 values)" in log
    assert "@example" not in log.lower()


def test_masking_functions_inside_sql_join_with_what_rules_make(daemon):
    body = dag("in_sql", {})
    body["tasks"][2:] = [
        {"task_id": "mask", "operator": "transform", "with": {"to": "curated.in_sql", "sql":
            "select id, mask(email, 'email') as email, mask_hmac(note, 'email') as same, mask_partial(card, 4) as card, "
            "state from processed.in_sql"}},
        {"task_id": "load", "operator": "load", "with": {"from": "curated.in_sql", "to": "sales.in_sql", "mode": "replace", "key": "id"}}]
    states, log = run(daemon, body)
    assert set(states.values()) == {"success"}, log
    with daemon.database("warehouse") as db:
        assert db.execute("select count(*), count(*) filter (where a.email = b.email and a.same = b.email) "
                          "from sales.in_sql a join sales.people b using (id)").fetchone() == (1200, 1200)
        assert db.execute("select card from sales.in_sql where id = 7").fetchone()[0].startswith("****-****-****-")
