"""The commands of docs/quick-start.md, as a user types them."""
import json
import subprocess

import psycopg

from conftest import ROOT, SLUICE, wait_for

HELLO = {"dag_id": "hello", "schedule": "@daily", "start_date": "2026-01-01",
         "tasks": [{"task_id": "hello", "operator": "shell", "with": {"argv": ["echo", "{{ ds }}"]}}]}


def test_the_quick_start_commands_work_as_written(daemon):
    (daemon.dags / "hello.json").write_text(json.dumps(HELLO))
    wait_for(lambda: "hello" in daemon.cli("dags", "list").stdout, 5)
    assert "paused" in daemon.cli("dags", "list").stdout
    daemon.cli("dags", "unpause", "hello")
    run_id = daemon.cli("dags", "trigger", "hello").stdout.split()[0]
    assert "success" in daemon.cli("runs", "wait", "hello", run_id).stdout
    assert run_id in daemon.cli("runs", "list", "hello").stdout
    today = daemon.run("hello", run_id)["logical_date"][:10]
    assert today in daemon.cli("tasks", "logs", "hello", run_id, "hello").stdout
    dry = daemon.cli("backfill", "create", "hello", "--from", "2026-01-01", "--to", "2026-01-03", "--dry-run")
    assert "3 runs would be created" in dry.stdout
    done = daemon.cli("backfill", "create", "hello", "--from", "2026-01-01", "--to", "2026-01-03", "--wait")
    assert "2026-01-02 hello success" in done.stdout and "3 of 3 runs succeeded" in done.stdout


def test_wrong_input_on_the_command_line_is_a_sentence_and_an_exit_code(daemon):
    (daemon.dags / "hello.json").write_text(json.dumps(HELLO))
    wait_for(lambda: "hello" in daemon.cli("dags", "list").stdout, 5)
    for arguments, words in (
            (("dags", "trigger", "nope"), "nope"),
            (("dags", "trigger", "hello", "-c", "{bad"), "--conf must be a JSON object"),
            (("runs", "show", "hello", "nope"), "was not found"),
            (("backfill", "create", "hello", "--from", "2026-02-01", "--to", "2026-01-01"), "must not be after"),
            (("pools", "set", "p", "-5"), "slots")):
        done = daemon.cli(*arguments, check=False)
        assert done.returncode == 1 and words in done.stderr, (arguments, done)
    assert daemon.cli("nonsense", check=False).returncode == 2


def test_the_sample_needs_a_daemon_and_writes_nothing_without(daemon, tmp_path):
    daemon.stop()
    for home, words in ((daemon.home, "no daemon is running in"), (tmp_path, "has no private PostgreSQL")):
        done = subprocess.run([SLUICE, "sample", "ecommerce", "--home", home], capture_output=True, text=True)
        assert done.returncode == 1 and words in done.stderr
        assert f"sluice standalone --home {home}" in done.stderr and not (home / "sample/ecommerce/orders").exists()


def test_tables_are_listed_while_a_session_works_on_temporary_ones(daemon):
    url = daemon.cli("db", "url", "--database", "warehouse").stdout.strip()
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("create temp table being_made (a int)")
        session.execute("create table kept (a int)")
        session.execute("insert into kept values (1), (2)")
        listed = daemon.cli("db", "tables", "--database", "warehouse").stdout
    assert "being_made" not in listed
    assert ["public.kept", "table", "2"] in [line.split() for line in listed.splitlines()]


def verbs(*path):
    """Every verb that does something, with the text of its --help."""
    text = subprocess.run([SLUICE, *path, "--help"], capture_output=True, text=True, check=True).stdout
    below = [line.split()[0] for line in text.partition("Subcommands:")[2].splitlines() if line.startswith("  ") and line[2] != " "]
    return [found for verb in below for found in verbs(*path, verb)] if below else [(path, text)]


def test_every_verb_takes_home():
    assert [path for path, text in verbs() if "--home" not in text] == []
    for arguments in (("check", "dags/hello.json"), ("config", "list")):
        done = subprocess.run([SLUICE, *arguments, "--home", "nowhere"], capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0, done


def test_waiting_for_a_backfill_tells_what_waits_for_a_retry(daemon):
    marker = daemon.home / "second-try"
    task = {"task_id": "flaky", "operator": "shell", "retries": 1, "retry_delay": "1s",
            "with": {"argv": ["sh", "-c", f"test -e {marker} || {{ touch {marker}; exit 1; }}"]}}
    (daemon.dags / "flaky.json").write_text(json.dumps({**HELLO, "dag_id": "flaky", "tasks": [task]}))
    wait_for(lambda: "flaky" in daemon.cli("dags", "list").stdout, 5)
    daemon.cli("dags", "unpause", "flaky")
    done = daemon.cli("backfill", "create", "flaky", "--from", "2026-01-01", "--to", "2026-01-01", "--wait")
    assert "2026-01-01 flaky, try 1 of 2 failed, waits for a retry" in done.stdout
    assert "1 of 1 runs succeeded" in done.stdout
