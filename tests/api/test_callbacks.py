"""Callbacks: told to a real HTTP server, a real SMTP server and a command; at least once, whatever dies in between."""
import email
import email.policy
import json
import socket
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller

from conftest import wait_for, write_dag
from receiver import Receiver


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def receiver():
    server = Receiver()
    yield server
    server.close()


def hook(port, path, **body):
    return {"http": {"url": f"http://127.0.0.1:{port}/{path}", "body": body}}


def outbox(daemon, **query):
    return daemon.get("/ui/v1/outbox?limit=100" + "".join(f"&{k}={v}" for k, v in query.items()))["outbox"]


def all_delivered(daemon, count):
    def delivered():
        """every callback is delivered"""
        rows = outbox(daemon)
        return rows if len(rows) == count and {row["state"] for row in rows} == {"delivered"} else None
    return wait_for(delivered, 30)


def test_callbacks_tell_an_http_server_and_a_command_what_happened(daemon, receiver):
    told = daemon.home / "told"
    write_dag(daemon, "told", [
        {"task_id": "good", "operator": "shell", "with": {"argv": ["true"]},
         "on_execute_callback": [hook(receiver.port, "execute", task="{{ task.task_id }}")],
         "on_success_callback": [{"shell": {"bash_command": f"echo $SLUICE_CALLBACK_ID {{{{ run_id }}}} > {told}"}}]},
        {"task_id": "bad", "operator": "shell", "with": {"bash_command": "echo broken pump >&2; exit 3"},
         "retries": 1, "retry_delay": "0s",
         "on_retry_callback": [hook(receiver.port, "retry", number="{{ ti.try_number }}")],
         "on_failure_callback": [hook(receiver.port, "failure", why="{{ exception }}", dag="{{ dag.dag_id }}")]},
        {"task_id": "skipped", "operator": "shell", "with": {"bash_command": "exit 99"},
         "on_skipped_callback": [hook(receiver.port, "skipped", run="{{ run_id }}")]},
    ], on_failure_callback=[hook(receiver.port, "dag", run="{{ dag_run.run_id }}")])
    run = daemon.trigger("told")["dag_run_id"]
    assert daemon.wait_run("told", run)["state"] == "failed"
    rows = all_delivered(daemon, 6)
    bodies = {path: body for path, _, body in receiver.requests}
    assert bodies["/execute"] == {"task": "good"}
    assert bodies["/retry"] == {"number": 1}
    assert "broken pump" in bodies["/failure"]["why"] and bodies["/failure"]["dag"] == "told"
    assert bodies["/skipped"] == {"run": run}
    assert bodies["/dag"] == {"run": run}
    assert len(receiver.requests) == 5
    keys = [headers["Idempotency-Key"] for _, headers, _ in receiver.requests]
    assert len(set(keys)) == 5
    assert told.read_text().split()[1] == run and len(told.read_text().split()[0]) == 36
    # Where a user looks for it.
    assert {row["event"] for row in rows} == {"on_execute", "on_success", "on_retry", "on_failure", "on_skipped"}
    listed = daemon.cli("outbox", "list").stdout
    assert "on_retry" in listed and f"http://127.0.0.1:{receiver.port}/dag" in listed


def test_a_receiver_that_is_down_gets_its_callback_when_it_is_up_and_no_state_changes(daemon):
    port = free_port()
    write_dag(daemon, "patient", [
        {"task_id": "a", "operator": "empty", "on_success_callback": [hook(port, "up", run="{{ run_id }}")]}])
    run = daemon.trigger("patient")["dag_run_id"]
    assert daemon.wait_run("patient", run)["state"] == "success"

    def tried():
        """it was tried more than once"""
        rows = outbox(daemon, state="waiting")
        return rows[0] if rows and rows[0]["tries"] > 1 else None
    row = wait_for(tried, 30)
    assert row["error"] and row["next"]
    server = Receiver(port)
    try:
        assert "tried again" in daemon.cli("outbox", "retry", str(row["id"])).stdout
        all_delivered(daemon, 1)
        assert [body for _, _, body in server.requests] == [{"run": run}]
    finally:
        server.close()
    assert daemon.run("patient", run)["state"] == "success"


def test_a_refused_callback_is_repeated_with_the_same_key(daemon, receiver):
    receiver.status = 500
    write_dag(daemon, "again", [
        {"task_id": "a", "operator": "empty", "on_success_callback": [hook(receiver.port, "x", n=1)]}])
    daemon.wait_run("again", daemon.trigger("again")["dag_run_id"])
    wait_for(lambda: len(receiver.requests) >= 2, 30)
    receiver.status = 200
    all_delivered(daemon, 1)
    assert len({headers["Idempotency-Key"] for _, headers, _ in receiver.requests}) == 1


def test_a_daemon_killed_between_commit_and_delivery_delivers_after_its_restart(daemons, receiver):
    daemon = daemons().start()
    write_dag(daemon, "killed", [
        {"task_id": "a", "operator": "shell", "with": {"argv": ["sleep", "0.2"]},
         "on_success_callback": [hook(receiver.port, "a", run="{{ run_id }}")]},
        {"task_id": "b", "operator": "empty", "upstream": ["a"]}],
        on_success_callback=[hook(receiver.port, "dag", run="{{ run_id }}")])
    daemon.stop()
    daemon.start(env={"SLUICE_FAULT": "before_delivery:1"})
    daemon.trigger("killed", dag_run_id="r")
    daemon.process.wait(60)
    assert daemon.process.returncode == -9, daemon.log()
    daemon.start()
    assert daemon.wait_run("killed", "r")["state"] == "success"
    all_delivered(daemon, 2)
    assert {path for path, _, _ in receiver.requests} == {"/a", "/dag"}
    # At least once: a repeated one has the same key.
    assert len({(path, headers["Idempotency-Key"]) for path, headers, _ in receiver.requests}) == 2


class Mailbox:
    def __init__(self):
        self.letters = []

    async def handle_DATA(self, server, session, envelope):
        self.letters.append((envelope.mail_from, envelope.rcpt_tos,
                             email.message_from_bytes(envelope.content, policy=email.policy.default)))
        return "250 OK"


def test_an_email_goes_through_a_real_smtp_server_that_is_down_first(daemons):
    port = free_port()
    daemon = daemons(env={"SLUICE_CONN_SMTP": json.dumps(
        {"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": {"from": "Sluice <sluice@example.com>"}})})
    daemon.start()
    write_dag(daemon, "letters", [
        {"task_id": "bad", "operator": "shell", "with": {"bash_command": "echo Ventil gebrochen >&2; exit 1"},
         "on_failure_callback": [{"email": {
             "to": ["Ada Lovelace <ada@example.com>", "bob@example.com"], "cc": "carl@example.com",
             "bcc": "eve@example.com", "subject": "Läuft nicht: {{ dag.dag_id }}",
             "html_content": "<p>{{ run_id }}: {{ exception }}</p>", "text": "{{ exception }}"}}]}])
    run = daemon.trigger("letters")["dag_run_id"]
    assert daemon.wait_run("letters", run)["state"] == "failed"
    wait_for(lambda: [row for row in outbox(daemon) if row["tries"] > 0 and row["error"]], 30)
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        all_delivered(daemon, 1)
    finally:
        controller.stop()
    (sender, recipients, letter), = mailbox.letters
    assert sender == "sluice@example.com"
    assert recipients == ["ada@example.com", "bob@example.com", "carl@example.com", "eve@example.com"]
    assert letter["subject"] == "Läuft nicht: letters"
    assert "eve" not in str(letter)
    assert letter["message-id"].endswith("@example.com>")
    assert "Ventil gebrochen" in letter.get_body(("plain",)).get_content()
    assert run in letter.get_body(("html",)).get_content()


def test_a_deadline_that_passes_is_told_once(daemon, receiver):
    write_dag(daemon, "late", [
        {"task_id": "slow", "operator": "shell", "with": {"argv": ["sleep", "5"]},
         "deadlines": [{"reference": "dagrun_queued_at", "interval": "1s",
                        "callback": [hook(receiver.port, "task", task="{{ task.task_id }}")]}]}],
        deadlines=[{"reference": "dagrun_queued_at", "interval": "2s", "callback": [hook(receiver.port, "dag")]},
                   {"reference": "dagrun_queued_at", "interval": "1h", "callback": [hook(receiver.port, "never")]}])
    run = daemon.trigger("late")["dag_run_id"]
    wait_for(lambda: len(receiver.requests) == 2, 20)
    assert daemon.run("late", run)["state"] == "running"
    assert daemon.wait_run("late", run)["state"] == "success"
    assert [path for path, _, _ in receiver.requests] == ["/task", "/dag"]
    assert receiver.requests[0][2] == {"task": "slow"}


def test_callbacks_are_checked_when_the_file_is_read(daemon):
    (Path(daemon.dags) / "wrong.json").write_text(json.dumps({
        "dag_id": "wrong", "tasks": [{"task_id": "a", "operator": "empty", "on_failure_callback": [
            {"http": {"url": "http://x", "metod": "GET"}}]}],
        "on_success_callback": [{"email": {"to": "a@example.com", "subject": "{{ no_such_name }}", "text": "x"}}]}))

    def refused():
        """the file is refused"""
        errors = daemon.get("/api/v2/importErrors")["import_errors"]
        return errors[0]["stack_trace"] if errors else None
    text = wait_for(refused, 10)
    assert "metod" in text and "no_such_name" in text
