// backfills.tsx — all backfills, and one with its dates.
import { useRef } from "preact/hooks";
import type { BackfillDetail, Batch } from "../api";
import { links, type Route } from "../routes";
import { useTitle } from "../shell";
import { useResource, useStream } from "../store";
import { topics } from "../stream";
import { dateTime, logical } from "../time";
import { wordOf } from "../tokens";
import { Ago, Button, Counts, Facts, Mark, Panel } from "../ui";
import { BackfillTable, Progress, statusOf, steer } from "./backfill_table";

export function BackfillsPage(_: { route: Route }) {
    useTitle("Backfills");
    return (
        <main id="main" class="page">
            <header class="page-head">
                <h1 tabIndex={-1}>Backfills</h1>
                <span class="grow" />
                <a class="btn primary" href="/backfills/new">
                    New backfill
                </a>
            </header>
            <BackfillTable dag={null} />
        </main>
    );
}

/** A slot and its event: the letters of the runs that the batch names. */
function patched(data: BackfillDetail, batch: Batch): BackfillDetail {
    const news = new Map(
        (batch.run ?? []).filter((event) => event[0] === data.dag).map((event) => [event[1], event[2]]),
    );
    if (!data.slots.some(([, run]) => run !== null && news.has(run))) return data;
    const counts: Record<string, number> = {};
    const slots = data.slots.map((slot) => {
        const letter = (slot[1] !== null && news.get(slot[1])) || slot[2];
        counts[letter] = (counts[letter] ?? 0) + 1;
        return [slot[0], slot[1], letter, slot[3]] as (typeof data.slots)[number];
    });
    return { ...data, slots, counts };
}

export function BackfillPage({ route }: { route: Route }) {
    const id = Number(route.params.id);
    useTitle(`Backfill #${id}`);
    const detail = useResource<BackfillDetail>(`/ui/v1/backfills/${id}`);
    const soon = useRef(0);
    const onBatch = (batch: Batch) => {
        const data = detail.data.value;
        if (!data || !batch.run) return;
        const next = patched(data, batch);
        if (next !== data) detail.data.value = next;
        // Runs are created as earlier ones end: new slots come with the snapshot.
        const known = new Set(data.slots.map(([, run]) => run));
        const news = batch.run.some(
            (event) => event[0] === data.dag && (event[2] === "s" || event[2] === "f" || !known.has(event[1])),
        );
        if (!news || soon.current) return;
        soon.current = window.setTimeout(() => {
            soon.current = 0;
            detail.reload();
        }, 400);
    };
    // Run changes of every DAG: watched from the start, before the snapshot says which DAG it is.
    useStream([topics.dags], { onBatch, onResync: detail.reload });
    const act = async (verb: "pause" | "unpause" | "cancel") => {
        await steer(id, verb);
        detail.reload();
    };
    return (
        <main id="main" class="page">
            <Panel of={detail}>
                {(data) => (
                    <>
                        <header class="page-head">
                            <h1 tabIndex={-1}>
                                Backfill #{data.id} of <a href={links.dag(data.dag)}>{data.dag}</a>
                            </h1>
                            <span class="grow" />
                            {data.completed === null ? (
                                <div class="actions">
                                    <Button onClick={() => void act(data.paused ? "unpause" : "pause")}>
                                        {data.paused ? "Resume" : "Pause"}
                                    </Button>
                                    <Button kind="danger" onClick={() => void act("cancel")}>
                                        Cancel
                                    </Button>
                                </div>
                            ) : null}
                        </header>
                        <section class="card backfill-progress" aria-label="Progress">
                            <Progress row={data} />
                            <p class="line">
                                <strong data-testid="backfill-status">{statusOf(data)}</strong>
                                <Counts counts={data.counts} />
                                {data.taken_over ? <span class="muted">{data.taken_over} run again by a later backfill</span> : null}
                            </p>
                        </section>
                        <section class="card" aria-labelledby="slots">
                            <h2 id="slots">{data.slots.length} dates</h2>
                            <ul class="matrix" data-testid="matrix">
                                {data.slots.slice(0, 2000).map(([at, run, letter, reason]) => {
                                    const title = `${logical(at)}: ${wordOf(letter)}${reason ? ` (${reason})` : ""}`;
                                    return (
                                        <li key={at}>
                                            {run ? (
                                                <a href={links.run(data.dag, run)} title={title}>
                                                    <Mark letter={letter} />
                                                    <span>{logical(at)}</span>
                                                    <span class="sr">{wordOf(letter)}</span>
                                                </a>
                                            ) : (
                                                <span title={title} class="muted">
                                                    <Mark letter={letter} />
                                                    <span>{logical(at)}</span>
                                                    <span class="sr">
                                                        {wordOf(letter)} {reason}
                                                    </span>
                                                </span>
                                            )}
                                        </li>
                                    );
                                })}
                            </ul>
                            {data.slots.length > 2000 ? (
                                <p class="muted">
                                    The first 2,000 dates are shown; the counts above are of all of them.
                                </p>
                            ) : null}
                        </section>
                        <section class="card">
                            <Facts
                                rows={[
                                    ["From", dateTime(data.from)],
                                    ["To", dateTime(data.to)],
                                    ["Reprocess", data.reprocess],
                                    ["Runs at once", data.max],
                                    ["Order", data.backwards ? "newest first" : "oldest first"],
                                    ["Created", <><Ago ms={data.created} /> by {data.by}</>],
                                    ["Completed", data.completed === null ? "not yet" : <Ago ms={data.completed} />],
                                ]}
                            />
                        </section>
                    </>
                )}
            </Panel>
        </main>
    );
}
