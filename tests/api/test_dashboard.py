"""What the dashboard reads (/ui/v1), its session, the live stream, and the pages without it."""
import contextlib
import json
import socket
import threading
import urllib.parse
from http.client import HTTPConnection

import pytest
import requests

from api_daemon import daemon, http  # noqa: F401 (fixtures)
from conftest import wait_for


@pytest.fixture(scope="module")
def browser(daemon):
    """A session with cookie and CSRF token, as the dashboard has it."""
    session = requests.Session()
    password = (daemon.home / "admin.password").read_text().strip()
    reply = session.post(daemon.url + "/ui/v1/login", json={"username": "admin", "password": password}, timeout=10)
    assert reply.status_code == 200
    cookie = reply.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
    session.csrf = reply.json()["csrf"]
    return session


@pytest.fixture(scope="module")
def finished(http):
    return http.run("probe_dag")


def test_cookie_sessions_need_the_csrf_token_to_write(daemon, browser):
    url = daemon.url + "/api/v2/dags/probe_dag"
    assert browser.get(url, timeout=10).status_code == 200
    refused = browser.patch(url, json={"is_paused": False}, timeout=10)
    assert (refused.status_code, refused.json()["detail"]) == (403, "CSRF token missing or wrong")
    assert browser.patch(url, json={"is_paused": False}, headers={"X-CSRF-Token": browser.csrf}, timeout=10).status_code == 200


def test_a_login_from_another_site_is_refused_and_a_logout_ends_the_session(daemon):
    password = (daemon.home / "admin.password").read_text().strip()
    body = {"username": "admin", "password": password}
    assert requests.post(daemon.url + "/ui/v1/login", json=body, headers={"Origin": "http://evil.example"}, timeout=10).status_code == 403
    session = requests.Session()
    csrf = session.post(daemon.url + "/ui/v1/login", json=body, timeout=10).json()["csrf"]
    cookie = session.cookies.copy()
    assert session.post(daemon.url + "/ui/v1/logout", headers={"X-CSRF-Token": csrf}, timeout=10).status_code == 204
    assert requests.get(daemon.url + "/ui/v1/boot", cookies=cookie, timeout=10).status_code == 401


def test_form_login_needs_no_script(daemon):
    password = (daemon.home / "admin.password").read_text().strip()
    good = requests.post(daemon.url + "/auth/login", data={"username": "admin", "password": password, "next": "/dags/probe_dag"},
                         allow_redirects=False, timeout=10)
    assert (good.status_code, good.headers["Location"]) == (303, "/dags/probe_dag")
    away = requests.post(daemon.url + "/auth/login", data={"username": "admin", "password": password, "next": "//evil.example"},
                         allow_redirects=False, timeout=10)
    assert away.headers["Location"] == "/"
    bad = requests.post(daemon.url + "/auth/login", data={"username": "admin", "password": "x"}, allow_redirects=False, timeout=10)
    assert bad.status_code == 303 and bad.headers["Location"].startswith("/login?error=401")


def test_boot_and_home(http):
    boot = http.get("/ui/v1/boot").json()
    assert set(boot) == {"user", "csrf", "instance", "version", "tz", "server_ms", "seq"}
    home = http.get("/ui/v1/home?window=1h").json()
    assert len(home["buckets"]) == 48
    assert home["health"]["scheduler"]["ok"] and home["dags"]["total"] == 3
    assert http.get("/ui/v1/home?window=2h").status_code == 422


def test_dag_list_and_page(http, finished):
    listed = http.get("/ui/v1/dags").json()
    row = {dag["id"]: dag for dag in listed["dags"]}["probe_dag"]
    assert row["tasks"] == 3 and row["kind"] == "cron" and row["open"] and not row["paused"]
    run = [run for run in row["runs"] if run[0] == finished["dag_run_id"]][0]
    assert run[1] == "s" and run[3] >= 0
    page = http.get("/ui/v1/dags/probe_dag").json()
    assert page["periodic"] and page["doc"].startswith("# Probe") and page["versions"]
    first = http.get("/ui/v1/dags?limit=1").json()
    assert first["next"] == "failing"
    assert http.get("/ui/v1/dags?limit=1&cursor=failing").json()["dags"][0]["id"] == "probe_dag"
    structure = http.get("/ui/v1/dags/probe_dag/structure").json()
    assert [node[0] for node in structure["nodes"]] == ["extract", "transform", "load"]
    assert structure["edges"] == [[0, 1], [1, 2]]
    pinned = http.get(f"/ui/v1/dags/probe_dag/structure?version={structure['ver']}")
    assert "immutable" in pinned.headers["Cache-Control"]
    code = http.get("/ui/v1/dags/probe_dag/code").json()
    assert '"probe_dag"' in code["source"]


def test_grid(http, finished):
    grid = http.get("/ui/v1/dags/probe_dag/grid?runs=1000").json()
    assert grid["nodes"] == ["extract", "transform", "load"]
    place = [run["id"] for run in grid["runs"]].index(finished["dag_run_id"])
    assert grid["cells"][place] == "sss"
    assert [run["ra"] for run in grid["runs"]] == sorted(run["ra"] for run in grid["runs"])
    one = http.get("/ui/v1/dags/probe_dag/grid?runs=1&end=" + urllib.parse.quote(grid["runs"][0]["id"], safe="")).json()
    assert [run["id"] for run in one["runs"]] == [grid["runs"][0]["id"]]


def test_run_page(http, finished):
    base = "/ui/v1/dags/probe_dag/runs/" + urllib.parse.quote(finished["dag_run_id"], safe="")
    run = http.get(base).json()
    assert (run["st"], run["counts"], run["total"]) == ("s", {"s": 3}, 3)
    gantt = http.get(base + "/gantt").json()
    assert [(ti["t"], ti["st"], ti["try"], ti["max"]) for ti in gantt["tis"]] == [
        ("extract", "s", 1, 2), ("transform", "s", 1, 2), ("load", "s", 1, 2)]
    assert [ti["t"] for ti in http.get(base + "/gantt?q=load").json()["tis"]] == ["load"]
    ti = http.get(base + "/tis/transform?map=-1").json()
    assert (ti["up"], ti["down"]) == ([["extract", "s"]], [["load", "s"]])
    assert ti["rendered"]["bash_command"] == "echo t"
    assert http.get("/ui/v1/runs?dag=probe_dag&state=success&limit=1").json()["total"] >= 1


def test_logs(http, finished):
    base = "/ui/v1/dags/probe_dag/runs/" + urllib.parse.quote(finished["dag_run_id"], safe="") + "/tis/extract/log"
    meta = http.get(base + "/meta?try=1").json()
    assert meta["complete"] and meta["lines"] >= 3 and meta["first_error"] is None
    lines = http.get(base + "/lines?try=1&from=0&n=2").json()
    assert [line[3] for line in lines["lines"]] == ["one", "two"] and lines["total"] == meta["lines"]
    assert http.get(base + "/lines?try=1&from=-1&n=1").json()["lines"][0][0] == meta["lines"] - 1
    assert http.get(base + "/search?try=1&q=TWO").json()["total"] == 1
    raw = http.get(base + "/raw?try=1")
    assert raw.headers["Content-Type"].startswith("text/plain") and "attachment" in raw.headers["Content-Disposition"]
    assert http.get(base + "/meta?try=9").status_code == 404


def test_failures_ask_for_attention(http):
    run = http.run("failing")
    home = http.get("/ui/v1/home").json()
    item = [item for item in home["attention"] if item["run"] == run["dag_run_id"]][0]
    assert (item["kind"], item["dag"], item["task"], item["try"], item["max"]) == ("failed", "failing", "boom", 1, 1)
    assert item["reason"]


def test_import_errors_have_line_and_excerpt(http):
    error = http.get("/ui/v1/import-errors").json()["errors"][0]
    assert error["file"] == "broken.json" and error["dag"] is None
    problem = error["problems"][0]
    assert problem["line"] == 2 and problem["ptr"].startswith("/tasks/0")
    assert any("shel" in text for _, text in error["excerpt"])


def test_backfill_page(http):
    reply = http.post("/api/v2/backfills", {"dag_id": "probe_dag", "from_date": "2025-05-01T00:00:00Z", "to_date": "2025-05-04T00:00:00Z"})
    assert reply.status_code == 200, reply.text
    number = reply.json()["id"]

    def completed():
        """the backfill is completed"""
        page = http.get(f"/ui/v1/backfills/{number}").json()
        return page if page["completed"] else None

    page = wait_for(completed)
    assert (page["total"], page["counts"]) == (4, {"s": 4})
    assert [slot[2] for slot in page["slots"]] == ["s"] * 4
    assert http.get("/ui/v1/backfills?dag=probe_dag").json()["backfills"][0]["id"] == number


class Stream(threading.Thread):
    """Reads an event stream into `events` as (event, id, data)."""

    def __init__(self, daemon, topics, since=None, headers=None):
        super().__init__(daemon=True)
        address = urllib.parse.urlsplit(daemon.url)
        path = "/ui/v1/stream?topics=" + urllib.parse.quote(topics, safe="")
        if since is not None:
            path += f"&since={since}"
        connection = HTTPConnection(address.hostname, address.port, timeout=60)
        connection.connect()
        self.socket = connection.sock
        connection.request("GET", path, headers={"Authorization": daemon.session.headers["Authorization"], **(headers or {})})
        self.reply = connection.getresponse()
        assert self.reply.status == 200, self.reply.read()
        self.events = []
        self.start()

    def run(self):
        event, number, data = "", "", []
        while line := self.reply.readline().decode():
            line = line.rstrip("\n")
            if line.startswith("event: "):
                event = line[7:]
            elif line.startswith("id: "):
                number = line[4:]
            elif line.startswith("data: "):
                data.append(line[6:])
            elif not line and data:
                self.events.append((event, number, json.loads("\n".join(data))))
                event, number, data = "", "", []

    def of(self, kind):
        return [data for event, _, data in self.events if event == kind]

    def close(self):
        """Ends the connection from this side; the reading thread sees the end."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.join()


def test_the_stream_tells_a_run_from_birth_to_end(daemon, http):
    stream = Stream(daemon, "dag:probe_dag")
    wait_for(lambda: stream.of("hello"))
    run = http.run("probe_dag")["dag_run_id"]

    def ended():
        """the end of the run came"""
        return any(row[1] == run and row[2] == "s" for data in stream.of("b") for row in data.get("run", []))

    wait_for(ended)
    last = {row[2]: row[4] for data in stream.of("b") for row in data.get("ti", []) if row[1] == run}
    assert last == {"extract": "s", "transform": "s", "load": "s"}
    seqs = [data["seq"] for data in stream.of("b")]
    assert seqs == sorted(seqs)
    stream.close()


def test_a_stream_goes_on_where_it_was_left(daemon, http):
    before = http.get("/ui/v1/boot").json()["seq"]
    run = http.run("probe_dag")["dag_run_id"]
    stream = Stream(daemon, "dag:probe_dag", since=before)
    wait_for(lambda: stream.of("b"))
    assert any(row[1] == run for row in stream.of("b")[0]["run"])
    stream.close()
    resumed = Stream(daemon, "dag:probe_dag", headers={"Last-Event-ID": str(before)})
    wait_for(lambda: resumed.of("b"))
    resumed.close()
    lost = Stream(daemon, "dags", since=999_999_999)
    wait_for(lambda: lost.of("resync"))
    lost.close()


def test_a_stream_hears_only_its_topics(daemon, http):
    stream = Stream(daemon, "run:probe_dag/nothing")
    wait_for(lambda: stream.of("hello"))
    every = Stream(daemon, "dags")
    wait_for(lambda: every.of("hello"))
    http.run("failing")
    wait_for(lambda: any(row[0] == "failing" for data in every.of("b") for row in data.get("run", [])))
    assert not any("run" in data or "ti" in data for data in stream.of("b"))
    assert not any("ti" in data for data in every.of("b"))
    stream.close()
    every.close()


def test_the_stream_follows_a_log(daemon, http):
    run = http.run("slow", wait=False)["dag_run_id"]

    def begun():
        """the task has written"""
        path = f"/ui/v1/dags/slow/runs/{urllib.parse.quote(run, safe='')}/tis/sleep/log/meta?try=1"
        reply = http.get(path)
        return reply.status_code == 200 and reply.json()["lines"] > 0

    wait_for(begun)
    key = f"slow/{urllib.parse.quote(run, safe='')}/sleep/-1/1"
    stream = Stream(daemon, f"log:{key}@0")
    wait_for(lambda: stream.of("log"))
    first = stream.of("log")[0]
    assert first["k"] == key and first["lines"][0][3] == "begun" and not first["done"]
    http.patch(f"/api/v2/dags/slow/dagRuns/{run}", {"state": "failed"})
    wait_for(lambda: stream.of("log")[-1]["done"])
    stream.close()


def test_pausing_is_told(daemon, http):
    stream = Stream(daemon, "dags")
    wait_for(lambda: stream.of("hello"))
    http.patch("/api/v2/dags/slow", {"is_paused": True})
    wait_for(lambda: any(["slow", True] == [row[0], row[1].get("paused")] for data in stream.of("b") for row in data.get("dag", [])))
    http.patch("/api/v2/dags/slow", {"is_paused": False})
    stream.close()


def test_pages_without_script(daemon):
    status = requests.get(daemon.url + "/status", timeout=10)
    assert status.status_code == 200 and "probe_dag" in status.text
    assert "<script" not in status.text and len(status.content) < 20_000
    # A narrow screen may break long names; a browser asks for no icon that is not there.
    assert ">probe_<wbr>dag</a>" in status.text and '<link rel="icon" href="data:,">' in status.text
    assert "default-src 'none'" in status.headers["Content-Security-Policy"]
    one = requests.get(daemon.url + "/status/failing", timeout=10)
    assert "boom" in one.text and len(one.content) < 20_000
    assert requests.get(daemon.url + "/status/nope", timeout=10).status_code == 404
    behind = requests.get(daemon.url + "/status", headers={"X-Forwarded-For": "203.0.113.7"}, allow_redirects=False, timeout=10)
    assert behind.status_code == 302


def test_pages_of_the_dashboard(daemon):
    page = requests.get(daemon.url + "/dags/probe_dag/grid", timeout=10)
    assert page.status_code == 200 and page.headers["Content-Type"].startswith("text/html")
    for header, text in (("Content-Security-Policy", "frame-ancestors 'none'"), ("X-Content-Type-Options", "nosniff"),
                         ("Referrer-Policy", "same-origin"), ("Cross-Origin-Opener-Policy", "same-origin")):
        assert text in page.headers[header]
    again = requests.get(daemon.url + "/dags", headers={"If-None-Match": page.headers["ETag"]}, timeout=10)
    assert again.status_code == 304
    old = requests.get(daemon.url + "/log?dag_id=d&task_id=t&dag_run_id=r", allow_redirects=False, timeout=10)
    assert (old.status_code, old.headers["Location"]) == (302, "/dags/d/runs/r/tasks/t")
    assert requests.get(daemon.url + "/static/nope.js", timeout=10).status_code == 404


def test_metrics_and_openapi(daemon, http):
    text = requests.get(daemon.url + "/metrics", timeout=10).text
    for name in ("sluice_commits_total", "sluice_open_runs", "sluice_commit_seconds_sum", 'airflow_pool_open_slots{pool="default_pool"}',
                 "sluice_http_requests_total", "process_resident_memory_bytes", "sluice_build_info"):
        assert "\n" + name in "\n" + text, name
    for line in text.splitlines():
        assert line.startswith("#") or float(line.rsplit(" ", 1)[1]) is not None
    document = requests.get(daemon.url + "/openapi.json", timeout=10).json()
    assert "post" in document["paths"]["/api/v2/dags/{dag_id}/dagRuns"]
    assert http.get("/healthz").status_code == 200 and http.get("/readyz").status_code == 200
