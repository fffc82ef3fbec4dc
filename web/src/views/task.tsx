// task.tsx — one task of one run: log (default), attempts, XCom, rendered fields, details.
import { paths, type Batch, type RunDetail, type Ti, type TiDetail } from "../api";
import { patchTi } from "../patch";
import { navigate, setQuery } from "../router";
import { links, type Route } from "../routes";
import { useKeys, useTitle } from "../shell";
import { useResource, useStream } from "../store";
import { topics } from "../stream";
import { duration, logical } from "../time";
import { isFinished, wordOf } from "../tokens";
import { Button, Copy, Empty, Facts, Failure, Lasted, Logical, Panel, pretty, State, Tabs, Time } from "../ui";
import { ActionHost, openAction } from "./actions";
import { Neighbours } from "./inspector";
import { LogView } from "./log";

const tabNames = ["logs", "attempts", "xcom", "rendered", "details"];
const labels: Record<string, string> = {
    logs: "Logs",
    attempts: "Attempts",
    xcom: "XCom",
    rendered: "Rendered",
    details: "Details",
};

export function TaskPage({ route }: { route: Route }) {
    const dag = route.params.dag!;
    const run = route.params.run!;
    const task = route.params.task!;
    const map = route.params.map === undefined ? -1 : Number(route.params.map);
    const tab = tabNames.includes(route.params.tab ?? "") ? route.params.tab! : "logs";
    const identity = `${dag} ${run} ${task} ${map}`;
    const detail = useResource<TiDetail>(paths.ti(dag, run, task, map), identity);
    const neighbours = useResource<RunDetail>(paths.run(dag, run), `${dag} ${run}`);
    const data = detail.data.value;
    useTitle(data ? `${data.ti.st === "f" ? "✗ " : data.ti.st === "r" ? "▶ " : ""}${task}` : task);

    const onBatch = (batch: Batch) => {
        const now = detail.data.value;
        const mine = batch.ti?.filter(
            (item) => item[0] === dag && item[1] === run && item[2] === task && item[3] === map,
        );
        const event = mine?.at(-1);
        if (!now || !event) return;
        detail.data.value = { ...now, ti: patchTi(now.ti, event) };
        // Errors, rendered fields and XCom come with the snapshot.
        if (event[4] !== "r") detail.reload();
    };
    useStream([topics.run(dag, run)], { onBatch, onResync: detail.reload });

    const attempts = data ? numbersOf(data.ti) : [];
    const asked = Number(route.query.get("try")) || (attempts.at(-1) ?? 0);
    const href = (name: string) => links.task(dag, run, task, map, name === "logs" ? "" : name);
    const other = (id: string | null | undefined) => id && navigate(links.task(dag, id, task, map, tab === "logs" ? "" : tab));
    const step = (by: number) => {
        const to = attempts[attempts.indexOf(asked) + by];
        if (to) setQuery({ try: String(to) });
    };
    useKeys({
        "[": () => other(neighbours.data.value?.prev),
        "]": () => other(neighbours.data.value?.nextrun),
        "{": () => step(-1),
        "}": () => step(1),
        c: () => openAction({ kind: "clear", dag, run, task, failedOnly: false }),
        Escape: () => navigate(links.run(dag, run)),
        ...Object.fromEntries(tabNames.map((name, i) => [String(i + 1), () => navigate(href(name))])),
    });

    if (detail.error.value && !data) {
        return (
            <main id="main" class="page">
                <Failure error={detail.error.value} retry={detail.reload} />
            </main>
        );
    }
    return (
        <main id="main" class="page task">
            <Panel of={detail} rows={3}>
                {(now) => <Head data={now} dag={dag} run={run} task={task} map={map} />}
            </Panel>
            <Tabs
                label="Views of the task"
                active={tab}
                tabs={tabNames.map((name) => ({
                    id: name,
                    label: labels[name]!,
                    href: href(name),
                    count: name === "attempts" ? attempts.length : name === "xcom" ? data?.xcom.length : undefined,
                }))}
            />
            {data && tab === "logs" ? (
                <>
                    {attempts.length > 1 ? (
                        <nav class="segments tries" aria-label="Tries">
                            {attempts.map((n) => (
                                <button key={n} type="button" aria-pressed={n === asked} onClick={() => setQuery({ try: String(n) })}>
                                    try {n}
                                </button>
                            ))}
                        </nav>
                    ) : null}
                    {asked > 0 && attempts.length ? (
                        <LogView
                            key={`${identity} ${asked}`}
                            {...{ dag, run, task, map }}
                            attempt={asked}
                            state={data.ti.st}
                            query={route.query}
                            hash={route.hash}
                        />
                    ) : (
                        <Empty title="No log yet">
                            <p>
                                {isFinished(data.ti.st)
                                    ? `The task is ${wordOf(data.ti.st)}: it never ran.`
                                    : (data.why ?? "The log begins when the task starts.")}
                            </p>
                        </Empty>
                    )}
                </>
            ) : null}
            {data && tab === "attempts" ? <Attempts ti={data.ti} href={href("logs")} /> : null}
            {data && tab === "xcom" ? <Values items={data.xcom} none="The task has pushed no value." /> : null}
            {data && tab === "rendered" ? (
                <Values items={Object.entries(data.rendered ?? {})} none="Fields are rendered when the task starts." />
            ) : null}
            {data && tab === "details" ? <Details data={data} dag={dag} run={run} /> : null}
            <ActionHost />
        </main>
    );
}

/** The tries that have a log: those of the past and the present one. */
export function numbersOf(ti: Ti): number[] {
    const numbers = new Set(ti.past.map((past) => past[0]));
    if (ti.try > 0 && (ti.s !== null || ti.past.length === 0)) numbers.add(ti.try);
    return [...numbers].filter((n) => n > 0).sort((a, b) => a - b);
}

function Head({ data, dag, run, task, map }: { data: TiDetail; dag: string; run: string; task: string; map: number }) {
    const { ti } = data;
    const act = { dag, run, task };
    return (
        <>
            <header class="page-head">
                <h1 tabIndex={-1}>
                    {task}
                    {map >= 0 ? <span class="muted">[{map}]</span> : null}
                </h1>
                <span data-testid="task-state">
                    <State letter={ti.st} />
                </span>
                <span class="grow" />
                <div class="actions">
                    <Button
                        icon="retry"
                        kind={ti.st === "f" ? "primary" : "plain"}
                        title="Clear (c)"
                        disabled={ti.st === "n"}
                        onClick={() => openAction({ kind: "clear", ...act, failedOnly: false })}
                    >
                        {ti.st === "f" ? "Retry" : "Clear"}
                    </Button>
                    <Button onClick={() => openAction({ kind: "mark", ...act, to: ti.st === "s" ? "failed" : "success" })}>
                        {ti.st === "s" ? "Mark failed" : "Mark success"}
                    </Button>
                </div>
            </header>
            <p class="sub muted">
                <a href={links.run(dag, run)}>{data.run.ld === null ? run : logical(data.run.ld)}</a>
                {ti.try ? (
                    <span>
                        try {ti.try}/{ti.max}
                    </span>
                ) : null}
                {ti.s !== null ? (
                    <span>
                        <Lasted s={ti.s} e={ti.e} />
                    </span>
                ) : null}
                {ti.q !== null && ti.s !== null ? <span>waited {duration(Math.max(0, ti.s - ti.q))}</span> : null}
                <span>{ti.op}</span>
                <span>pool {ti.pool}</span>
                {ti.nx !== null && ti.st === "y" ? (
                    <span>
                        next try <Time ms={ti.nx} />
                    </span>
                ) : null}
                {data.why ? <span>{data.why}</span> : null}
                {ti.note ? <span>{ti.note}</span> : null}
            </p>
            {ti.err ? (
                <pre class="code error" data-testid="task-error">
                    {ti.err}
                </pre>
            ) : null}
        </>
    );
}

function Attempts({ ti, href }: { ti: Ti; href: string }) {
    const rows: { n: number; st: string; q: number | null; s: number | null; e: number | null; err: string }[] = [
        ...ti.past.map(([n, st, , q, s, e, err]) => ({ n, st, q, s, e, err })),
        ...(ti.try ? [{ n: ti.try, st: ti.st, q: ti.q, s: ti.s, e: ti.e, err: ti.err }] : []),
    ].reverse();
    if (!rows.length) {
        return (
            <Empty title="No attempt yet">
                <p>The first one appears when the task starts.</p>
            </Empty>
        );
    }
    return (
        <div class="scroll-x">
            <table class="list">
                <thead>
                    <tr>
                        <th>Try</th>
                        <th>State</th>
                        <th>Started</th>
                        <th class="right">Waited</th>
                        <th class="right">Duration</th>
                        <th>Error</th>
                    </tr>
                </thead>
                <tbody>
                    {rows.map((row, i) => (
                        <tr key={i}>
                            <td>
                                <a href={`${href}?try=${row.n}`}>{row.n}</a>
                            </td>
                            <td>
                                <State letter={row.st} />
                            </td>
                            <td class="nowrap">
                                <Time ms={row.s} />
                            </td>
                            <td class="right nowrap muted">{row.q !== null && row.s !== null ? duration(row.s - row.q) : "–"}</td>
                            <td class="right nowrap">
                                <Lasted s={row.s} e={row.e} />
                            </td>
                            <td class="c-err">
                                <span title={row.err}>{row.err}</span>
                            </td>
                        </tr>
                    ))}
                </tbody>
            </table>
        </div>
    );
}

function Values({ items, none }: { items: [string, unknown][]; none: string }) {
    if (!items.length) return <Empty title="Nothing here">{<p>{none}</p>}</Empty>;
    return (
        <div class="values">
            {items.map(([key, value]) => {
                const text = pretty(value);
                return (
                    <section key={key} class="card">
                        <h2 class="line">
                            <code>{key}</code>
                            <Copy text={text} label={`Copy ${key}`} />
                        </h2>
                        <pre class="code">{text}</pre>
                    </section>
                );
            })}
        </div>
    );
}

function Details({ data, dag, run }: { data: TiDetail; dag: string; run: string }) {
    const { ti } = data;
    return (
        <div class="columns">
            <section class="card">
                <Facts
                    rows={[
                        ["Run", <a href={links.run(dag, run)}>{run}</a>],
                        ["Logical date", <Logical ms={data.run.ld} />],
                        ["Operator", ti.op],
                        ["Pool", ti.pool],
                        ["Tries", `${ti.try} of ${ti.max}`],
                        ["Scheduled", <Time ms={ti.sch} />],
                        ["Queued", <Time ms={ti.q} />],
                        ["Started", <Time ms={ti.s} />],
                        ["Ended", <Time ms={ti.e} />],
                        ["Class of error", ti.cls || "none"],
                        ["Version", `v${data.run.ver}`],
                    ]}
                />
            </section>
            <section class="card">
                <Neighbours title="Upstream" dag={dag} run={run} items={data.up} />
                <Neighbours title="Downstream" dag={dag} run={run} items={data.down} />
                {data.up.length || data.down.length ? null : <p class="muted">The task stands alone.</p>}
            </section>
        </div>
    );
}
