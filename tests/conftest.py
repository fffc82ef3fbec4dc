"""Fixtures of the functional tests: the real program, its private PostgreSQL, real kills.

Every test starts its own daemon in a home of its own, on a free port, and ends only what it started.
"""
import contextlib
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
import pytest
import requests

ROOT = Path(__file__).resolve().parents[1]
SLUICE = Path(os.environ.get("SLUICE", ROOT / "build/dev/sluice"))


class Patience:
    """True for so many seconds. A time for which the process was stopped hardly counts."""

    def __init__(self, seconds):
        self.left, self.seen = seconds, time.monotonic()

    def __bool__(self):
        now = time.monotonic()
        self.left -= min(now - self.seen, 10)
        self.seen = now
        return self.left > 0


def wait_for(what, seconds=30, every=0.02):
    """Calls `what` until it gives something true and returns that; fails after `seconds`."""
    patience = Patience(seconds)
    while True:
        value = what()
        if value:
            return value
        if not patience:
            raise AssertionError(f"not within {seconds} s: {getattr(what, '__doc__', None) or what}")
        time.sleep(every)


class Daemon:
    """A `sluice standalone` process and how to talk to it."""

    def __init__(self, home, dags, args=(), env=None):
        self.home, self.dags, self.args = Path(home), Path(dags), list(args)
        self.env = {**os.environ, **(env or {})}
        self.process = None
        self.session = None

    def start(self, env=None, wait=True):
        log = open(self.home / "daemon.log", "ab")
        self.process = subprocess.Popen(
            [SLUICE, "standalone", "--home", self.home, "--port", "0", "--dags", self.dags, *self.args],
            stdout=log, stderr=log, env={**self.env, **(env or {})})
        log.close()
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=60):
        def ready():
            """the daemon is healthy"""
            if self.process.poll() is not None:
                raise AssertionError(f"the daemon ended with {self.process.returncode}:\n{self.log()}")
            try:
                self.url = (self.home / "sluice.url").read_text().strip()
            except FileNotFoundError:  # a start removes the file of the daemon before
                return False
            with contextlib.suppress(requests.ConnectionError):
                health = requests.get(self.url + "/api/v2/monitor/health", timeout=5).json()
                return health["metadatabase"]["status"] == "healthy" and health["scheduler"]["status"] == "healthy"
            return False
        wait_for(ready, seconds)
        password = (self.home / "admin.password").read_text().strip()

        def token():
            """somebody can log in"""
            answer = requests.post(self.url + "/auth/token", json={"username": "admin", "password": password}, timeout=10)
            assert answer.status_code in (201, 503), answer.text  # 503: the database has just come back
            return answer.json() if answer.status_code == 201 else None
        self.session = requests.Session()
        self.session.headers["Authorization"] = "Bearer " + wait_for(token, 10)["access_token"]

    def log(self, last=4000):
        path = self.home / "daemon.log"
        return path.read_text(errors="replace")[-last:] if path.exists() else ""

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, seconds=20):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(seconds)
        return self.process.returncode if self.process else None

    # the API
    def request(self, method, path, status=200, **kwargs):
        answer = self.session.request(method, self.url + path, timeout=30, **kwargs)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json() if answer.content and "json" in answer.headers.get("content-type", "") else answer

    def get(self, path, **kwargs):
        return self.request("GET", path, **kwargs)

    def unpause(self, dag_id):
        return self.request("PATCH", f"/api/v2/dags/{dag_id}", json={"is_paused": False})

    def trigger(self, dag_id, **body):
        return self.request("POST", f"/api/v2/dags/{dag_id}/dagRuns", json={"logical_date": None, **body})

    def run(self, dag_id, run_id):
        return self.get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")

    def wait_run(self, dag_id, run_id, seconds=60):
        def ended():
            """the run has ended"""
            run = self.run(dag_id, run_id)
            return run if run["state"] in ("success", "failed") else None
        return wait_for(ended, seconds)

    def tasks(self, dag_id, run_id):
        answer = self.get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=100")
        return {ti["task_id"]: ti for ti in answer["task_instances"]}

    def log_lines(self, dag_id, run_id, task_id, attempt=1):
        answer = self.get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{attempt}")
        return [line["event"] if isinstance(line, dict) else line for line in answer["content"]]

    def cli(self, *args, check=True):
        done = subprocess.run([SLUICE, *args, "--home", self.home], capture_output=True, text=True, timeout=120)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def database(self, name="sluice"):
        url = subprocess.run([SLUICE, "db", "url", "--home", self.home, "--database", name],
                             capture_output=True, text=True, check=True).stdout.strip()
        return psycopg.connect(url, autocommit=True)


@pytest.fixture(autouse=True, scope="module")
def homes_of_faults(request):
    """Kills and faults are tried on homes on the disk, where a commit takes its time, also if other homes stand in memory (tests/run)."""
    before = tempfile.tempdir
    if request.path.parent.name == "faults":
        tempfile.tempdir = os.environ.get("SLUICE_TEST_TMPDIR")
    yield
    tempfile.tempdir = before


@pytest.fixture
def home():
    with tempfile.TemporaryDirectory(prefix="sluice-test-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def daemons(home):
    """Makes daemons on the test's home; ends them all afterwards, and shows their log if the test failed."""
    made = []

    def make(dags=None, args=(), env=None, folder=None):
        where = folder or home
        if dags is None:
            dags = where / "dag-files"
            dags.mkdir(exist_ok=True)
        made.append(Daemon(where, dags, args, env))
        return made[-1]
    yield make
    for daemon in made:
        if daemon.process and daemon.process.poll() is None:
            try:
                daemon.stop(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
    # A killed daemon leaves its PostgreSQL running: end it before the home goes.
    for folder in {daemon.home for daemon in made}:
        pid_file = folder / "pg" / "postmaster.pid"
        if pid_file.exists():
            with contextlib.suppress(ValueError, ProcessLookupError, IndexError):
                os.kill(int(pid_file.read_text().split()[0]), signal.SIGINT)


@pytest.fixture
def daemon(daemons):
    return daemons().start()


def write_dag(daemon, dag_id, tasks, **keys):
    """Drops a DAG file into the daemon's folder and waits until it is listed."""
    import json
    body = {"dag_id": dag_id, "is_paused_upon_creation": False, **keys, "tasks": tasks}
    (daemon.dags / f"{dag_id}.json").write_text(json.dumps(body))

    def listed():
        """the DAG is listed"""
        return daemon.session.get(f"{daemon.url}/api/v2/dags/{dag_id}", timeout=10).status_code == 200
    wait_for(listed, 10)


@contextlib.contextmanager
def standalone(**keys):
    """A daemon in a home of its own for all tests of a file."""
    with tempfile.TemporaryDirectory(prefix="sluice-test-", ignore_cleanup_errors=True) as folder:
        dags = Path(folder) / "dag-files"
        dags.mkdir()
        daemon = Daemon(folder, dags, **keys).start()
        try:
            yield daemon
        finally:
            daemon.stop(20)
