// log.tsx — the log of one attempt. The daemon has the index: the page holds a window of lines,
// asks for pages, and follows a running attempt by the stream.
import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { ApiError, get, paths, type LogBatch, type LogLine, type LogLines, type LogMeta, type LogSearch } from "../api";
import { LineCache, lineHeight, pageSize, scrollTo, windowAt } from "../logwindow";
import { setQuery } from "../router";
import { useKeys } from "../shell";
import { toast, useStream } from "../store";
import { topics } from "../stream";
import { zone, zoneName } from "../time";
import { Button, Failure, Icon, Skeleton } from "../ui";
import { Line } from "./log_line";

interface Props {
    dag: string;
    run: string;
    task: string;
    map: number;
    attempt: number;
    state: string;
    query: URLSearchParams;
    hash: string;
}

const levels = [
    { id: "", label: "all levels" },
    { id: "I", label: "info and worse" },
    { id: "W", label: "warnings and worse" },
    { id: "E", label: "errors" },
];

export function LogView(props: Props) {
    const { dag, run, task, map, attempt } = props;
    const level = props.query.get("level") ?? "";
    const meta = useSignal<LogMeta | null>(null);
    const error = useSignal<ApiError | null>(null);
    const cache = useMemo(() => new LineCache(), []);
    const shown = useSignal(0);
    const scroll = useSignal({ y: 0, view: 600 });
    const follow = useSignal(false);
    const unseen = useSignal(0);
    const box = useRef<HTMLDivElement>(null);
    const asking = useRef(new Set<number>());
    const generation = useRef(0);
    const unopened = useRef<LogMeta | null>(null);
    const cursor = useSignal(-1);
    const hits = useSignal<LogSearch | null>(null);
    const find = props.query.get("q") ?? "";

    const url = (what: string, more: string) =>
        paths.log(dag, run, task, what, `try=${attempt}&map=${map}${level ? `&level=${level}` : ""}${more}`);
    const redraw = () => (shown.value += 1);

    const fail = (reason: unknown) => {
        error.value = reason instanceof ApiError ? reason : new ApiError(0, String(reason), "log");
    };

    const load = async () => {
        const mine = ++generation.current;
        asking.current.clear();
        cache.clear();
        error.value = null;
        meta.value = null;
        cursor.value = -1;
        try {
            const facts = await get<LogMeta>(paths.log(dag, run, task, "meta", `try=${attempt}&map=${map}`));
            const tail = await get<LogLines>(url("lines", `&from=-${pageSize}&n=${pageSize}`));
            if (mine !== generation.current) return;
            cache.put(tail);
            unopened.current = facts;
            meta.value = facts;
            redraw();
        } catch (reason) {
            if (mine === generation.current) fail(reason);
        }
    };

    /** Where to look first: the linked line, the first error, the tail of a running one, the top. */
    const open = (facts: LogMeta) => {
        const linked = /^L(\d+)/.exec(props.hash);
        if (linked && !level) jump(Number(linked[1]) - 1);
        else if (!facts.complete) toEnd();
        else if (facts.first_error !== null && !level && props.state !== "s") jump(facts.first_error);
        else box.current?.scrollTo(0, 0);
        onScroll();
    };

    useEffect(() => {
        void load();
    }, [dag, run, task, map, attempt, level]);

    const key = topics.logKey(dag, run, task, map, attempt);
    const running = meta.value !== null && !meta.value.complete;
    // The place from which to follow is fixed when following starts: the topic must not change.
    const start = useMemo(() => meta.value?.lines ?? 0, [key, running]);
    useStream(running ? [`log:${key}@${start}`] : [], {
        onLog: (batch) => batch.k === key && arrived(batch),
        onResync: () => void load(),
    });

    const arrived = (batch: LogBatch) => {
        const facts = meta.value;
        if (!facts) return;
        const before = cache.total;
        if (!level) {
            const first = batch.lines[0]?.[0] ?? batch.total;
            cache.append(first, batch.lines, batch.total);
        } else {
            const wanted = batch.lines.filter((line) => "DIWE".indexOf(line[2]) >= "DIWE".indexOf(level));
            cache.append(before, wanted, before + wanted.length);
        }
        meta.value = { ...facts, lines: Math.max(facts.lines, batch.total), complete: batch.done };
        if (follow.value) requestAnimationFrame(toEnd);
        else unseen.value += cache.total - before;
        redraw();
        if (batch.done) void settle();
    };

    /** The attempt has ended: the last numbers and the first error are known now. */
    const settle = async () => {
        try {
            meta.value = await get<LogMeta>(paths.log(dag, run, task, "meta", `try=${attempt}&map=${map}`));
        } catch {
            /* the view keeps what it has */
        }
    };

    const toEnd = () => {
        const element = box.current;
        if (!element) return;
        follow.value = true;
        unseen.value = 0;
        element.scrollTop = element.scrollHeight;
        onScroll();
    };

    const jump = (line: number) => {
        const element = box.current;
        if (!element || line < 0) return;
        follow.value = false;
        cursor.value = line;
        element.scrollTop = scrollTo(line, element.clientHeight, cache.total);
        onScroll();
    };

    const onScroll = () => {
        const element = box.current;
        if (!element) return;
        const atEnd = element.scrollTop + element.clientHeight >= element.scrollHeight - lineHeight;
        if (follow.value && !atEnd && running) follow.value = false;
        if (atEnd && running && !follow.value) {
            follow.value = true;
            unseen.value = 0;
        }
        scroll.value = { y: element.scrollTop, view: element.clientHeight };
        want();
    };

    /** Asks for the pages that the window lacks. */
    const want = () => {
        const { first, count } = windowAt(scroll.value.y, scroll.value.view, cache.total);
        const mine = generation.current;
        for (const page of cache.missing(first, count)) {
            if (asking.current.has(page)) continue;
            asking.current.add(page);
            get<LogLines>(url("lines", `&from=${page * pageSize}&n=${pageSize}`))
                .then((answer) => {
                    if (mine !== generation.current) return;
                    cache.put({ ...answer, total: Math.max(answer.total, cache.total) });
                    redraw();
                })
                .catch(fail)
                .finally(() => asking.current.delete(page));
        }
    };

    useLayoutEffect(() => {
        const element = box.current;
        if (!element) return;
        const fit = () => {
            element.style.height = `${Math.max(220, innerHeight - element.getBoundingClientRect().top - scrollY - 46)}px`;
            onScroll();
        };
        fit();
        addEventListener("resize", fit);
        if (unopened.current) open(unopened.current);
        unopened.current = null;
        return () => removeEventListener("resize", fit);
    }, [meta.value === null]);

    // --- search, in the daemon over the whole file ---
    useEffect(() => {
        hits.value = null;
        if (!find) return;
        const timer = setTimeout(() => {
            get<LogSearch>(url("search", `&q=${encodeURIComponent(find)}&limit=2000`))
                .then((answer) => {
                    hits.value = answer;
                    if (answer.lines.length && !level) jump(answer.lines[0]!);
                })
                .catch(fail);
        }, 200);
        return () => clearTimeout(timer);
    }, [find, level, attempt]);

    const step = (lines: number[], by: number) => {
        if (!lines.length) return;
        const at = cursor.value;
        const next = by > 0 ? (lines.find((line) => line > at) ?? lines[0]!) : ([...lines].reverse().find((line) => line < at) ?? lines.at(-1)!);
        jump(next);
    };
    const stepError = async (by: number) => {
        // Errors are found by the same search as text: a listing of level E gives their numbers.
        try {
            const list = await get<LogLines>(
                paths.log(dag, run, task, "lines", `try=${attempt}&map=${map}&level=E&from=0&n=4096`),
            );
            if (!list.lines.length) toast("This log has no error lines");
            else step(list.lines.map((line) => line[0]), by);
        } catch (reason) {
            fail(reason);
        }
    };
    useKeys({
        e: () => void stepError(1),
        E: () => void stepError(-1),
        f: () => (follow.value && running ? (follow.value = false) : toEnd()),
        n: () => step(hits.value?.lines ?? [], 1),
        N: () => step(hits.value?.lines ?? [], -1),
    });

    const copyAll = async () => {
        try {
            const response = await fetch(url("raw", ""), { credentials: "same-origin" });
            await navigator.clipboard.writeText(await response.text());
            toast("The log is in the clipboard");
        } catch {
            toast("The log could not be copied", "error");
        }
    };

    if (error.value && !meta.value) return <Failure error={error.value} retry={() => void load()} />;
    if (!meta.value) return <Skeleton rows={10} />;
    void shown.value;
    void zone.value;
    const facts = meta.value;
    const total = cache.total;
    const window = windowAt(scroll.value.y, scroll.value.view, total);
    const lines: [number, LogLine | undefined][] = [];
    for (let i = 0; i < window.count; i++) lines.push([window.first + i, cache.get(window.first + i)]);
    const digits = String(facts.lines).length;
    const position = hits.value ? hits.value.lines.findIndex((line) => line === cursor.value) + 1 : 0;

    return (
        <section class="log" aria-label="Log">
            <div class="toolbar">
                <span class="search-box">
                    <Icon name="search" size={14} />
                    <input
                        type="search"
                        data-filter
                        placeholder="Find in log"
                        aria-label="Find in log"
                        value={find}
                        onInput={(event) => setQuery({ q: event.currentTarget.value })}
                        onKeyDown={(event) => {
                            if (event.key !== "Enter") return;
                            event.preventDefault();
                            step(hits.value?.lines ?? [], event.shiftKey ? -1 : 1);
                        }}
                    />
                </span>
                {hits.value ? (
                    <span class="num muted" role="status">
                        {hits.value.total ? `${position || "–"}/${hits.value.total}${hits.value.partial ? "+" : ""}` : "no match"}
                    </span>
                ) : null}
                {hits.value?.total ? (
                    <span class="actions pair">
                        <Button icon="up" label="Previous match" onClick={() => step(hits.value!.lines, -1)} />
                        <Button icon="down" label="Next match" onClick={() => step(hits.value!.lines, 1)} />
                    </span>
                ) : null}
                <select
                    class="box"
                    aria-label="Level"
                    value={level}
                    onChange={(event) => setQuery({ level: event.currentTarget.value })}
                >
                    {levels.map(({ id, label }) => (
                        <option key={id} value={id}>
                            {label}
                        </option>
                    ))}
                </select>
                {facts.levels.E ? (
                    <Button onClick={() => void stepError(1)} title="Next error line (e)">
                        {facts.levels.E} error {facts.levels.E === 1 ? "line" : "lines"}
                    </Button>
                ) : null}
                <span class="grow" />
                {running ? (
                    <button
                        type="button"
                        class={`pill ${follow.value ? "on" : ""}`}
                        aria-pressed={follow.value}
                        onClick={() => (follow.value ? (follow.value = false) : toEnd())}
                        data-testid="follow"
                    >
                        {follow.value
                            ? "Following"
                            : `Paused${unseen.value ? ` – ${unseen.value.toLocaleString("en")} new lines` : ""} ↓`}
                    </button>
                ) : null}
                <Button icon="copy" label="Copy the whole log" title="Copy the whole log" onClick={() => void copyAll()} />
                <a class="btn plain only-icon" href={url("raw", "")} download aria-label="Download the log" title="Download">
                    <Icon name="download" />
                </a>
            </div>
            <div
                class="log-box"
                ref={box}
                tabIndex={0}
                role="log"
                aria-live="off"
                aria-label={`Log of ${task}, try ${attempt}`}
                onScroll={onScroll}
                data-testid="log"
                data-lines={total}
            >
                {total === 0 ? (
                    <p class="muted log-none">
                        {level ? "No line of this level." : running ? "No line yet." : "This attempt wrote nothing."}
                    </p>
                ) : null}
                <div class="log-size" style={{ height: `${window.height}px` }}>
                    <div class="log-lines" style={{ transform: `translateY(${window.top}px)` }}>
                        {lines.map(([at, line]) => (
                            <Line key={at} line={line} digits={digits} find={find} lit={line !== undefined && line[0] === cursor.value} />
                        ))}
                    </div>
                </div>
            </div>
            <footer class="log-foot muted num">
                {facts.lines.toLocaleString("en")} lines · {size(facts.bytes)} · {running ? "running" : "complete"}
                {level ? ` · ${total.toLocaleString("en")} shown` : ""} · times in {zoneName()}
            </footer>
        </section>
    );
}

function size(bytes: number): string {
    if (bytes < 1000) return `${bytes} B`;
    if (bytes < 1_000_000) return `${(bytes / 1000).toFixed(0)} kB`;
    return `${(bytes / 1_000_000).toFixed(1)} MB`;
}
