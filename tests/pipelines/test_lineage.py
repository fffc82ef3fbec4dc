"""No readable personal data in curated data or a warehouse, proven when a DAG is loaded: the sample without its masks, and every
way round a mask, is refused with the way of the column. Needs no daemon: `sluice dags check`."""
import json
import shutil
import subprocess

import pytest

from conftest import ROOT, SLUICE

POLICY = {"key": "mask_master", "allow": {"curated": ["quasi"], "warehouse": ["quasi"]},
          "classes": {"email": "hmac", "name": {"method": "hmac", "length": 32}}}
COLUMNS = {"id": "bigint not null", "email": "varchar @email", "segment": "varchar", "state": "varchar @quasi", "name": "varchar @name"}


def check(path):
    done = subprocess.run([SLUICE, "dags", "check", path], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout


def people(folder, *tasks, datasets=(), **keys):
    """A DAG that reads people and does with them what the tasks say."""
    (folder / "policies").mkdir()
    (folder / "policies/people.json").write_text(json.dumps(POLICY))
    (folder / "people.json").write_text(json.dumps({
        "dag_id": "people", "schedule": "@daily", "start_date": "2026-01-01", "policy": "policies/people.json",
        "schemas": {"sales": "warehouse"}, "datasets": {"raw.people": {"columns": COLUMNS}, **dict(datasets)},
        "tasks": [
            {"task_id": "extract", "operator": "extract", "with": {"from": {"conn_id": "landing", "path": "people.csv"}, "to": "raw.people"}},
            {"task_id": "validate", "operator": "validate", "with": {"from": "raw.people", "to": "processed.people"}}, *tasks], **keys}))
    return check(folder / "people.json")


def task(operator, **params):
    keys = {"attest": params.pop("attest")} if "attest" in params else {}
    return {"task_id": operator + "_it", "operator": operator, **keys, "with": params}


def test_the_sample_without_its_masks_is_refused_with_the_way_of_every_column(tmp_path):
    shutil.copytree(ROOT / "dags", tmp_path / "dags")
    path = tmp_path / "dags/ecommerce_daily.json"
    assert check(path)[0] == 0
    dag = json.loads(path.read_text())
    dag["tasks"] = [group for group in dag["tasks"] if group["group_id"] != "mask"]
    text = json.dumps(dag).replace('"curated.customers"', '"processed.customers_clean"').replace('"curated.sales"', '"processed.sales"')
    path.write_text(text)
    status, said = check(path)
    assert status == 1
    for way in (
            "raw.customers.email -> processed.customers.email -> processed.customers_clean.email -> sales.dim_customer.email",
            "raw.customers.ssn -> processed.customers.ssn -> processed.customers_clean.ssn -> sales.dim_customer.ssn",
            "raw.orders.card_number -> processed.orders.card_number -> processed.orders_clean.card_number -> "
            "processed.sales.card_number -> sales.fact_sales.card_number"):
        assert f"({way})" in said, said
    lines = [line for line in said.splitlines() if "[E-PII]" in line]
    for column in ("full_name", "email", "phone", "ssn", "birth_date", "street"):
        assert any(f"sales.dim_customer.{column} would hold readable personal data" in line for line in lines), column
    # What the policy lets stay readable is not named.
    assert not any("dim_customer.city" in line for line in lines)


AROUND = {
    "a load": [task("load", **{"from": "processed.people", "to": "sales.people", "key": "id"})],
    "steps": [task("transform", **{"from": "processed.people", "to": "curated.people", "steps": [{"rename": {"email": "contact"}}]})],
    "a derived column": [task("transform", **{"from": "processed.people", "to": "curated.people", "steps": [
        {"derive": {"contact": "lower(email)"}}, {"select": ["id", "contact"]}]})],
    "rows that are checked": [task("validate", **{"from": "raw.people", "to": "curated.people"})],
    "SQL": [task("transform", to="curated.people", sql="select id, email from processed.people")],
    "SQL that gives it another column's name": [task("transform", to="curated.people", sql="select id, email as segment from processed.people")],
    "a subquery that does": [task("transform", to="curated.people", sql="select x.segment from (select email as segment from processed.people) x")],
    "a common table expression": [task("transform", to="curated.people", sql=
        "with a as (select lower(email) as state from processed.people) select state from a")],
    "the second half of a union": [task("transform", to="curated.people", sql=
        "select segment from processed.people union all select email from processed.people")],
    "a name for two tables": [task("transform", to="curated.people", sql=
        "select p.segment from (select email as segment from processed.people p) p")],
    "a whole row": [task("transform", to="curated.people", sql="select p::varchar as segment from processed.people p")],
    "processed data between": [
        task("transform", to="processed.other", sql="select id, email as segment from processed.people"),
        {"task_id": "next", "operator": "load", "with": {"from": "processed.other", "to": "sales.other", "key": "id"}}],
}


# What names do not show is refused.
OPAQUE = {
    "a list of names": "select segment from (select email from processed.people) x(segment)",
    "names of a common table expression": "with x(segment) as (select email from processed.people) select segment from x",
    "a replaced column": "select * exclude (email, name) replace (email as segment) from processed.people",
    "a renamed column": "select * exclude (segment, name) rename (email as segment) from processed.people",
    "columns by pattern": "select columns('ema.*') as segment from processed.people",
    "a union of stars": "select segment from (select * from processed.people union all select * from processed.people)",
    "a name of its own": "select upper(email) as mail from processed.people",
}


@pytest.mark.parametrize("way", AROUND)
def test_there_is_no_way_round_the_mask(tmp_path, way):
    status, said = people(tmp_path, *AROUND[way])
    assert status == 1 and "[E-PII]" in said and "raw.people.email -> " in said, said


@pytest.mark.parametrize("way", OPAQUE)
def test_sql_that_cannot_be_followed_is_refused_beside_classified_columns(tmp_path, way):
    status, said = people(tmp_path, task("transform", to="curated.people", sql=OPAQUE[way]))
    assert status == 1 and "[E-ATTEST]" in said, said


def test_a_declaration_takes_no_class_away(tmp_path):
    declared = {"processed.plain": {"columns": {"id": "bigint not null", "email": "varchar"}}}
    status, said = people(
        tmp_path, task("transform", **{"from": "processed.people", "to": "processed.plain", "steps": [{"select": ["id", "email"]}]}),
        task("load", **{"from": "processed.plain", "to": "sales.plain", "key": "id"}), datasets=declared)
    assert status == 1 and "raw.people.email -> processed.people.email -> processed.plain.email -> sales.plain.email" in said, said


def test_a_reason_to_trust_a_declaration_is_taken(tmp_path):
    declared = {"curated.counts": {"columns": {"segment": "varchar", "people": "bigint"}}}
    counts = {"to": "curated.counts", "sql": "select segment, count(distinct email) as people from processed.people group by 1"}
    load = task("load", **{"from": "curated.counts", "to": "sales.counts", "key": "segment"})
    status, said = people(tmp_path, task("transform", attest="numbers of people", **counts), load, datasets=declared)
    assert status == 0, said


def test_masked_columns_pass_by_rule_and_inside_sql(tmp_path):
    status, said = people(
        tmp_path, task("mask", **{"from": "processed.people", "to": "curated.people"}),
        task("load", **{"from": "curated.people", "to": "sales.people", "key": "id"}),
        {"task_id": "sql", "operator": "transform", "with": {
            "to": "curated.other", "sql": "select id, mask(email, 'email') as email, state from processed.people"}},
        {"task_id": "sql_load", "operator": "load", "with": {"from": "curated.other", "to": "sales.other", "key": "id"}})
    assert status == 0, said
