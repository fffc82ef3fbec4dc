"""What the data benchmarks share: a daemon whose tasks' time and memory are read, and the peers' Python environment."""
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import urllib.error
from pathlib import Path

from harness import ROOT, Daemon

HERE = Path(__file__).parent
VENV = ROOT / "bench/.venv"
REQUIREMENTS = ROOT / "bench/requirements.txt"
DAY = "2026-01-05"
NEXT_DAY = "2026-01-06"
INTERVAL = {"logical_date": f"{DAY}T00:00:00Z", "data_interval_start": f"{DAY}T00:00:00Z",
            "data_interval_end": f"{NEXT_DAY}T00:00:00Z"}


def size(name, default):
    """A size from the environment, for small rounds."""
    return int(os.environ.get(name, default))


def peers_python():
    """The interpreter that has the peers, installed as the requirements pin them."""
    stamp = VENV / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != REQUIREMENTS.read_text():
        print("installing what Sluice is compared with: bench/requirements.txt", flush=True)
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        subprocess.run([VENV / "bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", REQUIREMENTS],
                       check=True)
        shutil.copy(REQUIREMENTS, stamp)
    return VENV / "bin/python"


def peer(script, *args, **env):
    """Runs bench/data/SCRIPT.py in the peers' environment; what its last line says, as JSON."""
    done = subprocess.run([peers_python(), HERE / f"{script}.py", *map(str, args)], capture_output=True, text=True,
                          env={**os.environ, "TZ": "UTC", **env})
    if done.returncode != 0:
        sys.exit(f"{script} {args[0]} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def has_java():
    return shutil.which("java") is not None


class Plane(Daemon):
    """A daemon, its landing folder, and DAGs of one day."""

    @property
    def landing(self):
        folder = self.home / "sample/ecommerce"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def run_day(self, dag):
        """Writes the DAG, runs it for the day, returns {task_id: figures}."""
        dag_id = dag["dag_id"]
        self.put({"schedule": {"cron_interval": "@daily"}, "start_date": "2026-01-01", "end_date": "2026-01-31",
                  "on_unpause": "none", **dag})
        self.wait_listed(dag_id)
        return self.wait_day(self.trigger_day(dag_id))

    def trigger_day(self, dag_id, interval=None):
        path = f"/api/v2/dags/{dag_id}/dagRuns"
        for _ in range(600):
            try:
                return self.call("POST", path, interval or INTERVAL)
            except urllib.error.HTTPError as error:
                text = error.read().decode()
                if "checked" not in text and "checking" not in text:
                    sys.exit(f"{dag_id}: {text}")
            time.sleep(0.1)
        sys.exit(f"{dag_id} cannot be run")

    def wait_day(self, run):
        while run["state"] not in ("success", "failed"):
            time.sleep(0.05)
            run = self.call("GET", self.run_path(run))
        path = self.run_path(run)
        tasks = self.call("GET", path + "/taskInstances?limit=100")["task_instances"]
        if run["state"] != "success":
            for task in tasks:
                if task["state"] == "failed":
                    log = self.call("GET", f"{path}/taskInstances/{task['task_id']}/logs/{task['try_number']}")
                    print(task["task_id"], json.dumps(log, indent=1)[-3000:], file=sys.stderr)
            sys.exit(f"{run['dag_id']} failed")
        return {"": {"seconds": seconds_between(run)},
                **{task["task_id"]: self.figures(path, task) for task in tasks}}

    def figures(self, path, task):
        """Seconds from the decision to start it until its end is durable, and what it says of itself."""
        figures = {"seconds": seconds_between(task), "start": task["start_date"], "end": task["end_date"]}
        try:
            value = self.call("GET", f"{path}/taskInstances/{task['task_id']}/xcomEntries/return_value")["value"]
        except urllib.error.HTTPError:
            return figures
        value = json.loads(value) if isinstance(value, str) else value
        if isinstance(value, dict):
            figures |= {key: value[key] for key in ("rows_in", "rows_out", "bytes") if key in value}
            figures["inside_seconds"] = value.get("seconds")
            figures["peak_mb"] = round(value.get("peak_memory_bytes", 0) / 1e6, 1)
        return figures

    def log_of(self, dag_id, task_id):
        """The text of a task's log, of the day's run."""
        runs = self.call("GET", f"/api/v2/dags/{dag_id}/dagRuns?limit=1")["dag_runs"]
        answer = self.call("GET", f"{self.run_path(runs[0])}/taskInstances/{task_id}/logs/1")
        return "\n".join(line if isinstance(line, str) else line.get("event", "") for line in answer["content"])

    def files(self, dataset):
        """The Parquet files of a data set's live slices."""
        rows = self.psql("select f->>'path' from ledger, json_array_elements(files::json) f "
                         f"where dataset = '{dataset}' and state = 'committed' order by 1")
        return [str(self.lake / line) for line in rows.split("\n") if line]

    @property
    def lake(self):
        return self.home / "lake"


def seconds_between(row):
    import datetime
    at = [datetime.datetime.fromisoformat(row[key].replace("Z", "+00:00")) for key in ("start_date", "end_date")]
    return round((at[1] - at[0]).total_seconds(), 3)


def task(task_id, operator, upstream=(), threads=2, memory="2GiB", **with_):
    return {"task_id": task_id, "operator": operator, "with": with_, "resources": {"threads": threads, "memory": memory},
            **({"upstream": list(upstream)} if upstream else {})}


def median(values, digits=3):
    return round(statistics.median(values), digits)


def ratio(ours, theirs):
    """Median of the ratios of what was measured side by side."""
    return median([a / b for a, b in zip(ours, theirs)])


def same(what, digests):
    """All digests are the first one's, or nothing is measured."""
    wanted = next(iter(digests.values()))
    for name, found in digests.items():
        if found == wanted:
            continue
        if isinstance(found, dict):
            keys = [key for key in wanted | found if wanted.get(key) != found.get(key)]
            found, wanted = {key: found.get(key) for key in keys}, {key: wanted.get(key) for key in keys}
        sys.exit(f"{what}: the result of {name} differs: {found}, {next(iter(digests))} has {wanted}")
