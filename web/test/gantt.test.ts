import assert from "node:assert/strict";
import { test } from "node:test";
import type { Node, Ti } from "../src/api";
import { criticalPath, extent, idleGaps, ordered, Scale, segmentsOf, ticks } from "../src/gantt";

const ti = (t: string, s: number | null, e: number | null, more: Partial<Ti> = {}): Ti => ({
    t, m: -1, st: e === null ? (s === null ? "n" : "r") : "s", op: "empty", try: s === null ? 0 : 1, max: 1,
    sch: s, q: s, s, e, nx: null, pool: "p", err: "", cls: "", note: "", past: [], ...more,
});

test("idle time that is long enough is found, nested and touching spans are one", () => {
    const whole = { from: 0, to: 1000 };
    const spans = [{ from: 0, to: 100 }, { from: 50, to: 80 }, { from: 100, to: 200 }, { from: 700, to: 1000 }];
    assert.deepEqual(idleGaps(spans, whole), [{ from: 200, to: 700 }]);
    assert.deepEqual(idleGaps(spans, whole, 0.6), []);
    assert.deepEqual(idleGaps([], whole), [{ from: 0, to: 1000 }]);
});

test("the scale is monotone, reaches both ends, and a fold takes little room", () => {
    const scale = new Scale({ from: 0, to: 1000 }, [{ from: 200, to: 700 }], 0.04);
    assert.equal(scale.at(0), 0);
    assert.equal(scale.at(1000), 1);
    assert.ok(Math.abs(scale.at(700) - scale.at(200) - 0.04) < 1e-9);
    assert.ok(Math.abs(scale.at(200) - 0.4 * 0.96) < 1e-9);
    let last = -1;
    for (let t = -50; t <= 1100; t += 7) {
        assert.ok(scale.at(t) >= last);
        last = scale.at(t);
    }
    const plain = new Scale({ from: 10, to: 20 });
    assert.equal(plain.at(15), 0.5);
});

test("ticks are round, few, and none lies in a fold", () => {
    const scale = new Scale({ from: 0, to: 600_000 }, [{ from: 100_000, to: 500_000 }]);
    const found = ticks(scale, 8);
    assert.ok(found.length >= 2 && found.length <= 9, String(found));
    for (const t of found) {
        assert.equal(t % 5000, 0);
        assert.ok(t <= 100_000 || t >= 500_000);
    }
});

test("ticks of a short run count from its start", () => {
    assert.deepEqual(ticks(new Scale({ from: 1237, to: 3237 }), 5, 1237), [1237, 1737, 2237, 2737, 3237]);
});

test("segments: ghost tries, the wait, the run; a running one reaches to now", () => {
    const row = ti("a", 100, null, { q: 80, st: "r", try: 2, past: [[1, "f", 10, 12, 20, 50, "bad"]] });
    assert.deepEqual(segmentsOf(row, 200), [
        { kind: "wait", letter: "f", from: 12, to: 20 },
        { kind: "past", letter: "f", from: 20, to: 50 },
        { kind: "wait", letter: "r", from: 80, to: 100 },
        { kind: "run", letter: "r", from: 100, to: 200 },
    ]);
    assert.deepEqual(segmentsOf(ti("b", null, null), 200), []);
    assert.deepEqual(segmentsOf(ti("c", null, null, { st: "q", q: 150 }), 200), [{ kind: "wait", letter: "q", from: 150, to: 200 }]);
});

test("the extent covers the run and every segment, and is never empty", () => {
    assert.deepEqual(extent([segmentsOf(ti("a", 100, 900), 0)], 50, 800, 0), { from: 50, to: 900 });
    assert.deepEqual(extent([], null, null, 500), { from: 500, to: 600 });
});

test("the critical path goes back over the upstream that ended last", () => {
    const names = ["a", "b", "c", "d"];
    const nodes = names.map((id): Node => [id, "", "empty", 0, "", "", ""]);
    const edges: [number, number][] = [[0, 2], [1, 2], [2, 3]];
    const tis = [ti("a", 0, 10), ti("b", 0, 30), ti("c", 30, 40), ti("d", 40, 50)];
    assert.deepEqual([...criticalPath(tis, { nodes, edges })].sort(), ["b", "c", "d"]);
    assert.equal(criticalPath([ti("a", null, null)], { nodes, edges }).size, 0);
});

test("rows are ordered by start, duration or topology; what did not start comes last", () => {
    const place = new Map([["c", 0], ["b", 1], ["a", 2]]);
    const list = [ti("a", 20, 90), ti("b", 10, 15), ti("c", null, null)];
    const names = (order: "start" | "duration" | "topology") => ordered(list, order, place, 100).map((row) => row.t).join("");
    assert.equal(names("start"), "bac");
    assert.equal(names("duration"), "abc");
    assert.equal(names("topology"), "cba");
});
