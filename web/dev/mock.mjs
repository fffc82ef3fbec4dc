// mock.mjs — serves web/dist with an invented world behind the /ui/v1 contract, to work on the
// dashboard without a daemon:  node build.mjs && node dev/mock.mjs [PORT]   (admin / admin)
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { World } from "./world.mjs";

const dist = join(dirname(fileURLToPath(import.meta.url)), "..", "dist");
const csp =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
    "font-src 'self'; manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'self'";
const types = { js: "text/javascript", css: "text/css", svg: "image/svg+xml", html: "text/html" };

const median = (list) => (list.length ? [...list].sort((a, b) => a - b)[list.length >> 1] : null);
const day = 86_400_000;
const fail = (status, detail) => Object.assign(new Error(detail), { status });
const count = (letters) => {
    const counts = {};
    for (const letter of letters) counts[letter] = (counts[letter] ?? 0) + 1;
    return counts;
};
const publicRun = ({ id, dag, st, ty, ld, ra, q, s, e, ver, bf, note }) => ({ id, dag, st, ty, ld, ra, q, s, e, ver, bf, note });

export function startMock({ port = 0, live = true } = {}) {
    const world = new World(Date.now(), { live });
    const stamp = () => ({ seq: world.seq, server_ms: Date.now() });
    const dagOf = (id) => world.dags.get(id) ?? (() => { throw fail(404, `The DAG ${id} was not found`); })();
    const runOf = (dag, id) => dag.runs.find((run) => run.id === id) ?? (() => { throw fail(404, `The run ${id} of ${dag.id} was not found`); })();
    const tiOf = (run, id) => run.tis.find((ti) => ti.t === id) ?? (() => { throw fail(404, `The task ${id} was not found in ${run.id}`); })();
    const took = (dag) => median(dag.runs.filter((run) => run.st === "s").slice(-20).map((run) => run.e - run.s));

    const row = (dag) => ({
        id: dag.id, desc: dag.desc, tags: dag.tags, owner: dag.owner, file: dag.file, paused: dag.paused, stale: false, checking: false, error: false,
        schedule: dag.schedule, kind: dag.schedule ? "cron" : "none", tz: dag.tz, start: null, end: null, next: dag.period ? (Math.floor(Date.now() / dag.period) + 1) * dag.period : null, ver: dag.ver,
        tasks: dag.nodes.length, running: dag.runs.filter((run) => run.st === "r").length, queued: dag.runs.filter((run) => run.st === "q").length,
        failed: dag.runs.slice(-20).filter((run) => run.st === "f").length, p50: took(dag), open: true,
        runs: dag.runs.slice(-20).map((run) => [run.id, run.st, run.s, run.e === null ? null : run.e - run.s, run.ld]),
    });

    function home(window) {
        const span = { "1h": 3_600_000, "24h": day, "7d": 7 * day, "30d": 30 * day }[window] ?? day;
        const now = Date.now();
        const runs = [...world.dags.values()].flatMap((dag) => dag.runs);
        const ended = runs.filter((run) => run.e > now - span);
        const tis = ended.flatMap((run) => run.tis);
        const step = span / 48;
        const buckets = Array.from({ length: 48 }, (_, i) => [now - span + i * step, 0, 0]);
        for (const run of ended) {
            const bucket = buckets[Math.min(47, Math.floor((run.e - (now - span)) / step))];
            if (bucket) bucket[run.st === "f" ? 2 : 1]++;
        }
        const attention = [];
        for (const dag of world.dags.values()) {
            const last = dag.runs.at(-1);
            if (last?.st !== "f") continue;
            for (const ti of last.tis.filter((item) => item.st === "f")) {
                attention.push({ kind: "failed", dag: dag.id, run: last.id, task: ti.t, map: -1, try: ti.try, max: ti.max, at: ti.e, ld: last.ld, reason: ti.err });
            }
        }
        return {
            ...stamp(), window_ms: span,
            health: { scheduler: { ok: true, beat: now - 40 }, database: { ok: true, ms: 0.4 }, executor: { running: 3, slots: 16 }, folder: { ok: true, scanned: now - 700 }, import_errors: world.errors.length },
            dags: { total: world.dags.size, active: [...world.dags.values()].filter((dag) => !dag.paused).length, paused: 3 },
            runs: { success: ended.filter((run) => run.st === "s").length, failed: ended.filter((run) => run.st === "f").length, running: runs.filter((run) => run.st === "r").length, queued: runs.filter((run) => run.st === "q").length },
            tasks: { success: tis.filter((ti) => ti.st === "s").length, failed: tis.filter((ti) => ti.st === "f").length, running: 2, queued: 0 },
            buckets, attention,
            running: runs.filter((run) => run.st === "r").map((run) => ({ dag: run.dag, run: run.id, ty: run.ty, s: run.s, done: run.tis.filter((ti) => "sfuk".includes(ti.st)).length, total: run.tis.length, p50: took(world.dags.get(run.dag)) })),
            next: [...world.dags.values()].filter((dag) => dag.period && !dag.paused).map((dag) => ({ dag: dag.id, at: row(dag).next })).sort((a, b) => a.at - b.at).slice(0, 10),
            pools: [{ name: "default_pool", slots: 128, running: 3, queued: 1, open: 125 }, { name: "etl", slots: 16, running: 0, queued: 0, open: 16 }],
        };
    }

    function grid(dag, query) {
        const n = Number(query.get("runs") ?? 50);
        const end = query.get("end");
        const last = end ? dag.runs.findIndex((run) => run.id === end) + 1 : dag.runs.length;
        if (end && !last) throw fail(404, `The run ${end} was not found`);
        const first = Math.max(0, last - n);
        const runs = dag.runs.slice(first, last);
        return { ...stamp(), ver: dag.ver, nodes: dag.nodes.map((node) => node.id), runs: runs.map(publicRun), cells: runs.map((run) => run.tis.map((ti) => ti.st).join("")), older: first > 0, newer: last < dag.runs.length };
    }

    function log(run, ti, what, query) {
        const attempt = Number(query.get("try"));
        const complete = !(ti.st === "r" && attempt === ti.try);
        if (attempt > ti.try || attempt < 1) throw fail(404, `there is no try ${attempt}`);
        let lines = world.logOf(run, ti, attempt);
        if (what === "meta") {
            const first = lines.find((item) => item[2] === "E");
            return { lines: lines.length, bytes: lines.length * 80, complete, first_error: first ? first[0] : null, levels: { D: 0, I: 0, W: 0, E: 0, ...count(lines.map((item) => item[2])) } };
        }
        const level = query.get("level");
        if (level) lines = lines.filter((item) => "DIWE".indexOf(item[2]) >= "DIWE".indexOf(level));
        if (what === "search") {
            const hits = lines.filter((item) => item[3].toLowerCase().includes(query.get("q").toLowerCase())).map((item) => item[0]);
            return { total: hits.length, lines: hits.slice(0, Number(query.get("limit") ?? 2000)), partial: false };
        }
        let from = Number(query.get("from") ?? 0);
        if (from < 0) from = Math.max(0, lines.length + from);
        return { from, total: lines.length, complete, lines: lines.slice(from, from + Number(query.get("n") ?? 512)) };
    }

    const backfill = ({ slots, ...rest }) => {
        const letters = slots.map((slot) => (typeof slot[2] === "string" ? slot[2] : slot[2].st));
        if (rest.completed === null && letters.every((letter) => "sfk".includes(letter))) rest.completed = Date.now();
        return { ...rest, total: slots.length, counts: count(letters) };
    };

    const dates = (body) => {
        const dag = dagOf(body.dag_id);
        if (!dag.period) throw fail(422, `${dag.id} has a non-periodic schedule that does not support backfills`);
        const [from, to] = [Date.parse(body.from_date), Date.parse(body.to_date)];
        if (to < from) throw fail(422, "from_date must not be after to_date.");
        if (to > Date.now()) throw fail(422, "Backfill cannot be executed for future dates.");
        const list = [];
        for (let at = Math.ceil(from / day) * day; at <= to; at += dag.period) {
            if (body.reprocess_behavior === "none" && dag.runs.some((run) => run.ld === at)) continue;
            list.push({ logical_date: new Date(at).toISOString(), partition_key: null, partition_date: null });
        }
        return list;
    };

    const v2ti = (run, ti) => ({ task_id: ti.t, dag_id: run.dag, dag_run_id: run.id, map_index: -1, state: ti.st, try_number: ti.try });

    function clear(dag, body) {
        const run = runOf(dag, body.dag_run_id);
        let picked = run.tis.map((ti, i) => i).filter((i) => !body.task_ids || body.task_ids.includes(run.tis[i].t));
        if (body.include_downstream) {
            const all = new Set(picked);
            for (const i of world.order(dag)) for (const [from, to] of dag.edges) if (from === i && all.has(i)) all.add(to);
            picked = [...all].sort((a, b) => a - b);
        }
        if (body.only_failed) picked = picked.filter((i) => "fu".includes(run.tis[i].st));
        const affected = picked.map((i) => v2ti(run, run.tis[i]));
        if (!body.dry_run && picked.length) {
            for (const i of picked) world.setTi(run, run.tis[i], "n");
            Object.assign(run, { st: "r", e: null, clear: run.clear + 1 });
            world.sayRun(run);
            world.walk(dag, run, 700);
        }
        return { task_instances: affected, total_entries: affected.length };
    }

    const routes = [
        ["GET", /^\/ui\/v1\/home$/, (_, q) => home(q.get("window"))],
        ["GET", /^\/ui\/v1\/dags$/, () => ({ ...stamp(), total: world.dags.size, next: null, dags: [...world.dags.values()].map(row).sort((a, b) => (a.id < b.id ? -1 : 1)), errors: world.errors.length })],
        ["GET", /^\/ui\/v1\/dags\/([^/]+)$/, ([id]) => {
            const dag = dagOf(id);
            return { ...stamp(), ...row(dag), doc: id === "ecommerce_daily" ? "Reads the shop, validates, masks, and loads the star schema.\n\nOwner: the data team." : "", start: Date.UTC(2026, 0, 1), end: null, catchup: false, max_runs: 16, max_tasks: 16, timeout: null, hash: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", versions: Array.from({ length: dag.ver }, (_, i) => dag.ver - i), params: id === "ecommerce_daily" ? { full: { type: "boolean", default: false, description: "read everything again" } } : {}, retries: 2, periodic: !!dag.period };
        }],
        ["GET", /^\/ui\/v1\/dags\/([^/]+)\/structure$/, ([id]) => {
            const dag = dagOf(id);
            return { dag: id, ver: dag.ver, nodes: dag.nodes.map((node) => [node.id, node.group, node.op, 2, "all_success", "default_pool", "inline"]), groups: dag.groups, edges: dag.edges };
        }],
        ["GET", /^\/ui\/v1\/dags\/([^/]+)\/grid$/, ([id], q) => grid(dagOf(id), q)],
        ["GET", /^\/ui\/v1\/dags\/([^/]+)\/code$/, ([id]) => {
            const dag = dagOf(id);
            const source = { dag_id: id, description: dag.desc, schedule: dag.schedule || null, timezone: dag.tz, start_date: "2026-01-01", tasks: dag.nodes.slice(0, 12).map((node, i) => ({ id: node.id, operator: node.op, upstream: dag.edges.filter(([, to]) => to === i).map(([from]) => dag.nodes[from].id) })) };
            return { dag: id, ver: dag.ver, file: dag.file, source: JSON.stringify(source, null, 2), files: id === "ecommerce_daily" ? [["policies/pii.yaml", "classes:\n  email: {strategy: hmac, key: secret/pii}\n  name: {strategy: partial, keep: 1}\n"]] : [] };
        }],
        ["GET", /^\/ui\/v1\/runs$/, (_, q) => {
            const words = { s: "success", f: "failed", r: "running", q: "queued" };
            const states = q.get("state")?.split(",");
            const all = [...world.dags.values()].flatMap((dag) => dag.runs).filter((run) => (!q.get("dag") || run.dag === q.get("dag")) && (!states || states.includes(words[run.st])) && (!q.get("type") || q.get("type").split(",").includes(run.ty))).sort((a, b) => b.ra - a.ra);
            const at = Number(q.get("cursor") ?? 0);
            const limit = Number(q.get("limit") ?? 50);
            return { ...stamp(), total: all.length, next: at + limit < all.length ? String(at + limit) : null, runs: all.slice(at, at + limit).map(publicRun) };
        }],
        ["GET", /^\/ui\/v1\/import-errors$/, () => ({ seq: world.seq, errors: world.errors })],
        ["GET", /^\/ui\/v1\/dags\/([^/]+)\/runs\/([^/]+)$/, ([d, r]) => {
            const dag = dagOf(d);
            const run = runOf(dag, r);
            const at = dag.runs.indexOf(run);
            return { ...stamp(), ...publicRun(run), di: run.ld === null ? null : [run.ld, run.ra], by: run.ty === "scheduled" ? "timetable" : "ui", user: run.ty === "manual" ? "admin" : "", reason: run.reason, note_text: run.note_text, conf: run.conf, clear: run.clear, prev: dag.runs[at - 1]?.id ?? null, nextrun: dag.runs[at + 1]?.id ?? null, p50: took(dag), counts: count(run.tis.map((ti) => ti.st)), total: run.tis.length };
        }],
        ["GET", /^\/ui\/v1\/dags\/([^/]+)\/runs\/([^/]+)\/gantt$/, ([d, r]) => {
            const run = runOf(dagOf(d), r);
            return { ...stamp(), total: run.tis.length, next: null, tis: run.tis };
        }],
        ["GET", /^\/ui\/v1\/dags\/([^/]+)\/runs\/([^/]+)\/tis\/([^/]+)$/, ([d, r, t]) => {
            const dag = dagOf(d);
            const run = runOf(dag, r);
            const ti = tiOf(run, t);
            const at = run.tis.indexOf(ti);
            const near = (a, b) => dag.edges.filter((edge) => edge[a] === at).map((edge) => [run.tis[edge[b]].t, run.tis[edge[b]].st]);
            return { ...stamp(), ti, run: publicRun(run), up: near(1, 0), down: near(0, 1), why: ti.st === "n" ? "waits for its upstream tasks" : null, rendered: ti.try ? { table: "dst.orders", day: "2026-11-20", sql: "select *\nfrom raw.orders\nwhere day = $1" } : null, xcom: ti.st === "s" ? [["rows", 1200], ["return_value", { files: 3, bytes: 48_211 }]] : [], mapped: null };
        }],
        ["GET", /^\/ui\/v1\/dags\/([^/]+)\/runs\/([^/]+)\/tis\/([^/]+)\/log\/(meta|lines|search)$/, ([d, r, t, what], q) => {
            const run = runOf(dagOf(d), r);
            return log(run, tiOf(run, t), what, q);
        }],
        ["GET", /^\/ui\/v1\/backfills$/, (_, q) => ({ seq: world.seq, backfills: world.backfills.filter((item) => !q.get("dag") || item.dag === q.get("dag")).map(backfill).reverse() })],
        ["GET", /^\/ui\/v1\/backfills\/(\d+)$/, ([id]) => {
            const item = world.backfills[id - 1];
            if (!item) throw fail(404, "Backfill not found");
            return { ...backfill(item), seq: world.seq, slots: item.slots.map(([at, run, state, reason]) => [at, run, typeof state === "string" ? state : state.st, reason]) };
        }],
        ["POST", /^\/ui\/v1\/logout$/, () => null],
        ["PATCH", /^\/api\/v2\/dags\/([^/]+)$/, ([id], _, body) => {
            dagOf(id).paused = body.is_paused;
            world.emit({ dag: [[id, { paused: body.is_paused }]] });
            return { dag_id: id, is_paused: body.is_paused };
        }],
        ["POST", /^\/api\/v2\/dags\/([^/]+)\/dagRuns$/, ([id], _, body) => {
            const run = world.trigger(dagOf(id), body);
            return { dag_run_id: run.id, dag_id: id, state: "queued" };
        }],
        ["POST", /^\/api\/v2\/dags\/([^/]+)\/clearTaskInstances$/, ([id], _, body) => clear(dagOf(id), body)],
        ["PATCH", /^\/api\/v2\/dags\/([^/]+)\/dagRuns\/([^/]+)$/, ([d, r], _, body) => {
            const run = runOf(dagOf(d), r);
            if (body.state) {
                Object.assign(run, { st: body.state === "failed" ? "f" : "s", e: Date.now() });
                for (const ti of run.tis) if ("nqr".includes(ti.st)) world.setTi(run, ti, body.state === "failed" ? (ti.st === "r" ? "f" : "k") : "s");
                world.sayRun(run);
            }
            return { dag_run_id: r, state: body.state };
        }],
        ["PATCH", /^\/api\/v2\/dags\/([^/]+)\/dagRuns\/([^/]+)\/taskInstances\/([^/]+)$/, ([d, r, t], _, body) => {
            const run = runOf(dagOf(d), r);
            const ti = tiOf(run, t);
            world.setTi(run, ti, { success: "s", failed: "f", skipped: "k" }[body.new_state]);
            return { task_instances: [v2ti(run, ti)] };
        }],
        ["POST", /^\/api\/v2\/backfills\/dry_run$/, (_, q, body) => {
            const list = dates(body);
            return { backfills: list, total_entries: list.length };
        }],
        ["POST", /^\/api\/v2\/backfills$/, (_, q, body) => {
            dates(body);
            return { id: world.addBackfill(body.dag_id, Date.parse(body.from_date), Date.parse(body.to_date), body).id };
        }],
        ["PUT", /^\/api\/v2\/backfills\/(\d+)\/(pause|unpause|cancel)$/, ([id, verb]) => {
            const item = world.backfills[id - 1];
            item.paused = verb === "pause";
            if (verb === "cancel") item.completed = Date.now();
            return { id: Number(id) };
        }],
    ];

    const boot = () => ({ user: { name: "admin", role: "admin" }, csrf: "token-of-the-mock", instance: "mock", version: "0.1.0", tz: "UTC", ...stamp() });

    function stream(request, response, query) {
        response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
        const say = (event, data, id) => response.write(`event: ${event}\n${id ? `id: ${id}\n` : ""}data: ${JSON.stringify(data)}\n\n`);
        say("hello", stamp());
        const topics = (query.get("topics") ?? "").split(",");
        const has = (dag, run) => topics.includes(`dag:${encodeURIComponent(dag)}`) || topics.includes(`run:${encodeURIComponent(dag)}/${encodeURIComponent(run)}`);
        const listener = (batch) => {
            const out = { seq: batch.seq };
            if (batch.ti) out.ti = batch.ti.filter(([dag, run]) => has(dag, run));
            if (batch.run) out.run = batch.run.filter(([dag, run]) => topics.includes("dags") || has(dag, run));
            if (batch.dag) out.dag = batch.dag;
            if (batch.err !== undefined) out.err = batch.err;
            if (out.ti?.length || out.run?.length || out.dag || out.err !== undefined) say("b", out, batch.seq);
        };
        world.listeners.add(listener);
        const timers = [setInterval(() => say("ping", { server_ms: Date.now() }), 15_000)];
        for (const topic of topics.filter((item) => item.startsWith("log:"))) {
            const [, key, from] = /^log:(.*)@(\d+)$/.exec(topic);
            const [d, r, t, , attempt] = key.split("/").map(decodeURIComponent);
            let at = Number(from);
            const follow = setInterval(() => {
                const run = runOf(dagOf(d), r);
                const ti = tiOf(run, t);
                const lines = world.logOf(run, ti, Number(attempt));
                const done = ti.st !== "r" || ti.try !== Number(attempt);
                if (lines.length > at || done) say("log", { k: key, lines: lines.slice(at), total: lines.length, done });
                at = Math.max(at, lines.length);
                if (done) clearInterval(follow);
            }, 200);
            timers.push(follow);
        }
        request.on("close", () => {
            world.listeners.delete(listener);
            timers.forEach(clearInterval);
        });
    }

    async function answer(request, response) {
        const url = new URL(request.url, "http://mock");
        const path = url.pathname;
        if (!/^\/(ui|api)\//.test(path)) return file(path, response);
        let text = "";
        for await (const piece of request) text += piece;
        const body = text ? JSON.parse(text) : {};
        const json = (status, value, headers = {}) => {
            response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store", ...headers });
            response.end(value === null ? "" : JSON.stringify(value));
        };
        if (path === "/ui/v1/login") {
            if (body.username !== "admin" || body.password !== "admin") return json(401, { detail: "Invalid credentials" });
            return json(200, boot(), { "set-cookie": "sluice_session=mock; HttpOnly; SameSite=Lax; Path=/" });
        }
        if (!/sluice_session=mock/.test(request.headers.cookie ?? "")) return json(401, { detail: "Not authenticated" });
        if (request.method !== "GET" && request.headers["x-csrf-token"] !== "token-of-the-mock") return json(403, { detail: "CSRF token missing or wrong" });
        if (path === "/ui/v1/boot") return json(200, boot());
        if (path === "/ui/v1/stream") return stream(request, response, url.searchParams);
        for (const [method, pattern, handle] of routes) {
            const match = pattern.exec(path);
            if (!match || method !== request.method) continue;
            const value = handle(match.slice(1).map(decodeURIComponent), url.searchParams, body);
            const clearing = path.endsWith("/logout") ? { "set-cookie": "sluice_session=; Max-Age=0; Path=/" } : {};
            return json(value === null ? 204 : 200, value, clearing);
        }
        return json(404, { detail: `no route ${request.method} ${path}` });
    }

    function file(path, response) {
        const name = path.startsWith("/static/") ? path.slice(1) : "index.html";
        const at = join(dist, name);
        if (name.includes("..") || !existsSync(at)) {
            response.writeHead(404);
            return response.end("not found");
        }
        response.writeHead(200, { "content-type": `${types[name.split(".").at(-1)]}; charset=utf-8`, "content-security-policy": csp });
        response.end(readFileSync(at));
    }

    const server = createServer((request, response) => {
        answer(request, response).catch((error) => {
            response.writeHead(error.status ?? 500, { "content-type": "application/json" });
            response.end(JSON.stringify({ detail: error.message }));
        });
    });
    return new Promise((done) => {
        server.listen(port, "127.0.0.1", () => done({ url: `http://127.0.0.1:${server.address().port}`, world, close: () => { server.closeAllConnections(); server.close(); } }));
    });
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
    const { url } = await startMock({ port: Number(process.argv[2] ?? 8090) });
    console.log(`mock at ${url} (admin / admin)`);
}
