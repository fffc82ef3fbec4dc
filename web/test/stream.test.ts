import assert from "node:assert/strict";
import { test } from "node:test";
import type { Batch } from "../src/api";
import { LiveStream, type Source, type Status } from "../src/stream";

class FakeSource implements Source {
    handlers = new Map<string, (event: MessageEvent<string>) => void>();
    closed = false;
    onerror: ((event: Event) => void) | null = null;
    constructor(readonly url: string) {}
    addEventListener(type: string, handler: (event: MessageEvent<string>) => void): void {
        this.handlers.set(type, handler);
    }
    close(): void {
        this.closed = true;
    }
    say(type: string, data: unknown): void {
        this.handlers.get(type)?.({ data: JSON.stringify(data) } as MessageEvent<string>);
    }
}

function world() {
    const sources: FakeSource[] = [];
    const statuses: Status[] = [];
    let timers: { run: () => void; ms: number }[] = [];
    let unauthorized = 0;
    const stream = new LiveStream({
        open: (url) => {
            const source = new FakeSource(url);
            sources.push(source);
            return source;
        },
        later: (run, ms) => {
            const timer = { run, ms };
            timers.push(timer);
            return timer;
        },
        cancel: (timer) => {
            timers = timers.filter((item) => item !== timer);
        },
        onStatus: (status) => statuses.push(status),
        onHello: () => {},
        onUnauthorized: () => unauthorized++,
    });
    /** Runs the timers of at most `ms`. */
    const pass = (ms: number) => {
        const due = timers.filter((timer) => timer.ms <= ms);
        timers = timers.filter((timer) => timer.ms > ms);
        due.forEach((timer) => timer.run());
    };
    return { stream, sources, statuses, pass, last: () => sources.at(-1)!, unauthorized: () => unauthorized };
}

const topicsOf = (source: FakeSource) => new URL(source.url, "http://x").searchParams.get("topics");
const sinceOf = (source: FakeSource) => new URL(source.url, "http://x").searchParams.get("since");

test("the stream asks for the union of what is watched, once the dust has settled", () => {
    const w = world();
    w.stream.watch({ topics: ["dags"] });
    const leave = w.stream.watch({ topics: ["dag:x", "dags"] });
    assert.equal(w.sources.length, 0);
    w.pass(50);
    assert.equal(topicsOf(w.last()), "dag:x,dags");
    leave();
    w.pass(50);
    assert.equal(topicsOf(w.last()), "dags");
    assert.ok(w.sources[0]!.closed);
    assert.equal(w.sources.length, 2);
});

test("after a loss it resumes behind the last event, and repeats are dropped", () => {
    const w = world();
    const got: number[] = [];
    w.stream.watch({ topics: ["dags"], onBatch: (batch: Batch) => got.push(batch.seq) });
    w.stream.sawSnapshot(40);
    w.pass(50);
    assert.equal(sinceOf(w.last()), "40");
    w.last().say("hello", { seq: 41, server_ms: 1 });
    w.last().say("b", { seq: 45 });
    w.last().onerror!({} as Event);
    assert.equal(w.statuses.at(-1), "offline");
    w.pass(600);
    assert.equal(sinceOf(w.last()), "45");
    w.last().say("hello", { seq: 50, server_ms: 1 });
    assert.equal(w.statuses.at(-1), "live");
    w.last().say("b", { seq: 44 });
    w.last().say("b", { seq: 50 });
    assert.deepEqual(got, [45, 50]);
});

test("silence means a dead connection; tries grow apart", () => {
    const w = world();
    w.stream.watch({ topics: ["dags"] });
    w.pass(50);
    w.last().say("hello", { seq: 1, server_ms: 1 });
    w.pass(40_000);
    assert.ok(w.sources[0]!.closed);
    w.pass(500);
    assert.equal(w.sources.length, 2);
    w.last().onerror!({} as Event);
    w.pass(500);
    assert.equal(w.sources.length, 2);
    w.pass(1000);
    assert.equal(w.sources.length, 3);
});

test("paused events wait and come in order", () => {
    const w = world();
    const got: number[] = [];
    w.stream.watch({ topics: ["dags"], onBatch: (batch: Batch) => got.push(batch.seq) });
    w.pass(50);
    w.last().say("hello", { seq: 1, server_ms: 1 });
    w.stream.pause();
    w.last().say("b", { seq: 2 });
    w.last().say("b", { seq: 3 });
    assert.deepEqual([got.length, w.stream.heldCount], [0, 2]);
    w.stream.resume();
    assert.deepEqual(got, [2, 3]);
    assert.equal(w.statuses.at(-1), "live");
});

test("a lost buffer means new snapshots, a dead session means login", () => {
    const w = world();
    let snapshots = 0;
    w.stream.watch({ topics: ["dags"], onResync: () => snapshots++ });
    w.pass(50);
    w.last().say("resync", { why: "buffer" });
    assert.equal(snapshots, 1);
    w.last().say("bye", { why: "auth" });
    assert.equal(w.unauthorized(), 1);
    assert.ok(w.last().closed);
});

test("a hidden tab gives its connection back and resumes where it was", () => {
    const w = world();
    w.stream.watch({ topics: ["dags"] });
    w.pass(50);
    w.last().say("b", { seq: 9 });
    w.stream.sleep();
    assert.ok(w.last().closed);
    w.stream.wake();
    assert.equal(sinceOf(w.last()), "9");
});

test("new topics begin where the page began to want them, not where the old ones have come to", () => {
    const w = world();
    w.stream.watch({ topics: ["dags"] });
    w.pass(50);
    w.last().say("hello", { seq: 10, server_ms: 1 });
    w.last().say("b", { seq: 12 });
    w.stream.watch({ topics: ["dag:x"] });
    w.last().say("b", { seq: 15 });
    w.pass(50);
    assert.equal(sinceOf(w.last()), "12");
});

test("what happened while a snapshot was on its way is told again", () => {
    const w = world();
    const got: number[] = [];
    w.stream.watch({ topics: ["dags"], onBatch: (batch: Batch) => got.push(batch.seq) });
    w.pass(50);
    for (const seq of [3, 5, 7]) w.last().say("b", { seq });
    w.stream.replay(5);
    assert.deepEqual(got, [3, 5, 7, 7]);
});

test("a change that moves no seq is told again if it came while the snapshot was on its way, once", () => {
    const w = world();
    const got: unknown[] = [];
    w.stream.watch({ topics: ["dags"], onBatch: (batch: Batch) => got.push(batch.dag) });
    w.pass(50);
    w.last().say("b", { seq: 5, dag: [["a", { paused: true }]] });
    const mark = w.stream.mark;
    w.last().say("b", { seq: 5, dag: [["a", { paused: false }]] });
    w.stream.replay(5, mark);
    assert.deepEqual(got, [[["a", { paused: true }]], [["a", { paused: false }]], [["a", { paused: false }]]]);
    w.stream.replay(5, w.stream.mark);
    assert.equal(got.length, 3);
});

test("a stream on a daemon where nothing has run yet begins at its snapshot too", () => {
    const w = world();
    w.stream.sawSnapshot(0);
    w.stream.watch({ topics: ["dags"] });
    w.pass(50);
    assert.equal(sinceOf(w.last()), "0");
});
