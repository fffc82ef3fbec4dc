// patch.ts — what a batch of the stream changes in a snapshot. Pure: the same object comes back
// when nothing of it changed, so that views can compare by identity.
import type { Batch, DagRow, Grid, Run, RunBar, RunEvent, Ti, TiEvent } from "./api";

function replaced<T>(list: T[], at: number, item: T): T[] {
    const copy = [...list];
    copy[at] = item;
    return copy;
}

function inserted<T>(list: T[], at: number, item: T): T[] {
    return [...list.slice(0, at), item, ...list.slice(at)];
}

const ended = (letter: string) => letter === "s" || letter === "f";

/** A list row after the batch. */
export function patchDagRow(row: DagRow, batch: Batch): DagRow {
    let next = row;
    for (const [dag, change] of batch.dag ?? []) {
        if (dag !== row.id || !change) continue;
        next = {
            ...next,
            paused: change.paused ?? next.paused,
            next: change.next === undefined ? next.next : change.next,
            ver: change.ver ?? next.ver,
        };
    }
    for (const event of batch.run ?? []) {
        if (event[0] === row.id) next = patchBars(next, event);
    }
    return next;
}

function patchBars(row: DagRow, event: RunEvent): DagRow {
    const [, id, letter, t, , ld] = event;
    const at = row.runs.findIndex((run) => run[0] === id);
    const old = at >= 0 ? row.runs[at]! : null;
    const start = letter === "q" ? null : letter === "r" ? t : (old?.[2] ?? null);
    const bar: RunBar = [
        id,
        letter,
        start,
        ended(letter) && start !== null ? t - start : null,
        ld,
    ];
    const runs = at >= 0 ? replaced(row.runs, at, bar) : [...row.runs, bar].slice(-20);
    const was = old?.[1] ?? "";
    const step = (kind: string) => Number(letter === kind) - Number(was === kind);
    return {
        ...row,
        runs,
        running: Math.max(0, row.running + step("r")),
        queued: Math.max(0, row.queued + step("q")),
        failed: Math.max(0, row.failed + step("f")),
    };
}

/** A run after its event: times follow from the state. */
export function patchRun<T extends Run>(run: T, event: RunEvent): T {
    const [, , letter, t] = event;
    const next = { ...run, st: letter };
    if (letter === "q") Object.assign(next, { q: t, s: null, e: null });
    if (letter === "r") Object.assign(next, { s: run.st === "r" && run.s ? run.s : t, e: null });
    if (ended(letter)) next.e = t;
    return next;
}

export function runOf(event: RunEvent): Run {
    const [dag, id, letter, t, ty, ld, ra, ver] = event;
    return {
        id,
        dag,
        st: letter,
        ty,
        ld,
        ra,
        q: letter === "q" ? t : null,
        s: letter === "r" ? t : null,
        e: ended(letter) ? t : null,
        ver,
        bf: null,
        note: false,
    };
}

/** The grid after the batch; runs keep their places, a new run takes its place by run_after. */
export function patchGrid(grid: Grid, dag: string, batch: Batch, atEnd: boolean): Grid {
    let { runs, cells } = grid;
    const place = new Map(runs.map((run, i) => [run.id, i]));
    for (const event of batch.run ?? []) {
        if (event[0] !== dag) continue;
        const at = place.get(event[1]);
        if (at !== undefined) {
            runs = replaced(runs, at, patchRun(runs[at]!, event));
        } else if (atEnd) {
            const fresh = runOf(event);
            let to = runs.length;
            while (to > 0 && runs[to - 1]!.ra > fresh.ra) to--;
            // Older than all that is shown: it belongs to an earlier window.
            if (to === 0 && grid.older) continue;
            runs = inserted(runs, to, fresh);
            cells = inserted(cells, to, "n".repeat(grid.nodes.length));
            place.clear();
            runs.forEach((run, i) => place.set(run.id, i));
        }
    }
    const row = new Map(grid.nodes.map((id, i) => [id, i]));
    const touched = new Map<number, string[]>();
    for (const [d, run, task, , letter] of batch.ti ?? []) {
        if (d !== dag) continue;
        const column = place.get(run);
        const node = row.get(task);
        if (column === undefined || node === undefined) continue;
        let letters = touched.get(column);
        if (!letters) touched.set(column, (letters = [...cells[column]!]));
        letters[node] = letter;
    }
    if (touched.size) {
        cells = [...cells];
        for (const [column, letters] of touched) cells[column] = letters.join("");
    }
    return runs === grid.runs && cells === grid.cells ? grid : { ...grid, runs, cells };
}

/** A task instance after its event. */
export function patchTi(ti: Ti, event: TiEvent): Ti {
    const [, , , , letter, attempt, t] = event;
    const next: Ti = { ...ti, st: letter, try: attempt };
    if (letter === "r") {
        // Another attempt starts: the one before becomes history.
        if (ti.s !== null && attempt > ti.try) {
            next.past = [...ti.past, [ti.try, "f", ti.sch, ti.q, ti.s, ti.e, ti.err]];
        }
        if (attempt > ti.try || ti.s === null) next.q = ti.st === "q" ? ti.q : t;
        Object.assign(next, { s: t, e: null, err: "" });
    } else if (letter === "q") {
        next.q = t;
    } else if (letter === "c") {
        next.sch = t;
    } else if (letter === "n") {
        Object.assign(next, { sch: null, q: null, s: null, e: null, err: "" });
    } else {
        next.e = t;
        if (ti.st === "n") next.s = null;
    }
    return next;
}
