import assert from "node:assert/strict";
import { test } from "node:test";
import { pieces, plain } from "../src/ansi";
import type { LogLine } from "../src/api";
import { LineCache, lineHeight, maxHeight, pageSize, scrollTo, windowAt } from "../src/logwindow";
import { parseConf } from "../src/conf";

const line = (n: number): LogLine => [n, n, "I", `line ${n}`];
const lines = (from: number, n: number) => Array.from({ length: n }, (_, i) => line(from + i));

test("a window holds the lines of the view, whatever the length", () => {
    const small = windowAt(0, 360, 100);
    assert.equal(small.first, 0);
    assert.equal(small.height, 100 * lineHeight);
    assert.ok(small.count >= 21 && small.count <= 100);
    const middle = windowAt(lineHeight * 1000, 360, 10_000);
    assert.ok(middle.first <= 1000 && middle.first + middle.count >= 1021);
    assert.equal(middle.top, middle.first * lineHeight);
    assert.deepEqual(windowAt(0, 360, 0), { height: 0, first: 0, count: 0, top: 0 });
});

test("a million lines scroll in an area that browsers can hold, to the very end", () => {
    const total = 2_000_000;
    const view = 360;
    assert.equal(windowAt(0, view, total).height, maxHeight);
    const end = windowAt(maxHeight - view, view, total);
    assert.equal(end.first + end.count, total);
    // The last line ends where the area ends.
    assert.ok(Math.abs(end.top + end.count * lineHeight - maxHeight) < 1);
    assert.ok(end.count < 60);
});

test("jumping to a line brings it into view", () => {
    for (const total of [50, 5000, 2_000_000]) {
        for (const wanted of [0, Math.floor(total / 3), total - 1]) {
            const scroll = scrollTo(wanted, 360, total);
            const at = windowAt(scroll, 360, total);
            assert.ok(wanted >= at.first && wanted < at.first + at.count, `${wanted} of ${total}`);
            const y = at.top + (wanted - at.first) * lineHeight - scroll;
            assert.ok(y > -lineHeight && y < 360, `${wanted} of ${total} at ${y}`);
        }
    }
});

test("the cache says which pages are missing, also of a partly known one", () => {
    const cache = new LineCache();
    cache.put({ from: 0, total: 1000, complete: true, lines: lines(0, 100) });
    assert.deepEqual(cache.missing(0, 100), []);
    assert.deepEqual(cache.missing(50, 100), [0]);
    assert.deepEqual(cache.missing(200, 200), [0, 1]);
    assert.deepEqual(cache.missing(990, 500), [3]);
    cache.put({ from: 100, total: 1000, complete: true, lines: lines(100, 300) });
    assert.deepEqual(cache.missing(0, 400), []);
    assert.equal(cache.get(399)![3], "line 399");
});

test("followed lines are appended; old pages give way", () => {
    const cache = new LineCache(2);
    cache.put({ from: 0, total: 300, complete: false, lines: lines(0, 300) });
    cache.append(300, lines(300, 5), 305);
    assert.equal(cache.total, 305);
    assert.equal(cache.get(304)![0], 304);
    cache.append(305, lines(305, pageSize * 2), 305 + pageSize * 2);
    assert.deepEqual(cache.missing(0, 10), [0]);
    // Lines that were lost on the way leave a gap that is asked for.
    cache.append(2000, lines(2000, 1), 2001);
    assert.equal(cache.total, 2001);
    assert.deepEqual(cache.missing(1999, 1), [7]);
});

test("escapes become classes, never text", () => {
    assert.deepEqual(pieces("a\u001b[1;31mred\u001b[0m b"), [
        { text: "a", class: "" },
        { text: "red", class: "a-red a-bold" },
        { text: " b", class: "" },
    ]);
    assert.equal(plain("\u001b[38;5;9mx\u001b[39m\u001b[2K y"), "x y");
    assert.equal(plain("10%\r50%\r100%\r"), "100%");
    assert.equal(plain("\u001b]8;;https://example.org\u0007link\u001b]8;;\u0007"), "link");
});

test("only http addresses become links", () => {
    const found = pieces("see https://example.org/a?b=1, javascript:alert(1) (http://x.org)").filter((piece) => piece.href);
    assert.deepEqual(found.map((piece) => piece.href), ["https://example.org/a?b=1", "http://x.org"]);
});

test("matches are marked without regard to case", () => {
    const found = pieces("Error: an error", "ERROR");
    assert.deepEqual(found.filter((piece) => piece.class.includes("hit")).map((piece) => piece.text), ["Error", "error"]);
    assert.equal(found.map((piece) => piece.text).join(""), "Error: an error");
});

test("a configuration is an object", () => {
    assert.deepEqual(parseConf(' {"a": 1} ').conf, { a: 1 });
    assert.deepEqual(parseConf("").conf, {});
    for (const bad of ["[1]", "null", "3", "{a: 1}"]) assert.ok(parseConf(bad).error, bad);
});
