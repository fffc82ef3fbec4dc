// dag.tsx — one DAG: header, and the tabs grid, runs, backfills, code and details.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get, paths, type Batch, type Code, type DagDetail, type Grid, type Structure } from "../api";
import { patchDagRow, patchGrid } from "../patch";
import { navigate, setQuery } from "../router";
import { links, type Route } from "../routes";
import { scheduleWords } from "../schedule";
import { useKeys, useTitle } from "../shell";
import { useResource, useStream } from "../store";
import { topics } from "../stream";
import { duration, now, relative } from "../time";
import { Button, Empty, Facts, Failure, Panel, Skeleton, State, Switch, Tabs, Time } from "../ui";
import { ActionHost } from "./actions";
import { BackfillTable } from "./backfill_table";
import { setPaused } from "./dags";
import { DeleteDag } from "./delete_dag";
import { GridTable, GridView, type Chosen } from "./grid";
import { Inspector } from "./inspector";
import { RunsTable } from "./runs_table";
import { openTrigger } from "./trigger";
import { CodeView } from "./code";

const tabNames = ["grid", "runs", "backfills", "code", "details"];

export function DagPage({ route }: { route: Route }) {
    const id = route.params.dag!;
    const tab = tabNames.includes(route.params.tab ?? "") ? route.params.tab! : "grid";
    useTitle(id);
    const dag = useResource<DagDetail>(paths.dag(id), id);
    const onBatch = (batch: Batch) => {
        const data = dag.data.value;
        if (!data) return;
        if (batch.dag?.some(([name, change]) => name === id && (!change || change.new))) dag.reload();
        const next = patchDagRow(data, batch);
        if (next !== data) dag.data.value = { ...data, ...next };
    };
    useStream([topics.dag(id)], { onBatch, onResync: dag.reload });

    const pause = async (paused: boolean) => {
        const data = dag.data.value!;
        dag.data.value = { ...data, paused };
        if (!(await setPaused(id, paused))) dag.data.value = data;
    };
    useKeys({
        t: () => openTrigger(id),
        p: () => dag.data.value && void pause(!dag.data.value.paused),
        ...Object.fromEntries(
            tabNames.map((name, i) => [String(i + 1), () => navigate(links.dag(id, name === "grid" ? "" : name))]),
        ),
    });

    if (dag.error.value && !dag.data.value) {
        return (
            <main id="main" class="page">
                <Failure error={dag.error.value} retry={dag.reload} />
            </main>
        );
    }
    return (
        <main id="main" class="page">
            <Panel of={dag} rows={2}>
                {(data) => <Head dag={data} pause={(paused) => void pause(paused)} />}
            </Panel>
            <Tabs
                label="Views of the DAG"
                active={tab}
                tabs={tabNames.map((name) => ({
                    id: name,
                    label: name[0]!.toUpperCase() + name.slice(1),
                    href: links.dag(id, name === "grid" ? "" : name),
                }))}
            />
            {tab === "grid" ? <GridTab key={id} id={id} route={route} version={dag.data.value?.ver} /> : null}
            {tab === "runs" ? <RunsTable dag={id} query={route.query} /> : null}
            {tab === "backfills" ? <BackfillTable dag={id} /> : null}
            {tab === "code" ? <CodeTab id={id} version={route.query.get("v")} known={dag.data.value} /> : null}
            {tab === "details" ? <Panel of={dag}>{(data) => <Details dag={data} />}</Panel> : null}
            <ActionHost />
        </main>
    );
}

function Head({ dag, pause }: { dag: DagDetail; pause(paused: boolean): void }) {
    const last = dag.runs.at(-1);
    return (
        <>
            <header class="page-head">
                <Switch
                    on={!dag.paused}
                    label={dag.paused ? `Un-pause ${dag.id}` : `Pause ${dag.id}`}
                    onChange={(on) => pause(!on)}
                />
                <h1 tabIndex={-1}>{dag.id}</h1>
                {last ? <State letter={last[1]} /> : null}
                {dag.tags.map((tag) => (
                    <a key={tag} class="tag" href={`/dags?q=${encodeURIComponent(tag)}`}>
                        {tag}
                    </a>
                ))}
                <span class="grow" />
                <div class="actions">
                    <Button kind="primary" icon="play" title="Trigger (t)" disabled={!dag.open} onClick={() => openTrigger(dag.id)}>
                        Trigger
                    </Button>
                    {dag.periodic ? (
                        <a class="btn plain" href={`/backfills/new?dag=${encodeURIComponent(dag.id)}`}>
                            Backfill
                        </a>
                    ) : null}
                </div>
            </header>
            <p class="sub muted">
                {dag.desc ? <span class="sub-desc">{dag.desc}</span> : null}
                <span>{scheduleWords(dag)}</span>
                {dag.next !== null ? (
                    <span>
                        next{" "}
                        {dag.paused ? "when un-paused" : <Time ms={dag.next} text={relative(dag.next, now.value)} />}
                    </span>
                ) : null}
                <span>owner {dag.owner}</span>
                <span>v{dag.ver}</span>
                {dag.p50 ? <span>usually {duration(dag.p50)}</span> : null}
                {dag.stale ? <span class="tag warn">its file is gone: no new runs</span> : null}
                {dag.checking ? <span class="tag">being checked</span> : null}
                {dag.error ? (
                    <a class="tag bad" href="/import-errors">
                        the file has an error, v{dag.ver} stays in force
                    </a>
                ) : null}
            </p>
        </>
    );
}

const amounts = [25, 50, 100, 365];

function GridTab({ id, route, version }: { id: string; route: Route; version?: number }) {
    const runs = Math.min(1000, Number(route.query.get("runs")) || 50);
    const end = route.query.get("end") ?? undefined;
    const filter = route.query.get("q") ?? "";
    const asTable = route.query.get("view") === "table" || matchMedia("(forced-colors: active)").matches;
    const grid = useResource<Grid>(paths.grid(id, runs, end), `${id} ${runs} ${end}`);
    const structure = useSignal<Structure | null>(null);
    const at = grid.data.value?.ver ?? version;
    useEffect(() => {
        if (!at) return;
        void get<Structure>(paths.structure(id, at)).then((answer) => (structure.value = answer), () => {});
    }, [id, at]);

    const onBatch = (batch: Batch) => {
        const data = grid.data.value;
        if (!data) return;
        if (batch.dag?.some(([name, change]) => name === id && change?.new)) grid.reload();
        const next = patchGrid(data, id, batch, !data.newer);
        if (next !== data) grid.data.value = next;
    };
    useStream([topics.dag(id)], { onBatch, onResync: grid.reload });

    const sel = route.query.get("sel");
    const cut = sel?.lastIndexOf("~") ?? -1;
    const chosen: Chosen | null = sel
        ? cut >= 0
            ? { run: sel.slice(0, cut), task: sel.slice(cut + 1) }
            : { run: sel, task: null }
        : null;
    const choose = (next: Chosen | null) =>
        setQuery({ sel: next ? (next.task ? `${next.run}~${next.task}` : next.run) : null });
    const step = (by: number) => {
        const list = grid.data.value?.runs;
        if (!list || !chosen) return;
        const to = list[list.findIndex((run) => run.id === chosen.run) + by];
        if (to) choose({ run: to.id, task: chosen.task });
    };
    useKeys({ "[": () => step(-1), "]": () => step(1) });

    const older = () => {
        const first = grid.data.value?.runs[0];
        if (first) setQuery({ end: first.id, sel: null }, true);
    };

    return (
        <>
            <div class="toolbar">
                <nav class="segments" aria-label="Runs shown">
                    {amounts.map((n) => (
                        <button
                            key={n}
                            type="button"
                            aria-pressed={runs === n}
                            onClick={() => setQuery({ runs: n === 50 ? null : String(n) })}
                        >
                            {n}
                        </button>
                    ))}
                </nav>
                <span class="muted">runs</span>
                <Button kind="plain" icon="left" label="Older runs" title="Older runs" disabled={!grid.data.value?.older} onClick={older} />
                {end ? (
                    <Button onClick={() => setQuery({ end: null, sel: null }, true)}>Latest</Button>
                ) : null}
                <input
                    type="search"
                    data-filter
                    class="filter"
                    placeholder="Filter tasks"
                    aria-label="Filter tasks"
                    value={filter}
                    onInput={(event) => setQuery({ q: event.currentTarget.value })}
                />
                <span class="grow" />
                <Legend />
                <Button
                    icon="table"
                    pressed={asTable}
                    label="Show as table"
                    title="Show as table"
                    onClick={() => setQuery({ view: asTable ? null : "table" })}
                />
            </div>
            <div class={`grid-and-inspector ${chosen ? "two" : ""}`}>
                <div class="grid-pane">
                    <Panel of={grid} empty={(data) => (data.runs.length ? null : <NoRuns id={id} />)}>
                        {(data) =>
                            structure.value ? (
                                asTable ? (
                                    <GridTable grid={data} structure={structure.value} filter={filter} />
                                ) : (
                                    <GridView
                                        key={`${structure.value.ver}`}
                                        grid={grid.data}
                                        structure={structure.value}
                                        chosen={chosen}
                                        filter={filter}
                                        onChoose={choose}
                                    />
                                )
                            ) : (
                                <Skeleton rows={8} />
                            )
                        }
                    </Panel>
                </div>
                {chosen ? (
                    <Inspector
                        key={`${chosen.run} ${chosen.task}`}
                        dag={id}
                        chosen={chosen}
                        close={() => choose(null)}
                    />
                ) : null}
            </div>
        </>
    );
}

function Legend() {
    return (
        <span class="legend" aria-hidden="true">
            {["s", "r", "f", "y", "u", "k", "q"].map((letter) => (
                <State key={letter} letter={letter} />
            ))}
        </span>
    );
}

function NoRuns({ id }: { id: string }) {
    return (
        <Empty title="No runs yet">
            <p>Un-pause the DAG to follow its schedule, or start a run by hand.</p>
            <Button kind="primary" icon="play" onClick={() => openTrigger(id)}>
                Trigger
            </Button>
        </Empty>
    );
}

function CodeTab({ id, version, known }: { id: string; version: string | null; known: DagDetail | null }) {
    const code = useResource<Code>(paths.code(id, Number(version) || undefined));
    return (
        <>
            {known && known.versions.length > 1 ? (
                <div class="toolbar">
                    <label class="muted">
                        Version{" "}
                        <select
                            class="box"
                            value={version ?? String(known.ver)}
                            onChange={(event) => setQuery({ v: event.currentTarget.value })}
                        >
                            {known.versions.map((n) => (
                                <option key={n} value={String(n)}>
                                    v{n}
                                    {n === known.ver ? " (current)" : ""}
                                </option>
                            ))}
                        </select>
                    </label>
                </div>
            ) : null}
            <Panel of={code}>
                {(data) => (
                    <>
                        <CodeView name={data.file} text={data.source} />
                        {data.files.map(([name, text]) => (
                            <CodeView key={name} name={name} text={text} />
                        ))}
                    </>
                )}
            </Panel>
        </>
    );
}

function Details({ dag }: { dag: DagDetail }) {
    return (
        <div class="columns">
            <section class="card">
                <Facts
                    rows={[
                        ["File", <code>{dag.file}</code>],
                        ["Schedule", dag.schedule ? <code>{dag.schedule}</code> : "none"],
                        ["Time zone", dag.tz],
                        ["First date", <Time ms={dag.start} />],
                        ["Last date", <Time ms={dag.end} />],
                        ["Catch up", dag.catchup ? "yes" : "no"],
                        ["Tasks", dag.tasks],
                        ["Runs at once", dag.max_runs],
                        ["Tasks at once", dag.max_tasks],
                        ["Run time-out", dag.timeout === null ? "none" : duration(dag.timeout)],
                        ["Version", `v${dag.ver} of ${dag.versions.length}`],
                        ["Hash", <code>{dag.hash}</code>],
                    ]}
                />
                <DeleteDag dag={dag} />
            </section>
            <section class="card">
                <h2>About</h2>
                {dag.doc || dag.desc ? (
                    <p class="doc">{dag.doc || dag.desc}</p>
                ) : (
                    <p class="muted">The file has no description.</p>
                )}
                {Object.keys(dag.params).length ? (
                    <>
                        <h2>Parameters</h2>
                        <Facts
                            rows={Object.entries(dag.params).map(([name, spec]) => [
                                name,
                                <>
                                    <code>{JSON.stringify(spec.default ?? null)}</code>{" "}
                                    <span class="muted">{spec.description}</span>
                                </>,
                            ])}
                        />
                    </>
                ) : null}
            </section>
        </div>
    );
}
