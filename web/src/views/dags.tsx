// dags.tsx — the list of DAGs: state, schedule, last runs; import errors pinned on top.
import { useComputed } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { paths, send, type ApiError, type Batch, type DagList, type DagRow, type ImportErrors } from "../api";
import { patchDagRow } from "../patch";
import { setQuery } from "../router";
import { links, type Route } from "../routes";
import { scheduleWords } from "../schedule";
import { useTitle } from "../shell";
import { toast, useResource, useStream } from "../store";
import { topics } from "../stream";
import { duration, logical, now, relative } from "../time";
import { wordOf } from "../tokens";
import { Button, Empty, Lasted, Mark, Panel, State, Switch, Time } from "../ui";
import { ProblemCard } from "./problem";
import { openTrigger } from "./trigger";

const filters = [
    { id: "", label: "All" },
    { id: "active", label: "Active" },
    { id: "paused", label: "Paused" },
    { id: "running", label: "Running" },
    { id: "failed", label: "Failed" },
];

/** What a row is about now: the state of its latest run. */
const latest = (dag: DagRow) => dag.runs.at(-1) ?? null;

function matches(dag: DagRow, q: string, state: string): boolean {
    if (state === "active" && dag.paused) return false;
    if (state === "paused" && !dag.paused) return false;
    if (state === "running" && !dag.running && !dag.queued) return false;
    if (state === "failed" && latest(dag)?.[1] !== "f") return false;
    if (!q) return true;
    const text = `${dag.id} ${dag.desc} ${dag.owner} ${dag.tags.join(" ")}`.toLowerCase();
    return q.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

export async function setPaused(dag: string, paused: boolean): Promise<boolean> {
    try {
        await send("PATCH", paths.v2dag(dag), { is_paused: paused });
        toast(`${dag} is ${paused ? "paused" : "active"}`);
        return true;
    } catch (error) {
        toast(`${dag}: ${(error as ApiError).message}`, "error");
        return false;
    }
}

/** Bars of the last runs: height by duration, colour by state. */
export function RunBars({ dag }: { dag: DagRow }) {
    const longest = Math.max(1, ...dag.runs.map((run) => run[3] ?? 0));
    return (
        <span class="bars" aria-label={`Last ${dag.runs.length} runs`} role="group">
            {dag.runs.map(([id, letter, start, took, ld]) => {
                const at = now.peek();
                const length = took ?? (start ? at - start : 0);
                const height = 4 + 16 * Math.sqrt(Math.min(1, length / longest));
                const name = `${ld === null ? id : logical(ld)}: ${wordOf(letter)}${took === null ? "" : `, ${duration(took)}`}`;
                return (
                    <a
                        key={id}
                        href={links.run(dag.id, id)}
                        class={`bar-run st-${letter}`}
                        style={{ "--h": `${Math.round(height)}px` }}
                        title={name}
                        aria-label={name}
                        tabIndex={-1}
                    />
                );
            })}
        </span>
    );
}

function Next({ dag }: { dag: DagRow }) {
    if (dag.next === null) return <span class="muted">–</span>;
    if (dag.paused) return <span class="muted">when un-paused</span>;
    return <Time ms={dag.next} text={relative(dag.next, now.value)} />;
}

function Row({ dag, replace }: { dag: DagRow; replace(row: DagRow): void }) {
    const last = latest(dag);
    const pause = async (active: boolean) => {
        replace({ ...dag, paused: !active });
        if (!(await setPaused(dag.id, !active))) replace(dag);
    };
    return (
        <tr data-testid={`dag-${dag.id}`} class={dag.paused ? "is-paused" : ""}>
            <td class="c-switch">
                <Switch
                    on={!dag.paused}
                    label={dag.paused ? `Un-pause ${dag.id}` : `Pause ${dag.id}`}
                    disabled={dag.stale}
                    onChange={(on) => void pause(on)}
                />
            </td>
            <td class="c-name">
                <a href={links.dag(dag.id)} class="strong">
                    {dag.id}
                </a>
                {dag.tags.map((tag) => (
                    <a key={tag} class="tag" href={`/dags?q=${encodeURIComponent(tag)}`}>
                        {tag}
                    </a>
                ))}
                {dag.stale ? <span class="tag warn">file gone</span> : null}
                {dag.checking ? <span class="tag">checking</span> : null}
                {dag.error ? (
                    <a class="tag bad" href="/import-errors">
                        import error
                    </a>
                ) : null}
                {dag.desc ? <span class="desc">{dag.desc}</span> : null}
            </td>
            <td class="c-owner muted" title={dag.owner}>
                {dag.owner}
            </td>
            <td class="c-schedule">
                {scheduleWords(dag)}
                <span class="next-line">
                    next <Next dag={dag} />
                </span>
            </td>
            <td class="c-runs">
                <RunBars dag={dag} />
            </td>
            <td class="c-last">
                {last ? (
                    <a href={links.run(dag.id, last[0])} class="last">
                        <State letter={last[1]} />
                        {last[2] !== null ? (
                            <Lasted s={last[2]} e={last[3] === null ? null : last[2] + last[3]} />
                        ) : null}
                    </a>
                ) : (
                    <span class="muted">no runs yet</span>
                )}
            </td>
            <td class="c-act">
                <Button
                    kind="quiet"
                    icon="play"
                    label={`Trigger ${dag.id}`}
                    title="Trigger"
                    disabled={!dag.open}
                    onClick={() => openTrigger(dag.id)}
                />
            </td>
        </tr>
    );
}

export function DagsPage({ route }: { route: Route }) {
    useTitle("DAGs");
    const list = useResource<DagList>("/ui/v1/dags");
    const errors = useResource<ImportErrors>("/ui/v1/import-errors");
    const q = route.query.get("q") ?? "";
    const state = route.query.get("state") ?? "";

    const replace = (row: DagRow) => {
        const data = list.data.value;
        if (!data) return;
        list.data.value = {
            ...data,
            dags: data.dags.map((item) => (item.id === row.id ? row : item)),
        };
    };
    const onBatch = (batch: Batch) => {
        const data = list.data.value;
        if (batch.err !== undefined) {
            errors.reload();
        }
        if (!data) return;
        const known = new Set(data.dags.map((dag) => dag.id));
        if (batch.dag?.some(([id, change]) => !change || change.new || !known.has(id))) list.reload();
        const dags = data.dags.map((dag) => patchDagRow(dag, batch));
        if (dags.some((dag, i) => dag !== data.dags[i])) list.data.value = { ...data, dags };
    };
    useStream([topics.dags], { onBatch, onResync: list.reload });

    // One element a row object: a patch of one row renders one row.
    const rows = useMemo(() => new WeakMap<DagRow, preact.VNode>(), []);
    const rowOf = (dag: DagRow) => {
        let row = rows.get(dag);
        if (!row) rows.set(dag, (row = <Row key={dag.id} dag={dag} replace={replace} />));
        return row;
    };
    const shown = useComputed(() => list.data.value?.dags ?? []);
    const found = shown.value.filter((dag) => matches(dag, q, state));
    const count = (id: string) => shown.value.filter((dag) => matches(dag, "", id)).length;
    const problems = errors.data.value?.errors ?? [];

    return (
        <main id="main" class="page">
            <header class="page-head">
                <h1 tabIndex={-1}>DAGs</h1>
                <nav class="segments" aria-label="State">
                    {filters.map(({ id, label }) => (
                        <button
                            key={id}
                            type="button"
                            aria-pressed={state === id}
                            onClick={() => setQuery({ state: id })}
                        >
                            {label} <span class="num">{list.data.value ? count(id) : ""}</span>
                        </button>
                    ))}
                </nav>
                <span class="grow" />
                <input
                    type="search"
                    data-filter
                    class="filter"
                    placeholder="Filter by name, tag, owner"
                    aria-label="Filter DAGs"
                    value={q}
                    onInput={(event) => setQuery({ q: event.currentTarget.value })}
                />
            </header>
            {problems.length && !state ? (
                <section aria-label="Import errors" class="pinned">
                    {problems.slice(0, 3).map((item) => (
                        <ProblemCard key={item.id} item={item} />
                    ))}
                    {problems.length > 3 ? (
                        <a href="/import-errors">{problems.length - 3} more import errors</a>
                    ) : null}
                </section>
            ) : null}
            <Panel of={list} empty={(data) => (data.dags.length || problems.length ? null : <NoDags />)}>
                {() =>
                    found.length ? (
                        <div class="scroll-x">
                            <table class="list dags">
                                <thead>
                                    <tr>
                                        <th>
                                            <span class="sr">Active</span>
                                        </th>
                                        <th>DAG</th>
                                        <th class="c-owner">Owner</th>
                                        <th class="c-schedule">Schedule</th>
                                        <th class="c-runs">Last runs</th>
                                        <th>Latest</th>
                                        <th>
                                            <span class="sr">Actions</span>
                                        </th>
                                    </tr>
                                </thead>
                                <tbody>{found.map(rowOf)}</tbody>
                            </table>
                        </div>
                    ) : (
                        <Empty title={q ? `No DAG matches “${q}”` : `No DAG is ${state}`}>
                            <Button onClick={() => setQuery({ q: null, state: null })}>Clear filter</Button>
                        </Empty>
                    )
                }
            </Panel>
        </main>
    );
}

const example = `{
  "dag_id": "hello",
  "schedule": "@daily",
  "start_date": "2026-01-01",
  "tasks": [
    {"task_id": "hello", "operator": "shell", "with": {"argv": ["echo", "{{ ds }}"]}}
  ]
}`;

function NoDags() {
    return (
        <Empty title="No DAGs yet">
            <p>Put a file like this into the DAG folder; it is listed within a second.</p>
            <pre class="code">{example}</pre>
            <p class="muted">
                <Mark letter="n" /> dags/hello.json
            </p>
        </Empty>
    );
}
