// shots.mjs — looks at every page in a browser:  node dev/shots.mjs OUT [URL PASSWORD]
// Without a URL it starts the development server. Prints console errors.
import { mkdirSync } from "node:fs";
import { chromium } from "playwright-core";
import { startMock } from "./mock.mjs";

const [out, url, password = "admin"] = process.argv.slice(2);
mkdirSync(out, { recursive: true });
const mock = url ? null : await startMock();
const base = url ?? mock.url;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const only = process.env.ONLY?.split(",");

for (const [theme, width, height] of [["light", 1280, 800], ["dark", 1280, 800], ["light", 390, 844], ["dark", 390, 844]]) {
    const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, timezoneId: "Europe/Berlin" });
    const page = await context.newPage();
    page.on("console", (message) => message.type() === "error" && console.log(`[console] ${page.url()}: ${message.text()}`));
    page.on("pageerror", (error) => console.log(`[error] ${page.url()}: ${error.stack}`));
    const shot = async (name) => {
        if (only && !only.includes(name)) return;
        await page.waitForTimeout(500);
        await page.screenshot({ path: `${out}/${name}-${theme}-${width}.png` });
    };
    await page.goto(base);
    await page.waitForSelector("#password");
    await shot("login");
    await page.fill("#password", password);
    await page.click("button[type=submit]");
    await page.waitForSelector(".health");
    await shot("home");
    const visit = async (name, path, then) => {
        if (only && !only.includes(name)) return;
        await page.goto(base + path);
        await page.waitForTimeout(500);
        await then?.();
        await shot(name);
    };
    await visit("dags", "/dags");
    const dag = process.env.DAG ?? "ecommerce_daily";
    const list = await page.evaluate(async (id) => (await (await fetch(`/ui/v1/dags/${id}/grid?runs=50`)).json()), dag);
    const bad = list.cells.findLastIndex((cells) => cells.includes("f"));
    const at = bad >= 0 ? bad : list.runs.length - 1;
    const run = encodeURIComponent(list.runs[at].id);
    const task = list.nodes[Math.max(0, bad >= 0 ? list.cells[at].indexOf("f") : 0)];
    await visit("grid", `/dags/${dag}`);
    await visit("grid-tip", `/dags/${dag}`, async () => {
        const box = await page.locator("[data-testid=grid]").boundingBox();
        await page.mouse.move(box.x + Math.min(box.width - 60, 500), box.y + 160);
    });
    await visit("grid-inspector", `/dags/${dag}?sel=${run}~${task}`);
    await visit("grid-run", `/dags/${dag}?sel=${run}`);
    await visit("grid-table", `/dags/${dag}?view=table`);
    await visit("grid-100", "/dags/flights_daily?runs=365");
    await visit("grid-fan", "/dags/bench_fan");
    await visit("dag-runs", `/dags/${dag}/runs`);
    await visit("code", `/dags/${dag}/code`);
    await visit("details", `/dags/${dag}/details`);
    await visit("run", `/dags/${dag}/runs/${run}`);
    await visit("run-critical", `/dags/${dag}/runs/${run}?cp=1`);
    await visit("run-tasks", `/dags/${dag}/runs/${run}/tasks`);
    await visit("run-details", `/dags/${dag}/runs/${run}/details`);
    await visit("log", `/dags/${dag}/runs/${run}/tasks/${task}`);
    await visit("log-find", `/dags/${dag}/runs/${run}/tasks/${task}?q=relation`);
    await visit("log-warn", `/dags/${dag}/runs/${run}/tasks/${task}?level=W`);
    await visit("attempts", `/dags/${dag}/runs/${run}/tasks/${task}/attempts`);
    await visit("rendered", `/dags/${dag}/runs/${run}/tasks/${task}/rendered`);
    await visit("runs", "/runs");
    await visit("backfills", "/backfills");
    await visit("backfill", "/backfills/1");
    await visit("backfill-new", `/backfills/new?dag=${process.env.DAG ?? "flights_daily"}`);
    await visit("import-errors", "/import-errors");
    await visit("missing", "/nothing/here");
    await visit("not-found", "/dags/not_there");
    await visit("trigger", `/dags/${dag}`, async () => {
        await page.keyboard.press("t");
        await page.waitForSelector("dialog textarea");
    });
    await visit("clear", `/dags/${dag}/runs/${run}`, async () => {
        await page.keyboard.press("c");
        await page.waitForSelector(".affected");
    });
    await context.close();
}
await browser.close();
mock?.close();
process.exit(0);
