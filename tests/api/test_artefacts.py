"""Values over the inline limit: pushed by operators, read by templates and by the API, kept once as files."""
import os
import time

from conftest import wait_for, write_dag

MIB = 1 << 20
LONG = ("import json; print(json.dumps([{'n': i, 'text': 'x' * 90} for i in range(10000)]))")
XCOM = "/api/v2/dags/{}/dagRuns/{}/taskInstances/{}/xcomEntries/return_value"


def artefacts(daemon):
    return sorted(p for p in (daemon.home / "artefacts").rglob("*") if p.is_file())


def test_a_1_mib_xcom_goes_from_task_to_template_and_api(daemon):
    write_dag(daemon, "long_values", [
        {"task_id": "make", "operator": "python", "with": {"code": LONG}},
        {"task_id": "read", "operator": "python", "with": {
            "code": ["import os", "print(os.environ['N'])"], "env": {"N": "{{ xcom.make[9999].n }}"},
        }},
        {"task_id": "whole", "operator": "shell", "with": {"argv": ["wc", "-c"], "stdin": "{{ xcom.make | tojson }}"}},
    ])
    run = daemon.trigger("long_values")["dag_run_id"]
    assert daemon.wait_run("long_values", run)["state"] == "success", daemon.tasks("long_values", run)
    entry = daemon.get(XCOM.format("long_values", run, "make"))
    assert entry["value"] == [{"n": i, "text": "x" * 90} for i in range(10000)]
    assert (entry["value_type"], entry["value_bytes"] > MIB) == ("list", True)
    assert daemon.get(XCOM.format("long_values", run, "read"))["value"] == 9999
    assert daemon.get(XCOM.format("long_values", run, "whole"))["value"] > MIB
    # The row has a reference, the file is counted for the run.
    with daemon.database() as db:
        size, = db.execute("select max(octet_length(value::text)) from xcom").fetchone()
        assert size < 300
        kinds = db.execute("select type, items from artefact order by 1").fetchall()
    assert ("list", 10000) in kinds
    # The rendered field is the whole text too.
    ti = daemon.get(f"/api/v2/dags/long_values/dagRuns/{run}/taskInstances/whole")
    assert len(ti["rendered_fields"]["stdin"]) > MIB
    # Twice the same values are stored once.
    before = artefacts(daemon)
    again = daemon.trigger("long_values")["dag_run_id"]
    assert daemon.wait_run("long_values", again)["state"] == "success"
    assert artefacts(daemon) == before


def test_a_conf_over_the_inline_limit_is_kept_whole(daemon):
    write_dag(daemon, "long_conf", [
        {"task_id": "read", "operator": "shell", "with": {"argv": ["wc", "-c"], "stdin": "{{ params.text }}"}},
    ], params={"text": "short"})
    text = "y" * (200 << 10)
    run = daemon.trigger("long_conf", conf={"text": text})["dag_run_id"]
    assert daemon.wait_run("long_conf", run)["state"] == "success"
    assert daemon.run("long_conf", run)["conf"] == {"text": text}
    assert daemon.get(XCOM.format("long_conf", run, "read"))["value"] == len(text)


def test_a_last_line_over_artefact_bytes_is_no_xcom_and_the_log_says_so(daemon):
    write_dag(daemon, "too_long", [
        {"task_id": "make", "operator": "python", "with": {"code": "print('x' * (65 << 20))"}},
    ])
    run = daemon.trigger("too_long")["dag_run_id"]
    assert daemon.wait_run("too_long", run)["state"] == "success"
    assert any("artefact_bytes" in line for line in daemon.log_lines("too_long", run, "make"))
    daemon.request("GET", XCOM.format("too_long", run, "make"), status=404)
    assert artefacts(daemon) == []


def test_files_that_no_run_counts_are_swept_at_the_next_start(daemons):
    daemon = daemons().start()
    write_dag(daemon, "kept", [{"task_id": "make", "operator": "python", "with": {"code": LONG}}])
    run = daemon.trigger("kept")["dag_run_id"]
    assert daemon.wait_run("kept", run)["state"] == "success"
    daemon.stop()
    counted = artefacts(daemon)
    # What a daemon leaves that was killed between the file and the commit.
    folder = daemon.home / "artefacts" / "ab"
    folder.mkdir(exist_ok=True)
    old, young, part = folder / ("ab" * 32 + ".json"), folder / ("ac" * 32 + ".json"), folder / "part-1-1"
    for file in (old, young, part):
        file.write_text("1")
    for file in (*counted, old, part):
        os.utime(file, (time.time() - 7200,) * 2)
    daemon.start()
    wait_for(lambda: not old.exists() and not part.exists(), 20)
    assert young.exists() and all(file.exists() for file in counted)
    assert len(daemon.get(XCOM.format("kept", run, "make"))["value"]) == 10000


def test_retention_by_hand_says_what_stays_and_why(daemon):
    write_dag(daemon, "young", [{"task_id": "a", "operator": "empty"}])
    daemon.wait_run("young", daemon.trigger("young")["dag_run_id"])
    said = daemon.cli("db", "retain", "--keep", "1h", "--dry-run").stdout
    assert "stays" in said and "new runs go there" in said
