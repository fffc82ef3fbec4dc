// inspector.tsx — beside the grid: what the chosen cell or run is, why, and what to do about it.
import { paths, type LogLines, type RunDetail, type TiDetail } from "../api";
import { links } from "../routes";
import { useResource, useStream } from "../store";
import { topics } from "../stream";
import { duration } from "../time";
import { Button, Counts, Facts, Lasted, Logical, Mark, Panel, State, Time } from "../ui";
import { openAction } from "./actions";
import type { Chosen } from "./grid";

export function Inspector({ dag, chosen, close }: { dag: string; chosen: Chosen; close(): void }) {
    return (
        <aside class="inspector card" aria-label="Inspector" data-testid="inspector">
            {chosen.task ? (
                <TaskPart dag={dag} run={chosen.run} task={chosen.task} close={close} />
            ) : (
                <RunPart dag={dag} run={chosen.run} close={close} />
            )}
        </aside>
    );
}

function Head({ title, href, close }: { title: string; href: string; close(): void }) {
    return (
        <header>
            <h2>
                <a href={href}>{title}</a>
            </h2>
            <Button kind="quiet" icon="close" label="Close inspector" onClick={close} />
        </header>
    );
}

function TaskPart({ dag, run, task, close }: { dag: string; run: string; task: string; close(): void }) {
    const detail = useResource<TiDetail>(paths.ti(dag, run, task), `${dag} ${run} ${task}`);
    // The page watches the DAG: an event of this very cell means news.
    useStream([topics.dag(dag)], {
        onBatch: (batch) => {
            if (batch.ti?.some((event) => event[1] === run && event[2] === task)) detail.reload();
        },
        onResync: detail.reload,
    });
    const href = links.task(dag, run, task);
    return (
        <>
            <Head title={task} href={href} close={close} />
            <Panel of={detail} rows={5}>
                {({ ti, run: of, up, down, why }) => (
                    <>
                        <p class="line">
                            <State letter={ti.st} />
                            {ti.try ? (
                                <span class="num muted">
                                    try {ti.try}/{ti.max}
                                </span>
                            ) : null}
                            <Lasted s={ti.s} e={ti.e} />
                        </p>
                        {ti.err ? <pre class="code error">{ti.err}</pre> : null}
                        {why ? <p class="muted">{why}</p> : null}
                        <div class="actions">
                            <a class="btn primary" href={href}>
                                Log
                            </a>
                            <Button
                                icon="retry"
                                disabled={ti.st === "n"}
                                onClick={() => openAction({ kind: "clear", dag, run, task, failedOnly: false })}
                            >
                                Clear
                            </Button>
                            <Button
                                onClick={() =>
                                    openAction({ kind: "mark", dag, run, task, to: ti.st === "s" ? "failed" : "success" })
                                }
                            >
                                {ti.st === "s" ? "Mark failed" : "Mark success"}
                            </Button>
                        </div>
                        {ti.try > 0 ? <Peek dag={dag} run={run} task={task} attempt={ti.try} state={ti.st} /> : null}
                        <Facts
                            rows={[
                                ["Run", <a href={links.run(dag, run)}>{of.ld === null ? run : <Logical ms={of.ld} />}</a>],
                                ["Operator", ti.op],
                                ["Pool", ti.pool],
                                ["Started", <Time ms={ti.s} />],
                                ["Waited", ti.q !== null && ti.s !== null ? duration(ti.s - ti.q) : "–"],
                            ]}
                        />
                        <Neighbours title="Upstream" dag={dag} run={run} items={up} />
                        <Neighbours title="Downstream" dag={dag} run={run} items={down} />
                    </>
                )}
            </Panel>
        </>
    );
}

/** The last lines of the log: enough to know whether to open it. */
function Peek(props: { dag: string; run: string; task: string; attempt: number; state: string }) {
    const lines = useResource<LogLines>(
        paths.log(props.dag, props.run, props.task, "lines", `try=${props.attempt}&map=-1&from=-6&n=6&_=${props.state}`),
    );
    return (
        <Panel of={lines} rows={3} empty={(data) => (data.lines.length ? null : <p class="muted">No log lines.</p>)}>
            {(data) => (
                <pre class="code peek">
                    {data.lines.map(([n, , level, text]) => (
                        <span key={n} class={`lv-${level}`}>
                            {text}
                            {"\n"}
                        </span>
                    ))}
                </pre>
            )}
        </Panel>
    );
}

export function Neighbours(props: { title: string; dag: string; run: string; items: [string, string][] }) {
    if (!props.items.length) return null;
    return (
        <section class="neighbours">
            <h3>{props.title}</h3>
            <ul>
                {props.items.slice(0, 12).map(([task, letter]) => (
                    <li key={task}>
                        <Mark letter={letter} /> <a href={links.task(props.dag, props.run, task)}>{task}</a>
                    </li>
                ))}
                {props.items.length > 12 ? <li class="muted">and {props.items.length - 12} more</li> : null}
            </ul>
        </section>
    );
}

function RunPart({ dag, run, close }: { dag: string; run: string; close(): void }) {
    const detail = useResource<RunDetail>(paths.run(dag, run), `${dag} ${run}`);
    useStream([topics.dag(dag)], {
        onBatch: (batch) => {
            if (batch.run?.some((event) => event[1] === run)) detail.reload();
        },
    });
    return (
        <>
            <Head title="Run" href={links.run(dag, run)} close={close} />
            <Panel of={detail} rows={5}>
                {(data) => (
                    <>
                        <p class="line">
                            <State letter={data.st} />
                            <Lasted s={data.s} e={data.e} />
                            {data.p50 ? <span class="muted">usually {duration(data.p50)}</span> : null}
                        </p>
                        {data.reason ? <p class="muted">{data.reason}</p> : null}
                        <Counts counts={data.counts} />
                        <div class="actions">
                            <a class="btn primary" href={links.run(dag, run)}>
                                Open run
                            </a>
                            <Button icon="retry" onClick={() => openAction({ kind: "clear", dag, run, task: null })}>
                                Clear
                            </Button>
                        </div>
                        <Facts
                            rows={[
                                ["Run id", <code>{data.id}</code>],
                                ["Logical date", <Logical ms={data.ld} />],
                                ["Type", data.ty],
                                ["Started", <Time ms={data.s} />],
                                ["Ended", <Time ms={data.e} />],
                                ["Version", data.ver],
                            ]}
                        />
                    </>
                )}
            </Panel>
        </>
    );
}
