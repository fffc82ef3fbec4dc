"""load into MySQL, against a real MariaDB: what a repeated run replaces, types, tables of others, instances of a mapped task, kills."""
import json

import pytest

from conftest import standalone, wait_for, write_dag
from test_mariadb import AUTH, DATA_QUALITY, PERMANENT, SCHEMA, TRANSIENT, errors, mariadb, server  # noqa: F401

DAYS = ["2026-02-01", "2026-02-02", "2026-02-03"]
COLUMNS = {"id": "integer not null", "v": "varchar", "price": "decimal(10,3)"}


@pytest.fixture(scope="module")
def daemon(server):  # noqa: F811
    env = {"SLUICE_CONN_SHOP": server.connection(), "SLUICE_CONN_WRONG": server.connection(password="mistaken"),
           "SLUICE_CONN_DOWN": server.connection(port=1), "SLUICE_CONN_HTTP": json.dumps({"conn_type": "http", "host": "127.0.0.1"})}
    with standalone(env=env) as made:
        made.shop = env
        yield made


def source(daemon, name, rows, day=DAYS[0]):
    path = daemon.home / "sample" / "ecommerce" / name / f"{day}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("id,v,price\n" + "".join(f"{line}\n" for line in rows))


def define(daemon, name, to=None, columns=None, task=None, **with_):
    write_dag(daemon, name, [
        {"task_id": "read", "operator": "extract", "with": {"from": {"conn_id": "landing", "path": name + "/{{ data_interval_start | ds }}.csv"}, "to": f"raw.{name}"}},
        {"task_id": "type", "operator": "transform", "with": {"from": f"raw.{name}", "to": f"processed.{name}", "steps": [{"cast": "declared"}]}},
        {"task_id": "load", "operator": "load", **(task or {}), "with": {"from": f"processed.{name}", "to": to or {"conn_id": "shop", "table": name}, **with_}}],
        schedule={"cron_interval": "@daily"}, start_date="2020-01-01", end_date="2020-01-01",
        datasets={f"raw.{name}": {"columns": columns or COLUMNS}})


def load(daemon, name, rows, day=DAYS[0], state="success"):
    source(daemon, name, rows, day)
    ended = day[:-1] + str(int(day[-1]) + 1)
    run = daemon.trigger(name, data_interval_start=f"{day}T00:00:00Z", data_interval_end=f"{ended}T00:00:00Z")["dag_run_id"]
    found = daemon.wait_run(name, run)["state"]
    assert found == state, daemon.log_lines(name, run, "load")
    return run


def rows(server, name, columns="id, v, price"):  # noqa: F811
    return server.sql(f"select concat_ws(',', {columns}) from {name} order by id, v", "shop").splitlines()


def test_append_and_replace(server, daemon):  # noqa: F811
    define(daemon, "appended", mode="append")
    load(daemon, "appended", ["1,a,1.5", "1,a,1.5"])
    load(daemon, "appended", ["2,b,"], DAYS[1])
    assert rows(server, "appended") == ["1,a,1.500", "1,a,1.500", "2,b"]
    load(daemon, "appended", ["7,new,0.125"])
    assert rows(server, "appended") == ["2,b", "7,new,0.125"]
    # The ledger of the dashboard has it too.
    with daemon.database() as db:
        assert db.execute("select slice, rows from ledger where dataset = 'shop:appended' and state = 'committed' order by 1").fetchall() == [
            (f"{DAYS[0]}T00:00:00+00:00/{DAYS[1]}T00:00:00+00:00", 1), (f"{DAYS[1]}T00:00:00+00:00/{DAYS[2]}T00:00:00+00:00", 1)]
    define(daemon, "replaced", mode="replace", key="id")
    load(daemon, "replaced", ["1,a,1", "2,b,2"])
    load(daemon, "replaced", ["3,c,3"], DAYS[1])
    assert rows(server, "replaced") == ["3,c,3.000"]


def test_merge_shows_the_latest_interval_whatever_the_order(server, daemon):  # noqa: F811
    days = [["1,a,1", "2,a,1"], ["2,b,2", "3,b,2"], ["3,c,3"]]
    for number, order in enumerate(([0, 1, 2], [2, 1, 0], [1, 0, 2, 1])):
        name = f"merged{number}"
        define(daemon, name, key="id")
        for day in order:
            load(daemon, name, days[day], DAYS[day])
        assert rows(server, name) == ["1,a,1.000", "2,b,2.000", "3,c,3.000"]
        # A correction: what the interval before said comes back.
        load(daemon, name, ["3,b,2"], DAYS[1])
        assert rows(server, name) == ["1,a,1.000", "2,a,1.000", "3,c,3.000"]
        load(daemon, name, ["9,x,1"], DAYS[0])
        assert rows(server, name) == ["3,c,3.000", "9,x,1.000"]


def test_every_type_arrives_and_comes_back(server, daemon):  # noqa: F811
    types = {"id": "integer not null", "flag": "boolean", "big": "bigint", "price": "decimal(38,9)", "r": "real", "d": "double", "v": "varchar",
             "da": "date", "ti": "time", "ts": "timestamp", "tz": "timestamptz", "u": "uuid", "j": "json"}
    define(daemon, "typed", columns=types, key="id")
    line = ("1,true,-9223372036854775808,12345678901234567890123456789.123456789,0.1,1e-300,Zoë 😀 ' \\ ,2026-01-05,07:08:09.5,"
            "1999-12-31 23:59:59.999999,2026-01-05T07:00:00+01:00,00112233-4455-6677-8899-aabbccddeeff,\"{\"\"a\"\": [1, 2.50]}\"")
    source(daemon, "typed", [])
    path = daemon.home / "sample/ecommerce/typed" / f"{DAYS[0]}.csv"
    path.write_text(",".join(types) + "\n" + line + "\n2" + "," * (len(types) - 1) + "\n")
    run = daemon.trigger("typed", data_interval_start=f"{DAYS[0]}T00:00:00Z", data_interval_end=f"{DAYS[1]}T00:00:00Z")["dag_run_id"]
    assert daemon.wait_run("typed", run)["state"] == "success", daemon.log_lines("typed", run, "load")
    assert server.sql("select flag, big, price, r, d, v, da, ti, ts, tz, u, j from typed where id = 1", "shop").replace("\t", "|") == (
        "1|-9223372036854775808|12345678901234567890123456789.123456789|0.1|1e-300|Zoë 😀 ' \\ |2026-01-05|07:08:09.500000|"
        "1999-12-31 23:59:59.999999|2026-01-05 06:00:00.000000|00112233-4455-6677-8899-aabbccddeeff|{\"a\": [1, 2.50]}")
    assert server.sql("select count(*) from typed where " + " and ".join(
        f"{column} is null" for column in types if column != "id"), "shop") == "1"


HASHED = {"id": "integer not null", "flag": "boolean", "big": "bigint", "price": "decimal(38,9)", "whole": "decimal(9,0)", "v": "varchar", "empty": "varchar",
          "da": "date", "ti": "time", "ts": "timestamp", "tz": "timestamptz", "u": "uuid"}
HASHED_LINES = [
    "1,true,-9223372036854775808,12345678901234567890123456789.123456789,100,Zoë 😀 ' \\ ,\"\",2026-01-05,07:08:09.5,1999-12-31 23:59:59.999999,"
    "2026-01-05T07:00:00+01:00,00112233-4455-6677-8899-aabbccddeeff",
    "2,false,0,-0.050,0,v1:x,x,1000-01-01,00:00:00,1000-01-01 00:00:00,9999-12-31T23:59:59Z,", "3" + "," * 11]


@pytest.mark.parametrize("with_", [{"mode": "append"}, {"key": "id"}, {"mode": "replace", "key": "id"}])
def test_verify_by_hash_sees_what_a_trigger_changes(server, daemon, with_):  # noqa: F811
    name = "hashed_" + with_.get("mode", "merge")
    define(daemon, name, columns=HASHED, verify="hash", **with_)
    path = daemon.home / "sample/ecommerce" / name / f"{DAYS[0]}.csv"

    def run(lines, state):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(",".join(HASHED) + "\n" + "".join(line + "\n" for line in lines))
        made = daemon.trigger(name, data_interval_start=f"{DAYS[0]}T00:00:00Z", data_interval_end=f"{DAYS[1]}T00:00:00Z")["dag_run_id"]
        assert daemon.wait_run(name, made)["state"] == state, daemon.log_lines(name, made, "load")

    run(HASHED_LINES, "success")
    run(HASHED_LINES[1:] + ["4" + "," * 11], "success")
    before = rows(server, name, "id, price, v, tz, u")
    server.sql(f"create trigger {name}_t before insert on {name} for each row set new.v = upper(new.v), new.price = new.price + 1", "shop")
    run(HASHED_LINES + ["5" + "," * 11], "failed")
    kind, message = errors(daemon, name)[-1]
    assert kind == DATA_QUALITY and f'connection "shop", {name}: verify: the rows of {name} are not what was sent: ' in message, message
    assert " in price, v (a trigger of the table?) [E-LOAD-VERIFY]" in message, message
    assert rows(server, name, "id, price, v, tz, u") == before
    server.sql(f"drop trigger {name}_t", "shop")
    run(HASHED_LINES, "success")


def test_a_table_of_others_keeps_its_rows_and_must_take_every_value(server, daemon):  # noqa: F811
    server.sql("create table theirs (id int primary key, v varchar(3), price decimal(10,1), more int default 5) engine InnoDB; "
               "insert into theirs (id, v) values (100, 'own')", "shop")
    define(daemon, "theirs", mode="append")
    load(daemon, "theirs", ["1,a,1.5"])
    load(daemon, "theirs", ["2,b,2.5"])
    assert rows(server, "theirs", "id, v, price, more") == ["2,b,2.5,5", "100,own,5"]
    for line, kind, says in (("3,c,1.25", SCHEMA, 'connection "shop", theirs: column "price" is decimal(10,1), which would change 1 values'),
                             ("3,long,1", DATA_QUALITY, 'connection "shop", theirs: Data too long for column'),
                             ("100,x,1", DATA_QUALITY, "Duplicate entry '100'")):
        load(daemon, "theirs", [line], state="failed")
        assert errors(daemon, "theirs")[-1][0] == kind and says in errors(daemon, "theirs")[-1][1], errors(daemon, "theirs")
        assert rows(server, "theirs", "id, v, price, more") == ["2,b,2.5,5", "100,own,5"], "all or nothing"
    server.sql("create table keyless (id int, v varchar(9), price decimal(10,3)) engine InnoDB; "
               "create table aria (id int primary key, v text, price decimal(10,3)) engine Aria", "shop")
    for name, says in (("keyless", "no unique index over the key"), ("aria", "InnoDB")):
        define(daemon, name, key="id")
        load(daemon, name, ["1,a,1"], state="failed")
        assert errors(daemon, name)[-1][0] == SCHEMA and says in errors(daemon, name)[-1][1]


@pytest.mark.parametrize("name, to, keys, kind, says", [
    ("no_login", {"conn_id": "wrong", "table": "t"}, {}, AUTH, "Access denied"),
    ("no_server", {"conn_id": "down", "table": "t"}, {}, TRANSIENT, 'connection "down", t: '),
    ("no_target", {"conn_id": "http", "table": "t"}, {}, PERMANENT, "load writes to tables of a warehouse and to mysql, fs, s3 and aws"),
    ("no_file", {"conn_id": "shop", "path": "x.csv"}, {}, PERMANENT, 'connection "shop" is of type "mysql", so "to" must say what is written by table'),
    ("no_way", {"conn_id": "warehouse", "table": "t"}, {}, PERMANENT, 'let "to" be schema.table'),
    ("key_twice", {"conn_id": "shop", "table": "key_twice"}, {"key": "v"}, DATA_QUALITY, "E-LOAD-KEY"),
])
def test_what_goes_wrong_says_so(daemon, name, to, keys, kind, says):
    define(daemon, name, to, **keys)
    load(daemon, name, ["1,a,1", "2,a,2"], state="failed")
    found, message = errors(daemon, name)[-1]
    assert (found, says in message) == (kind, True), message
    assert "sluice-secret" not in message


def regions(mode):
    return [
        {"task_id": "list", "operator": "shell", "with": {"argv": ["echo", "{{ macros.json.dumps(params.regions) }}"]}},
        {"group_id": "each", "expand": {"region": "{{ xcom.list }}"}, "tasks": [
            {"task_id": "read", "operator": "extract", "with": {"from": {"conn_id": "landing", "path": "regions/{{ map.region }}.csv"}, "to": f"raw.r_{mode}"}},
            {"task_id": "type", "operator": "transform", "with": {"from": f"raw.r_{mode}", "to": f"processed.r_{mode}", "steps": [{"cast": "declared"}]}},
            {"task_id": "load", "operator": "load", "retries": 5, "retry_delay": "1s",
             "with": {"from": f"processed.r_{mode}", "to": {"conn_id": "shop", "table": f"r_{mode}"}, "mode": mode, **({"key": "id"} if mode != "append" else {})}}]}]


@pytest.mark.parametrize("mode", ["append", "merge", "replace"])
def test_instances_of_a_mapped_task_share_a_table(server, daemon, mode):  # noqa: F811
    for number, region in enumerate(("n", "s", "w")):
        source(daemon, "regions", [f"{number},{region},1"], region)
    name = f"r_{mode}"
    write_dag(daemon, name, regions(mode), params={"regions": ["n", "s", "w"]}, datasets={f"raw.{name}": {"columns": COLUMNS}})
    interval = {"data_interval_start": "2026-02-01T00:00:00Z", "data_interval_end": "2026-02-02T00:00:00Z"}
    for chosen, there in ((["n", "s", "w"], ["0,n,1.000", "1,s,1.000", "2,w,1.000"]), (["w", "n"], ["0,n,1.000", "2,w,1.000"])):
        run = daemon.trigger(name, conf={"regions": chosen}, **interval)["dag_run_id"]
        assert daemon.wait_run(name, run)["state"] == "success", daemon.log()
        assert rows(server, name) == there


@pytest.mark.parametrize("point", ["target_before_stage", "target_after_stage", "target_before_commit", "target_after_commit"])
def test_killed_at_any_point_a_load_is_there_once_or_not_at_all(server, daemon, point):  # noqa: F811
    name = "killed_" + point
    define(daemon, name, key="id", mode="replace")
    load(daemon, name, ["1,old,1", "2,old,2"])
    daemon.stop()
    daemon.start(env={"SLUICE_FAULT": f"{point}:1"})
    source(daemon, name, ["2,new,2", "3,new,3"])
    run = daemon.trigger(name, data_interval_start=f"{DAYS[0]}T00:00:00Z", data_interval_end=f"{DAYS[1]}T00:00:00Z")["dag_run_id"]
    assert daemon.wait_run(name, run)["state"] == "failed"
    new = ["2,new,2.000", "3,new,3.000"]
    # The server gives the locks back when it sees that the worker is gone.
    assert rows(server, name) == (new if point == "target_after_commit" else ["1,old,1.000", "2,old,2.000"])
    daemon.stop()
    daemon.start()
    load(daemon, name, ["2,new,2", "3,new,3"])
    assert rows(server, name) == new


def test_a_server_killed_in_the_middle_is_retried(server, daemon):  # noqa: F811
    define(daemon, "retried", task={"retries": 30, "retry_delay": "1s"}, mode="append")
    server.kill()
    source(daemon, "retried", ["1,a,1"])
    run = daemon.trigger("retried", data_interval_start=f"{DAYS[0]}T00:00:00Z", data_interval_end=f"{DAYS[1]}T00:00:00Z")["dag_run_id"]
    wait_for(lambda: daemon.tasks("retried", run)["load"]["state"] == "up_for_retry", 90)
    server.start()
    assert daemon.wait_run("retried", run)["state"] == "success"
    assert rows(server, "retried") == ["1,a,1.000"]
