import assert from "node:assert/strict";
import { test } from "node:test";
import { detailOf, type DagRow, type Grid, type Run, type Ti } from "../src/api";
import { patchDagRow, patchGrid, patchTi } from "../src/patch";

const row: DagRow = {
    id: "d", desc: "", tags: [], owner: "", file: "", paused: true, stale: false, checking: false, error: false, schedule: "",
    kind: "none", tz: "UTC", start: null, end: null, next: null, ver: 1, tasks: 2, running: 0, queued: 0, failed: 0, p50: null, open: true, runs: [],
};
const run = (id: string, ra: number): Run => ({ id, dag: "d", st: "s", ty: "scheduled", ld: ra, ra, q: ra, s: ra, e: ra + 5, ver: 1, bf: null, note: false });
const grid: Grid = { seq: 1, server_ms: 0, ver: 1, nodes: ["a", "b"], runs: [run("r1", 10), run("r3", 30)], cells: ["ss", "sf"], older: false, newer: false };

test("what a batch does not speak of stays the same object", () => {
    assert.equal(patchDagRow(row, { seq: 2, run: [["other", "r", "r", 1, "manual", null, 1, 1]] }), row);
    assert.equal(patchGrid(grid, "d", { seq: 2, ti: [["other", "r1", "a", -1, "f", 1, 1]] }, true), grid);
    assert.equal(patchGrid(grid, "d", { seq: 2, ti: [["d", "unknown", "a", -1, "f", 1, 1]] }, true), grid);
});

test("a run is born, starts and ends in its row", () => {
    let next = patchDagRow(row, { seq: 2, run: [["d", "r", "q", 100, "manual", null, 100, 1]] });
    assert.equal(next.queued, 1);
    next = patchDagRow(next, { seq: 3, run: [["d", "r", "r", 110, "manual", null, 100, 1]] });
    assert.deepEqual(next.runs, [["r", "r", 110, null, null]]);
    assert.deepEqual([next.queued, next.running], [0, 1]);
    next = patchDagRow(next, { seq: 4, run: [["d", "r", "f", 150, "manual", null, 100, 1]] });
    assert.deepEqual(next.runs, [["r", "f", 110, 40, null]]);
    assert.deepEqual([next.running, next.failed], [0, 1]);
    assert.equal(patchDagRow(next, { seq: 5, dag: [["d", { paused: false, next: 7 }]] }).paused, false);
});

test("a cell changes in place; a new run takes its place in time", () => {
    const next = patchGrid(grid, "d", { seq: 2, ti: [["d", "r3", "b", -1, "r", 2, 40]] }, true);
    assert.deepEqual(next.cells, ["ss", "sr"]);
    assert.equal(next.runs, grid.runs);
    const born = patchGrid(grid, "d", {
        seq: 3,
        run: [["d", "r2", "r", 21, "backfill", 20, 20, 1]],
        ti: [["d", "r2", "a", -1, "r", 1, 21]],
    }, true);
    assert.deepEqual(born.runs.map((item) => item.id), ["r1", "r2", "r3"]);
    assert.deepEqual(born.cells, ["ss", "rn", "sf"]);
});

test("a window of the past takes no new runs", () => {
    const event = { seq: 3, run: [["d", "r9", "q", 99, "manual", null, 99, 1]] } as Parameters<typeof patchGrid>[2];
    assert.equal(patchGrid(grid, "d", event, false), grid);
    const older = { ...grid, older: true };
    const before = { seq: 3, run: [["d", "r0", "q", 1, "backfill", 1, 1, 1]] } as Parameters<typeof patchGrid>[2];
    assert.equal(patchGrid(older, "d", before, true).runs.length, 2);
});

test("the next attempt makes the last one history", () => {
    const ti: Ti = { t: "a", m: -1, st: "y", op: "", try: 1, max: 3, sch: 1, q: 1, s: 2, e: 5, nx: 9, pool: "", err: "bad", cls: "", note: "", past: [] };
    const next = patchTi(ti, ["d", "r", "a", -1, "r", 2, 10]);
    assert.deepEqual(next.past, [[1, "f", 1, 1, 2, 5, "bad"]]);
    assert.deepEqual([next.st, next.try, next.s, next.e, next.err], ["r", 2, 10, null, ""]);
    const done = patchTi(next, ["d", "r", "a", -1, "s", 2, 20]);
    assert.deepEqual([done.st, done.s, done.e], ["s", 10, 20]);
    assert.equal(patchTi(done, ["d", "r", "a", -1, "n", 2, 30]).s, null);
});

test("an error body becomes a sentence", () => {
    assert.equal(detailOf({ detail: "no" }, 400), "no");
    assert.equal(detailOf({ detail: [{ loc: ["body", "conf"], msg: "must be an object" }] }, 422), "conf: must be an object");
    assert.equal(detailOf({ detail: { reason: "Unique", message: "twice" } }, 409), "twice");
    assert.equal(detailOf({ error: "API route not found" }, 404), "API route not found");
    assert.equal(detailOf(null, 502), "the server answered 502");
});
