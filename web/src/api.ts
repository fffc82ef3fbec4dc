// api.ts — the shapes of /ui/v1 and the one way to fetch. Times are epoch milliseconds UTC,
// durations milliseconds, states letters (tokens.ts).

export interface Boot {
    user: { name: string; role: string };
    csrf: string;
    instance: string;
    version: string;
    tz: string;
    server_ms: number;
    seq: number;
}

/** What every snapshot carries: the stream position it has seen, and the server's clock. */
export interface Snapshot {
    seq: number;
    server_ms: number;
}

export interface Attention {
    kind: string;
    dag: string;
    run: string;
    task: string | null;
    map: number;
    try: number;
    max: number;
    at: number;
    ld: number | null;
    reason: string;
}

export interface RunningNow {
    dag: string;
    run: string;
    ty: string;
    s: number | null;
    done: number;
    total: number;
    p50: number | null;
}

export interface Pool {
    name: string;
    slots: number;
    running: number;
    queued: number;
    open: number;
}

export interface Home extends Snapshot {
    window_ms: number;
    health: {
        scheduler: { ok: boolean; beat: number | null };
        database: { ok: boolean; ms: number };
        executor: { running: number; slots: number };
        folder: { ok: boolean; scanned: number | null };
        import_errors: number;
    };
    dags: { total: number; active: number; paused: number };
    runs: { success: number; failed: number; running: number; queued: number };
    tasks: { success: number; failed: number; running: number; queued: number };
    /** [start, succeeded, failed] */
    buckets: [number, number, number][];
    attention: Attention[];
    running: RunningNow[];
    next: { dag: string; at: number }[];
    pools: Pool[];
}

/** [run id, letter, start, duration, logical date] */
export type RunBar = [string, string, number | null, number | null, number | null];

export interface DagRow {
    id: string;
    desc: string;
    tags: string[];
    owner: string;
    file: string;
    paused: boolean;
    stale: boolean;
    checking: boolean;
    error: boolean;
    schedule: string;
    kind: string;
    tz: string;
    start: number | null;
    end: number | null;
    next: number | null;
    ver: number;
    tasks: number;
    running: number;
    queued: number;
    failed: number;
    p50: number | null;
    open: boolean;
    runs: RunBar[];
}

export interface DagList extends Snapshot {
    total: number;
    next: string | null;
    dags: DagRow[];
    errors: number;
}

export interface ParamSpec {
    type?: string | string[];
    title?: string;
    description?: string;
    default?: unknown;
}

export interface DagDetail extends DagRow, Snapshot {
    doc: string;
    catchup: boolean;
    max_runs: number;
    max_tasks: number;
    timeout: number | null;
    hash: string;
    versions: number[];
    params: Record<string, ParamSpec>;
    periodic: boolean;
}

/** [task id, group id, operator, retries, trigger rule, pool, isolation] */
export type Node = [string, string, string, number, string, string, string];

export interface Structure {
    dag: string;
    ver: number;
    nodes: Node[];
    /** [id, parent, tooltip] */
    groups: [string, string, string][];
    /** [upstream, downstream], indexes into nodes */
    edges: [number, number][];
}

export interface Run {
    id: string;
    dag: string;
    st: string;
    ty: string;
    ld: number | null;
    ra: number;
    q: number | null;
    s: number | null;
    e: number | null;
    ver: number;
    bf: number | null;
    note: boolean;
}

export interface Grid extends Snapshot {
    ver: number;
    nodes: string[];
    /** Oldest first. */
    runs: Run[];
    /** One string a run, one letter a node. */
    cells: string[];
    older: boolean;
    newer: boolean;
}

export interface RunList extends Snapshot {
    total: number;
    next: string | null;
    runs: Run[];
}

export interface Problem {
    code: string;
    sev: string;
    line: number;
    col: number;
    ptr: string;
    msg: string;
    hint: string;
}

export interface ImportErrors {
    seq: number;
    errors: {
        id: number;
        file: string;
        dag: string | null;
        at: number;
        problems: Problem[];
        excerpt: [number, string][];
    }[];
}

export interface Code {
    dag: string;
    ver: number;
    file: string;
    source: string;
    files: [string, string][];
}

export interface RunDetail extends Run, Snapshot {
    di: [number, number] | null;
    by: string;
    user: string;
    reason: string;
    note_text: string;
    conf: Record<string, unknown>;
    clear: number;
    prev: string | null;
    nextrun: string | null;
    p50: number | null;
    counts: Record<string, number>;
    total: number;
}

/** [try, letter or "l", scheduled, queued, start, end, error] */
export type Past = [
    number,
    string,
    number | null,
    number | null,
    number | null,
    number | null,
    string,
];

export interface Ti {
    t: string;
    m: number;
    st: string;
    op: string;
    try: number;
    max: number;
    sch: number | null;
    q: number | null;
    s: number | null;
    e: number | null;
    nx: number | null;
    pool: string;
    err: string;
    cls: string;
    note: string;
    past: Past[];
}

/** How far a running task is: event `progress` of the stream. */
export interface Progress {
    dag: string;
    run: string;
    t: string;
    m: number;
    what: string;
    /** 0 = unknown. */
    fraction: number;
    rows: number | null;
    bytes: number | null;
    rows_per_second: number;
    at: number;
}

export interface FlowTask {
    t: string;
    op: string;
    reads: [string, number][];
    writes: [string, number][];
    summary: Record<string, number>;
}

export interface Flow extends Snapshot {
    tasks: FlowTask[];
}

export interface TiList extends Snapshot {
    total: number;
    next: string | null;
    tis: Ti[];
}

export interface TiDetail extends Snapshot {
    ti: Ti;
    run: Run;
    up: [string, string][];
    down: [string, string][];
    why: string | null;
    rendered: Record<string, unknown> | null;
    xcom: [string, unknown][];
}

export interface LogMeta {
    lines: number;
    bytes: number;
    complete: boolean;
    first_error: number | null;
    levels: Record<string, number>;
}

/** [number from 0, time, level letter, text] */
export type LogLine = [number, number | null, string, string];

export interface LogLines {
    from: number;
    total: number;
    complete: boolean;
    lines: LogLine[];
}

export interface LogSearch {
    total: number;
    lines: number[];
    partial: boolean;
}

export interface BackfillRow {
    id: number;
    dag: string;
    from: number;
    to: number;
    reprocess: string;
    max: number;
    backwards: boolean;
    paused: boolean;
    created: number;
    completed: number | null;
    by: string;
    /** Dates: with a run, skipped, or taken over. */
    total: number;
    counts: Record<string, number>;
    /** Dates whose run a later backfill has run again and counts as its own. */
    taken_over: number;
}

export interface BackfillList {
    seq: number;
    backfills: BackfillRow[];
}

export interface BackfillDetail extends BackfillRow {
    seq: number;
    /** [logical date, run id, letter, reason] */
    slots: [number, string | null, string, string][];
}

// --- stream ---

/** [dag, run, task, map index, letter, try, time] */
export type TiEvent = [string, string, string, number, string, number, number];
/** [dag, run, letter, time, type, logical date, run after, version] */
export type RunEvent = [
    string,
    string,
    string,
    number,
    string,
    number | null,
    number,
    number,
];
export type DagEvent = [
    string,
    { paused?: boolean; next?: number | null; ver?: number; new?: boolean } | null,
];

export interface Batch {
    seq: number;
    ti?: TiEvent[];
    run?: RunEvent[];
    dag?: DagEvent[];
    err?: number;
}

export interface LogBatch {
    k: string;
    lines: LogLine[];
    total: number;
    done: boolean;
}

// --- fetching ---

export class ApiError extends Error {
    constructor(
        readonly status: number,
        message: string,
        readonly path: string,
    ) {
        super(message);
    }
}

let csrf = "";
let onUnauthorized: () => void = () => {};

export function setCsrf(token: string): void {
    csrf = token;
}

/** Called when a request finds that the session is gone. */
export function whenUnauthorized(handler: () => void): void {
    onUnauthorized = handler;
}

/** The text of an error body: Airflow's detail is a sentence or a list of field problems. */
export function detailOf(body: unknown, status: number): string {
    const detail = (body as { detail?: unknown } | null)?.detail;
    if (typeof detail === "string") return detail;
    if (Array.isArray(detail)) {
        return detail
            .map((item: { loc?: unknown[]; msg?: string }) =>
                [item.loc?.slice(1).join("."), item.msg].filter(Boolean).join(": "),
            )
            .join("; ");
    }
    const message = (detail as { message?: string } | undefined)?.message;
    if (message) return message;
    return (body as { error?: string } | null)?.error ?? `the server answered ${status}`;
}

async function request<T>(method: string, path: string, body?: unknown, signal?: AbortSignal) {
    const headers: Record<string, string> = { accept: "application/json" };
    if (method !== "GET") headers["x-csrf-token"] = csrf;
    if (body !== undefined) headers["content-type"] = "application/json";
    let response: Response;
    try {
        response = await fetch(path, {
            method,
            headers,
            body: body === undefined ? undefined : JSON.stringify(body),
            credentials: "same-origin",
            signal,
        });
    } catch (error) {
        if ((error as Error).name === "AbortError") throw error;
        throw new ApiError(0, "Sluice cannot be reached", path);
    }
    const text = await response.text();
    let parsed: unknown = null;
    try {
        parsed = text ? JSON.parse(text) : null;
    } catch {
        if (response.ok) throw new ApiError(response.status, "the answer is not JSON", path);
    }
    if (!response.ok) {
        if (response.status === 401 && !path.endsWith("/login")) onUnauthorized();
        throw new ApiError(response.status, detailOf(parsed, response.status), path);
    }
    return parsed as T;
}

export function get<T>(path: string, signal?: AbortSignal): Promise<T> {
    return request<T>("GET", path, undefined, signal);
}

export function send<T>(method: string, path: string, body?: unknown): Promise<T> {
    return request<T>(method, path, body);
}

// --- paths ---

const part = encodeURIComponent;

export const paths = {
    dag: (dag: string) => `/ui/v1/dags/${part(dag)}`,
    structure: (dag: string, ver?: number) =>
        `/ui/v1/dags/${part(dag)}/structure${ver ? `?version=${ver}` : ""}`,
    grid: (dag: string, runs: number, end?: string) =>
        `/ui/v1/dags/${part(dag)}/grid?runs=${runs}${end ? `&end=${part(end)}` : ""}`,
    code: (dag: string, ver?: number) =>
        `/ui/v1/dags/${part(dag)}/code${ver ? `?version=${ver}` : ""}`,
    run: (dag: string, run: string) => `/ui/v1/dags/${part(dag)}/runs/${part(run)}`,
    ti: (dag: string, run: string, task: string, map = -1) =>
        `/ui/v1/dags/${part(dag)}/runs/${part(run)}/tis/${part(task)}?map=${map}`,
    log: (dag: string, run: string, task: string, what: string, query: string) =>
        `/ui/v1/dags/${part(dag)}/runs/${part(run)}/tis/${part(task)}/log/${what}?${query}`,
    v2dag: (dag: string) => `/api/v2/dags/${part(dag)}`,
    v2runs: (dag: string) => `/api/v2/dags/${part(dag)}/dagRuns`,
    v2run: (dag: string, run: string) => `/api/v2/dags/${part(dag)}/dagRuns/${part(run)}`,
    v2ti: (dag: string, run: string, task: string) =>
        `/api/v2/dags/${part(dag)}/dagRuns/${part(run)}/taskInstances/${part(task)}`,
};
