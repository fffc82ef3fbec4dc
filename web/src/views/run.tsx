// run.tsx — one run: header, Gantt (default), row flow, tasks, details.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get, paths, type Batch, type Progress, type RunDetail, type Structure, type Ti, type TiList } from "../api";
import { bytes, compact } from "../numbers";
import { patchRun, patchTi } from "../patch";
import { navigate } from "../router";
import { links, type Route } from "../routes";
import { useKeys, useTitle } from "../shell";
import { toast, useResource, useStream } from "../store";
import { topics } from "../stream";
import { dateTime, duration, logical, zoneName } from "../time";
import { isFinished, wordOf } from "../tokens";
import { Button, Copy, Counts, Empty, Facts, Failure, Lasted, Logical, Panel, pretty, State, Tabs, Time } from "../ui";
import { ActionHost, openAction } from "./actions";
import { FlowView } from "./flow";
import { Gantt } from "./gantt";

const tabNames = ["gantt", "flow", "tasks", "details"];

export function RunPage({ route }: { route: Route }) {
    const dag = route.params.dag!;
    const id = route.params.run!;
    const tab = tabNames.includes(route.params.tab ?? "") ? route.params.tab! : "gantt";
    const run = useResource<RunDetail>(paths.run(dag, id), `${dag} ${id}`);
    const tis = useResource<TiList>(`${paths.run(dag, id)}/gantt?limit=2000`, `${dag} ${id}`);
    const structure = useSignal<Structure | null>(null);
    const progress = useSignal<Record<string, Progress>>({});
    const data = run.data.value;
    const ver = data?.ver;
    useEffect(() => {
        if (!ver) return;
        get<Structure>(paths.structure(dag, ver)).then((answer) => (structure.value = answer), () => {});
    }, [dag, ver]);

    const name = data?.ld != null ? logical(data.ld) : id;
    useTitle(data ? `${data.st === "f" ? "✗ " : data.st === "r" ? "▶ " : ""}${dag} ${name}` : dag);

    const onBatch = (batch: Batch) => {
        const list = tis.data.value;
        const mine = batch.ti?.filter((event) => event[0] === dag && event[1] === id) ?? [];
        if (list && mine.length) {
            const news = new Map(mine.map((event) => [`${event[2]} ${event[3]}`, event]));
            const next = list.tis.map((ti) => {
                const event = news.get(`${ti.t} ${ti.m}`);
                return event ? patchTi(ti, event) : ti;
            });
            tis.data.value = { ...list, tis: next };
            const header = run.data.value;
            if (header && list.tis.length === list.total) {
                run.data.value = { ...header, counts: countsOf(next) };
            }
            // Error texts come with the snapshot only.
            if (mine.some((event) => event[4] === "f")) tis.reload();
        }
        for (const event of batch.run ?? []) {
            const header = run.data.value;
            if (header && event[0] === dag && event[1] === id) {
                run.data.value = patchRun(header, event);
                if (isFinished(event[2])) {
                    run.reload();
                    tis.reload();
                }
            }
        }
    };
    const resync = () => {
        run.reload();
        tis.reload();
    };
    const onProgress = (list: Progress[]) => {
        const mine = list.filter((one) => one.dag === dag && one.run === id);
        if (mine.length) {
            progress.value = { ...progress.value, ...Object.fromEntries(mine.map((one) => [`${one.t} ${one.m}`, one])) };
        }
    };
    useStream([topics.run(dag, id)], { onBatch, onProgress, onResync: resync });

    const goTo = (other: string | null | undefined) =>
        other && navigate(links.run(dag, other, tab === "gantt" ? "" : tab));
    useKeys({
        "[": () => goTo(data?.prev),
        "]": () => goTo(data?.nextrun),
        c: () => openAction({ kind: "clear", dag, run: id, task: null }),
        ...Object.fromEntries(
            tabNames.map((item, i) => [String(i + 1), () => navigate(links.run(dag, id, item === "gantt" ? "" : item))]),
        ),
    });

    const more = async () => {
        const list = tis.data.value;
        if (!list?.next) return;
        try {
            const next = await get<TiList>(
                `${paths.run(dag, id)}/gantt?limit=2000&cursor=${encodeURIComponent(list.next)}`,
            );
            tis.data.value = { ...next, tis: [...list.tis, ...next.tis] };
        } catch (error) {
            toast((error as Error).message, "error");
        }
    };

    if (run.error.value && !data) {
        return (
            <main id="main" class="page">
                <Failure error={run.error.value} retry={resync} />
            </main>
        );
    }
    return (
        <main id="main" class="page">
            <Panel of={run} rows={3}>
                {(header) => <Head run={header} goTo={goTo} />}
            </Panel>
            <Tabs
                label="Views of the run"
                active={tab}
                tabs={tabNames.map((item) => ({
                    id: item,
                    label: item[0]!.toUpperCase() + item.slice(1),
                    href: links.run(dag, id, item === "gantt" ? "" : item),
                    count: item === "tasks" ? data?.total : undefined,
                }))}
            />
            {tab === "details" && data ? <Details run={data} /> : null}
            {tab === "flow" ? <FlowView dag={dag} run={id} /> : null}
            {tab === "gantt" || tab === "tasks" ? (
                <Panel of={tis} empty={(list) => (list.tis.length ? null : <Empty title="This DAG has no tasks" />)}>
                    {(list) => (
                        <>
                            {tab === "tasks" ? (
                                <TaskTable dag={dag} run={id} tis={list.tis} progress={progress.value} />
                            ) : data ? (
                                <Gantt run={data} tis={list.tis} structure={structure.value} query={route.query} />
                            ) : null}
                            {list.next ? (
                                <p class="toolbar">
                                    <span class="muted num">
                                        {list.tis.length.toLocaleString("en")} of {list.total.toLocaleString("en")} task
                                        instances
                                    </span>
                                    <Button onClick={() => void more()}>Load more</Button>
                                </p>
                            ) : null}
                        </>
                    )}
                </Panel>
            ) : null}
            <ActionHost />
        </main>
    );
}

function countsOf(tis: Ti[]): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const ti of tis) counts[ti.st] = (counts[ti.st] ?? 0) + 1;
    return counts;
}

function Head({ run, goTo }: { run: RunDetail; goTo(id: string | null): void }) {
    const took = run.s !== null && run.e !== null ? run.e - run.s : null;
    const against = took !== null && run.p50 ? Math.round((took / run.p50 - 1) * 100) : null;
    const act = { dag: run.dag, run: run.id };
    return (
        <>
            <header class="page-head">
                <span class="actions pair">
                    <Button kind="plain" icon="left" label="Older run" title="Older run ([)" disabled={!run.prev} onClick={() => goTo(run.prev)} />
                    <Button kind="plain" icon="right" label="Newer run" title="Newer run (])" disabled={!run.nextrun} onClick={() => goTo(run.nextrun)} />
                </span>
                <h1 tabIndex={-1}>
                    <span class="sr">{run.dag} run </span>
                    {run.ld === null ? run.id : logical(run.ld)}
                </h1>
                <span data-testid="run-state">
                    <State letter={run.st} />
                </span>
                <span class="grow" />
                <div class="actions">
                    {isFinished(run.st) ? (
                        <Button icon="retry" kind={run.st === "f" ? "primary" : "plain"} title="Clear (c)" onClick={() => openAction({ kind: "clear", ...act, task: null, failedOnly: run.st === "f" })}>
                            {run.st === "f" ? "Clear failed" : "Clear"}
                        </Button>
                    ) : (
                        <Button kind="danger" onClick={() => openAction({ kind: "cancel", ...act })}>
                            Cancel
                        </Button>
                    )}
                    <Button onClick={() => openAction({ kind: "mark-run", ...act, to: run.st === "s" ? "failed" : "success" })}>
                        {run.st === "s" ? "Mark failed" : "Mark success"}
                    </Button>
                </div>
            </header>
            <p class="sub muted">
                <span>
                    <Time ms={run.s ?? run.q} /> {zoneName()}
                </span>
                <span>
                    <Lasted s={run.s} e={run.e} />
                    {against !== null ? (
                        <>
                            {" "}
                            (usually {duration(run.p50!)}
                            {Math.abs(against) >= 5 ? `, ${against > 0 ? "+" : "−"}${Math.abs(against)} %` : ""})
                        </>
                    ) : null}
                </span>
                <span>
                    {run.ty}
                    {run.bf !== null ? (
                        <>
                            {" "}
                            <a href={links.backfill(run.bf)}>#{run.bf}</a>
                        </>
                    ) : null}
                    {run.user ? ` by ${run.user}` : ""}
                </span>
                <span>v{run.ver}</span>
                {run.reason ? <span class="danger">{run.reason}</span> : null}
                <Counts counts={run.counts} />
            </p>
        </>
    );
}

/** "copying rows, 250k rows, 90k/s, 31 MB" beside its bar. */
function Bar({ progress }: { progress: Progress }) {
    const parts = [
        progress.what,
        progress.rows === null ? "" : `${compact(progress.rows)} rows`,
        progress.rows_per_second > 0 ? `${compact(progress.rows_per_second)}/s` : "",
        progress.bytes === null ? "" : bytes(progress.bytes),
    ].filter(Boolean);
    return (
        <span class="bar" data-testid="task-progress" title={parts.join(", ")}>
            <progress max={1} value={progress.fraction || undefined} aria-label={`progress of ${progress.t}`} />
            <span class="muted num">
                {progress.fraction ? `${Math.floor(progress.fraction * 100)} %, ` : ""}
                {parts.join(", ")}
            </span>
        </span>
    );
}

function TaskTable(props: { dag: string; run: string; tis: Ti[]; progress: Record<string, Progress> }) {
    const { dag, run, tis } = props;
    const said = (ti: Ti) => (ti.st === "r" ? props.progress[`${ti.t} ${ti.m}`] : undefined);
    return (
        <div class="scroll-x">
            <table class="list">
                <thead>
                    <tr>
                        <th>State</th>
                        <th>Task</th>
                        <th class="c-op">Operator</th>
                        <th class="right">Try</th>
                        <th class="c-started">Started</th>
                        <th class="right c-wait">Waited</th>
                        <th class="right">Duration</th>
                        <th class="c-err">Error or note</th>
                    </tr>
                </thead>
                <tbody>
                    {tis.map((ti) => (
                        <tr key={`${ti.t} ${ti.m}`}>
                            <td>
                                <State letter={ti.st} />
                            </td>
                            <td>
                                <a class="strong" href={links.task(dag, run, ti.t, ti.m)}>
                                    {ti.t}
                                    {ti.m >= 0 ? `[${ti.m}]` : ""}
                                </a>
                            </td>
                            <td class="c-op muted">{ti.op}</td>
                            <td class="right num">{ti.try ? `${ti.try}/${ti.max}` : "–"}</td>
                            <td class="c-started nowrap">
                                <Time ms={ti.s} />
                            </td>
                            <td class="right nowrap c-wait muted">{ti.q !== null && ti.s !== null ? duration(ti.s - ti.q) : "–"}</td>
                            <td class="right nowrap">
                                <Lasted s={ti.s} e={ti.e} />
                            </td>
                            <td class="c-err">
                                {said(ti) ? <Bar progress={said(ti)!} /> : <span title={ti.err || ti.note}>{ti.err || ti.note}</span>}
                            </td>
                        </tr>
                    ))}
                </tbody>
            </table>
        </div>
    );
}

function Details({ run }: { run: RunDetail }) {
    const both = (ms: number | null) =>
        ms === null ? "–" : (
            <>
                <Time ms={ms} /> <span class="muted">{zoneName() === "UTC" ? "" : `${dateTime(ms, "UTC")} UTC`}</span>
            </>
        );
    return (
        <div class="columns">
            <section class="card">
                <Facts
                    rows={[
                        ["Run id", <span class="line"><code>{run.id}</code><Copy text={run.id} label="Copy run id" /></span>],
                        ["State", <>{wordOf(run.st)} {run.reason ? <span class="muted">{run.reason}</span> : null}</>],
                        ["Logical date", <Logical ms={run.ld} />],
                        ["Data interval", run.di ? <>{dateTime(run.di[0])} → {dateTime(run.di[1])}</> : "none"],
                        ["Due (run after)", both(run.ra)],
                        ["Queued", both(run.q)],
                        ["Started", both(run.s)],
                        ["Ended", both(run.e)],
                        ["Type", run.ty],
                        ["Triggered by", [run.by, run.user].filter(Boolean).join(", ")],
                        ["Version", `v${run.ver}`],
                        ["Times cleared", run.clear],
                    ]}
                />
            </section>
            <section class="card">
                <h2>Configuration</h2>
                {Object.keys(run.conf).length ? <pre class="code">{pretty(run.conf)}</pre> : <p class="muted">The run has none.</p>}
                <h2>Note</h2>
                <p class={run.note_text ? "doc" : "muted"}>{run.note_text || "Nobody left a note."}</p>
            </section>
        </div>
    );
}
