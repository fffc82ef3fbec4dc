// backfill_table.tsx — backfills with their progress.
import { useRef } from "preact/hooks";
import { send, type ApiError, type BackfillList, type BackfillRow, type Batch } from "../api";
import { links } from "../routes";
import { toast, useResource, useStream } from "../store";
import { topics } from "../stream";
import { logical } from "../time";
import { severity } from "../tokens";
import { Ago, Button, Counts, Empty, Panel, Time } from "../ui";

export async function steer(id: number, verb: "pause" | "unpause" | "cancel"): Promise<void> {
    try {
        await send("PUT", `/api/v2/backfills/${id}/${verb}`);
        toast(`Backfill #${id}: ${verb === "cancel" ? "cancelled" : `${verb}d`}`);
    } catch (error) {
        toast(`Backfill #${id}: ${(error as ApiError).message}`, "error");
    }
}

/** Shares of the states as one bar. */
export function Progress({ row }: { row: BackfillRow }) {
    const done = (row.counts.s ?? 0) + (row.counts.f ?? 0) + (row.counts.k ?? 0) + row.taken_over;
    return (
        <span class="stack" role="img" aria-label={`${done} of ${row.total} dates done`}>
            {[..."s", ...severity.replace("s", "")].map((letter) =>
                row.counts[letter] ? (
                    <i key={letter} class={`st-${letter}`} style={{ width: `${(100 * row.counts[letter]!) / Math.max(1, row.total)}%` }} />
                ) : null,
            )}
        </span>
    );
}

export function statusOf(row: BackfillRow): string {
    if (row.completed !== null) return (row.counts.f ?? 0) > 0 ? "ended with failures" : "complete";
    return row.paused ? "paused" : "running";
}

export function BackfillTable({ dag }: { dag: string | null }) {
    const list = useResource<BackfillList>(`/ui/v1/backfills${dag ? `?dag=${encodeURIComponent(dag)}` : ""}`);
    const soon = useRef(0);
    const onBatch = (batch: Batch) => {
        const dags = new Set(list.data.value?.backfills.map((row) => row.dag));
        const mine = batch.run?.some((event) => event[4] === "backfill" || dags.has(event[0]));
        if (!mine || soon.current) return;
        soon.current = window.setTimeout(() => {
            soon.current = 0;
            list.reload();
        }, 500);
    };
    useStream([dag ? topics.dag(dag) : topics.dags], { onBatch, onResync: list.reload });
    const act = async (id: number, verb: "pause" | "unpause" | "cancel") => {
        await steer(id, verb);
        list.reload();
    };
    const create = `/backfills/new${dag ? `?dag=${encodeURIComponent(dag)}` : ""}`;
    return (
        <Panel
            of={list}
            empty={(data) =>
                data.backfills.length ? null : (
                    <Empty title="No backfills yet">
                        <p>A backfill runs a DAG for a range of past dates.</p>
                        <a class="btn primary" href={create}>
                            New backfill
                        </a>
                    </Empty>
                )
            }
        >
            {(data) => (
                <div class="scroll-x">
                    <table class="list">
                        <thead>
                            <tr>
                                <th>Backfill</th>
                                {dag ? null : <th class="c-dag">DAG</th>}
                                <th class="c-dates">Dates</th>
                                <th>Progress</th>
                                <th class="c-status">Status</th>
                                <th class="c-created">Created</th>
                                <th>
                                    <span class="sr">Actions</span>
                                </th>
                            </tr>
                        </thead>
                        <tbody>
                            {data.backfills.map((row) => (
                                <tr key={row.id}>
                                    <td>
                                        <a class="strong" href={links.backfill(row.id)}>
                                            #{row.id}
                                        </a>
                                    </td>
                                    {dag ? null : (
                                        <td class="c-dag">
                                            <a href={links.dag(row.dag)} class="strong">
                                                {row.dag}
                                            </a>
                                        </td>
                                    )}
                                    <td class="c-dates">
                                        <Time ms={row.from} text={logical(row.from)} /> –{" "}
                                        <Time ms={row.to} text={logical(row.to)} />
                                    </td>
                                    <td class="c-progress">
                                        <Progress row={row} />
                                        <Counts counts={row.counts} />
                                        {row.taken_over ? (
                                            <span class="muted taken-over">{row.taken_over} run again by a later backfill</span>
                                        ) : null}
                                    </td>
                                    <td class="c-status nowrap">{statusOf(row)}</td>
                                    <td class="c-created nowrap muted">
                                        <Ago ms={row.created} /> by {row.by}
                                    </td>
                                    <td class="nowrap">
                                        {row.completed === null ? (
                                            <span class="actions">
                                                <Button onClick={() => void act(row.id, row.paused ? "unpause" : "pause")}>
                                                    {row.paused ? "Resume" : "Pause"}
                                                </Button>
                                                <Button kind="danger" onClick={() => void act(row.id, "cancel")}>
                                                    Cancel
                                                </Button>
                                            </span>
                                        ) : null}
                                    </td>
                                </tr>
                            ))}
                        </tbody>
                    </table>
                </div>
            )}
        </Panel>
    );
}
