// world.mjs — invented DAGs, runs and logs for the development server: deterministic, and alive
// (triggered runs walk through their states).

export function random(seed) {
    let a = seed >>> 0;
    return () => {
        a = (a + 0x6d2b79f5) >>> 0;
        let t = Math.imul(a ^ (a >>> 15), 1 | a);
        t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
        return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
}

const hour = 3_600_000;
const day = 24 * hour;

function chain(prefix, names, operator) {
    return names.map((name) => ({ id: `${prefix}.${name}`, group: prefix, op: operator }));
}

function ecommerce() {
    const entities = ["customers", "orders", "products", "locations"];
    const nodes = [];
    const edges = [];
    for (const [step, op] of [["extract", "extract"], ["validate", "validate"], ["mask", "mask"], ["load", "load"]]) {
        nodes.push(...chain(step, entities, op));
    }
    const at = (id) => nodes.findIndex((node) => node.id === id);
    for (const entity of entities) {
        edges.push([at(`extract.${entity}`), at(`validate.${entity}`)]);
        edges.push([at(`validate.${entity}`), at(`mask.${entity}`)]);
        edges.push([at(`mask.${entity}`), at(`load.${entity}`)]);
    }
    nodes.push({ id: "fact_sales", group: "", op: "load" }, { id: "dim_date", group: "", op: "load" });
    nodes.push({ id: "report", group: "", op: "report" });
    edges.push([at("load.customers"), at("fact_sales")], [at("load.orders"), at("fact_sales")]);
    edges.push([at("load.products"), at("fact_sales")], [at("dim_date"), at("fact_sales")]);
    edges.push([at("fact_sales"), at("report")], [at("load.locations"), at("report")]);
    return { nodes, edges, groups: [["extract", "", "Sources"], ["validate", "", ""], ["mask", "", ""], ["load", "", ""]] };
}

function line(count, prefix, op) {
    const nodes = Array.from({ length: count }, (_, i) => ({ id: `${prefix}_${String(i + 1).padStart(2, "0")}`, group: "", op }));
    return { nodes, edges: nodes.slice(1).map((_, i) => [i, i + 1]), groups: [] };
}

function fan(count) {
    const nodes = [{ id: "start", group: "", op: "empty" }];
    const edges = [];
    for (let i = 0; i < count; i++) {
        nodes.push({ id: `fan.part_${String(i).padStart(3, "0")}`, group: "fan", op: "empty" });
        edges.push([0, i + 1]);
    }
    nodes.push({ id: "end", group: "", op: "empty" });
    for (let i = 0; i < count; i++) edges.push([i + 1, count + 1]);
    return { nodes, edges, groups: [["fan", "", ""]] };
}

const definitions = [
    ["ecommerce_daily", "Shop database to star schema, masked", ["shop", "warehouse"], "data", "0 2 * * *", "Europe/Berlin", day, 60, 0.06, ecommerce()],
    ["flights_daily", "Flights of 2013 with delays by carrier and airport", ["flights"], "data", "@daily", "UTC", day, 120, 0.02, line(7, "step", "transform")],
    ["crm_sync", "Contacts from the CRM", ["finance"], "bob", "*/10 * * * *", "UTC", 600_000, 50, 0.04, line(4, "sync", "http")],
    ["billing_hourly", "", ["finance", "critical"], "ada", "5 * * * *", "UTC", hour, 40, 0.0, line(5, "bill", "sql")],
    ["bench_fan", "start, 200 empty tasks, end", ["bench"], "sluice", "", "UTC", 0, 6, 0, fan(200)],
    ["probe_dag", "Three tasks for the acceptance probe", ["demo", "probe"], "probe", "@daily", "UTC", day, 30, 0.1, line(3, "task", "python")],
    ["export_partners", "Weekly export to partners, encrypted", [], "eve", "30 6 * * 1", "Europe/London", 7 * day, 12, 0, line(6, "export", "shell")],
    ["old_exports", "moved to export_partners", [], "eve", "0 4 1 * *", "UTC", 30 * day, 4, 0, line(2, "old", "shell")],
    ["new_dag", "No run yet", ["draft"], "ada", "@weekly", "UTC", 7 * day, 0, 0, line(2, "task", "shell")],
];

export class World {
    constructor(now = Date.now(), { live = true } = {}) {
        this.seq = 1000;
        this.listeners = new Set();
        this.dags = new Map();
        this.backfills = [];
        this.live = live;
        const next = random(7);
        for (const definition of definitions) this.addDag(now, next, definition);
        this.addBackfill("flights_daily", now - 100 * day, now - 91 * day, { reprocess_behavior: "none", max_active_runs: 4 }, now - 3 * hour, true);
        this.errors = [
            {
                id: 7, file: "bad.json", dag: null, at: now - 4 * 60_000,
                problems: [
                    { code: "E-OPERATOR", sev: "error", line: 14, col: 21, ptr: "/tasks/2/operator", msg: 'unknown operator "lod"', hint: 'did you mean "load"?' },
                    { code: "E-UNKNOWN-KEY", sev: "error", line: 17, col: 7, ptr: "/tasks/3/upsteam", msg: 'unknown key "upsteam"', hint: 'did you mean "upstream"?' },
                ],
                excerpt: [[12, "    {"], [13, '      "id": "load_orders",'], [14, '      "operator": "lod",'], [15, '      "with": {"table": "orders"}'], [16, "    },"]],
            },
        ];
    }

    addDag(now, next, [id, desc, tags, owner, schedule, tz, period, count, failures, shape]) {
        const paused = id === "old_exports" || id === "bench_fan" || id === "new_dag";
        const dag = { id, desc, tags, owner, file: `${id}.json`, schedule, tz, period, paused, ver: id === "ecommerce_daily" ? 3 : 1, ...shape, runs: [] };
        this.dags.set(id, dag);
        const base = period ? Math.floor(now / period) * period : now - hour;
        for (let i = count; i >= 1; i--) {
            const ra = period ? base - (i - 1) * period : now - i * hour * 5;
            const run = this.makeRun(dag, ra, { ty: period ? "scheduled" : "manual", ld: period ? ra - period : null });
            this.finishRun(dag, run, next, failures, i === 1 && id === "ecommerce_daily");
        }
        if (id === "crm_sync") this.startLive(dag, this.makeRun(dag, now, { ty: "scheduled", ld: now - 600_000 }));
    }

    makeRun(dag, ra, { ty, ld, bf = null, conf = {}, note = "" }) {
        const stamp = new Date(ld ?? ra).toISOString().replace("Z", "+00:00").replace(".000", "");
        const run = {
            id: `${ty}__${stamp}`, dag: dag.id, st: "q", ty, ld, ra, q: ra + 12, s: null, e: null, ver: dag.ver, bf, note: !!note, note_text: note, conf, clear: 0, reason: "",
            tis: dag.nodes.map((node) => ({ t: node.id, m: -1, st: "n", op: node.op, try: 0, max: 3, sch: null, q: null, s: null, e: null, nx: null, pool: "default_pool", err: "", cls: "", note: "", past: [] })),
        };
        dag.runs.push(run);
        dag.runs.sort((a, b) => a.ra - b.ra);
        return run;
    }

    finishRun(dag, run, next, failures, mustFail) {
        const ends = [];
        let failed = false;
        run.s = run.ra + 40;
        const loser = mustFail ? dag.nodes.findIndex((node) => node.id === "load.orders") : next() < failures ? Math.floor(next() * dag.nodes.length) : -1;
        const order = this.order(dag);
        for (const i of order) {
            const ti = run.tis[i];
            const ups = dag.edges.filter(([, to]) => to === i).map(([from]) => from);
            const ready = Math.max(run.s, ...ups.map((up) => ends[up] ?? run.s));
            if (ups.some((up) => "fu".includes(run.tis[up].st))) {
                Object.assign(ti, { st: "u", e: ready });
                ends[i] = ready;
                continue;
            }
            let at = ready + 5;
            const took = Math.round(2000 + next() * next() * 180_000 * (dag.period > hour ? 1 : 0.05));
            const tries = i === loser ? 3 : next() < 0.03 ? 2 : 1;
            for (let n = 1; n <= tries; n++) {
                const bad = n < tries || i === loser;
                Object.assign(ti, { try: n, sch: at, q: at + 4, s: at + 4 + Math.floor(next() * 3000), st: bad ? "f" : "s" });
                ti.e = ti.s + (bad ? 2000 + Math.floor(next() * 20_000) : took);
                ti.err = bad ? 'relation "dst.orders" does not exist' : "";
                if (n < tries) ti.past.push([n, "f", ti.sch, ti.q, ti.s, ti.e, ti.err]);
                at = ti.e + 30_000;
            }
            ends[i] = ti.e;
            failed ||= ti.st === "f";
        }
        run.e = Math.max(...ends.map((end) => end ?? run.s));
        run.st = failed ? "f" : "s";
        run.reason = failed ? "a task failed" : "";
    }

    order(dag) {
        const left = dag.nodes.map((_, i) => dag.edges.filter(([, to]) => to === i).length);
        const ready = left.flatMap((count, i) => (count ? [] : [i]));
        const order = [];
        while (ready.length) {
            const i = ready.shift();
            order.push(i);
            for (const [from, to] of dag.edges) if (from === i && --left[to] === 0) ready.push(to);
        }
        return order;
    }

    emit(batch) {
        this.seq++;
        for (const listener of this.listeners) listener({ seq: this.seq, ...batch });
    }

    sayRun(run) {
        const t = run.st === "q" ? run.q : run.st === "r" ? run.s : run.e;
        this.emit({ run: [[run.dag, run.id, run.st, t, run.ty, run.ld, run.ra, run.ver]] });
    }

    setTi(run, ti, st, at = Date.now()) {
        if (st === "q") Object.assign(ti, { sch: at, q: at });
        if (st === "r") Object.assign(ti, { q: ti.q ?? at, sch: ti.sch ?? at, s: at, e: null, try: ti.try + 1 });
        if ("sfuk".includes(st)) ti.e = at;
        ti.st = st;
        this.emit({ ti: [[run.dag, run.id, ti.t, -1, st, ti.try, at]] });
    }

    /** Walks a run through its tasks, a step every `step` ms. */
    startLive(dag, run, step = 700) {
        if (!this.live) return;
        this.sayRun(run);
        const begin = setTimeout(() => {
            if (dag.paused || run.st !== "q") return;
            Object.assign(run, { st: "r", s: Date.now() });
            this.sayRun(run);
            this.walk(dag, run, step);
        }, step);
        begin.unref();
    }

    walk(dag, run, step) {
        const timer = setInterval(() => {
            if (run.st !== "r") return clearInterval(timer);
            let open = false;
            run.tis.forEach((ti, i) => {
                if ("sfuk".includes(ti.st)) return;
                open = true;
                const ups = dag.edges.filter(([, to]) => to === i).map(([from]) => run.tis[from].st);
                if (ti.st === "n" && ups.every((st) => "sfuk".includes(st))) {
                    this.setTi(run, ti, ups.some((st) => "fu".includes(st)) ? "u" : "r");
                } else if (ti.st === "r" && Date.now() - ti.s > step) {
                    this.setTi(run, ti, "s");
                }
            });
            if (!open) {
                clearInterval(timer);
                Object.assign(run, { st: run.tis.some((ti) => "fu".includes(ti.st)) ? "f" : "s", e: Date.now() });
                this.sayRun(run);
            }
        }, step / 2);
        timer.unref();
    }

    trigger(dag, { logical_date, conf, note }) {
        const now = Date.now();
        const run = this.makeRun(dag, now, { ty: "manual", ld: logical_date ? Date.parse(logical_date) : null, conf: conf ?? {}, note });
        this.startLive(dag, run);
        return run;
    }

    addBackfill(dagId, from, to, { reprocess_behavior, max_active_runs }, created = Date.now(), done = false) {
        const dag = this.dags.get(dagId);
        const slots = [];
        for (let at = Math.ceil(from / day) * day; at <= to; at += dag.period || day) {
            const known = dag.runs.find((run) => run.ld === at);
            if (known && reprocess_behavior === "none") slots.push([at, null, "k", "already exists"]);
            else {
                const run = this.makeRun(dag, at, { ty: "backfill", ld: at, bf: this.backfills.length + 1 });
                if (done) this.finishRun(dag, run, random(at / 1000), 0.1, false);
                else this.startLive(dag, run, 400);
                slots.push([at, run.id, run, ""]);
            }
        }
        const row = { id: this.backfills.length + 1, dag: dagId, from, to, reprocess: reprocess_behavior, max: max_active_runs, backwards: false, paused: false, created, completed: done ? created + 600_000 : null, by: "admin", slots };
        this.backfills.push(row);
        return row;
    }

    logOf(run, ti, attempt) {
        const lines = [];
        const start = ti.s ?? run.ra;
        const add = (level, text) => lines.push([lines.length, start + lines.length * 37, level, text]);
        add("I", `attempt ${attempt} of ${run.dag}.${ti.t} for ${run.id}`);
        add("I", `operator ${ti.op}, pool ${ti.pool}, worker 12${attempt}`);
        const many = ti.op === "transform" ? 60_000 : 180;
        for (let i = 0; i < many; i++) {
            if (i % 97 === 96) add("W", `slow answer from source: ${300 + i} ms (https://example.org/batch/${i})`);
            else if (i % 41 === 40) add("D", `buffer ${i} flushed, \u001b[32mok\u001b[0m`);
            else add("I", `read ${(i * 10_000).toLocaleString("en")} rows from part-${String(i).padStart(5, "0")}.parquet`);
        }
        if (ti.st === "f" || attempt < ti.try) {
            add("E", 'relation "dst.orders" does not exist');
            add("E", "  LINE 1: COPY dst.orders FROM STDIN (FORMAT binary)");
            add("I", "rolled back 0 rows");
        } else if (ti.st === "r") {
            const more = Math.floor((Date.now() - start) / 250);
            for (let i = 0; i < more; i++) add("I", `working, step ${i + 1}`);
        } else add("I", `done: ${(many * 10_000).toLocaleString("en")} rows`);
        return lines;
    }
}
