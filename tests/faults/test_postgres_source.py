"""extract from a PostgreSQL over TCP: certificates and passwords that do not fit, and a server that ends in the middle."""
import json
import shutil
import subprocess
import tempfile
import time

import psycopg
import pytest

from conftest import standalone, wait_for, write_dag
from nodes import Postgres

TRANSIENT, AUTH = 1, 3  # ErrorClass in the run-state database
# Slow where rows are copied, not where the ranges are looked for.
SLOW = "select id, case when current_query() like 'copy%' then pg_sleep({})::text end as waited from t"


@pytest.fixture(scope="module")
def server():
    with tempfile.TemporaryDirectory(prefix="sluice-source-", ignore_cleanup_errors=True) as folder:
        made = Postgres(folder)
        with made.connect() as db:
            db.execute("create table t as select g as id from generate_series(1, 1000) g")
            db.execute("set password_encryption = 'scram-sha-256'; alter role sluice password 'sluice-secret'")
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=localhost", "-addext",
                            "subjectAltName=DNS:localhost", "-keyout", made.data / "server.key", "-out", made.data / "server.crt"],
                           check=True, capture_output=True)
            for name in ("server.key", "server.crt"):
                (made.data / name).chmod(0o600)
                if made.user:
                    shutil.chown(made.data / name, "postgres")
            (made.data / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\nhost all all ::1/128 scram-sha-256\n")
            db.execute("alter system set ssl = on")
            db.execute("select pg_reload_conf()")
        shutil.copy(made.data / "server.crt", folder + "/authority.crt")
        made.folder, made.dsn = folder, f"host=127.0.0.1 port={made.port} user=sluice password=sluice-secret dbname=postgres"
        try:
            yield made
        finally:
            made.stop("immediate")


@pytest.fixture(scope="module")
def daemon(server):
    def connection(**keys):
        extra = keys.pop("extra", {"sslmode": "disable"})
        return json.dumps({"conn_type": "postgres", "host": "localhost", "port": server.port, "login": "sluice", "password": "sluice-secret",
                           "schema": "postgres", "extra": extra, **keys})
    ca = {"sslrootcert": server.folder + "/authority.crt"}
    connections = {"plain": connection(), "checked": connection(extra=ca), "unknown_authority": connection(extra={}),
                   "other_host": connection(host="127.0.0.1", extra=ca), "wrong_password": connection(password="mistaken"),
                   "encrypted": f"postgres://sluice:sluice-secret@127.0.0.1:{server.port}/postgres?sslmode=require", "down": connection(port=1)}
    with standalone(env={"SLUICE_CONN_" + name.upper(): value for name, value in connections.items()}) as made:
        yield made


def start(daemon, name, source, **keys):
    write_dag(daemon, name, [{"task_id": "read", "operator": "extract", **keys, "with": {"from": source, "to": f"raw.{name}"}}])
    return daemon.trigger(name)["dag_run_id"]


def attempts(daemon, name):
    with daemon.database() as db:
        return db.execute(
            "select error_class, error from (select a.run_key, a.start_no, a.error_class, a.error from attempt a "
            "union all select t.run_key, 1000, t.error_class, t.error from task_instance t) e join dag_run r using (run_key) "
            "where r.dag_id = %s and error <> '' order by start_no", (name,)).fetchall()


@pytest.mark.parametrize("conn_id, kind, says", [
    ("unknown_authority", AUTH, "certificate verify failed"),
    ("other_host", AUTH, "does not match host name"),
    ("wrong_password", AUTH, "password authentication failed"),
    ("down", TRANSIENT, "refused"),
])
def test_a_server_that_is_not_there_or_not_itself(daemon, conn_id, kind, says):
    run = start(daemon, conn_id, {"conn_id": conn_id, "table": "t"})
    assert daemon.wait_run(conn_id, run)["state"] == "failed"
    ((found, error),) = attempts(daemon, conn_id)
    assert found == kind and f'connection "{conn_id}"' in error and says in error, error


@pytest.mark.parametrize("conn_id, encrypted", [("plain", False), ("checked", True), ("encrypted", True)])
def test_tls_is_used_as_the_connection_says(daemon, conn_id, encrypted):
    run = start(daemon, conn_id, {"conn_id": conn_id, "query": f"select 1 / (case when ssl = {encrypted} then 1 else 0 end) as right_one "
                                                               "from pg_stat_ssl where pid = pg_backend_pid()"})
    assert daemon.wait_run(conn_id, run)["state"] == "success", attempts(daemon, conn_id)


def test_a_server_that_ends_in_the_middle_costs_only_the_chunks_that_were_not_read(server, daemon):
    run = start(daemon, "ended", {"conn_id": "plain", "query": SLOW.format(0.01),
                                  "chunk": {"column": "id", "rows": 100, "parallel": 2}}, retries=20, retry_delay="1s")
    done = lambda: len(list((daemon.home / "lake/_spool").glob("*/*.parquet")))
    wait_for(lambda: done() >= 2)
    server.stop("immediate")
    wait_for(lambda: daemon.tasks("ended", run)["read"]["state"] == "up_for_retry")
    kept = done()
    server.start()
    assert daemon.wait_run("ended", run)["state"] == "success"
    tried = attempts(daemon, "ended")
    assert {kind for kind, _ in tried} == {TRANSIENT} and 'connection "plain"' in tried[0][1] and "of 10, after row" in tried[0][1]
    last = daemon.tasks("ended", run)["read"]["try_number"]
    assert f"goes on with {kept} of 10 chunks" in "\n".join(daemon.log_lines("ended", run, "read", last))
    summary = daemon.get(f"/api/v2/dags/ended/dagRuns/{run}/taskInstances/read/xcomEntries/return_value")["value"]
    assert (summary["rows_in"], summary["rows_out"]) == (1000, 1000)


def test_a_worker_killed_at_extract_chunk_done_reads_no_chunk_twice(daemon):
    daemon.stop()
    daemon.start(env={"SLUICE_FAULT": "extract_chunk_done:4"})
    run = start(daemon, "killed", {"conn_id": "plain", "query": "select id from t",
                                   "chunk": {"column": "id", "rows": 100, "parallel": 1}}, retries=20, retry_delay="1s")
    assert daemon.wait_run("killed", run)["state"] == "success"
    # Four chunks, four, and the last two.
    assert daemon.tasks("killed", run)["read"]["try_number"] == 3
    assert "goes on with 8 of 10 chunks" in "\n".join(daemon.log_lines("killed", run, "read", 3))
    with daemon.database() as db:
        assert db.execute("select rows from ledger where dataset = 'raw.killed' and state = 'committed'").fetchall() == [(1000,)]
    daemon.stop()
    daemon.start()


def test_a_cancel_ends_the_statements_on_the_server_too(server, daemon):
    run = start(daemon, "cancelled", {"conn_id": "plain", "query": SLOW.format(0.1),
                                      "chunk": {"column": "id", "rows": 100, "parallel": 3}})
    with psycopg.connect(server.dsn, autocommit=True) as db:
        busy = lambda: db.execute("select count(*) from pg_stat_activity where application_name like 'sluice:cancelled%'").fetchone()[0]
        wait_for(lambda: busy() >= 3)
        begin = time.monotonic()
        daemon.request("PATCH", f"/api/v2/dags/cancelled/dagRuns/{run}", json={"state": "failed"})
        wait_for(lambda: busy() == 0, 5)
        assert time.monotonic() - begin < 2
