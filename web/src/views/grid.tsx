// grid.tsx — the run grid: runs across, tasks down; pointer, keyboard and screen reader.
import { useSignal, useSignalEffect, type Signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import type { Grid, Structure } from "../api";
import { draw, hit, metricsFor, type Place } from "../canvas/grid";
import { navigate } from "../router";
import { links } from "../routes";
import { letterOf, rowsOf, visible, type Row } from "../rows";
import { theme } from "../store";
import { dateTime, duration, logical, now, serverNow, zone } from "../time";
import { wordOf } from "../tokens";
import { Icon, State } from "../ui";

export interface Chosen {
    run: string;
    task: string | null;
}

interface Props {
    grid: Signal<Grid | null>;
    structure: Structure;
    chosen: Chosen | null;
    filter: string;
    onChoose(chosen: Chosen | null): void;
}

export function nameOf(grid: Grid, rows: Row[], at: Place): string {
    const run = grid.runs[at.column];
    if (!run) return "";
    const when = run.ld === null ? run.id : logical(run.ld);
    if (at.row < 0) return `run ${when}, ${wordOf(run.st)}`;
    const row = rows[at.row]!;
    return `${row.id}, run ${when}, ${wordOf(letterOf(row, grid.cells[at.column]!))}`;
}

function Tip({ grid, rows, at, x, y }: { grid: Grid; rows: Row[]; at: Place; x: number; y: number }) {
    const run = grid.runs[at.column];
    if (!run) return null;
    const row = at.row >= 0 ? rows[at.row] : null;
    const letter = row ? letterOf(row, grid.cells[at.column]!) : run.st;
    return (
        <div class="tip" style={{ left: `${x}px`, top: `${y}px` }} aria-hidden="true">
            <strong>{row ? row.id : run.id}</strong>
            <State letter={letter} />
            <span class="muted">
                {run.ld === null ? dateTime(run.ra) : logical(run.ld)} · {run.ty}
                {run.s !== null ? ` · run ${duration((run.e ?? serverNow()) - run.s)}` : ""}
            </span>
        </div>
    );
}

export function GridView({ grid, structure, chosen, filter, onChoose }: Props) {
    const host = useRef<HTMLDivElement>(null);
    const canvas = useRef<HTMLCanvasElement>(null);
    const size = useSignal({ width: 0, height: 0 });
    const scroll = useSignal({ x: 0, y: 0 });
    const hover = useSignal<{ at: Place; x: number; y: number } | null>(null);
    const closed = useSignal<ReadonlySet<string>>(defaultClosed(structure));
    const follow = useRef(true);

    const closedNow = closed.value;
    const rows = useMemo(() => rowsOf(structure, closedNow, filter), [structure, closedNow, filter]);
    const data = grid.value!;
    const coarse = useMemo(() => matchMedia("(pointer: coarse)").matches, []);
    const metrics = metricsFor(data.runs.length, coarse, size.value.width);
    const at = placeOf(chosen, data, rows);
    const content = {
        width: metrics.label + data.runs.length * metrics.pitch + 16,
        height: metrics.head + rows.length * metrics.row + 8,
    };

    useLayoutEffect(() => {
        const element = host.current!;
        const measure = () => {
            const bottom = Math.max(240, innerHeight - element.getBoundingClientRect().top - scrollY - 20);
            element.style.maxHeight = `${bottom}px`;
            size.value = { width: element.clientWidth, height: element.clientHeight };
        };
        measure();
        const observer = new ResizeObserver(measure);
        observer.observe(element);
        addEventListener("resize", measure);
        return () => {
            observer.disconnect();
            removeEventListener("resize", measure);
        };
    }, [content.height]);

    // The newest run stays in view as long as nobody scrolled away from it.
    useLayoutEffect(() => {
        const element = host.current!;
        if (follow.current) element.scrollLeft = element.scrollWidth;
        onScroll();
    }, [data.runs.length, size.value.width]);

    const onScroll = () => {
        const element = host.current!;
        const x = element.scrollLeft;
        follow.current = x + element.clientWidth >= element.scrollWidth - 4;
        if (x !== scroll.value.x || element.scrollTop !== scroll.value.y) {
            scroll.value = { x, y: element.scrollTop };
        }
    };

    // Signals that only the picture needs: a frame is drawn, nothing is rendered.
    useSignalEffect(() => {
        void [zone.value, grid.value, theme.value, scroll.value, size.value, hover.value];
        const running = grid.value?.runs.some((run) => run.st === "r");
        if (running) void now.value;
        paint();
    });
    useEffect(paint);

    function paint(): void {
        if (!canvas.current || !grid.value || !size.value.width) return;
        draw(canvas.current, {
            grid: grid.value,
            rows,
            metrics,
            width: size.value.width,
            height: size.value.height,
            scroll: scroll.value,
            theme: theme.value,
            hover: hover.value?.at ?? null,
            focus: at,
        });
    }

    const placeAt = (event: MouseEvent) => {
        const box = host.current!.getBoundingClientRect();
        const x = event.clientX - box.left;
        const y = event.clientY - box.top;
        return { x, y, at: hit(x, y, scroll.value, metrics, rows.length, data.runs.length) };
    };
    const choose = (place: Place) => {
        const row = place.row >= 0 ? rows[place.row]! : null;
        onChoose({ run: data.runs[place.column]!.id, task: row?.kind === "task" ? row.id : null });
        reveal(place);
    };
    const reveal = (place: Place) => {
        const element = host.current!;
        const x = place.column * metrics.pitch;
        const room = element.clientWidth - metrics.label - metrics.pitch;
        if (x < element.scrollLeft) element.scrollLeft = x;
        else if (x > element.scrollLeft + room) element.scrollLeft = x - room;
        if (place.row < 0) return;
        const y = place.row * metrics.row;
        const tall = element.clientHeight - metrics.head - metrics.row;
        if (y < element.scrollTop) element.scrollTop = y;
        else if (y > element.scrollTop + tall) element.scrollTop = y - tall;
    };
    const toggle = (id: string) => {
        const next = new Set(closed.value);
        if (!next.delete(id)) next.add(id);
        closed.value = next;
    };

    const moves: Record<string, [number, number]> = {
        ArrowUp: [-1, 0], k: [-1, 0], ArrowDown: [1, 0], j: [1, 0],
        ArrowLeft: [0, -1], h: [0, -1], ArrowRight: [0, 1], l: [0, 1],
        PageUp: [-10, 0], PageDown: [10, 0],
    };
    const onKeyDown = (event: KeyboardEvent) => {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        const from = at ?? { row: 0, column: data.runs.length - 1 };
        const move = moves[event.key];
        let to: Place | null = null;
        if (move && at) {
            to = {
                row: Math.min(rows.length - 1, Math.max(-1, from.row + move[0])),
                column: Math.min(data.runs.length - 1, Math.max(0, from.column + move[1])),
            };
        } else if (move) to = from;
        else if (event.key === "Home") to = { row: from.row, column: 0 };
        else if (event.key === "End") to = { row: from.row, column: data.runs.length - 1 };
        else if (event.key === "Enter" && at) {
            const row = rows[at.row];
            if (row?.kind === "group") toggle(row.id);
            else if (chosen) open(chosen);
        } else if (event.key === "Escape" && chosen) onChoose(null);
        else return;
        event.preventDefault();
        event.stopPropagation();
        if (to) choose(to);
    };
    const open = ({ run, task }: Chosen) => {
        navigate(task ? links.task(structure.dag, run, task) : links.run(structure.dag, run));
    };

    const [top, bottom] = visible(scroll.value.y, size.value.height - metrics.head, metrics.row, rows.length);
    return (
        <div
            ref={host}
            class="grid-host"
            data-testid="grid"
            data-runs={data.runs.length}
            data-cells={data.cells.at(-1)}
            onScroll={onScroll}
            onPointerLeave={() => (hover.value = null)}
            onPointerMove={(event) => {
                const under = placeAt(event);
                hover.value = under.at ? { at: under.at, x: under.x, y: under.y } : null;
            }}
            onClick={(event) => {
                const under = placeAt(event);
                if (!under.at) return;
                const row = rows[under.at.row];
                if (row?.kind === "group") toggle(row.id);
                else choose(under.at);
            }}
            onDblClick={(event) => {
                const under = placeAt(event);
                const row = under.at ? rows[under.at.row] : null;
                if (under.at && row?.kind !== "group") {
                    open({ run: data.runs[under.at.column]!.id, task: row?.id ?? null });
                }
            }}
        >
            <div class="grid-size" style={{ width: `${content.width}px`, height: `${content.height}px` }}>
                <div class="grid-stick" style={{ width: `${size.value.width}px`, height: `${size.value.height}px` }}>
                    <canvas ref={canvas} aria-hidden="true" />
                    <div
                        class="grid-cells"
                        style={{ left: `${metrics.label}px` }}
                        role="grid"
                        tabIndex={0}
                        aria-label={`Runs of ${structure.dag}`}
                        aria-rowcount={rows.length + 1}
                        aria-colcount={data.runs.length}
                        aria-activedescendant={at ? "grid-active" : undefined}
                        onKeyDown={onKeyDown}
                    >
                        <div role="row" class="sr" aria-rowindex={at ? at.row + 2 : 1}>
                            <div
                                role="gridcell"
                                id="grid-active"
                                aria-colindex={at ? at.column + 1 : 1}
                                aria-selected={at ? "true" : "false"}
                            >
                                {at
                                    ? nameOf(data, rows, at)
                                    : "Use the arrow keys to move through runs and tasks."}
                            </div>
                        </div>
                    </div>
                    <div class="grid-labels" style={{ top: `${metrics.head}px`, width: `${metrics.label}px` }}>
                        {rows.slice(top, bottom).map((row, i) => (
                            <Label
                                key={row.id}
                                row={row}
                                y={(top + i) * metrics.row - scroll.value.y}
                                height={metrics.row}
                                lit={at?.row === top + i}
                                toggle={() => toggle(row.id)}
                            />
                        ))}
                    </div>
                    {hover.value ? (
                        <Tip
                            grid={data}
                            rows={rows}
                            at={hover.value.at}
                            x={Math.min(hover.value.x + 14, size.value.width - 250)}
                            y={tipTop(hover.value.y, size.value.height)}
                        />
                    ) : null}
                </div>
            </div>
        </div>
    );
}

function tipTop(y: number, height: number): number {
    return y + 84 > height ? Math.max(4, y - 84) : y + 16;
}

function placeOf(chosen: Chosen | null, grid: Grid, rows: Row[]): Place | null {
    if (!chosen) return null;
    const column = grid.runs.findIndex((run) => run.id === chosen.run);
    if (column < 0) return null;
    return { column, row: chosen.task ? rows.findIndex((row) => row.id === chosen.task) : -1 };
}

/** A big DAG opens with its groups folded: a page of rows, not a wall. */
function defaultClosed(structure: Structure): ReadonlySet<string> {
    return new Set(structure.nodes.length > 60 ? structure.groups.map(([id]) => id) : []);
}

function Label(props: { row: Row; y: number; height: number; lit: boolean; toggle(): void }) {
    const { row } = props;
    const style = {
        top: `${props.y}px`,
        height: `${props.height}px`,
        paddingLeft: `${8 + row.depth * 14}px`,
    };
    if (row.kind === "group") {
        return (
            <button
                type="button"
                class={`grid-label group ${props.lit ? "lit" : ""}`}
                style={style}
                aria-expanded={row.open}
                tabIndex={-1}
                onClick={(event) => {
                    event.stopPropagation();
                    props.toggle();
                }}
            >
                <Icon name={row.open ? "down" : "right"} size={12} />
                <span>{row.label}</span>
                <span class="muted num">{row.nodes.length}</span>
            </button>
        );
    }
    return (
        <div class={`grid-label ${props.lit ? "lit" : ""}`} style={style} title={row.id}>
            <span>{row.label}</span>
        </div>
    );
}

/** The same as a plain table: for screen readers, high contrast, and whoever likes it better. */
export function GridTable({ grid, structure, filter }: { grid: Grid; structure: Structure; filter: string }) {
    const rows = rowsOf(structure, new Set(), filter).filter((row) => row.kind === "task");
    const from = Math.max(0, grid.runs.length - 30);
    const runs = grid.runs.slice(from);
    return (
        <div class="scroll-x">
            <table class="list grid-table">
                <caption class="sr">Task states by run, the last {runs.length} runs</caption>
                <thead>
                    <tr>
                        <th scope="col">Task</th>
                        {runs.map((run) => (
                            <th key={run.id} scope="col">
                                <a href={links.run(structure.dag, run.id)}>{run.ld === null ? run.id.slice(-14) : logical(run.ld)}</a>
                            </th>
                        ))}
                    </tr>
                </thead>
                <tbody>
                    {rows.map((row) => (
                        <tr key={row.id}>
                            <th scope="row">{row.id}</th>
                            {runs.map((run, i) => {
                                const letter = letterOf(row, grid.cells[from + i]!);
                                return (
                                    <td key={run.id}>
                                        <a href={links.task(structure.dag, run.id, row.id)}>{wordOf(letter)}</a>
                                    </td>
                                );
                            })}
                        </tr>
                    ))}
                </tbody>
            </table>
        </div>
    );
}
