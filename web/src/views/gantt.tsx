// gantt.tsx — when each task of a run waited and ran. Rows are real elements, windowed.
import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import type { RunDetail, Structure, Ti } from "../api";
import { criticalPath, extent, idleGaps, ordered, Scale, segmentsOf, ticks, type Order, type Segment } from "../gantt";
import { links } from "../routes";
import { setQuery } from "../router";
import { topological, visible } from "../rows";
import { clock, dateTime, duration, now, serverNow, zoneName } from "../time";
import { isFinished, wordOf } from "../tokens";
import { Bar, Button, Mark } from "../ui";

const rowHeight = 28;

function describe(ti: Ti, at: number): string {
    const parts = [`${ti.t}${ti.m >= 0 ? `[${ti.m}]` : ""}: ${wordOf(ti.st)}`];
    if (ti.try) parts.push(`try ${ti.try}/${ti.max}`);
    if (ti.s !== null) parts.push(`${dateTime(ti.s)}, ${duration((ti.e ?? at) - ti.s)}`);
    if (ti.q !== null && ti.s !== null) parts.push(`waited ${duration(ti.s - ti.q)}`);
    if (ti.err) parts.push(ti.err.slice(0, 200));
    return parts.join("\n");
}

function segmentTitle(segment: Segment): string {
    const what = segment.kind === "wait" ? "waited" : segment.kind === "past" ? `earlier try, ${wordOf(segment.letter)}` : wordOf(segment.letter);
    return `${what} ${duration(segment.to - segment.from)}`;
}

interface Props {
    run: RunDetail;
    tis: Ti[];
    structure: Structure | null;
    query: URLSearchParams;
}

export function Gantt({ run, tis, structure, query }: Props) {
    const order = (query.get("sort") as Order | null) ?? "start";
    const fold = query.get("fold") !== "0";
    const critical = query.get("cp") === "1";
    const open = !isFinished(run.st);
    // Ticks only while something moves.
    const at = open ? Math.max(now.value, serverNow() - 1000) : (run.e ?? serverNow());
    const list = useRef<HTMLDivElement>(null);
    const view = useSignal({ y: 0, height: 600, width: 800 });

    useLayoutEffect(() => {
        const element = list.current!;
        const measure = () => {
            element.style.maxHeight = `${Math.max(280, innerHeight - element.getBoundingClientRect().top - scrollY - 20)}px`;
            view.value = { y: element.scrollTop, height: element.clientHeight, width: element.clientWidth };
        };
        measure();
        const observer = new ResizeObserver(measure);
        observer.observe(element);
        return () => observer.disconnect();
    }, []);
    useEffect(() => {
        // The first failed row comes into view, once.
        const element = list.current!;
        const bad = rows.findIndex((ti) => ti.st === "f");
        if (bad * rowHeight > element.clientHeight - 80) element.scrollTop = (bad - 4) * rowHeight;
    }, []);

    const place = useMemo(() => {
        if (!structure) return new Map<string, number>();
        return new Map(topological(structure).map((node, i) => [structure.nodes[node]![0], i]));
    }, [structure]);
    const rows = useMemo(() => ordered(tis, order, place, at), [tis, order, place, order === "duration" ? at : 0]);
    const segments = rows.map((ti) => segmentsOf(ti, at));
    const whole = extent(segments, run.s ?? run.q, run.e, at);
    const gaps = fold ? idleGaps(segments.flat(), whole) : [];
    const scale = new Scale(whole, gaps);
    const path = critical && structure ? criticalPath(tis, structure) : null;
    // A run of seconds is read from its start, not from the clock.
    const short = whole.to - whole.from < 5000;
    const narrow = view.value.width < 620;
    const axis = ticks(scale, narrow ? 4 : Math.max(4, Math.floor((view.value.width - 320) / 90)), short ? whole.from : 0);
    const [first, last] = visible(view.value.y, view.value.height, rowHeight, rows.length);
    const from = Math.max(0, first - 6);
    const to = Math.min(rows.length, last + 6);

    return (
        <section class="gantt" aria-label="Gantt" data-testid="gantt" data-rows={rows.length}>
            <div class="toolbar">
                <nav class="segments" aria-label="Order of rows">
                    {(["start", "duration", "topology"] as const).map((name) => (
                        <button
                            key={name}
                            type="button"
                            aria-pressed={order === name}
                            onClick={() => setQuery({ sort: name === "start" ? null : name })}
                        >
                            {name}
                        </button>
                    ))}
                </nav>
                <Button pressed={critical} onClick={() => setQuery({ cp: critical ? null : "1" })}>
                    Critical path
                </Button>
                {idleGaps(segments.flat(), whole).length ? (
                    <Button pressed={fold} onClick={() => setQuery({ fold: fold ? "0" : null })}>
                        Fold idle time
                    </Button>
                ) : null}
                <span class="grow" />
                <span class="muted num">
                    {dateTime(whole.from)} {zoneName()} · {duration(whole.to - whole.from)}
                </span>
            </div>
            <div
                class="gantt-list"
                ref={list}
                tabIndex={0}
                role="group"
                aria-label="Tasks of the run by time"
                onScroll={(event) => (view.value = { ...view.value, y: event.currentTarget.scrollTop })}
            >
                <div class="gantt-axis" aria-hidden="true">
                    <span class="gantt-track">
                        {axis.map((t) => (
                            <i key={t} class={scale.at(t) > 0.95 ? "end" : ""} style={{ left: `${scale.at(t) * 100}%` }}>
                                {short ? `+${duration(t - whole.from)}` : clock(t, zoneName(), axisSeconds(axis))}
                            </i>
                        ))}
                        {gaps.map((gap) => (
                            <em key={gap.from} style={{ left: `${((scale.at(gap.from) + scale.at(gap.to)) / 2) * 100}%` }}>
                                ⋯
                            </em>
                        ))}
                    </span>
                </div>
                <ol style={{ height: `${rows.length * rowHeight}px` }}>
                    {rows.slice(from, to).map((ti, i) => (
                        <li
                            key={`${ti.t} ${ti.m}`}
                            style={{ top: `${(from + i) * rowHeight}px` }}
                            class={path && !path.has(ti.t) ? "dim" : ""}
                        >
                            <a
                                href={links.task(run.dag, run.id, ti.t, ti.m)}
                                title={describe(ti, at)}
                                data-testid={`gantt-${ti.t}`}
                                data-state={ti.st}
                            >
                                <span class="gantt-label">
                                    <Mark letter={ti.st} />
                                    <span>{ti.t}{ti.m >= 0 ? <small>[{ti.m}]</small> : null}</span>
                                    <span class="sr">{wordOf(ti.st)}</span>
                                </span>
                                <span class="gantt-took num">
                                    {ti.s === null ? "" : duration(ti.e === null ? Math.floor((at - ti.s) / 1000) * 1000 : ti.e - ti.s)}
                                    {ti.try > 1 ? <small> try {ti.try}</small> : null}
                                </span>
                                <span class="gantt-track">
                                    {axis.map((t) => (
                                        <i key={t} class="tick" style={{ left: `${scale.at(t) * 100}%` }} />
                                    ))}
                                    {gaps.map((gap) => (
                                        <i
                                            key={gap.from}
                                            class="fold"
                                            style={{ left: `${scale.at(gap.from) * 100}%`, width: `${(scale.at(gap.to) - scale.at(gap.from)) * 100}%` }}
                                        />
                                    ))}
                                    {segments[from + i]!.map((segment, j) => (
                                        <Bar
                                            key={j}
                                            at={scale.at(segment.from)}
                                            to={scale.at(segment.to)}
                                            class={`seg ${segment.kind} st-${segment.letter}`}
                                            title={segmentTitle(segment)}
                                        />
                                    ))}
                                    {"uk".includes(ti.st) && ti.s === null ? (
                                        <span class="gantt-word" style={wordPlace(scale.at(ti.e ?? whole.to))}>
                                            {wordOf(ti.st)}
                                        </span>
                                    ) : null}
                                </span>
                            </a>
                        </li>
                    ))}
                </ol>
            </div>
        </section>
    );
}

/** The word of a task that never ran stands where it was decided; near the end it grows to the left. */
function wordPlace(at: number): { left?: string; right?: string } {
    return at > 0.6 ? { right: "0" } : { left: `${at * 100}%` };
}

function axisSeconds(axis: number[]): boolean {
    return axis.length < 2 || axis.some((t) => t % 60_000 !== 0);
}
