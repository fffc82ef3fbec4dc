"""extract from an HTTP API through the daemon: the sample shop's order service, and a server that fails half-way."""
import contextlib
import http.server
import json
import subprocess
import threading

import requests

from conftest import ROOT, SLUICE, wait_for, write_dag


@contextlib.contextmanager
def server(answer):
    """An API on a free port; `answer(path)` gives status and JSON value."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, value = answer(self.path)
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        try:
            yield made.server_address[1]
        finally:
            made.shutdown()
            thread.join()


def test_the_next_attempt_goes_on_behind_the_last_whole_page(daemons, home):
    asked, up = [], threading.Event()

    def answer(path):
        page = int(path.split("page=")[1])
        asked.append(page)
        if page == 3 and not up.is_set():
            return 503, {"error": "later"}
        return 200, [{"id": page * 10 + i, "nested": {"page": page}} for i in range(2)] if page <= 4 else []

    with server(answer) as port:
        daemon = daemons(env={"SLUICE_CONN_THINGS": json.dumps({
            "conn_type": "http", "host": "127.0.0.1", "port": port, "extra": {"retries": 0}})}).start()
        write_dag(daemon, "api", [{
            "task_id": "read", "operator": "extract", "retries": 1, "retry_delay": "1s",
            "with": {"from": {"conn_id": "things", "endpoint": "/v1/things", "pagination": {"type": "page"}},
                     "to": "raw.things"}}])
        run = daemon.trigger("api")["dag_run_id"]

        def first_failed():
            """the first attempt has failed"""
            return daemon.tasks("api", run)["read"]["state"] == "up_for_retry"
        wait_for(first_failed)
        first = "\n".join(daemon.log_lines("api", run, "read", 1))
        assert 'connection "things", GET /v1/things, page 3: the server answered 503' in first
        up.set()
        assert daemon.wait_run("api", run)["state"] == "success"
        second = "\n".join(daemon.log_lines("api", run, "read", 2))
        assert "goes on behind page 2 (4 rows) of the attempt before" in second
    assert asked == [1, 2, 3, 3, 4, 5]
    value = daemon.get(f"/api/v2/dags/api/dagRuns/{run}/taskInstances/read/xcomEntries/return_value")["value"]
    assert (value["rows_out"], value["files"]) == (8, 5)
    assert not (home / "lake/_spool").exists()


def test_the_order_service_of_the_shop_has_a_login_of_its_own(daemons):
    daemon = daemons().start()
    made = daemon.get("/api/v2/connections/orders_api")
    url = f"http://{made['host']}:{made['port']}"
    secret = json.loads((daemon.home / "secrets").read_text())["orders_api_client_secret"]
    orders = url + "/v1/orders?since=2026-01-08&until=2026-01-09&per_page=10"
    mine = daemon.session.headers["Authorization"]

    def login(login_secret):
        return requests.post(url + "/oauth/token", auth=("sluice", login_secret), timeout=10,
                             data={"grant_type": "client_credentials"})
    # Neither nobody nor Sluice's own token gets in, and its token opens nothing of Sluice.
    assert requests.get(orders, timeout=10).status_code == 401
    assert requests.get(orders, headers={"Authorization": mine}, timeout=10).status_code == 401
    assert login("wrong").status_code == 401
    token = {"Authorization": "Bearer " + login(secret).json()["access_token"]}
    assert requests.get(daemon.url + "/api/v2/dags", headers=token, timeout=10).status_code in (401, 403)
    # Without the sample it says so; with it, pages 3 and 5 fail once.
    missing = requests.get(orders, headers=token, timeout=10)
    assert missing.status_code == 404 and "sluice sample ecommerce" in missing.text
    daemon.cli("sample", "ecommerce")
    lines = [json.loads(line) for line in (daemon.home / "sample/ecommerce/orders/2026-01-08.jsonl").read_text().splitlines()]
    seen, codes = [], []
    page = 1
    while True:
        answer = requests.get(f"{orders}&page={page}", headers=token, timeout=10)
        codes.append(answer.status_code)
        if answer.status_code != 200:
            continue
        if not answer.json()["data"]:
            break
        seen += answer.json()["data"]
        page += 1
    assert codes[:7] == [200, 200, 429, 200, 200, 500, 200]
    assert seen == lines and "gift_note" in seen[0]
    assert requests.get(url + "/v1/orders?since=x&until=y", headers=token, timeout=10).status_code == 400
    # The connection stays the same over a restart.
    daemon.stop()
    daemon.start()
    again = daemon.get("/api/v2/connections/orders_api")
    assert (again["host"], again["port"]) == (made["host"], made["port"])


def test_dags_test_reads_from_the_service_while_it_is_served_and_says_so_when_it_is_not(daemons, tmp_path):
    file = tmp_path / "orders.json"
    whole = json.loads((ROOT / "dags/ecommerce_daily.json").read_text())
    task = next(t for group in whole["tasks"] for t in group["tasks"] if t["task_id"] == "orders")
    file.write_text(json.dumps({"dag_id": "orders", "schedule": {"cron_interval": "@daily"}, "start_date": "2026-01-01",
                                "tasks": [{**task, "retries": 0}]}))
    daemon = daemons().start()
    daemon.cli("sample", "ecommerce")

    def test():
        return subprocess.run([SLUICE, "dags", "test", file, "2026-01-01", "--home", daemon.home],
                              capture_output=True, text=True, timeout=60)
    done = test()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "orders success" in done.stdout
    daemon.stop()
    done = test()
    assert done.returncode != 0
    assert "orders_api" in done.stdout + done.stderr and "is not defined" in done.stdout + done.stderr
