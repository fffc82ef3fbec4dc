// routes.ts — the table of pages and the two ways between a URL and what it shows.
// A path part is percent-encoded; `+` in it is a plus.

export type RouteName =
    | "home"
    | "dags"
    | "dag"
    | "run"
    | "task"
    | "runs"
    | "backfills"
    | "backfill-new"
    | "backfill"
    | "import-errors"
    | "login"
    | "missing";

export interface Route {
    name: RouteName;
    params: Record<string, string>;
    query: URLSearchParams;
    hash: string;
}

/** `:name` takes a part, `?` ends the obligatory ones. Earlier rows win. */
const table: [RouteName, string][] = [
    ["home", "/"],
    ["home", "/home"],
    ["login", "/login"],
    ["dags", "/dags"],
    ["runs", "/runs"],
    ["backfills", "/backfills"],
    ["backfill-new", "/backfills/new"],
    ["backfill", "/backfills/:id"],
    ["import-errors", "/import-errors"],
    ["task", "/dags/:dag/runs/:run/tasks/:task"],
    ["task", "/dags/:dag/runs/:run/tasks/:task/mapped/:map"],
    ["task", "/dags/:dag/runs/:run/tasks/:task/mapped/:map/:tab"],
    ["task", "/dags/:dag/runs/:run/tasks/:task/:tab"],
    ["run", "/dags/:dag/runs/:run"],
    ["run", "/dags/:dag/runs/:run/:tab"],
    ["dag", "/dags/:dag"],
    ["dag", "/dags/:dag/:tab"],
];

function decode(text: string): string {
    try {
        return decodeURIComponent(text);
    } catch {
        return text;
    }
}

function match(pattern: string, parts: string[]): Record<string, string> | null {
    const wanted = pattern.split("/").filter(Boolean);
    if (wanted.length !== parts.length) return null;
    const params: Record<string, string> = {};
    for (let i = 0; i < wanted.length; i++) {
        const want = wanted[i]!;
        if (want.startsWith(":")) params[want.slice(1)] = decode(parts[i]!);
        else if (want !== parts[i]) return null;
    }
    return params;
}

export function parse(url: string): Route {
    const at = new URL(url, "http://sluice.invalid");
    const parts = at.pathname.split("/").filter(Boolean);
    const query = at.searchParams;
    const hash = decode(at.hash.slice(1));
    for (const [name, pattern] of table) {
        const params = match(pattern, parts);
        if (params) return { name, params, query, hash };
    }
    return { name: "missing", params: {}, query, hash };
}

/** Where a link of another time's shape leads: alerts that carry Airflow's URLs survive. */
export function redirectOf(route: Route): string | null {
    const run = route.query.get("dag_run_id");
    if (route.name === "dag" && run) {
        const task = route.query.get("task_id");
        const dag = route.params.dag!;
        return task ? links.task(dag, run, task) : links.run(dag, run);
    }
    return null;
}

const part = encodeURIComponent;

export const links = {
    dag: (dag: string, tab = "") => `/dags/${part(dag)}${tab ? `/${tab}` : ""}`,
    run: (dag: string, run: string, tab = "") =>
        `/dags/${part(dag)}/runs/${part(run)}${tab ? `/${tab}` : ""}`,
    task: (dag: string, run: string, task: string, map = -1, tab = "") =>
        `/dags/${part(dag)}/runs/${part(run)}/tasks/${part(task)}` +
        `${map >= 0 ? `/mapped/${map}` : ""}${tab ? `/${tab}` : ""}`,
    backfill: (id: number) => `/backfills/${id}`,
};

/** The URL with some of its query changed; null or "" takes a key out. */
export function withQuery(url: string, changes: Record<string, string | null>): string {
    const at = new URL(url, "http://sluice.invalid");
    for (const [key, value] of Object.entries(changes)) {
        if (value) at.searchParams.set(key, value);
        else at.searchParams.delete(key);
    }
    const query = at.searchParams.toString().replaceAll("+", "%20");
    return at.pathname + (query ? `?${query}` : "") + at.hash;
}

/** Only a path of ours: "//host" would be another server. */
export function safeNext(next: string | null): string {
    return next && /^\/(?![/\\])/.test(next) ? next : "/";
}
