// gantt.ts — the arithmetic of the Gantt view: time scale with folded idle gaps, rows and their
// segments, critical path.
import type { Structure, Ti } from "./api";

export interface Span {
    from: number;
    to: number;
}

/** The gaps longer than `share` of the whole in which nothing waits or runs. */
export function idleGaps(spans: Span[], whole: Span, share = 0.1): Span[] {
    const sorted = [...spans].sort((a, b) => a.from - b.from);
    const gaps: Span[] = [];
    const least = (whole.to - whole.from) * share;
    let reach = whole.from;
    for (const span of [...sorted, { from: whole.to, to: whole.to }]) {
        if (span.from - reach > least) gaps.push({ from: reach, to: span.from });
        reach = Math.max(reach, span.to);
    }
    return gaps;
}

/** Time to [0, 1]; folded gaps take a fixed small part each. */
export class Scale {
    private readonly pieces: { span: Span; at: number; width: number }[] = [];

    constructor(
        readonly whole: Span,
        readonly gaps: Span[] = [],
        gapWidth = 0.03,
    ) {
        const folded = gaps.reduce((sum, gap) => sum + gap.to - gap.from, 0);
        const open = Math.max(1, whole.to - whole.from - folded);
        const room = 1 - gapWidth * gaps.length;
        let at = 0;
        let from = whole.from;
        const add = (span: Span, width: number) => {
            this.pieces.push({ span, at, width });
            at += width;
        };
        for (const gap of gaps) {
            add({ from, to: gap.from }, ((gap.from - from) / open) * room);
            add(gap, gapWidth);
            from = gap.to;
        }
        add({ from, to: whole.to }, ((whole.to - from) / open) * room);
    }

    at(t: number): number {
        for (const { span, at, width } of this.pieces) {
            if (t <= span.to) {
                const length = span.to - span.from;
                return length <= 0 ? at : at + (Math.max(0, t - span.from) / length) * width;
            }
        }
        return 1;
    }
}

const steps = [
    10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000,
    900_000, 1_800_000, 3_600_000, 7_200_000, 14_400_000, 21_600_000, 43_200_000, 86_400_000,
];

/** Round times for the axis, counted from `origin`, about `wanted` of them, none in a folded gap. */
export function ticks(scale: Scale, wanted: number, origin = 0): number[] {
    const { whole, gaps } = scale;
    const open = whole.to - whole.from - gaps.reduce((sum, gap) => sum + gap.to - gap.from, 0);
    const step = steps.find((size) => open / size <= wanted) ?? 86_400_000;
    const found: number[] = [];
    let last = -1;
    for (let t = origin + Math.ceil((whole.from - origin) / step) * step; t <= whole.to; t += step) {
        const gap = gaps.find((item) => t > item.from && t < item.to);
        if (gap) {
            t = origin + Math.floor((gap.to - origin) / step) * step;
            continue;
        }
        const at = scale.at(t);
        // Two labels must not touch, also beside a fold.
        if (last < 0 || at - last > 0.6 / wanted) {
            found.push(t);
            last = at;
        }
    }
    return found;
}

export interface Segment extends Span {
    kind: "wait" | "run" | "past";
    letter: string;
}

/** What a row shows: earlier tries as ghosts, then the wait and the run of the last. */
export function segmentsOf(ti: Ti, now: number): Segment[] {
    const list: Segment[] = [];
    for (const [, letter, , q, s, e] of ti.past) {
        if (q !== null && s !== null && s > q) list.push({ kind: "wait", letter, from: q, to: s });
        if (s !== null) list.push({ kind: "past", letter, from: s, to: e ?? s });
    }
    const waits = ti.q ?? ti.sch;
    if (waits !== null && "qcr".includes(ti.st) && ti.s === null) {
        list.push({ kind: "wait", letter: ti.st, from: waits, to: now });
    } else if (waits !== null && ti.s !== null && ti.s > waits) {
        list.push({ kind: "wait", letter: ti.st, from: waits, to: ti.s });
    }
    if (ti.s !== null) {
        const letter = ti.st === "q" || ti.st === "c" ? "r" : ti.st;
        list.push({ kind: "run", letter, from: ti.s, to: ti.e ?? now });
    }
    return list;
}

/** The whole time that the rows cover, at least a second. */
export function extent(rows: Segment[][], start: number | null, end: number | null, now: number): Span {
    let from = start ?? Infinity;
    let to = end ?? -Infinity;
    for (const segments of rows) {
        for (const segment of segments) {
            from = Math.min(from, segment.from);
            to = Math.max(to, segment.to);
        }
    }
    if (from === Infinity) from = now;
    if (to === -Infinity) to = now;
    return { from, to: Math.max(to, from + 100) };
}

/** Task ids on the chain that ended last: from the last end back to the upstream that ended last. */
export function criticalPath(tis: Ti[], structure: Pick<Structure, "nodes" | "edges">): Set<string> {
    const byId = new Map<string, Ti>();
    for (const ti of tis) {
        if (ti.s === null || ti.e === null) continue;
        const known = byId.get(ti.t);
        if (!known || ti.e > known.e!) byId.set(ti.t, ti);
    }
    const ups = new Map<string, string[]>();
    for (const [from, to] of structure.edges) {
        const id = structure.nodes[to]![0];
        ups.set(id, [...(ups.get(id) ?? []), structure.nodes[from]![0]]);
    }
    const latest = (ids: Iterable<string>): string | null => {
        let best: string | null = null;
        for (const id of ids) {
            const ti = byId.get(id);
            if (ti && (best === null || ti.e! > byId.get(best)!.e!)) best = id;
        }
        return best;
    };
    const path = new Set<string>();
    for (let at = latest(byId.keys()); at && !path.has(at); at = latest(ups.get(at) ?? [])) path.add(at);
    return path;
}

export type Order = "start" | "duration" | "topology";

/** Rows in the wanted order; `place` is the topological place of a task id. */
export function ordered(tis: Ti[], order: Order, place: Map<string, number>, now: number): Ti[] {
    const topology = (ti: Ti) => place.get(ti.t) ?? 0;
    const start = (ti: Ti) => ti.past[0]?.[4] ?? ti.s ?? ti.q ?? ti.e ?? Infinity;
    const took = (ti: Ti) => (ti.s === null ? -1 : (ti.e ?? now) - ti.s);
    return [...tis].sort((a, b) => {
        const first =
            order === "start" ? compare(start(a), start(b)) : order === "duration" ? compare(took(b), took(a)) : 0;
        return first || topology(a) - topology(b) || a.m - b.m;
    });
}

// Infinity minus Infinity is no number.
const compare = (a: number, b: number) => (a < b ? -1 : a > b ? 1 : 0);
