// dashboard.test.mjs — the dashboard in a real browser against a real daemon.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { api, axe, logIn, longDag, openPage, startBrowser, startDaemon, until } from "./harness.mjs";

let daemon;
let browser;
let page;

before(async () => {
    [daemon, browser] = await Promise.all([startDaemon(), startBrowser()]);
    await until(async () => (await api(daemon, "GET", "/api/v2/dags")).total_entries === 4, "four DAGs");
    page = await openPage(browser);
});

after(async () => {
    await browser?.close();
    await daemon?.stop();
});

const part = encodeURIComponent;

async function trigger(dag, conf = {}) {
    await api(daemon, "PATCH", `/api/v2/dags/${dag}`, { is_paused: false });
    return (await api(daemon, "POST", `/api/v2/dags/${dag}/dagRuns`, { logical_date: null, conf })).dag_run_id;
}

async function ended(dag, run) {
    return until(async () => {
        const { state } = await api(daemon, "GET", `/api/v2/dags/${dag}/dagRuns/${part(run)}`);
        return state === "success" || state === "failed" ? state : null;
    }, `run ${run} of ${dag}`);
}

test("a visitor is asked to log in, a wrong password is refused, the wanted page follows", async () => {
    await page.goto(`${daemon.url}/dags?q=li`);
    await page.waitForSelector("#password");
    assert.match(page.url(), /\/login\?next=%2Fdags%3Fq%3Dli$/);
    await page.fill("#password", "wrong");
    await page.click("button[type=submit]");
    await page.waitForSelector("#login-error:not(:empty)");
    assert.equal(await page.textContent("#login-error"), "Wrong user name or password.");
    await page.fill("#password", daemon.password);
    await page.click("button[type=submit]");
    await page.waitForSelector("[data-testid=dag-line]");
    assert.equal(new URL(page.url()).pathname, "/dags");
    assert.equal(await page.inputValue("[data-filter]"), "li");
});

test("the DAG list shows every DAG, and its switch pauses and un-pauses", async () => {
    await page.goto(`${daemon.url}/dags`);
    for (const dag of ["line", "broken", "daily"]) await page.waitForSelector(`[data-testid=dag-${dag}]`);
    const flip = page.locator("[data-testid=dag-line] [role=switch]");
    assert.equal(await flip.getAttribute("aria-checked"), "false");
    await flip.click();
    await until(async () => !(await api(daemon, "GET", "/api/v2/dags/line")).is_paused, "line to be active");
    assert.equal(await flip.getAttribute("aria-checked"), "true");
});

test("a change made elsewhere arrives without a reload", async () => {
    await page.goto(`${daemon.url}/dags`);
    await page.waitForSelector("[data-testid=live].live.live");
    const flip = page.locator("[data-testid=dag-broken] [role=switch]");
    assert.equal(await flip.getAttribute("aria-checked"), "false");
    await api(daemon, "PATCH", "/api/v2/dags/broken", { is_paused: false });
    await until(async () => (await flip.getAttribute("aria-checked")) === "true", "the switch to turn");
});

test("triggering from the page starts a run; its grid is patched live to the end", async () => {
    daemon.hold();
    await page.goto(`${daemon.url}/dags/line`);
    await page.waitForSelector("h1");
    await page.keyboard.press("t");
    await page.waitForSelector("[data-testid=trigger-form]");
    await page.fill("#trigger-conf", "{broken");
    assert.ok(await page.isDisabled("[data-testid=trigger-form] button[type=submit]"));
    await page.fill("#trigger-conf", '{"from": "the browser"}');
    await page.click("[data-testid=trigger-form] button[type=submit]");
    await page.waitForSelector("[data-testid=gantt]");
    const run = decodeURIComponent(new URL(page.url()).pathname.split("/").at(-1));
    const stored = await api(daemon, "GET", `/api/v2/dags/line/dagRuns/${part(run)}`);
    assert.deepEqual(stored.conf, { from: "the browser" });
    await page.waitForSelector("[data-testid='gantt-first'][data-state=r]");

    await page.goto(`${daemon.url}/dags/line`);
    const grid = page.locator("[data-testid=grid]");
    await grid.waitFor();
    await until(async () => (await grid.getAttribute("data-cells")) === "rnn", "the running cell");
    daemon.release();
    await until(async () => (await grid.getAttribute("data-cells")) === "sss", "the cells to become green");
    assert.equal(await ended("line", run), "success");
});

test("a run that is born while the grid is open appears as its newest column", async () => {
    await page.goto(`${daemon.url}/dags/line`);
    const grid = page.locator("[data-testid=grid]");
    await grid.waitFor();
    await page.waitForSelector("[data-testid=live].live.live");
    const before = Number(await grid.getAttribute("data-runs"));
    await trigger("line");
    await until(async () => Number(await grid.getAttribute("data-runs")) === before + 1, "a new column");
    await until(async () => (await grid.getAttribute("data-cells")) === "sss", "its cells");
});

test("the grid is walked by keyboard, the inspector says what a cell is", async () => {
    await page.goto(`${daemon.url}/dags/line`);
    await page.locator("[role=grid]").focus();
    await page.keyboard.press("ArrowDown");
    await page.waitForSelector("[data-testid=inspector]");
    await page.keyboard.press("ArrowDown");
    await until(async () => /~second$/.test(decodeURIComponent(page.url())), "the selection in the URL");
    assert.match(await page.textContent("#grid-active"), /^second, run .*success$/);
    await page.keyboard.press("Enter");
    await page.waitForSelector("[data-testid=task-state]");
    assert.match(new URL(page.url()).pathname, /\/tasks\/second$/);
});

test("the run page shows the Gantt of a failed run, and its header says so", async () => {
    const run = await trigger("broken");
    assert.equal(await ended("broken", run), "failed");
    await page.goto(`${daemon.url}/dags/broken/runs/${part(run)}`);
    await page.waitForSelector("[data-testid=gantt]");
    assert.equal(await page.getAttribute("[data-testid=gantt-fail]", "data-state"), "f");
    assert.equal(await page.getAttribute("[data-testid=gantt-after]", "data-state"), "u");
    assert.ok((await page.locator("[data-testid=gantt-prepare] .seg.run").count()) === 1);
    assert.match(await page.textContent("[data-testid=run-state]"), /failed/);
    await page.click("[data-testid=gantt-fail]");
    await page.waitForSelector("[data-testid=log]");
    assert.match(await page.textContent("[data-testid=task-error]"), /the reason/);
});

test("a long log is read in windows: jump to the end, find, filter by level", async () => {
    const { dag_runs: runs } = await api(daemon, "GET", "/api/v2/dags/broken/dagRuns?order_by=-run_after&limit=1");
    const base = `${daemon.url}/dags/broken/runs/${part(runs[0].dag_run_id)}/tasks`;
    await page.goto(`${base}/prepare`);
    const log = page.locator("[data-testid=log]");
    await log.waitFor();
    assert.ok(Number(await log.getAttribute("data-lines")) >= 700);
    await log.getByText("line number 1", { exact: true }).waitFor();
    assert.ok((await page.locator(".log-line").count()) < 120, "only a window is in the page");
    await log.evaluate((element) => (element.scrollTop = element.scrollHeight));
    await log.getByText("line number 700", { exact: true }).waitFor();
    await page.fill("[aria-label='Find in log']", "number 345");
    await log.locator(".log-line.lit", { hasText: "line number 345" }).waitFor();
    await page.goto(`${base}/fail?level=E`);
    await log.waitFor();
    await until(async () => (await page.locator(".log-line.lv-E").count()) > 0, "error lines");
    assert.equal(await page.locator(".log-line.lv-I").count(), 0);
});

test("the log of a running task is followed", async () => {
    daemon.hold();
    const run = await trigger("line");
    await page.goto(`${daemon.url}/dags/line/runs/${part(run)}/tasks/first`);
    const log = page.locator("[data-testid=log]");
    await log.waitFor();
    const count = async () => Number(await log.getAttribute("data-lines"));
    const seen = await until(count, "a first line");
    await until(async () => (await count()) >= seen + 5, "five more lines");
    assert.equal(await page.getAttribute("[data-testid=follow]", "aria-pressed"), "true");
    daemon.release();
    await log.getByText("released", { exact: true }).waitFor();
    await until(async () => /success/.test(await page.textContent("[data-testid=task-state]")), "the state to change");
    assert.equal(await ended("line", run), "success");
});

test("clearing shows what it touches, and the run goes again", async () => {
    const { dag_runs: runs } = await api(daemon, "GET", "/api/v2/dags/broken/dagRuns?order_by=-run_after&limit=1");
    const run = runs[0].dag_run_id;
    await page.goto(`${daemon.url}/dags/broken/runs/${part(run)}`);
    await page.waitForSelector("[data-testid=gantt]");
    await page.keyboard.press("c");
    await page.waitForSelector(".affected li");
    const touched = await page.locator(".affected li").allTextContents();
    assert.deepEqual(touched.sort(), ["after", "fail"]);
    await page.getByRole("button", { name: "Clear 2 task instances" }).click();
    await until(async () => {
        const { try_number: n } = await api(daemon, "GET", `/api/v2/dags/broken/dagRuns/${part(run)}/taskInstances/fail`);
        return n === 2;
    }, "the second try");
    assert.equal(await ended("broken", run), "failed");
    await page.goto(`${daemon.url}/dags/broken/runs/${part(run)}/tasks/fail/attempts`);
    await until(async () => (await page.locator("tbody tr").count()) === 2, "two attempts");
});

test("the backfill form lists its dates first, and the backfill runs to its end", async () => {
    await api(daemon, "PATCH", "/api/v2/dags/daily", { is_paused: false });
    await page.goto(`${daemon.url}/backfills/new?dag=daily&from=2026-02-01T00:00&to=2026-02-05T00:00`);
    const plan = page.locator("[data-testid=backfill-plan] li");
    await plan.first().waitFor();
    assert.deepEqual(await plan.allTextContents(), ["2026-02-01", "2026-02-02", "2026-02-03", "2026-02-04", "2026-02-05"]);
    await page.getByRole("button", { name: "Create 5 runs" }).click();
    await page.waitForSelector("[data-testid=matrix]");
    await until(async () => (await page.locator("[data-testid=matrix] .mark-s").count()) === 5, "five green dates");
    await until(async () => (await page.textContent("[data-testid=backfill-status]")) === "complete", "its end");
    await page.goto(`${daemon.url}/backfills`);
    await page.getByRole("link", { name: "#1" }).waitFor();
});

test("a broken file is shown within seconds with line and hint, and goes when it is mended", async () => {
    await page.goto(`${daemon.url}/dags`);
    await page.waitForSelector("[data-testid=dag-line]");
    await page.waitForSelector("[data-testid=live].live.live");
    const file = join(daemon.files, "bad.json");
    writeFileSync(file, '{\n "dag_id": "bad",\n "tasks": [\n  {"task_id": "a", "operator": "emty"}\n ]\n}\n');
    const card = page.locator("[data-testid='import-error-bad.json']");
    await card.waitFor();
    assert.match(await card.locator("summary").textContent(), /bad\.json:4.*emty.*empty/s);
    assert.equal(await page.textContent("[data-testid=import-error-count]"), "1");
    await page.goto(`${daemon.url}/import-errors`);
    await card.waitFor();
    rmSync(file);
    await page.getByText("Every file of the DAG folder is fine").waitFor();
});

test("a lost server is shown, and the page recovers by itself", async () => {
    const other = await openPage(browser);
    await logIn(other, daemon, "/dags");
    await other.waitForSelector("[data-testid=live].live.live");
    await other.context().setOffline(true);
    // An open connection outlives the browser's switch: sleep and wake make it try again.
    await other.route("**/ui/v1/stream*", (route) => route.abort());
    await other.goto("about:blank").catch(() => {});
    await other.context().setOffline(false);
    await other.goto(`${daemon.url}/dags`);
    await other.waitForSelector("[data-testid=live].offline");
    await other.waitForSelector(".banner");
    await other.unroute("**/ui/v1/stream*");
    await other.waitForSelector("[data-testid=live].live.live");
    await other.waitForSelector(".banner", { state: "detached" });
    await other.context().close();
});

test("an API that fails is shown with a retry that works", async () => {
    await page.route("**/ui/v1/dags", (route) => route.fulfill({ status: 503, body: '{"detail":"the database is away"}' }));
    await page.goto(`${daemon.url}/dags`);
    await page.getByText("the database is away").waitFor();
    await page.unroute("**/ui/v1/dags");
    await page.getByRole("button", { name: "Retry" }).click();
    await page.waitForSelector("[data-testid=dag-line]");
});

test("an idle page asks for nothing, also right after something happened on it", async () => {
    const run = await trigger("broken");
    const pages = [
        ["/dags/line", "[data-testid=grid]"],
        [`/dags/broken?sel=${part(run)}~fail`, "[data-testid=inspector]"],
        [`/dags/broken/runs/${part(run)}`, "[data-testid=gantt]"],
        ["/", ".health"],
    ];
    await ended("broken", run);
    for (const [route, ready] of pages) {
        await page.goto(daemon.url + route);
        await page.waitForSelector(ready);
        await page.waitForSelector("[data-testid=live].live.live");
        if (route !== "/dags/line") await ended("broken", await trigger("broken"));
        // What the event asked for may still be on its way.
        await page.waitForTimeout(1500);
        const asked = [];
        const note = (request) => asked.push(request.url());
        page.on("request", note);
        await page.waitForTimeout(1500);
        page.off("request", note);
        assert.deepEqual(asked, [], route);
    }
});

test("no accessibility rule is broken on the main pages, light and dark", async () => {
    const { dag_runs: runs } = await api(daemon, "GET", "/api/v2/dags/broken/dagRuns?order_by=-run_after&limit=1");
    const run = part(runs[0].dag_run_id);
    const routes = [
        ["/", ".health"],
        ["/dags", "[data-testid=dag-line]"],
        ["/runs", "tbody tr"],
        ["/dags/broken", "[data-testid=grid]"],
        [`/dags/broken?sel=${run}~fail`, "[data-testid=inspector] .facts"],
        ["/dags/broken?view=table", ".grid-table"],
        ["/dags/broken/code", ".source"],
        ["/dags/broken/details", ".facts"],
        [`/dags/broken/runs/${run}`, "[data-testid=gantt-fail]"],
        [`/dags/broken/runs/${run}/tasks`, "tbody tr"],
        [`/dags/broken/runs/${run}/tasks/fail`, ".log-line"],
        ["/backfills", "tbody tr"],
        ["/backfills/1", "[data-testid=matrix]"],
        ["/backfills/new?dag=daily", "[data-testid=backfill-form]"],
        ["/import-errors", ".empty"],
    ];
    for (const colorScheme of ["light", "dark"]) {
        const other = await openPage(browser, { colorScheme, reducedMotion: "reduce" });
        await other.goto(`${daemon.url}/login`);
        await other.waitForSelector("#password");
        assert.deepEqual(await axe(other), [], `${colorScheme} /login`);
        await logIn(other, daemon);
        for (const [route, ready] of routes) {
            await other.goto(daemon.url + route);
            await other.waitForSelector(ready);
            assert.deepEqual(await axe(other), [], `${colorScheme} ${route}`);
        }
        assert.deepEqual(other.problems, []);
        await other.context().close();
    }
});

test("the flow of a run shows where its rows went, in a picture and in numbers", async () => {
    const landing = join(daemon.folder, "home", "sample", "ecommerce", "rows");
    mkdirSync(landing, { recursive: true });
    writeFileSync(join(landing, "a.csv"), "id,kind\n" + Array.from({ length: 1000 }, (_, i) => `${i},${i % 10 ? "x" : "bad"}`).join("\n") + "\n");
    const file = join(daemon.files, "rows.json");
    writeFileSync(file, JSON.stringify({
        dag_id: "rows",
        datasets: { "raw.rows": { columns: { id: "bigint not null", kind: "varchar" }, partition: "none" } },
        tasks: [
            { task_id: "extract", operator: "extract", with: { from: { conn_id: "landing", path: "rows/a.csv" }, to: "raw.rows" } },
            { task_id: "check", operator: "validate", with: { from: "raw.rows", to: "processed.rows", max_bad: "20%", checks: [{ accepted_values: "kind", values: ["x"] }] } },
        ],
    }));
    await until(async () => (await api(daemon, "GET", "/api/v2/dags")).dags.some((dag) => dag.dag_id === "rows"), "the DAG rows");
    const run = await trigger("rows");
    await page.goto(`${daemon.url}/dags/rows/runs/${part(run)}/flow`);
    assert.equal(await ended("rows", run), "success");
    // No reload: the picture comes when the tasks end.
    await page.waitForSelector("[data-testid=flow] .flow-lost");
    const words = await page.locator("[data-testid=flow] .flow-picture text").allTextContents();
    for (const wanted of ["Raw", "Processed", "1,000 rows", "900 rows", "−100 quarantined"]) assert.ok(words.includes(wanted), `${wanted} in ${words}`);
    assert.match(await page.textContent("[data-testid=flow] table"), /check.*1,000.*900.*100/);
    if (process.env.SLUICE_SHOTS) await page.screenshot({ path: join(process.env.SLUICE_SHOTS, "flow.png") });
    assert.deepEqual(await axe(page), []);
    rmSync(file);
});

test("on a phone nothing is wider than the screen, however long the names", async () => {
    const { dag_runs: runs } = await api(daemon, "GET", "/api/v2/dags/broken/dagRuns?order_by=-run_after&limit=1");
    const run = part(runs[0].dag_run_id);
    const long = await trigger(longDag);
    await ended(longDag, long);
    const longRun = `/dags/${longDag}/runs/${part(long)}`;
    const file = join(daemon.files, "bad.json");
    writeFileSync(file, '{"dag_id": "bad", "tasks": [{"task_id": "a", "operator": "emty", "with": {"one": 1, "two": 2, "three": 3}}]}');
    const other = await openPage(browser, { viewport: { width: 320, height: 700 } });
    await logIn(other, daemon);
    const routes = [
        "/", "/dags", "/runs", "/dags/broken", `/dags/broken/runs/${run}`, `/dags/broken/runs/${run}/tasks/fail`, "/backfills", "/backfills/new",
        `/dags/${longDag}`, longRun, `${longRun}/tasks/copy_all_orders_that_have_changed_since_the_last_time_from_the_source`,
    ];
    const widthOf = async (route) => {
        await other.waitForTimeout(200);
        const width = await other.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(width <= 320, `${route} is ${width} px wide`);
    };
    for (const route of routes) {
        await other.goto(daemon.url + route);
        await other.waitForSelector("h1");
        await widthOf(route);
    }
    await other.goto(`${daemon.url}/import-errors`);
    await other.waitForSelector("[data-testid='import-error-bad.json'] pre");
    await widthOf("/import-errors");
    await other.goto(`${daemon.url}${longRun}/tasks/nope`);
    await other.getByText("Not found", { exact: true }).waitFor();
    await widthOf("a task that is not there");
    rmSync(file);
    await other.context().close();
});

test("the state of a run is in sight whatever the names in its row are", async () => {
    await page.setViewportSize({ width: 1280, height: 800 });
    await page.goto(`${daemon.url}/dags`);
    const row = page.locator(`[data-testid=dag-${longDag}]`);
    await row.waitFor();
    const beyond = await page.locator(".scroll-x").evaluate((table) => table.scrollWidth - table.clientWidth);
    assert.equal(beyond, 0, `the table is ${beyond} px wider than its place`);
    // The last part of the way says where one is.
    const [run] = (await api(daemon, "GET", `/api/v2/dags/${longDag}/dagRuns`)).dag_runs;
    await page.goto(`${daemon.url}/dags/${longDag}/runs/${part(run.dag_run_id)}/tasks/after`);
    const here = page.locator(".crumbs a[aria-current]");
    await here.waitFor();
    assert.ok((await here.evaluate((item) => item.scrollWidth - item.clientWidth)) <= 1);
});

test("deleting a DAG asks for its id; a file that is still there comes again as a new DAG", async () => {
    await ended("daily", await trigger("daily"));
    const runs = async () => (await api(daemon, "GET", "/api/v2/dags/daily/dagRuns")).total_entries;
    const before = await runs();
    await page.goto(`${daemon.url}/dags/daily/details`);
    await page.getByRole("button", { name: "Delete the DAG…" }).click();
    const form = page.locator("[data-testid=delete-form]");
    await form.getByText(`Its ${before} run`).waitFor();
    await form.getByText("is still in the DAG folder").waitFor();
    const button = form.getByRole("button", { name: "Delete" });
    assert.ok(await button.isDisabled());
    await form.getByLabel("Type daily to delete it").fill("daily");
    await button.click();
    await page.waitForURL(`${daemon.url}/dags`);
    await page.getByText("daily is deleted").waitFor();
    await page.getByRole("link", { name: "daily", exact: true }).waitFor();
    assert.equal(await runs(), 0);
});

test("nothing went wrong in the page on the way, and logging out ends the session", async () => {
    assert.deepEqual(page.problems, []);
    await page.goto(daemon.url);
    await page.click(".menu summary");
    await page.getByRole("button", { name: "Log out" }).click();
    await page.waitForSelector("#password");
    const status = await page.evaluate(async () => (await fetch("/ui/v1/boot")).status);
    assert.equal(status, 401);
});
