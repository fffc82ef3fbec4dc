"""What a long task says of itself while it runs: over the API, and on the command line at its end."""
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from conftest import standalone, wait_for, write_dag

ROWS = 600_000
COLUMNS = {"id": "bigint not null", "name": "varchar", "note": "varchar"}


@pytest.fixture(scope="module")
def daemon():
    with standalone() as made:
        yield made


def reports(daemon, name, source, rows=ROWS):
    """Extracts from the source; what the task said meanwhile, in order."""
    write_dag(daemon, name, datasets={f"raw.{name}": {"columns": COLUMNS}},
              tasks=[{"task_id": "extract", "operator": "extract", "with": {"from": source, "to": f"raw.{name}"}}])
    run = daemon.trigger(name)["dag_run_id"]
    path = f"/ui/v1/dags/{name}/runs/{run}/progress"
    seen = []

    def ended():
        """the run ended"""
        answer = daemon.get(path)
        seen.extend(one for one in answer["progress"] if one not in seen)
        return answer if answer["state"] in ("success", "failed") else None

    # Nothing is left of it once the task has ended.
    assert wait_for(ended, 90)["progress"] == []
    assert daemon.run(name, run)["state"] == "success", daemon.log_lines(name, run, "extract")
    assert seen, "no report came in"
    assert {one["t"] for one in seen} == {"extract"}
    assert any((one["bytes"] or 0) > 0 for one in seen), seen
    assert all(0 <= one["fraction"] <= 1 for one in seen), seen
    assert [one["at"] for one in seen] == sorted(one["at"] for one in seen), seen
    assert str(rows) in daemon.cli("runs", "flow", name, run).stdout
    return seen


def test_a_long_extract_reports_rows_share_and_rate(daemon):
    folder = daemon.home / "sample" / "ecommerce" / "long"
    folder.mkdir(parents=True)
    with open(folder / "rows.jsonl", "w") as lines:
        lines.writelines(f'{{"id": {i}, "name": "customer number {i}", "note": "{"x" * 60}"}}\n' for i in range(ROWS))
    reports(daemon, "long", {"conn_id": "landing", "path": "long/rows.jsonl"})


def reading(seen):
    """What it said while it read, which is before it writes."""
    found = [one for one in seen if one["what"].startswith("reading")]
    assert found and all(one["rows"] > 0 and one["bytes"] > 0 for one in found), seen
    assert [one["rows"] for one in found] == sorted(one["rows"] for one in found)
    return found


def test_a_table_reports_while_it_is_read(daemon):
    rows = 5 * ROWS  # an idle machine reads fewer before the first report is due
    with daemon.database("shop") as shop:
        shop.execute("create table long as select i as id, 'customer number ' || i as name, repeat('x', 60) as note "
                     f"from generate_series(1, {rows}) i")
        shop.execute("analyze long")
    found = reading(reports(daemon, "table", {"conn_id": "shop", "table": "long"}, rows))
    assert any(0 < one["fraction"] < 1 for one in found), found
    assert any(one["rows_per_second"] > 0 for one in found), found


def test_an_api_reports_while_its_pages_come(daemon):
    pages = 6
    of_a_page = ROWS // pages

    class Api(BaseHTTPRequestHandler):
        def do_GET(self):
            page = int(self.path.split("page=")[1].split("&")[0])
            rows = [{"id": page * of_a_page + i, "name": f"customer {i}", "note": "x"} for i in range(of_a_page)] if page <= pages else []
            body = json.dumps(rows).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        daemon.request("POST", "/api/v2/connections", 201, json={
            "connection_id": "pages", "conn_type": "http", "host": "127.0.0.1", "port": server.server_port})
        found = reading(reports(daemon, "api", {
            "conn_id": "pages", "endpoint": "/rows", "pagination": {"type": "page", "param": "page"}}))
        assert any("pages" in one["what"] for one in found), found
    finally:
        server.shutdown()
