import assert from "node:assert/strict";
import { test } from "node:test";
import { links, parse, redirectOf, safeNext, withQuery } from "../src/routes";
import { scheduleWords } from "../src/schedule";

const run = "scheduled__2026-11-21T00:00:00+00:00";

test("every link is parsed back into what it was made of", () => {
    const dag = "näme/with space%";
    assert.deepEqual(parse(links.dag(dag)).params, { dag });
    assert.equal(parse(links.dag(dag, "code")).params.tab, "code");
    const task = parse(links.task(dag, run, "group.task", 3, "attempts"));
    assert.equal(task.name, "task");
    assert.deepEqual(task.params, { dag, run, task: "group.task", map: "3", tab: "attempts" });
    assert.equal(parse(links.run(dag, run)).params.run, run);
});

test("a plus in a path is a plus", () => {
    assert.equal(parse("/dags/x/runs/manual__2026+1").params.run, "manual__2026+1");
});

test("tabs and ids of the same shape are told apart", () => {
    assert.equal(parse("/dags/x/runs").name, "dag");
    assert.equal(parse("/dags/x/runs").params.tab, "runs");
    assert.equal(parse("/dags/x/runs/r").name, "run");
    assert.equal(parse("/backfills/new").name, "backfill-new");
    assert.equal(parse("/backfills/7").name, "backfill");
    assert.equal(parse("/nothing/here").name, "missing");
    assert.equal(parse("/dags/%E0%A4%A").params.dag, "%E0%A4%A");
});

test("links of Airflow's grid lead to the run or the task", () => {
    const at = parse(`/dags/x/grid?dag_run_id=${encodeURIComponent(run)}&task_id=load`);
    assert.equal(redirectOf(at), links.task("x", run, "load"));
    assert.equal(redirectOf(parse("/dags/x/grid")), null);
});

test("the query changes in place", () => {
    assert.equal(withQuery("/dags?q=a", { state: "failed" }), "/dags?q=a&state=failed");
    assert.equal(withQuery("/dags?q=a%20b&state=failed#x", { state: null }), "/dags?q=a%20b#x");
    assert.equal(withQuery("/dags?q=a", { q: "" }), "/dags");
});

test("after login only a path of this server is followed", () => {
    assert.equal(safeNext("/dags?q=1"), "/dags?q=1");
    for (const bad of [null, "", "https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)"]) {
        assert.equal(safeNext(bad), "/");
    }
});

test("schedules in words", () => {
    const words = (schedule: string, kind = "cron", tz = "UTC") => scheduleWords({ schedule, kind, tz });
    assert.equal(words('{"cron_interval":"@daily","delay":"2h"}'), "daily 00:00, 2h later");
    assert.equal(words('{"cron":["0 3 * * *","0 9 * * *"]}'), "daily 03:00 and daily 09:00");
    assert.equal(words('{"delta_interval":"90s"}', "delta"), "every 90s");
    assert.equal(words("@daily"), "daily 00:00");
    assert.equal(words("0 2 * * *", "cron", "Europe/Berlin"), "daily 02:00 Europe/Berlin");
    assert.equal(words("*/10 * * * *"), "every 10 min");
    assert.equal(words("5 * * * *"), "hourly at :05");
    assert.equal(words("30 6 * * 1"), "Mondays 06:30");
    assert.equal(words("30 6 * * 1-5"), "weekdays 06:30");
    assert.equal(words("0 4 1 * *"), "monthly, day 1 04:00");
    assert.equal(words("1,2 3 * 4 *"), "1,2 3 * 4 *");
    assert.equal(words("", "none"), "manual only");
    assert.equal(words('["raw.a","raw.b"]', "none"), "after raw.a and raw.b");
    assert.equal(
        words('{"assets":{"any":["raw.a",{"all":["raw.b","raw.c"]}]},"or_cron":"@daily"}'),
        "after raw.a or (raw.b and raw.c); daily 00:00",
    );
    assert.equal(words("@once", "once"), "once");
    assert.equal(words('{"every":"10m"}', "delta"), '{"every":"10m"}');
});
