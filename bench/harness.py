"""What all benchmarks share: a daemon of its own on a private PostgreSQL, limits, results."""
import datetime
import json
import math
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = Path(os.environ.get("SLUICE_BUILD", ROOT / "build/release"))
SLUICE = Path(os.environ.get("SLUICE", BUILD / "sluice"))
RESULTS = Path(os.environ.get("BENCH_RESULTS", ROOT / "bench/results"))
SUCCESS, NO_WAIT = 4, 0.002


def tool(name):
    """A program of PostgreSQL itself: Debian's wrapper of the same name is Perl and takes 40 ms of a core."""
    return sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))[-1]


PSQL = tool("psql")


class Daemon:
    """`sluice standalone` on a home of its own; `with` removes everything."""

    def __init__(self, dags=(), args=()):
        self._folder = tempfile.TemporaryDirectory(prefix="sluice-bench-")
        self.home = Path(self._folder.name)
        self.dags = self.home / "bench-dags"
        self.dags.mkdir()
        self.args, self._urls = args, {}
        for dag in dags:
            self.put(dag)

    def __enter__(self):
        self.start()
        for setting in ("fsync", "synchronous_commit"):
            if self.psql(f"show {setting}") != "on":
                sys.exit(f"{setting} is off: nothing is measured without durability")
        return self

    def __exit__(self, *_):
        self.stop()
        self._folder.cleanup()

    def start(self):
        begin = time.monotonic()
        with open(self.home / "daemon.log", "ab") as log:
            self.process = subprocess.Popen(
                [SLUICE, "standalone", "--home", self.home, "--port", "0", "--dags", self.dags, *self.args],
                stdout=log, stderr=log)
        while not self._healthy():
            if self.process.poll() is not None:
                sys.exit((self.home / "daemon.log").read_text())
            time.sleep(0.005)
        self.start_seconds = time.monotonic() - begin
        self.token = None
        password = (self.home / "admin.password").read_text().strip()
        self.token = self.call("POST", "/auth/token", {"username": "admin", "password": password})["access_token"]

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)

    def _healthy(self):
        try:
            self.url = (self.home / "sluice.url").read_text().strip()
            health = json.load(urllib.request.urlopen(self.url + "/api/v2/monitor/health", timeout=5))
            return health["scheduler"]["status"] == health["metadatabase"]["status"] == "healthy"
        except (OSError, ValueError):
            return False

    def put(self, dag):
        """Writes the DAG's file, whole or not at all."""
        text = json.dumps({"is_paused_upon_creation": False, **dag})
        fresh = self.dags / f".{dag['dag_id']}.json"
        fresh.write_text(text)
        fresh.rename(self.dags / f"{dag['dag_id']}.json")

    def call(self, method, path, body=None):
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers)
        return json.load(urllib.request.urlopen(request, timeout=120))

    def url_of(self, database="sluice"):
        if database not in self._urls:
            self._urls[database] = subprocess.run(
                [SLUICE, "db", "url", "--home", self.home, "--database", database],
                capture_output=True, text=True, check=True).stdout.strip()
        return self._urls[database]

    def psql(self, sql, database="sluice"):
        return subprocess.run([PSQL, self.url_of(database), "-XAtqc", sql],
                              capture_output=True, text=True, check=True).stdout.strip()

    def numbers(self, sql):
        """The first column of a query, as numbers."""
        return [float(line) for line in self.psql(sql).split()]

    def wait_listed(self, dag_id):
        while True:
            try:
                return self.call("GET", f"/api/v2/dags/{dag_id}")
            except urllib.error.HTTPError:
                time.sleep(0.02)

    def trigger(self, dag_id, conf=None):
        return self.call("POST", f"/api/v2/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf})

    def run_path(self, run):
        return f"/api/v2/dags/{run['dag_id']}/dagRuns/{run['dag_run_id'].replace('+', '%2B')}"

    def run(self, dag_id, undisturbed=0):
        """Triggers a run, waits for its end, returns it. For so many seconds nobody asks for it."""
        run = self.trigger(dag_id)
        time.sleep(undisturbed)
        pause = NO_WAIT
        while run["state"] not in ("success", "failed"):
            time.sleep(pause)
            pause = min(pause * 1.5, 0.2)
            run = self.call("GET", self.run_path(run))
        if run["state"] != "success":
            sys.exit(f"{dag_id} failed")
        return run

    def wait_ended(self, dag_like, runs, every=0.5):
        """Waits until so many runs of the DAGs have ended, all of them well."""
        sql = f"select count(*), count(*) filter (where state = 3) from dag_run where dag_id like '{dag_like}' and state >= 2"
        while True:
            ended, failed = self.psql(sql).split("|")
            if int(failed):
                sys.exit(f"{failed} runs of {dag_like} failed")
            if int(ended) >= runs:
                return
            time.sleep(every)

    def turns(self):
        return int(self.psql("select turn from lease"))

    def check_transitions(self, dag_id, tasks):
        """Ends the benchmark unless each task is logged with its four: scheduled, queued, running, success. One row of the
        log may hold several; the states' numbers follow each other, and a row of mapped instances counts for each."""
        counted = int(self.psql("select coalesce(sum((map_hi - map_lo + 1) * (to_state - from_state)), 0) from transition "
                                f"join dag_run using (run_key) where dag_id = '{dag_id}' and task_no >= 0"))
        if counted != 4 * tasks:
            sys.exit(f"{dag_id}: {counted} transitions are logged for {tasks} tasks")

    def processes(self):
        """The daemon and all processes below it."""
        children = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
        postmaster = int((self.home / "pg/postmaster.pid").read_text().split()[0])
        found, todo = [], [self.process.pid, postmaster]
        while todo:
            pid = todo.pop()
            if pid not in found:
                found.append(pid)
                todo += children.get(pid, [])
        return found

    def cpu_seconds(self, whole=False):
        """CPU time that the daemon (or all its processes) has used."""
        total = 0
        for pid in self.processes() if whole else [self.process.pid]:
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            # A server process that has ended counts in its parent.
            total += sum(map(int, fields[11:15] if pid != self.process.pid else fields[11:13]))
        return total / os.sysconf("SC_CLK_TCK")

    def memory_mb(self, key="VmRSS"):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return round(int(re.search(rf"{key}:\s+(\d+) kB", status).group(1)) / 1024, 1)


# ---- DAGs

def dag(dag_id, tasks, **keys):
    return {"dag_id": dag_id, "tasks": tasks, **keys}


def empty(task_id, upstream=(), **keys):
    return {"task_id": task_id, "operator": "empty", **({"upstream": list(upstream)} if upstream else {}), **keys}


def chain(length, make=empty):
    """Tasks in a line."""
    return [make(f"t{i:03d}", [f"t{i - 1:03d}"] if i else ()) for i in range(length)]


def fan(width, make=empty):
    """start -> `width` tasks -> end."""
    middle = [f"t{i:05d}" for i in range(width)]
    return [empty("start"), *(make(t, ["start"]) for t in middle), empty("end", middle)]


def true(task_id, upstream=()):
    """A real process."""
    return {**empty(task_id, upstream), "operator": "shell", "with": {"argv": ["true"]}}


def seconds(run):
    at = [datetime.datetime.fromisoformat(run[key].replace("Z", "+00:00")) for key in ("start_date", "end_date")]
    return (at[1] - at[0]).total_seconds()


# ---- figures

def fdatasync_us(folder):
    """Median of 200 writes of 8 KiB with fdatasync."""
    path = Path(folder) / "fdatasync.probe"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    times = []
    os.pwrite(fd, bytes(8192 * 200), 0)
    for i in range(200):
        begin = time.perf_counter()
        os.pwrite(fd, b"x" * 8192, 8192 * i)
        os.fdatasync(fd)
        times.append(time.perf_counter() - begin)
    os.close(fd)
    path.unlink()
    return round(statistics.median(times) * 1e6, 1)


def percentile(values, part):
    """The smallest value that `part` of all are not above."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * part) - 1)]


def cpu_model():
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found.group(1) if found else platform.machine()


class Limit:
    """A figure's bounds: `least` must hold, `goal` is the aim; `over` = the figure should be large."""

    def __init__(self, figure, least, goal=None, over=False):
        self.figure, self.least, self.goal, self.over = figure, least, goal, over

    def holds(self, value, bound):
        return value >= bound if self.over else value <= bound

    def judge(self, figures):
        value = figures[self.figure]
        told = {"figure": self.figure, "value": value, "is": ">=" if self.over else "<=", "at_least": self.least,
                "passed": self.holds(value, self.least)}
        if self.goal is not None:
            told |= {"goal": self.goal, "goal_reached": self.holds(value, self.goal)}
        return told


def save(name, number, figures, limits, daemon, **more):
    """Writes bench/results/NAME.json and prints a line; returns whether every limit holds."""
    judged = [limit.judge(figures) for limit in limits]
    passed = all(row["passed"] for row in judged)
    result = {"name": name, "id": number, "date": datetime.datetime.now().isoformat(timespec="minutes"),
              "machine": {"cpu": cpu_model(), "cores": os.cpu_count(), "kernel": platform.release(),
                          "load_before": round(LOAD_BEFORE, 2)},
              "postgresql": daemon.psql("show server_version") if daemon.process.poll() is None else None,
              "fdatasync_us": fdatasync_us(daemon.home if daemon.home.exists() else tempfile.gettempdir()), **more, "figures": figures, "limits": judged, "passed": passed}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(f"{'ok  ' if passed else 'FAIL'} {number:3} {name}: " + ", ".join(f"{k} {v}" for k, v in figures.items()) +
          f" (fdatasync {result['fdatasync_us']} us)", flush=True)
    for row in judged:
        if not row["passed"]:
            print(f"     {row['figure']} is {row['value']}, must be {row['is']} {row['at_least']}", flush=True)
    return passed


LOAD_BEFORE = os.getloadavg()[0]
