"""Error replies: Airflow's statuses and bodies; and a server that bad input does not shake."""
import requests

from api_daemon import daemon, http  # noqa: F401 (fixtures)
from conftest import write_dag


def detail(reply, status):
    assert reply.status_code == status, reply.text
    return reply.json()["detail"]


def test_login(daemon):
    url = daemon.url
    assert detail(requests.post(url + "/auth/token", json={"username": "admin", "password": "x"}, timeout=10), 401) == "Invalid credentials"
    assert detail(requests.post(url + "/auth/token", json={"username": "nobody", "password": "x"}, timeout=10), 401) == "Invalid credentials"
    assert isinstance(detail(requests.post(url + "/auth/token", json={"username": "admin"}, timeout=10), 422), str)
    assert detail(requests.get(url + "/api/v2/dags", timeout=10), 401) == "Not authenticated"
    bad = {"Authorization": "Bearer x.y.z"}
    assert detail(requests.get(url + "/api/v2/dags", headers=bad, timeout=10), 403) == "Invalid JWT token"


def test_guessing_is_slowed_down(daemon):
    for _ in range(12):
        last = requests.post(daemon.url + "/auth/token", json={"username": "guessed", "password": "x"}, timeout=10)
    assert last.status_code == 429 and int(last.headers["Retry-After"]) > 0


def test_cli_token(daemon):
    password = (daemon.home / "admin.password").read_text().strip()
    reply = requests.post(daemon.url + "/auth/token/cli", json={"username": "admin", "password": password}, timeout=10)
    assert reply.status_code == 201 and reply.json()["access_token"].count(".") == 2


def test_unknown_things(http):
    assert detail(http.get("/api/v2/dags/nope"), 404) == "The Dag with ID: `nope` was not found"
    assert detail(http.get("/api/v2/dags/probe_dag/dagRuns/nope"), 404) == "The DagRun with dag_id: `probe_dag` and run_id: `nope` was not found"
    run = http.run("probe_dag")["dag_run_id"]
    assert detail(http.get(f"/api/v2/dags/probe_dag/dagRuns/{run}/taskInstances/nope"), 404) == \
        f"The Task Instance with dag_id: `probe_dag`, run_id: `{run}` and task_id: `nope` was not found"
    assert detail(http.get("/api/v2/backfills/999999"), 404) == "Backfill not found"
    assert detail(http.get("/api/v2/variables/nope"), 404) == "The Variable with key: `nope` was not found"
    reply = http.get("/api/v2/nope")
    assert (reply.status_code, reply.json()) == (404, {"error": "API route not found"})
    reply = http("PUT", "/api/v2/dags")
    assert (reply.status_code, reply.json()) == (405, {"detail": "Method Not Allowed"})
    assert "GET" in reply.headers["Allow"]


def test_lists(http):
    assert detail(http.get("/api/v2/dags?limit=-1"), 422) == [{
        "type": "greater_than_equal", "loc": ["query", "limit"], "msg": "Input should be greater than or equal to 0",
        "input": "-1", "ctx": {"ge": 0}}]
    assert detail(http.get("/api/v2/dags?limit=x"), 422)[0]["type"] == "int_parsing"
    assert http.get("/api/v2/dags?limit=5000").status_code == 200
    assert detail(http.get("/api/v2/dags?order_by=nope"), 400) == "Ordering with 'nope' is disallowed or the attribute does not exist on the model"
    assert detail(http.get("/api/v2/dags/probe_dag/dagRuns?state=nope"), 422) == \
        "Invalid value for state. Valid values are queued, running, success, failed"
    assert http.get("/api/v2/dags/probe_dag/dagRuns?order_by=nope").status_code == 400


def test_trigger(http):
    path = "/api/v2/dags/probe_dag/dagRuns"
    assert detail(http.post(path, {}), 422) == [{"type": "missing", "loc": ["body", "logical_date"], "msg": "Field required", "input": {}}]
    assert detail(http.post(path, {"logical_date": None, "x": 1}), 422) == [
        {"type": "extra_forbidden", "loc": ["body", "x"], "msg": "Extra inputs are not permitted", "input": 1}]
    broken = detail(http("POST", path, data="{oops"), 422)[0]
    assert (broken["type"], broken["loc"]) == ("json_invalid", ["body", 1])
    assert detail(http.post("/api/v2/dags/nope/dagRuns", {"logical_date": None}), 404) == "Dag with dag_id: 'nope' not found"
    assert detail(http.post(path, {"logical_date": None, "conf": [1]}), 422)[0]["type"] == "dict_type"
    assert detail(http.post(path, {"logical_date": None, "dag_run_id": "a/b c"}), 400).startswith("The run_id provided 'a/b c' does not match")
    assert detail(http.post(path, {"logical_date": "2025-01-01T00:00:00"}), 422)[0]["type"] == "timezone_aware"
    run = http.run("probe_dag", dag_run_id="twice")["dag_run_id"]
    again = detail(http.post(path, {"logical_date": None, "dag_run_id": run}), 409)
    assert again["reason"] == "Unique constraint violation"


def test_patches(http):
    assert detail(http.patch("/api/v2/dags/probe_dag?update_mask=nope", {"is_paused": False}), 400) == \
        "Only `is_paused` field can be updated through the REST API"
    run = http.run("probe_dag")["dag_run_id"]
    bad = detail(http.patch(f"/api/v2/dags/probe_dag/dagRuns/{run}", {"state": "running"}), 422)[0]
    assert (bad["type"], bad["msg"]) == ("enum", "Input should be 'queued', 'success' or 'failed'")
    assert detail(http("DELETE", "/api/v2/pools/default_pool"), 400) == "Default Pool can't be deleted"


def test_backfills(http):
    def create(**body):
        return http.post("/api/v2/backfills", body)

    range_ = {"from_date": "2025-02-03T00:00:00Z", "to_date": "2025-02-01T00:00:00Z"}
    assert detail(create(dag_id="probe_dag", **range_), 422) == \
        "from_date (2025-02-03T00:00:00+00:00) must not be after to_date (2025-02-01T00:00:00+00:00)."
    assert [error["loc"][1] for error in detail(create(dag_id="probe_dag"), 422)] == ["from_date", "to_date"]
    future = {"from_date": "2130-01-01T00:00:00Z", "to_date": "2130-01-02T00:00:00Z"}
    assert detail(create(dag_id="probe_dag", **future), 422) == "Backfill cannot be executed for future dates."
    good = {"from_date": "2025-02-01T00:00:00Z", "to_date": "2025-02-03T00:00:00Z"}
    assert detail(create(dag_id="failing", **good), 422) == "failing has a non-periodic schedule that does not support backfills"


PARAMS = {
    "rows": {"type": "integer", "minimum": 1, "default": 10},
    "city": {"type": "string"},
    "place": {"type": "object", "properties": {"zip": {"type": "string"}}, "default": {"zip": "0"}},
    "plain": 5,
    "size": {"enum": ["small", "large"], "default": "small"},
}


def test_a_conf_that_breaks_a_params_schema_makes_no_run(http):
    said = {"task_id": "say", "operator": "shell", "params": {"plain": 6},
            "with": {"bash_command": "echo {{ params.rows }} {{ params.city }} {{ params.place.zip }} {{ params.plain }}"}}
    write_dag(http.daemon, "params", [said], schedule=None, params=PARAMS)

    def refused(conf, status=400):
        return detail(http.post("/api/v2/dags/params/dagRuns", {"logical_date": None, **conf}), status)

    assert refused({}) == "No value passed for param city"
    assert refused({"conf": {"city": "Rome", "rows": "many"}}).startswith("Invalid input for param rows: ")
    assert refused({"conf": {"city": 3, "rows": 0, "place": {"zip": 7}}}).splitlines()[0].startswith("Invalid input for param city: ")
    assert len(refused({"conf": {"city": 3, "rows": 0, "place": {"zip": 7}}}).splitlines()) == 3
    assert refused({"conf": {"city": "Rome", "size": "X"}}) == (
        'Invalid input for param size: "X" is not known here, one of: small, large')
    assert http.get("/api/v2/dags/params/dagRuns").json()["total_entries"] == 0
    # Defaults of the DAG, over them those of the task, over both the conf.
    for conf, line in (({"city": "Rome"}, "10 Rome 0 6"), ({"city": "Oslo", "rows": 2, "plain": 7}, "2 Oslo 0 7")):
        run = http.run("params", conf=conf)
        assert run["state"] == "success"
        assert line in http.daemon.log_lines("params", run["dag_run_id"], "say")


def test_a_backfill_whose_conf_breaks_a_params_schema_is_refused(http):
    write_dag(http.daemon, "daily_params", [{"task_id": "t", "operator": "empty"}], schedule="@daily", start_date="2025-01-01",
              on_unpause="none", params={"rows": {"type": "integer", "minimum": 1, "default": 10}})
    asked = {"dag_id": "daily_params", "from_date": "2025-02-01T00:00:00Z", "to_date": "2025-02-02T00:00:00Z"}
    for path in ("/api/v2/backfills", "/api/v2/backfills/dry_run"):
        assert detail(http.post(path, {**asked, "dag_run_conf": {"rows": 0}}), 422).startswith("Invalid input for param rows: ")
    assert http.get("/api/v2/backfills?dag_id=daily_params").json()["total_entries"] == 0
    assert http.post("/api/v2/backfills", {**asked, "dag_run_conf": {"rows": 3}}).status_code == 200


def test_a_backfills_dates_without_offset_are_days_of_the_dags_zone(http):
    write_dag(http.daemon, "in_new_york", [{"task_id": "t", "operator": "empty"}], schedule={"cron_interval": "@daily"},
              timezone="America/New_York", start_date="2025-01-01", on_unpause="none")

    def planned(first, last):
        reply = http.post("/api/v2/backfills/dry_run", {"dag_id": "in_new_york", "from_date": first, "to_date": last})
        assert reply.status_code == 200, reply.text
        return [day["logical_date"] for day in reply.json()["backfills"]]
    assert planned("2025-01-01", "2025-01-03") == [f"2025-01-0{day}T05:00:00Z" for day in (1, 2, 3)]
    assert planned("2025-01-01T00:00:00Z", "2025-01-03T00:00:00Z") == [f"2025-01-0{day}T05:00:00Z" for day in (1, 2)]


def test_nothing_a_caller_sends_is_a_500(http):
    for body in ("[" * 100_000 + "]" * 100_000, '{"logical_date":' * 3, "\xff\xfe", '{"logical_date": 1e999}', '{"a":"\\ud800"}', "null", "1"):
        for path in ("/api/v2/dags/probe_dag/dagRuns", "/api/v2/backfills", "/api/v2/pools", "/auth/token",
                     "/api/v2/dags/probe_dag/clearTaskInstances", "/api/v2/connections", "/ui/v1/login"):
            reply = http("POST", path, data=body.encode("latin-1"))
            assert 400 <= reply.status_code < 500, (path, body[:20], reply.status_code, reply.text[:200])
    for path in ("/api/v2/dags/%00/dagRuns", "/api/v2/dags/%ff", "/api/v2/dags/probe_dag/dagRuns/%27%3B--", "/api/v2/dags?limit=99999999999999999999",
                 "/api/v2/dags/~/dagRuns?dag_id_pattern=%25%5C", "/api/v2/dags/probe_dag/dagRuns?start_date_gte=99999-01-01",
                 "/api/v2/dags/probe_dag/dagRuns?cursor=zzz", "/ui/v1/dags/probe_dag/grid?runs=x&end=nope", "/ui/v1/stream?topics=x"):
        reply = http.get(path)
        assert reply.status_code < 500, (path, reply.status_code, reply.text[:200])
    assert http.get("/api/v2/monitor/health").json()["scheduler"]["status"] == "healthy"
