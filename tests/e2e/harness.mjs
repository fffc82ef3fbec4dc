// harness.mjs — a daemon of its own and a browser, for the tests of this folder.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync, mkdirSync, existsSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const require = createRequire(join(root, "web", "package.json"));
const { chromium } = require("playwright-core");
const axeSource = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

export const deadline_ms = 20_000;

/** Waits until `look` gives something true. */
export async function until(look, what, ms = deadline_ms) {
    const end = Date.now() + ms;
    for (;;) {
        const found = await look();
        if (found) return found;
        if (Date.now() > end) throw new Error(`waited ${ms} ms for ${what}`);
        await new Promise((done) => setTimeout(done, 50));
    }
}

const shell = (task_id, bash_command, upstream = []) => ({ task_id, operator: "shell", upstream, with: { bash_command } });

export const dags = {
    // Holds its first task until the test lets it go.
    "line.json": (home) => ({
        dag_id: "line",
        description: "Three tasks in a line, the first waits for a file",
        tags: ["e2e"],
        tasks: [
            shell("first", `for i in $(seq 1 400); do [ -e ${home}/go ] && break; echo "waiting $i"; sleep 0.1; done; echo released`),
            { task_id: "second", operator: "empty", upstream: ["first"] },
            { task_id: "third", operator: "empty", upstream: ["second"] },
        ],
    }),
    "broken.json": () => ({
        dag_id: "broken",
        description: "Its second task fails",
        tasks: [
            shell("prepare", "for i in $(seq 1 700); do echo line number $i; done"),
            shell("fail", "echo before the error; echo the reason >&2; exit 3", ["prepare"]),
            { task_id: "after", operator: "empty", upstream: ["fail"] },
        ],
    }),
    "daily.json": () => ({
        dag_id: "daily",
        description: "For backfills",
        schedule: "@daily",
        start_date: "2026-01-01",
        tasks: [
            { task_id: "start", operator: "empty" },
            { group_id: "load", upstream: ["start"], tasks: [{ task_id: "orders", operator: "empty" }, { task_id: "customers", operator: "empty" }] },
        ],
    }),
};

// Names at the length that people give them, for pages on a phone.
export const longDag = "load_every_order_of_the_warehouse_into_the_curated_sales_tables_nightly";
dags[`${longDag}.json`] = () => ({
    dag_id: longDag,
    owner: "the.people.who.look.after.it@example.com",
    tasks: [
        shell("copy_all_orders_that_have_changed_since_the_last_time_from_the_source", "exit 3"),
        { task_id: "after", operator: "empty", upstream: ["copy_all_orders_that_have_changed_since_the_last_time_from_the_source"] },
    ],
});

export async function startDaemon() {
    const folder = mkdtempSync(join(tmpdir(), "sluice-e2e-"));
    const home = join(folder, "home");
    const files = join(folder, "dags");
    mkdirSync(files);
    for (const [name, make] of Object.entries(dags)) writeFileSync(join(files, name), JSON.stringify(make(folder), null, 1));
    const program = process.env.SLUICE ?? join(root, "build", "dev", "sluice");
    if (!existsSync(program)) throw new Error(`${program} is not built`);
    let output = "";
    const child = spawn(program, ["standalone", "--home", home, "--port", "0", "--dags", files], { stdio: ["ignore", "pipe", "pipe"] });
    const exited = new Promise((done) => child.on("exit", done));
    child.stdout.on("data", (piece) => (output += piece));
    child.stderr.on("data", (piece) => (output += piece));
    const url = await until(
        () => {
            if (child.exitCode !== null) throw new Error(`the daemon ended:\n${output}`);
            return /serves at (http:\S+)/.exec(output)?.[1];
        },
        "the daemon",
        60_000,
    );
    const password = readFileSync(join(home, "admin.password"), "utf8").trim();
    return {
        url,
        password,
        folder,
        files,
        release: () => writeFileSync(join(folder, "go"), ""),
        hold: () => rmSync(join(folder, "go"), { force: true }),
        output: () => output,
        async stop() {
            child.kill("SIGTERM");
            await exited;
            rmSync(folder, { recursive: true, force: true });
        },
    };
}

export async function startBrowser() {
    return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
}

/** A page of a fresh context that fails the test on script errors and refused resources. */
export async function openPage(browser, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, timezoneId: "Europe/Berlin", ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(deadline_ms);
    page.problems = [];
    page.on("pageerror", (error) => page.problems.push(`${page.url()}: ${error.stack}`));
    page.on("console", (message) => {
        if (message.type() === "error" && /Content Security Policy|Refused to/.test(message.text())) page.problems.push(message.text());
    });
    return page;
}

export async function logIn(page, daemon, path = "/") {
    await page.goto(daemon.url + path);
    await page.fill("#password", daemon.password);
    await page.click("button[type=submit]");
    await page.waitForSelector("[data-testid=live]");
}

/** Violations of the accessibility rules, as lines. axe is run outside the page's policy. */
export async function axe(page) {
    await page.evaluate(axeSource);
    const result = await page.evaluate(() =>
        window.axe.run(document, {
            runOnly: { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] },
        }),
    );
    return result.violations.map((item) => `${item.id}: ${item.help}\n    ${item.nodes.slice(0, 4).map((node) => node.html.slice(0, 160)).join("\n    ")}`);
}

/** A call of the public API with a token: what a script beside the browser would do. */
export async function api(daemon, method, path, body) {
    if (!daemon.token) {
        const answer = await fetch(`${daemon.url}/auth/token`, {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: JSON.stringify({ username: "admin", password: daemon.password }),
        });
        daemon.token = (await answer.json()).access_token;
    }
    const answer = await fetch(daemon.url + path, {
        method,
        headers: { authorization: `Bearer ${daemon.token}`, "content-type": "application/json" },
        body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : null;
}
