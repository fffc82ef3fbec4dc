"""The lake on a real object store (MinIO): the same pipeline as in a folder, the operator `lake`, encryption, TLS, refused logins, a
network that fails at every step, and kills at every step."""
import hashlib
import json
import os
import random
import shutil
import sys
import urllib.parse
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "pipelines")]
os.environ.setdefault("DAYS", "3")
import shop  # noqa: E402
from conftest import standalone, wait_for, write_dag  # noqa: E402
from object_store import KEY, SECRET, Bucket, Faults, minio  # noqa: E402
from test_lake import COLUMNS, DAYS, Keeper, ninety_days_of_raw  # noqa: E402
import test_quality as quality  # noqa: E402

ONE_DAY = {"schedule": "@daily", "start_date": DAYS[0], "end_date": DAYS[0], "catchup": True}
ERROR_CLASSES = {1: "transient", 2: "rate_limited", 3: "auth", 5: "data_quality", 6: "resource", 7: "permanent"}


@pytest.fixture(scope="module")
def store():
    with minio() as (url, _):
        yield url


@pytest.fixture
def bucket(store, request):
    return Bucket(store, "b-" + hashlib.sha256(request.node.name.encode()).hexdigest()[:16])


def one_task(daemon, dag_id, operator="extract", **with_):
    """Runs one task for a day; its state, the lines of its log, its error class."""
    keys = {"datasets": {f"raw.{dag_id}": {"columns": COLUMNS}}} if operator == "extract" else {}
    write_dag(daemon, dag_id, [{"task_id": "t", "operator": operator, "with": with_}], **ONE_DAY, **keys)
    return ended(daemon, dag_id)


def ended(daemon, dag_id):
    def over():
        """the run has ended"""
        runs = daemon.get(f"/api/v2/dags/{dag_id}/dagRuns")["dag_runs"]
        return runs and runs[0]["state"] in ("success", "failed") and runs[0]
    run = wait_for(over, 90)
    with daemon.database() as db:
        found = db.execute("select error_class from task_instance ti join dag_run r using (run_key) where r.dag_id = %s", (dag_id,)).fetchone()
    return run["state"], daemon.log_lines(dag_id, run["dag_run_id"], "t"), ERROR_CLASSES.get(found[0])


def people(daemon, name, rows="1,ana\n2,ben\n"):
    path = daemon.home / "sample" / "ecommerce" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("id,who\n" + rows)
    return {"from": {"conn_id": "landing", "path": name}, "to": "raw." + name.removesuffix(".csv")}


def live(daemon, dataset):
    """Partition -> generation, rows, hash and files of what readers see."""
    with daemon.database() as db:
        return {row[0]: row[1:] for row in db.execute(
            "select partition, generation, rows, encode(content_hash, 'hex'), files from ledger where dataset = %s and state = 'committed'", (dataset,))}


def test_the_example_pipeline_gives_the_same_in_a_bucket_as_in_a_folder(bucket, tmp_path):
    """A lake that moves from a folder to a bucket; then all days once more, into an empty warehouse."""
    made = shop.Shop(tmp_path)
    lake = tmp_path / "lake"
    try:
        made.load()
        made.daemon.stop(20)
        for path in lake.rglob("*.parquet"):
            bucket.put(f"lake/{path.relative_to(lake)}", path.read_bytes())
        shutil.rmtree(lake)
        made.daemon.env["SLUICE_CONN_LAKE"] = bucket.connection(server_side_encryption="AES256")
        made.daemon.start()
        made.connect()
        made.empty()
        shop.again(made.daemon, shop.DAYS)
        with made.daemon.database() as db:
            live = ["lake/" + file["path"] for (files,) in db.execute(
                "select files from ledger where state = 'committed' and dag_id = 'ecommerce_daily'") for file in files]
        assert len(live) > 20 * len(shop.DAYS)
        for head in map(bucket.head, live):
            assert head["x-amz-server-side-encryption"] == "AES256" and head["x-amz-meta-sha256"], "written by the second runs"
        assert bucket.keys("lake/reports/ecommerce_daily/")
        # The checker reads files: they are put where a folder would have them.
        bucket.mirror("lake/", lake)
        made.same()
        assert not list((tmp_path / "object-store").rglob("*.jsonl")), "the spool of the orders has gone"
    finally:
        made.daemon.stop(20)


def test_the_operator_keeps_a_lake_in_a_bucket(bucket):
    place = urllib.parse.quote(bucket.url, "")
    with standalone(env={"SLUICE_CONN_LAKE": f"s3://{KEY}:{SECRET}@{bucket.name}/lake?endpoint_url={place}"}) as daemon:
        keeper = Keeper(daemon)
        assert keeper.keep(action="verify") == {"slices": 9, "rows": 18, "unknown_folders": 0}
        files = live(daemon, "raw.people")[f"dt={DAYS[1]}"][3]
        key = "lake/" + files[0]["path"]
        sound = bucket.get(key)
        digest = bucket.head(key)["x-amz-meta-sha256"]
        bucket.delete(key)
        lines = keeper.keep(action="verify", datasets="raw.*", state="failed")
        assert any(f"raw.people dt={DAYS[1]}" in line and key in line and "not there" in line for line in lines)
        bucket.call("PUT", key, body=sound[:-4] + b"damn", **{"x-amz-meta-sha256": digest})
        lines = keeper.keep(action="verify", datasets="raw.*", state="failed")
        assert any("its content is not what was written" in line for line in lines)
        bucket.call("PUT", key, body=sound, **{"x-amz-meta-sha256": digest})
        bucket.put("lake/raw/people/dt=2025-01-01/g=000999-lost/part-0.parquet", b"stray")
        assert keeper.keep(action="verify")["unknown_folders"] == 1

        before = live(daemon, "raw.people")[f"dt={DAYS[2]}"]
        keeper.write_again(DAYS[2], "1,ana\n2,wrong\n")
        assert live(daemon, "raw.people")[f"dt={DAYS[2]}"] != before
        keeper.keep(action="rollback", datasets=["raw.people", "processed.people"], day=DAYS[2])
        assert live(daemon, "raw.people")[f"dt={DAYS[2]}"] == before

        done = keeper.keep(action="erase", subject={"who": ["eve"]})
        assert done["rows_erased"] == 6
        assert keeper.keep(action="verify") == {"slices": 9, "rows": 12, "unknown_folders": 1}

        rules = keeper.keep(action="publish_lifecycle", keep={"raw": "30d", "curated": "forever"}, put=True)["Rules"]
        assert {rule["Filter"]["Prefix"] for rule in rules} == {"lake/raw/", "lake/processed/"}
        stored = bucket.call("GET", query={"lifecycle": ""}).text
        assert "<ID>sluice-lake/raw</ID>" in stored and "<Prefix>lake/processed/</Prefix>" in stored and "<Days>32</Days>" in stored

        count = len(bucket.keys("lake/"))
        stray = bucket.keys("lake/raw/people/dt=2025-01-01/g=000999-lost/")
        ninety_days_of_raw(keeper, lambda: sorted({key.split("/")[3] for key in bucket.keys("lake/raw/people/") if key not in stray}))
        gone = keeper.keep(day="2025-04-03", action="retain", keep={"raw": "90d"}, grace="0s", min_generations=1)
        assert gone["generations_deleted"] > 1 and gone["unknown_folders"] == 0, "it went with the first one"
        left = bucket.keys("lake/")
        assert len(left) < count
        with daemon.database() as db:
            known = {"lake/" + file["path"] for (files,) in db.execute(
                "select files from ledger where state in ('committed', 'superseded')") for file in files}
        assert set(left) == known, "every object is one of the ledger's"
        assert keeper.keep(action="compact")["slices_compacted"] == 0


@pytest.mark.parametrize("how", ["AES256", "aws:kms"])
def test_objects_are_encrypted_as_the_connection_says(bucket, how):
    """Of the second one the keys stand in the daemon's environment."""
    keys = {"sse_kms_key_id": "sluice", "login": "", "password": ""} if how == "aws:kms" else {}
    environment = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET} if keys else {}
    with standalone(env={"SLUICE_CONN_LAKE": bucket.connection(prefix="", server_side_encryption=how, **keys), **environment}) as daemon:
        assert one_task(daemon, "people", **people(daemon, "people.csv"))[0] == "success"
        keys = bucket.keys()
        assert keys and all(bucket.head(name)["x-amz-server-side-encryption"] == how for name in keys)
        assert one_task(daemon, "verify", "lake", action="verify")[0] == "success"


def test_what_the_store_refuses_says_so(bucket, store):
    cases = {
        "wrong_secret": (bucket.connection(password="wrong"), "auth", ["SignatureDoesNotMatch", "the secret key is not that of the access key"]),
        "wrong_key": (bucket.connection(login="nobody"), "auth", ["InvalidAccessKeyId"]),
        "no_bucket": (bucket.connection().replace(bucket.name, "no-such-bucket"), "permanent", ["NoSuchBucket", "s3://no-such-bucket/lake/raw/"]),
        "no_server": (bucket.connection(url="http://127.0.0.1:1", retries=1), "transient", ["(2 tries)", 'connection "no_server"', "s3://"]),
    }
    env = {f"SLUICE_CONN_{name.upper()}": text for name, (text, _, _) in cases.items()}
    with standalone(env=env) as daemon:
        for name, (_, error_class, words) in cases.items():
            body = {"dag_id": name, "lake": name, **ONE_DAY, "is_paused_upon_creation": False, "datasets": {f"raw.{name}": {"columns": COLUMNS}},
                    "tasks": [{"task_id": "t", "operator": "extract", "with": people(daemon, f"{name}.csv")}]}
            (daemon.dags / f"{name}.json").write_text(json.dumps(body))
        for name, (_, error_class, words) in cases.items():
            wait_for(lambda name=name: daemon.session.get(f"{daemon.url}/api/v2/dags/{name}").status_code == 200, 20)
            state, lines, found = ended(daemon, name)
            assert (state, found) == ("failed", error_class), lines
            for word in words:
                assert any(word in line for line in lines), (word, lines)
            assert not any("sluice-secret" in line for line in lines)


def test_certificates_are_checked(tmp_path):
    with minio(MINIO_TLS="1") as (url, folder):
        ca = str(folder / "certs" / "public.crt")
        bucket = Bucket(url, "tls", verify=ca)
        with standalone(env={"SLUICE_CONN_LAKE": bucket.connection()}) as daemon:
            state, lines, error_class = one_task(daemon, "unknown", **people(daemon, "unknown.csv"))
            assert (state, error_class) == ("failed", "auth") and any("certificate" in line for line in lines), lines
        with standalone(env={"SLUICE_CONN_LAKE": bucket.connection(ca_file=ca)}) as daemon:
            assert one_task(daemon, "known", **people(daemon, "known.csv"))[0] == "success"
        assert bucket.keys("lake/raw/known/")


LARGE = 160_000  # rows: some 7 MiB of Parquet, two parts


def large(seed):
    chance = random.Random(seed)
    return "".join(f"{i},{chance.randbytes(20).hex()}\n" for i in range(LARGE))


@pytest.mark.parametrize("kind", ["refused", "unheard", "unanswered", "cut"])
def test_a_network_that_fails_at_every_step_changes_nothing(bucket, store, kind):
    proxy = Faults(store, kind)
    try:
        with standalone(env={"SLUICE_CONN_LAKE": bucket.connection(url=proxy.url, part_bytes=5 << 20)}) as daemon:
            source = people(daemon, "people.csv", large(1))
            write_dag(daemon, "people", [
                {"task_id": "extract", "operator": "extract", "with": source},
                {"task_id": "t", "operator": "transform", "upstream": ["extract"], "with": {
                    "from": "raw.people", "to": "processed.people", "steps": [{"cast": "declared"}]}}],
                **ONE_DAY, datasets={"raw.people": {"columns": COLUMNS}})
            state, lines, _ = ended(daemon, "people")
            assert state == "success", lines
            faults = sum(1 for count in proxy.seen.values() if count)
            assert faults >= 10 and all(count > 1 for count in proxy.seen.values()), proxy.seen
            assert one_task(daemon, "verify", "lake", action="verify")[0] == "success"
            kept = [row[1] for dataset in ("raw.people", "processed.people") for row in live(daemon, dataset).values()]
            assert kept == [LARGE, LARGE]
            files = {"lake/" + file["path"] for dataset in ("raw.people", "processed.people", "raw.people_rejects")
                     for row in live(daemon, dataset).values() for file in row[3]}
            assert set(bucket.keys()) == files
            assert not any(bucket.uploads(file) for file in files)
    finally:
        proxy.shutdown()


POINTS = ["extract_before_write", "s3_mid_upload", "s3_before_complete", "lake_after_write", "worker_before_result"]
DAEMON_POINTS = ["before_result_posted", "after_result_posted"]
REMOVAL_POINTS = ["lake_before_removal", "lake_after_removal"]


@pytest.fixture(scope="module")
def lake_in_a_folder():
    with standalone() as daemon:
        yield daemon, None


@pytest.fixture(scope="module")
def lake_in_a_bucket(store):
    bucket = Bucket(store, "crashing")
    with standalone(env={"SLUICE_CONN_LAKE": bucket.connection(part_bytes=5 << 20)}) as daemon:
        yield daemon, bucket


@pytest.fixture
def crashing(request):
    """A daemon on a lake, and the bucket that has it, if one does."""
    return request.getfixturevalue("lake_in_a_" + request.param)


def files_there(daemon, bucket, dataset):
    prefix = dataset.replace(".", "/") + "/"
    if bucket:
        return {key.removeprefix("lake/") for key in bucket.keys("lake/" + prefix)}
    root = daemon.home / "lake"
    return {str(path.relative_to(root)) for path in (root / prefix).rglob("*.parquet")}


def keep(daemon, dag_id, **params):
    state, lines, _ = one_task(daemon, dag_id, "lake", **params)
    assert state == "success", lines


# A folder has no uploads.
WRITING = [(lake, point) for lake in ("folder", "bucket") for point in POINTS + DAEMON_POINTS
           if lake == "bucket" or not point.startswith("s3_")]


@pytest.mark.parametrize("crashing, point", WRITING, indirect=["crashing"])
def test_killed_while_it_writes_a_reader_sees_old_or_new(crashing, point):
    daemon, bucket = crashing
    name, day = "w_" + point, f"dt={DAYS[0]}"
    source = people(daemon, f"{name}.csv")
    write_dag(daemon, name, [{"task_id": "t", "operator": "extract", "retries": 20, "retry_delay": "1s", "with": source}],
              **ONE_DAY, datasets={f"raw.{name}": {"columns": COLUMNS}})
    assert ended(daemon, name)[0] == "success"
    dataset = f"raw.{name}"
    old = live(daemon, dataset)[day]
    people(daemon, f"{name}.csv", large(2) if point.startswith("s3_") else "1,ana\n2,zoe\n3,new\n")
    run_id = daemon.get(f"/api/v2/dags/{name}/dagRuns")["dag_runs"][0]["dag_run_id"]
    daemon.stop()
    daemon.start(env={"SLUICE_FAULT": f"{point}:1"})
    clear(daemon, name, run_id)

    def killed():
        """the fault point is reached"""
        if point in DAEMON_POINTS:
            return daemon.process.poll() is not None
        return daemon.tasks(name, run_id)["t"]["state"] == "up_for_retry"
    wait_for(killed, 60)
    seen = live(daemon, dataset)[day]
    assert seen == old or point == "after_result_posted" and seen[1] == 3, "old or new, and no third state"
    daemon.stop()
    daemon.start()
    assert daemon.wait_run(name, run_id)["state"] == "success"
    new = live(daemon, dataset)[day]
    assert new[0] > old[0] and new[1] == (LARGE if point.startswith("s3_") else 3)
    keep(daemon, f"k_{point}", action="retain", datasets=f"{dataset}*", keep={"raw": "forever"}, grace="0s", min_generations=1)
    keep(daemon, f"v_{point}", action="verify", datasets=f"{dataset}*")
    assert files_there(daemon, bucket, dataset) == {file["path"] for file in new[3]}
    if bucket:
        assert not bucket.uploads("lake/" + new[3][0]["path"])


def clear(daemon, dag_id, run_id):
    daemon.request("POST", f"/api/v2/dags/{dag_id}/clearTaskInstances", json={"dag_run_id": run_id, "only_failed": False, "dry_run": False})


@pytest.mark.parametrize("crashing", ["folder", "bucket"], indirect=True)
@pytest.mark.parametrize("point", REMOVAL_POINTS)
def test_killed_while_it_removes_the_next_one_goes_on(crashing, point):
    daemon, bucket = crashing
    name = "r_" + point
    dataset = f"raw.{name}"
    source = people(daemon, f"{name}.csv")
    assert one_task(daemon, name, **source)[0] == "success"
    run_id = daemon.get(f"/api/v2/dags/{name}/dagRuns")["dag_runs"][0]["dag_run_id"]
    people(daemon, f"{name}.csv", "1,zoe\n")
    clear(daemon, name, run_id)
    assert daemon.wait_run(name, run_id)["state"] == "success"
    assert len(files_there(daemon, bucket, dataset)) == 2
    daemon.stop()
    daemon.start(env={"SLUICE_FAULT": f"{point}:1"})
    action = {"action": "retain", "datasets": dataset, "keep": {"raw": "forever"}, "grace": "0s", "min_generations": 1}
    state, lines, _ = one_task(daemon, f"first_{name}", "lake", **action)
    assert state == "failed"
    assert len(files_there(daemon, bucket, dataset)) == (2 if point == "lake_before_removal" else 1)
    daemon.stop()
    daemon.start()
    keep(daemon, f"second_{name}", **action)
    assert files_there(daemon, bucket, dataset) == {file["path"] for file in live(daemon, dataset)[f"dt={DAYS[0]}"][3]}
    with daemon.database() as db:
        assert db.execute("select count(*) from ledger where dataset = %s and state = 'deleted' and files_removed_at is null",
                          (dataset,)).fetchone()[0] == 0


def test_a_plan_compares_with_a_lake_in_a_bucket_and_writes_nothing_into_it(bucket, tmp_path):
    env = {"SLUICE_CONN_LAKE": bucket.connection(server_side_encryption="AES256")}
    with standalone(env=env) as daemon:
        sales = quality.Shop(daemon)
        keys, day = bucket.keys(), quality.DAYS[1]
        here = {**os.environ, **env, "TMPDIR": str(tmp_path)}
        same = sales.plan("--date", day, env=here)
        assert same.returncode == 0, same.stdout + same.stderr
        rows = quality.table(same.stdout)
        assert rows["mart.sales"] == ["130", "130", "0", "0", "0"] and rows["raw.sales"] == ["20", "20", "0", "0", "0"]
        kept = (sales.folder / f"{day}.csv").read_text()
        (sales.folder / f"{day}.csv").write_text(kept.replace(",0,ok", ",77,ok"))
        plan = sales.plan("--date", day, env=here)
        assert plan.returncode == 0, plan.stdout + plan.stderr
        rows = quality.table(plan.stdout)
        assert rows["raw.sales"] == ["20", "20", "0", "1", "0"] and rows["mart.sales"] == ["130", "130", "0", "1", "0"]
        assert "~ id=100 qty: 0 -> 77" in plan.stdout
        assert bucket.keys() == keys and not list(tmp_path.iterdir()) and not sales.schemas()
        lost = {**here, "SLUICE_CONN_LAKE": bucket.connection(password="wrong")}
        refused = sales.plan("--date", day, env=lost)
        assert refused.returncode != 0 and "SignatureDoesNotMatch" in refused.stdout + refused.stderr and not list(tmp_path.iterdir())


@pytest.mark.parametrize("point", ["target_before_commit", "s3_mid_upload", "s3_before_complete", "target_after_commit"])
def test_a_load_writes_an_object_whole_or_not_at_all(bucket, point):
    """Files of a bucket as a target: killed at every point there is the old object or the new one."""
    with standalone(env={"SLUICE_CONN_OUT": bucket.connection(part_bytes=5 << 20)}) as daemon:
        source = people(daemon, "people.csv", large(3))
        write_dag(daemon, "people", [
            {"task_id": "extract", "operator": "extract", "with": source},
            {"task_id": "t", "operator": "load", "retries": 20, "retry_delay": "1s",
             "with": {"from": "raw.people", "to": {"conn_id": "out", "path": "exports/{{ ds }}.csv"}}}],
            **ONE_DAY, is_paused_upon_creation=True, datasets={"raw.people": {"columns": COLUMNS}})
        key = f"lake/exports/{DAYS[0]}.csv"
        bucket.put(key, b"old")
        daemon.stop()
        daemon.start(env={"SLUICE_FAULT": f"{point}:1"})
        daemon.unpause("people")
        runs = lambda: daemon.get("/api/v2/dags/people/dagRuns")["dag_runs"]
        wait_for(runs)
        run_id = runs()[0]["dag_run_id"]
        wait_for(lambda: daemon.tasks("people", run_id)["t"]["state"] == "up_for_retry", 60)
        assert (bucket.get(key) == b"old") == (point != "target_after_commit")
        daemon.stop()
        daemon.start()
        assert daemon.wait_run("people", run_id)["state"] == "success"
        assert bucket.get(key).count(b"\n") == LARGE + 1 and not bucket.uploads(key)
        assert bucket.keys("lake/exports/") == [key]
