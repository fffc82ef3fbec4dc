// home.tsx — answer first: is anything wrong, what runs now, what comes next.
import type { ComponentChildren } from "preact";
import type { Attention, Batch, Home, RunningNow } from "../api";
import { setQuery } from "../router";
import { links, type Route } from "../routes";
import { useTitle } from "../shell";
import { useResource, useStream } from "../store";
import { topics } from "../stream";
import { clock, dateTime, duration, logical, now, relative, zoneName } from "../time";
import { Ago, Icon, Lasted, Mark, Panel, Time } from "../ui";

const windows = ["1h", "24h", "7d", "30d"];

function Light({ ok, label, children }: { ok: boolean; label: string; children: ComponentChildren }) {
    return (
        <span class={`light ${ok ? "ok" : "bad"}`}>
            <Icon name={ok ? "check" : "alert"} size={14} />
            <span class="muted">{label}</span> {children}
        </span>
    );
}

function Health({ home }: { home: Home }) {
    const { scheduler, database, executor, folder } = home.health;
    const beat = scheduler.beat === null ? null : Math.max(0, home.server_ms - scheduler.beat);
    return (
        <section class="health" aria-label="Health">
            <Light ok={scheduler.ok} label="Scheduler">
                {beat === null ? "no heartbeat" : `heartbeat ${duration(beat)} ago`}
            </Light>
            <Light ok={database.ok} label="Database">
                <span class="num">{database.ms.toFixed(1)} ms</span>
            </Light>
            <Light ok label="Executor">
                <span class="num">
                    {executor.running}/{executor.slots}
                </span>
            </Light>
            <Light ok={folder.ok} label="DAG folder">
                {folder.scanned === null ? "not read yet" : `read ${duration(Math.max(0, home.server_ms - folder.scanned))} ago`}
            </Light>
            <Light ok={home.health.import_errors === 0} label="Import errors">
                <a href="/import-errors" class="num">
                    {home.health.import_errors}
                </a>
            </Light>
        </section>
    );
}

function Strip({ home }: { home: Home }) {
    const most = Math.max(1, ...home.buckets.map(([, s, f]) => s + f));
    const span = home.buckets.length > 1 ? home.buckets[1]![0] - home.buckets[0]![0] : home.window_ms;
    const ended = home.runs.success + home.runs.failed;
    const ticks = [0, 12, 24, 36].map((i) => home.buckets[i]?.[0]).filter((t) => t !== undefined);
    return (
        <figure class="strip">
            <div
                class="strip-bars"
                role="img"
                aria-label={`${ended} runs ended, ${home.runs.failed} of them failed`}
            >
                {home.buckets.map(([at, s, f]) => (
                    <span
                        key={at}
                        title={`${dateTime(at)} – ${clock(at + span)}: ${s} succeeded, ${f} failed`}
                        style={{ "--s": String(s / most), "--f": String(f / most) }}
                    >
                        {f ? <i class="f" /> : null}
                        {s ? <i class="s" /> : null}
                    </span>
                ))}
            </div>
            <figcaption class="num">
                {ticks.map((at) => (
                    <span key={at}>{home.window_ms > 86_400_000 ? logical(at).slice(5) : clock(at, zoneName(), false)}</span>
                ))}
                <span class="now">now</span>
            </figcaption>
        </figure>
    );
}

function Numbers({ home }: { home: Home }) {
    const items: [string, number, string, string][] = [
        ["runs", home.runs.success + home.runs.failed, "", "/runs"],
        ["failed", home.runs.failed, "f", "/runs?state=failed"],
        ["running", home.runs.running, "r", "/runs?state=running"],
        ["queued", home.runs.queued, "q", "/runs?state=queued"],
    ];
    return (
        <div class="numbers">
            {items.map(([label, value, letter, href]) => (
                <a key={label} href={href} class={value && letter ? `has-${letter}` : ""}>
                    <strong class="num">{value.toLocaleString("en")}</strong>
                    <span>
                        {letter ? <Mark letter={letter} /> : null}
                        {label}
                    </span>
                </a>
            ))}
            <a href="/runs">
                <strong class="num">{home.tasks.success.toLocaleString("en")}</strong>
                <span>tasks done</span>
            </a>
            <a href="/dags?state=active">
                <strong class="num">
                    {home.dags.active}
                    <small>/{home.dags.total}</small>
                </strong>
                <span>DAGs active</span>
            </a>
        </div>
    );
}

function AttentionRow({ item }: { item: Attention }) {
    const href = item.task
        ? links.task(item.dag, item.run, item.task, item.map)
        : links.run(item.dag, item.run);
    return (
        <li>
            <Mark letter={item.kind === "retrying" ? "y" : "f"} />
            <div>
                <a href={href} class="strong">
                    {item.dag}
                    {item.task ? ` › ${item.task}` : ""}
                </a>{" "}
                <span class="muted">
                    {item.ld === null ? "" : `${logical(item.ld)} · `}
                    {item.task ? `try ${item.try}/${item.max} · ` : ""}
                    <Ago ms={item.at} />
                </span>
                <p class="reason">{item.reason || "no reason was recorded"}</p>
            </div>
            <a class="btn plain small" href={href}>
                {item.task ? "Log" : "Run"}
            </a>
        </li>
    );
}

function RunningRow({ item }: { item: RunningNow }) {
    const part = item.total ? item.done / item.total : 0;
    return (
        <li>
            <Mark letter="r" />
            <div>
                <a href={links.run(item.dag, item.run)} class="strong">
                    {item.dag}
                </a>{" "}
                <span class="muted num">
                    {item.done}/{item.total} tasks · <Lasted s={item.s} e={null} />
                    {item.p50 ? ` of about ${duration(item.p50)}` : ""}
                </span>
                <span class="progress" style={{ "--part": String(part) }} />
            </div>
        </li>
    );
}

export function HomePage({ route }: { route: Route }) {
    useTitle("Sluice");
    const window = route.query.get("window") ?? "24h";
    const home = useResource<Home>(`/ui/v1/home?window=${window}`, "home");
    // Any run that begins or ends may change any number here: fetch the small page again, once a
    // burst, and only because something happened.
    const onBatch = (batch: Batch) => {
        if (batch.run || batch.dag || batch.err !== undefined) reloadSoon(home.reload);
    };
    useStream([topics.dags], { onBatch, onResync: home.reload });

    return (
        <main id="main" class="page home">
            <header class="page-head">
                <h1 tabIndex={-1}>Home</h1>
                <span class="grow" />
                <nav class="segments" aria-label="Time window">
                    {windows.map((name) => (
                        <button
                            key={name}
                            type="button"
                            aria-pressed={window === name}
                            onClick={() => setQuery({ window: name === "24h" ? null : name })}
                        >
                            {name.replace(/(\d+)/, "$1 ")}
                        </button>
                    ))}
                </nav>
            </header>
            <Panel of={home} rows={10}>
                {(data) => (
                    <>
                        <Health home={data} />
                        <section class="card overview" aria-label={`Last ${window}`}>
                            <Numbers home={data} />
                            <Strip home={data} />
                        </section>
                        <div class="columns">
                            <section class="card" aria-labelledby="attention">
                                <h2 id="attention">
                                    Needs attention{" "}
                                    {data.attention.length ? (
                                        <span class="count bad">{data.attention.length}</span>
                                    ) : null}
                                </h2>
                                {data.attention.length ? (
                                    <ul class="items" data-testid="attention">
                                        {data.attention.map((item) => (
                                            <AttentionRow
                                                key={`${item.dag} ${item.run} ${item.task} ${item.map}`}
                                                item={item}
                                            />
                                        ))}
                                    </ul>
                                ) : (
                                    <p class="quiet-line">
                                        <Icon name="check" /> All quiet: the latest run of every DAG is fine.
                                    </p>
                                )}
                            </section>
                            <div>
                                <section class="card" aria-labelledby="running">
                                    <h2 id="running">Running now</h2>
                                    {data.running.length ? (
                                        <ul class="items">
                                            {data.running.map((item) => (
                                                <RunningRow key={`${item.dag} ${item.run}`} item={item} />
                                            ))}
                                        </ul>
                                    ) : (
                                        <p class="quiet-line">Nothing is running.</p>
                                    )}
                                </section>
                                <section class="card" aria-labelledby="next">
                                    <h2 id="next">Next</h2>
                                    {data.next.length ? (
                                        <ul class="next">
                                            {data.next.map((item) => (
                                                <li key={`${item.dag} ${item.at}`}>
                                                    <Time ms={item.at} text={clock(item.at, zoneName(), false)} />
                                                    <a href={links.dag(item.dag)}>{item.dag}</a>
                                                    <span class="muted">{relative(item.at, now.value)}</span>
                                                </li>
                                            ))}
                                        </ul>
                                    ) : (
                                        <p class="quiet-line">
                                            No active DAG has a schedule. <a href="/dags">DAGs</a>
                                        </p>
                                    )}
                                </section>
                                <Pools home={data} />
                            </div>
                        </div>
                    </>
                )}
            </Panel>
        </main>
    );
}

function Pools({ home }: { home: Home }) {
    const used = home.pools.filter((pool) => pool.running || pool.queued);
    if (!used.length) return null;
    return (
        <section class="card" aria-labelledby="pools">
            <h2 id="pools">Pools in use</h2>
            <ul class="pools">
                {used.map((pool) => (
                    <li key={pool.name}>
                        <span>{pool.name}</span>
                        <span
                            class="progress"
                            style={{ "--part": String(pool.slots > 0 ? pool.running / pool.slots : 0) }}
                        />
                        <span class="num muted">
                            {pool.running}/{pool.slots < 0 ? "∞" : pool.slots}
                            {pool.queued ? ` · ${pool.queued} waiting` : ""}
                        </span>
                    </li>
                ))}
            </ul>
        </section>
    );
}

let soon = 0;
function reloadSoon(reload: () => void): void {
    if (soon) return;
    soon = window.setTimeout(() => {
        soon = 0;
        reload();
    }, 1000);
}
