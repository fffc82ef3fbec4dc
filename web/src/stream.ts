// stream.ts — one EventSource for the whole page. Views say which topics they watch; the stream
// is their union, resumes where it stopped, and sleeps while the tab is hidden.
import type { Batch, LogBatch, Progress } from "./api";

export type Status = "connecting" | "live" | "paused" | "offline";

export interface Watcher {
    topics: string[];
    onBatch?(batch: Batch): void;
    onLog?(batch: LogBatch): void;
    onProgress?(progress: Progress[]): void;
    /** Events were lost: fetch the snapshot again. */
    onResync?(): void;
}

/** What we use of EventSource; tests give another. */
export interface Source {
    addEventListener(type: string, handler: (event: MessageEvent<string>) => void): void;
    close(): void;
    onerror: ((event: Event) => void) | null;
}

export interface StreamDeps {
    open(url: string): Source;
    /** setTimeout and clearTimeout. */
    later(run: () => void, ms: number): unknown;
    cancel(timer: unknown): void;
    onStatus(status: Status): void;
    onHello(server_ms: number): void;
    onUnauthorized(): void;
}

/** The server pings every 15 s: silence for longer means the connection is dead. */
const silence_ms = 40_000;
const first_retry_ms = 500;
const last_retry_ms = 15_000;

export class LiveStream {
    private watchers = new Set<Watcher>();
    private source: Source | null = null;
    private open_topics = "";
    /** Place in the stream; 0 is that of a daemon on which nothing has run yet, -1 = not known. */
    private seq = -1;
    /** Where a stream with other topics begins: what came since was filtered by the old ones. */
    private from = -1;
    private recent: { place: number; batch: Batch }[] = [];
    /** How many batches have arrived, ever. */
    private arrived = 0;
    private retry_ms = first_retry_ms;
    private timer: unknown = null;
    private watchdog: unknown = null;
    private settle: unknown = null;
    private held: (() => void)[] = [];
    private frozen = false;
    private asleep = false;
    private status: Status = "connecting";

    constructor(private readonly deps: StreamDeps) {}

    /** How many batches wait while the view is paused. */
    get heldCount(): number {
        return this.held.length;
    }

    get position(): number {
        return this.seq;
    }

    /** A snapshot was fetched at `seq`; the stream of a first connection starts there. */
    sawSnapshot(seq: number): void {
        if (!this.source && this.seq < 0) this.seq = this.from = seq;
    }

    /** Taken when a snapshot is asked for, given to `replay` when it has arrived. */
    get mark(): number {
        return this.arrived;
    }

    /** A snapshot of `seq`, asked for at `mark`, has arrived: what happened while it was on its way is
     *  told again. Every watcher hears it in order, so that each ends at the newest state. A pause or a
     *  new definition moves no seq: of those the ones count that came after the snapshot was asked for. */
    replay(seq: number, mark: number = this.arrived): void {
        const missed = this.recent.filter(
            ({ place, batch }) => batch.seq > seq || (batch.seq === seq && place > mark),
        );
        for (const { batch } of missed) this.deliver((watcher) => watcher.onBatch?.(batch));
    }

    watch(watcher: Watcher): () => void {
        this.watchers.add(watcher);
        if (this.from < 0) this.from = this.seq;
        this.topicsChanged();
        return () => {
            this.watchers.delete(watcher);
            this.topicsChanged();
        };
    }

    pause(): void {
        this.frozen = true;
        this.say("paused");
    }

    resume(): void {
        this.frozen = false;
        const held = this.held;
        this.held = [];
        for (const run of held) run();
        this.say(this.source ? "live" : "connecting");
    }

    /** Hidden tabs give their connection back: browsers allow six to one server. */
    sleep(): void {
        this.asleep = true;
        this.close();
    }

    wake(): void {
        if (!this.asleep) return;
        this.asleep = false;
        this.connect();
    }

    private topics(): string {
        const all = new Set<string>();
        for (const watcher of this.watchers) for (const topic of watcher.topics) all.add(topic);
        return [...all].sort().join(",");
    }

    /** Route changes unmount and mount views at once: wait for the dust to settle. */
    private topicsChanged(): void {
        this.deps.cancel(this.settle);
        this.settle = this.deps.later(() => {
            if (this.topics() !== this.open_topics) this.connect();
            else this.from = -1;
        }, 30);
    }

    private close(): void {
        this.source?.close();
        this.source = null;
        this.open_topics = "";
        this.deps.cancel(this.timer);
        this.deps.cancel(this.watchdog);
    }

    private connect(): void {
        this.close();
        const topics = this.topics();
        if (!topics || this.asleep) return;
        this.open_topics = topics;
        if (this.from >= 0) this.seq = Math.min(this.from, this.seq);
        this.from = -1;
        const since = this.seq >= 0 ? `&since=${this.seq}` : "";
        const source = this.deps.open(
            `/ui/v1/stream?topics=${encodeURIComponent(topics)}${since}`,
        );
        this.source = source;
        const on = (type: string, handle: (data: never) => void) =>
            source.addEventListener(type, (event) => {
                if (this.source !== source) return;
                this.heard();
                handle((event.data ? JSON.parse(event.data) : null) as never);
            });
        on("hello", (data: { seq: number; server_ms: number }) => {
            this.retry_ms = first_retry_ms;
            if (this.seq < 0) this.seq = data.seq;
            this.deps.onHello(data.server_ms);
            this.say(this.frozen ? "paused" : "live");
        });
        on("ping", (data: { server_ms: number }) => this.deps.onHello(data.server_ms));
        on("b", (batch: Batch) => {
            // A reconnect may repeat what we have seen.
            if (batch.seq < this.seq) return;
            this.seq = batch.seq;
            this.recent.push({ place: ++this.arrived, batch });
            if (this.recent.length > 256) this.recent.shift();
            this.deliver((watcher) => watcher.onBatch?.(batch));
        });
        on("log", (batch: LogBatch) => this.deliver((watcher) => watcher.onLog?.(batch)));
        on("progress", (list: Progress[]) => this.deliver((watcher) => watcher.onProgress?.(list)));
        on("resync", () => this.deliver((watcher) => watcher.onResync?.()));
        on("bye", (data: { why: string; retry_ms?: number }) => {
            if (data.why === "auth") {
                this.close();
                this.deps.onUnauthorized();
            } else {
                this.lost(data.retry_ms);
            }
        });
        source.onerror = () => {
            if (this.source === source) this.lost();
        };
        this.heard();
    }

    private heard(): void {
        this.deps.cancel(this.watchdog);
        this.watchdog = this.deps.later(() => this.lost(), silence_ms);
    }

    private lost(retry_ms = this.retry_ms): void {
        this.close();
        this.say("offline");
        this.timer = this.deps.later(() => this.connect(), retry_ms);
        this.retry_ms = Math.min(this.retry_ms * 2, last_retry_ms);
    }

    private deliver(give: (watcher: Watcher) => void): void {
        const run = () => {
            for (const watcher of this.watchers) give(watcher);
        };
        if (this.frozen) this.held.push(run);
        else run();
    }

    private say(status: Status): void {
        if (this.frozen && status === "live") status = "paused";
        if (status === this.status) return;
        this.status = status;
        this.deps.onStatus(status);
    }
}

const part = encodeURIComponent;

export const topics = {
    dags: "dags",
    dag: (dag: string) => `dag:${part(dag)}`,
    run: (dag: string, run: string) => `run:${part(dag)}/${part(run)}`,
    logKey: (dag: string, run: string, task: string, map: number, attempt: number) =>
        `${part(dag)}/${part(run)}/${part(task)}/${map}/${attempt}`,
};
