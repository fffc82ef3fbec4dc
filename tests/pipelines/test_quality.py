"""Quality and dry runs: metrics by interval and anomalies, the quarantine and the way out of it, `dags plan`, how rows flow."""
import json
import os
import signal
import subprocess

import pytest

from conftest import SLUICE, standalone, wait_for, write_dag

DAYS = [f"2026-01-{day:02d}" for day in range(1, 9)]
ACCEPTED = ["ok", "late"]


def pipeline(values):
    return {
        "schedule": {"cron_interval": "@daily"}, "start_date": DAYS[0], "end_date": DAYS[-1], "catchup": True, "max_active_runs": 1,
        "schemas": {"mart": "warehouse"}, "policy": "policies/pii.json",
        "datasets": {"raw.sales": {"columns": {
            "id": "bigint not null", "qty": "integer", "status": "varchar", "mail": "varchar @email"}, "key": "id"}},
        "tasks": [
            {"task_id": "extract", "operator": "extract",
             "with": {"from": {"conn_id": "landing", "path": "sales/{{ ds }}.csv"}, "to": "raw.sales"}},
            {"task_id": "check", "operator": "validate",
             "with": {"from": "raw.sales", "to": "processed.sales", "max_bad": "50%",
                      "checks": [{"accepted_values": "status", "values": values}, {"unique": "id"}],
                      "anomalies": [{"metric": "row_count", "min_history": 4},
                                    {"metric": "null_share", "column": "mail", "min_history": 4}]}},
            {"task_id": "mask", "operator": "mask", "with": {"from": "processed.sales", "to": "curated.sales"}},
            {"task_id": "load", "operator": "load", "with": {"from": "curated.sales", "to": "mart.sales", "mode": "merge", "key": "id"}},
            {"task_id": "tell", "operator": "shell", "upstream": ["load"], "with": {"argv": ["true"]}}]}


class Shop:
    def __init__(self, daemon):
        self.daemon = daemon
        self.folder = daemon.home / "sample" / "ecommerce" / "sales"
        self.folder.mkdir(parents=True)
        for number, day in enumerate(DAYS):
            self.put(day, 20 if number < 7 else 5)
        (daemon.dags / "policies").mkdir()
        (daemon.dags / "policies/pii.json").write_text(json.dumps(
            {"key": "mask_key", "allow": {"curated": [], "warehouse": []}, "classes": {"email": "nullify"}}))
        self.define(["ok"])
        self.finished()
        self.runs = {run["logical_date"][:10]: run["dag_run_id"] for run in self.all_runs()}

    def put(self, day, rows, status=lambda i: "late" if i % 10 == 3 else "ok"):
        base = 100 * DAYS.index(day)
        lines = [f"{base + i},{i},{status(i)},zq{base + i}canary@example.com" for i in range(rows)]
        (self.folder / f"{day}.csv").write_text("id,qty,status,mail\n" + "\n".join(lines) + "\n")

    def define(self, values):
        write_dag(self.daemon, "sales", **pipeline(values))

    def all_runs(self):
        return self.daemon.get("/api/v2/dags/sales/dagRuns?limit=100")["dag_runs"]

    def finished(self):
        def ended():
            """all runs have ended"""
            runs = self.all_runs()
            return len(runs) == len(DAYS) and all(run["state"] in ("success", "failed") for run in runs)
        wait_for(ended, 90)
        assert all(run["state"] == "success" for run in self.all_runs()), self.daemon.log()

    def warehouse(self, sql):
        with self.daemon.database("warehouse") as db:
            return db.execute(sql).fetchall()

    def loaded(self):
        return self.warehouse("select count(*), count(distinct id), sum(qty) from mart.sales")[0]

    def schemas(self):
        return [name for (name,) in self.warehouse("select nspname from pg_namespace where nspname ~ '__test_'")]

    def xcom(self, day, task, key):
        return self.daemon.get(f"/api/v2/dags/sales/dagRuns/{self.runs[day]}/taskInstances/{task}/xcomEntries/{key}")["value"]

    def plan(self, *args, dag="sales", **keys):
        return subprocess.run([SLUICE, "dags", "plan", dag, "--home", self.daemon.home, *args],
                              capture_output=True, text=True, timeout=120, **keys)


@pytest.fixture(scope="module")
def shop():
    with standalone() as daemon:
        yield Shop(daemon)


def table(text):
    """{first cell: the other cells} of a table that the command line printed first."""
    out = {}
    for line in text.splitlines():
        if line.strip():
            out.setdefault(line.split()[0], line.split()[1:])
    return out


def test_metrics_are_kept_by_interval_and_the_odd_one_out_is_named(shop):
    rows = shop.daemon.get("/ui/v1/dags/sales/metrics?task=check")["metrics"]
    assert len(rows) == len(DAYS) and all(row["passed"] for row in rows)
    newest = rows[0]
    assert newest["summary"]["rows_in"] == 5 and newest["summary"]["rows_quarantined"] == 1
    assert newest["summary"]["peak_memory_bytes"] > 10_000_000 and newest["summary"]["seconds"] > 0
    assert newest["datasets"]["raw.sales"] == {"broken: accepted_values: status": 1, "row_count": 4, "null_share: mail": 0}
    judged = {item["metric"]: item for item in shop.xcom(DAYS[7], "check", "anomalies")}
    assert judged["row_count"]["verdict"] == "anomaly" and judged["row_count"]["intervals"] == 7
    assert judged["null_share: mail"]["verdict"] == "usual"
    few = shop.xcom(DAYS[2], "check", "anomalies")[0]
    assert few["verdict"] == "unknown" and few["found"] == "there are 2 earlier intervals, 4 are needed to judge"
    with shop.daemon.database() as db:
        assert "canary" not in str(db.execute("select metrics from task_metric").fetchall())


def test_how_rows_went_through_a_run_is_told(shop):
    flow = shop.daemon.get(f"/ui/v1/dags/sales/runs/{shop.runs[DAYS[0]]}/flow")["tasks"]
    tasks = {task["t"]: task for task in flow}
    assert list(tasks) == ["extract", "check", "mask", "load"]
    assert tasks["check"]["reads"] == [["raw.sales", 0]] and tasks["check"]["writes"] == [["processed.sales", 1]]
    assert tasks["load"]["writes"] == [["mart.sales", 3]]
    assert (tasks["check"]["summary"]["rows_in"], tasks["check"]["summary"]["rows_out"]) == (20, 18)
    printed = table(shop.daemon.cli("runs", "flow", "sales", shop.runs[DAYS[0]]).stdout)
    assert printed["check"][:3] == ["20", "18", "2"]


def test_a_plan_says_what_a_run_would_change_and_leaves_nothing(shop, tmp_path):
    before = shop.loaded()
    same = shop.plan("--date", DAYS[1])
    assert same.returncode == 0, same.stdout + same.stderr
    rows = table(same.stdout)
    assert rows["mart.sales"] == ["130", "130", "0", "0", "0"] and rows["raw.sales"] == ["20", "20", "0", "0", "0"]
    assert "not run: tell (shell)" in same.stdout

    # A file that was corrected, and rules that were: before either is live.
    kept = (shop.folder / f"{DAYS[1]}.csv").read_text()
    lines = kept.splitlines()
    lines[1] = lines[1].replace(",0,ok", ",77,ok")
    del lines[2]
    (shop.folder / f"{DAYS[1]}.csv").write_text("\n".join(lines) + "\n")
    edited = tmp_path / "sales.json"
    edited.write_text(json.dumps({"dag_id": "sales", **pipeline(ACCEPTED)}))
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies/pii.json").write_text((shop.daemon.dags / "policies/pii.json").read_text())
    plan = shop.plan("--date", DAYS[1], dag=str(edited), env={**os.environ, "TMPDIR": str(tmp_path)})
    (shop.folder / f"{DAYS[1]}.csv").write_text(kept)
    assert plan.returncode == 0, plan.stdout + plan.stderr
    rows = table(plan.stdout)
    assert rows["raw.sales"] == ["20", "19", "0", "1", "1"]
    assert rows["mart.sales"] == ["130", "131", "2", "1", "1"]
    assert rows["raw.sales_quarantine"] == ["2", "0", "0", "0", "2"]
    assert "~ id=100 qty: 0 -> 77" in plan.stdout and "- id=101" in plan.stdout
    assert "canary" not in plan.stdout + plan.stderr and "mail=***" in plan.stdout
    assert shop.loaded() == before and not shop.schemas()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["policies", "sales.json"]


def test_a_plan_that_fails_or_is_interrupted_leaves_nothing_either(shop, tmp_path):
    file = shop.folder / f"{DAYS[6]}.csv"
    file.rename(file.with_suffix(".away"))
    missing = shop.plan("--date", DAYS[6])
    file.with_suffix(".away").rename(file)
    assert missing.returncode != 0 and "the run failed; nothing was kept" in missing.stderr, missing.stdout + missing.stderr
    assert not shop.schemas()
    process = subprocess.Popen([SLUICE, "dags", "plan", "sales", "--date", DAYS[0], "--home", shop.daemon.home],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)})
    wait_for(shop.schemas)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode != 0 and "stopped" in errors
    assert not shop.schemas() and not list(tmp_path.iterdir())
    away = subprocess.run([SLUICE, "dags", "plan", "sales", "--date", DAYS[0], "--home", tmp_path], capture_output=True, text=True)
    assert away.returncode != 0 and "compares with what is there" in away.stderr


def test_rows_leave_the_quarantine_when_the_rules_are_mended(shop):
    day, run = DAYS[4], shop.runs[DAYS[4]]
    before = shop.loaded()
    held = shop.daemon.cli("quarantine", "list", "sales").stdout
    assert run in held and "accepted_values: status 2" in held
    refused = shop.daemon.cli("quarantine", "redrive", "sales", "mask", "--date", day, check=False)
    assert refused.returncode != 0 and "there is no quarantine" in refused.stderr

    shop.define(ACCEPTED)
    wait_for(lambda: shop.daemon.get("/api/v2/dags/sales/dagVersions")["total_entries"] == 2)
    planned = shop.daemon.cli("quarantine", "redrive", "sales", "check", "--date", day, "--dry-run").stdout
    assert "2 rows are held; 4 task instances would run again" in planned
    done = shop.daemon.cli("quarantine", "redrive", "sales", "check", "--date", day).stdout
    assert "2 rows are let in, 0 are still held; 20 of 20 rows passed" in done
    after = shop.loaded()
    assert after[0] == after[1] == before[0] + 2, "each row once"
    # Once more: nothing enters twice, the traces stay.
    again = shop.daemon.cli("quarantine", "redrive", "sales", "check", "--run", run).stdout
    assert "0 rows are let in, 0 are still held" in again
    assert shop.loaded() == after
    with shop.daemon.database() as db:
        live = dict(db.execute("select dataset, rows from ledger where state = 'committed' and partition = %s", (f"dt={day}",)).fetchall())
    assert live["raw.sales_quarantine"] == 0 and live["raw.sales_quarantine_released"] == 2 and live["processed.sales"] == 20


def test_no_value_of_a_class_is_in_logs_xcoms_or_metrics(shop):
    with shop.daemon.database() as db:
        for (name,) in db.execute("select tablename from pg_tables where schemaname = 'public'").fetchall():
            found = db.execute(f'select count(*) from "{name}" t where t::text ~ %s', ("zq[0-9]+canary",)).fetchone()
            assert found == (0,), name
    for path in (shop.daemon.home / "logs").rglob("*.log"):
        assert "canary" not in path.read_text(), path
