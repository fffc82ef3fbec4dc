"""`sluice dags test` killed half-way: what it leaves is gone after the next one, and after the next daemon."""
import json
import subprocess

from conftest import SLUICE, wait_for


def dag_file(folder, name, argv):
    path = folder / f"{name}.json"
    path.write_text(json.dumps({
        "dag_id": name, "schemas": {"mart": "warehouse"},
        "tasks": [
            {"task_id": "dates", "operator": "load",
             "with": {"from": {"date_spine": {"start": "2026-01-01", "end": "2026-01-31"}}, "to": f"mart.{name}_dates"}},
            {"task_id": "after", "operator": "shell", "upstream": ["dates"], "with": {"argv": argv}}]}))
    return path


def schemas(daemon):
    with daemon.database("warehouse") as db:
        return {name for (name,) in db.execute("select nspname from pg_namespace where nspname ~ '__test_'").fetchall()}


def test_what_a_killed_dags_test_leaves_is_dropped_by_the_next_one_and_by_the_next_daemon(daemons, tmp_path):
    daemon = daemons().start()
    slow = dag_file(tmp_path, "slow", ["sleep", "60"])
    quick = dag_file(tmp_path, "quick", ["true"])

    def killed_half_way():
        process = subprocess.Popen([SLUICE, "dags", "test", slow, "2026-01-01", "--home", daemon.home],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: schemas(daemon))
        process.kill()
        process.wait()
        assert schemas(daemon), "nothing was left, so nothing is shown"

    def quick_test():
        done = subprocess.run([SLUICE, "dags", "test", quick, "2026-01-01", "--home", daemon.home],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr

    killed_half_way()
    quick_test()
    assert not schemas(daemon)

    killed_half_way()
    daemon.stop()
    daemon.start()
    assert not schemas(daemon)

    # The schema of a test that lives is nobody's but its own.
    process = subprocess.Popen([SLUICE, "dags", "test", slow, "2026-01-01", "--home", daemon.home],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: schemas(daemon))
    living = schemas(daemon)
    quick_test()
    assert schemas(daemon) == living
    process.kill()
    process.wait()
