// runs_table.tsx — runs, newest first, filtered in the URL; more on demand.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get, type Batch, type Run, type RunList } from "../api";
import { patchRun } from "../patch";
import { setQuery } from "../router";
import { links } from "../routes";
import { toast, useResource, useStream } from "../store";
import { topics } from "../stream";
import { Ago, Button, Empty, Lasted, Logical, Panel, State } from "../ui";

const stateFilters = ["", "failed", "running", "queued", "success"];
const types = ["scheduled", "manual", "backfill"];

export function RunsTable({ dag, query }: { dag: string | null; query: URLSearchParams }) {
    const state = query.get("state") ?? "";
    const type = query.get("type") ?? "";
    const filters = new URLSearchParams();
    if (dag) filters.set("dag", dag);
    if (state) filters.set("state", state);
    if (type) filters.set("type", type);
    const path = `/ui/v1/runs?${filters.toString().replaceAll("+", "%20")}&limit=50`;
    const list = useResource<RunList>(path);
    const fresh = useSignal(0);
    useEffect(() => {
        fresh.value = 0;
    }, [path]);

    const onBatch = (batch: Batch) => {
        const data = list.data.value;
        if (!data || !batch.run) return;
        const known = new Map(data.runs.map((run, i) => [`${run.dag} ${run.id}`, i]));
        let runs = data.runs;
        const born = new Set<string>();
        for (const event of batch.run) {
            if (dag && event[0] !== dag) continue;
            const at = known.get(`${event[0]} ${event[1]}`);
            if (at === undefined) born.add(`${event[0]} ${event[1]}`);
            else runs = runs.map((run, i) => (i === at ? patchRun(run, event) : run));
        }
        // New rows wait for the reader: nothing moves under the pointer.
        if (born.size) fresh.value += born.size;
        if (runs !== data.runs) list.data.value = { ...data, runs };
    };
    useStream([dag ? topics.dag(dag) : topics.dags], { onBatch, onResync: list.reload });

    const more = async () => {
        const data = list.data.value;
        if (!data?.next) return;
        try {
            const next = await get<RunList>(`${path}&cursor=${encodeURIComponent(data.next)}`);
            list.data.value = { ...next, runs: [...data.runs, ...next.runs] };
        } catch (error) {
            toast((error as Error).message, "error");
        }
    };

    return (
        <>
            <div class="toolbar">
                <nav class="segments" aria-label="State">
                    {stateFilters.map((name) => (
                        <button key={name} type="button" aria-pressed={state === name} onClick={() => setQuery({ state: name })}>
                            {name || "all"}
                        </button>
                    ))}
                </nav>
                <select
                    class="box"
                    aria-label="Type of run"
                    value={type}
                    onChange={(event) => setQuery({ type: event.currentTarget.value })}
                >
                    <option value="">every type</option>
                    {types.map((name) => (
                        <option key={name} value={name}>
                            {name}
                        </option>
                    ))}
                </select>
                {list.data.value ? (
                    <span class="muted num">{list.data.value.total.toLocaleString("en")} runs</span>
                ) : null}
                {fresh.value ? (
                    <button
                        type="button"
                        class="pill"
                        onClick={() => {
                            fresh.value = 0;
                            list.reload();
                        }}
                    >
                        {fresh.value} new {fresh.value === 1 ? "run" : "runs"} ↑
                    </button>
                ) : null}
            </div>
            <Panel
                of={list}
                empty={(data) =>
                    data.runs.length ? null : (
                        <Empty title={state || type ? "No run matches the filter" : "No runs yet"}>
                            {state || type ? (
                                <Button onClick={() => setQuery({ state: null, type: null })}>Clear filter</Button>
                            ) : (
                                <p>Runs appear here when a schedule is due or somebody triggers a DAG.</p>
                            )}
                        </Empty>
                    )
                }
            >
                {(data) => (
                    <>
                        <div class="scroll-x">
                            <table class="list runs">
                                <thead>
                                    <tr>
                                        <th>State</th>
                                        {dag ? null : <th class="c-dag">DAG</th>}
                                        <th>Logical date</th>
                                        <th class="c-type">Type</th>
                                        <th class="c-started">Started</th>
                                        <th class="right">Duration</th>
                                        <th class="c-id">Run id</th>
                                    </tr>
                                </thead>
                                <tbody>
                                    {data.runs.map((run) => (
                                        <Row key={`${run.dag} ${run.id}`} run={run} withDag={!dag} />
                                    ))}
                                </tbody>
                            </table>
                        </div>
                        {data.next ? <Button onClick={() => void more()}>Older runs</Button> : null}
                    </>
                )}
            </Panel>
        </>
    );
}

function Row({ run, withDag }: { run: Run; withDag: boolean }) {
    return (
        <tr data-testid={`run-${run.id}`}>
            <td>
                <a href={links.run(run.dag, run.id)} class="plain-link">
                    <State letter={run.st} />
                </a>
            </td>
            {withDag ? (
                <td class="c-dag">
                    <a href={links.dag(run.dag)} class="strong">
                        {run.dag}
                    </a>
                </td>
            ) : null}
            <td class="c-logical nowrap">
                <a href={links.run(run.dag, run.id)} class="strong">
                    {run.ld === null ? "none" : <Logical ms={run.ld} />}
                </a>
            </td>
            <td class="c-type muted">
                {run.ty} {run.bf !== null ? <a href={links.backfill(run.bf)}>#{run.bf}</a> : null}
            </td>
            <td class="c-started nowrap muted">
                <Ago ms={run.s} />
            </td>
            <td class="right">
                <Lasted s={run.s} e={run.e} />
            </td>
            <td class="c-id">
                <code class="muted">{run.id}</code>
            </td>
        </tr>
    );
}
