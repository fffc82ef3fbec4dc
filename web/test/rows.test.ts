import assert from "node:assert/strict";
import { test } from "node:test";
import type { Node, Structure } from "../src/api";
import { hit, metricsFor } from "../src/canvas/grid";
import { letterOf, rowsOf, topological, visible } from "../src/rows";

const node = (id: string, group = ""): Node => [id, group, "empty", 0, "all_success", "default_pool", "inline"];
const structure: Structure = {
    dag: "d",
    ver: 1,
    nodes: [node("end"), node("a.x", "a"), node("start"), node("a.b.y", "a.b")],
    groups: [["a", "", ""], ["a.b", "a", ""]],
    edges: [[2, 1], [1, 3], [3, 0]],
};

test("tasks come after their upstreams", () => {
    assert.deepEqual(topological(structure), [2, 1, 3, 0]);
    const wide = { nodes: Array.from({ length: 5 }, (_, i) => node(`t${i}`)), edges: [] };
    assert.deepEqual(topological(wide), [0, 1, 2, 3, 4]);
});

test("groups hold their tasks together, nested, and fold", () => {
    const open = rowsOf(structure, new Set());
    assert.deepEqual(open.map((row) => [row.kind, row.id, row.depth]), [
        ["task", "start", 0], ["group", "a", 0], ["task", "a.x", 1], ["group", "a.b", 1], ["task", "a.b.y", 2], ["task", "end", 0],
    ]);
    assert.equal(open[2]!.label, "x");
    assert.equal(open[4]!.label, "y");
    const folded = rowsOf(structure, new Set(["a"]));
    assert.deepEqual(folded.map((row) => row.id), ["start", "a", "end"]);
    assert.deepEqual(folded[1]!.nodes, [1, 3]);
    assert.deepEqual(rowsOf(structure, new Set(), "A.B").map((row) => row.id), ["a", "a.b", "a.b.y"]);
});

test("a group that mostly depends on another stands below it, also when one of its tasks waits for nothing", () => {
    const star: Structure = {
        ...structure,
        nodes: [node("load.dates", "load"), node("load.facts", "load"), node("read.x", "read")],
        groups: [["load", "", ""], ["read", "", ""]],
        edges: [[2, 1]],
    };
    assert.deepEqual(rowsOf(star, new Set(["load", "read"])).map((row) => row.id), ["read", "load"]);
});

test("a group shows its worst task; a task that the run lacks shows a dot", () => {
    const rows = rowsOf(structure, new Set(["a"]));
    assert.equal(letterOf(rows[1]!, "sfsr"), "f");
    assert.equal(letterOf(rows[0]!, "s"), ".");
});

test("only what is in the window is drawn", () => {
    assert.deepEqual(visible(0, 100, 20, 50), [0, 5]);
    assert.deepEqual(visible(30, 100, 20, 50), [1, 7]);
    assert.deepEqual(visible(990, 100, 20, 50), [49, 50]);
    assert.deepEqual(visible(5000, 100, 20, 50), [50, 50]);
});

test("a point is in the cell that is drawn there", () => {
    const metrics = metricsFor(50, false, 1000);
    const at = (x: number, y: number, scroll = { x: 0, y: 0 }) => hit(x, y, scroll, metrics, 4, 50);
    assert.equal(at(metrics.label - 1, 100), null);
    assert.deepEqual(at(metrics.label + 1, 10), { row: -1, column: 0 });
    assert.deepEqual(at(metrics.label + metrics.pitch * 2 + 1, metrics.head + 1), { row: 0, column: 2 });
    assert.deepEqual(at(metrics.label + 1, metrics.head + 1, { x: metrics.pitch * 3, y: metrics.row }), { row: 1, column: 3 });
    assert.equal(at(metrics.label + 1, metrics.head + metrics.row * 4 + 1), null);
});
