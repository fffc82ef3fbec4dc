"""Values over the inline limit: pushed by operators, read by templates and by the API, kept once as files."""
from conftest import write_dag

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
        {"task_id": "whole", "operator": "shell", "with": {"argv": ["wc", "-c"], "stdin": "{{ xcom.make }}"}},
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
