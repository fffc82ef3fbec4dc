// store.ts — what every page shares: session, theme, live stream, toasts, and `useResource`, the
// one way in which a view gets a snapshot.
import { signal, useSignal, type Signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { ApiError, get, setCsrf, whenUnauthorized, type Boot } from "./api";
import { navigate } from "./router";
import { LiveStream, type Status, type Watcher } from "./stream";
import { learnServerTime } from "./time";

export const boot = signal<Boot | null>(null);
export const live = signal<Status>("connecting");
export const offlineSince = signal<number>(0);
export const importErrors = signal<number>(0);

export interface Toast {
    id: number;
    text: string;
    kind: "ok" | "error";
    href?: string;
}

export const toasts = signal<Toast[]>([]);
let lastToast = 0;

export function toast(text: string, kind: Toast["kind"] = "ok", href?: string): void {
    const id = ++lastToast;
    toasts.value = [...toasts.value.slice(-3), { id, text, kind, href }];
    setTimeout(() => dismiss(id), kind === "ok" ? 5000 : 12_000);
}

export function dismiss(id: number): void {
    toasts.value = toasts.value.filter((item) => item.id !== id);
}

// --- theme ---

export type Theme = "light" | "dark";
const root = document.documentElement;

export const theme = signal<Theme>(root.dataset.theme === "dark" ? "dark" : "light");

export function setTheme(next: Theme): void {
    theme.value = next;
    root.dataset.theme = next;
    localStorage.setItem("sluice.theme", next);
}

// --- session ---

export function signedIn(answer: Boot): void {
    setCsrf(answer.csrf);
    learnServerTime(answer.server_ms);
    stream.sawSnapshot(answer.seq);
    boot.value = answer;
}

export function toLogin(): void {
    boot.value = null;
    if (location.pathname === "/login") return;
    navigate(`/login?next=${encodeURIComponent(location.pathname + location.search)}`, true);
}

whenUnauthorized(toLogin);

// --- live ---

export const stream = new LiveStream({
    open: (url) => new EventSource(url, { withCredentials: true }),
    later: (run, ms) => setTimeout(run, ms),
    cancel: (timer) => clearTimeout(timer as number),
    onStatus: (status) => {
        if (status === "offline" && live.value !== "offline") offlineSince.value = Date.now();
        live.value = status;
    },
    onHello: learnServerTime,
    onUnauthorized: toLogin,
});

let hiddenTimer = 0;

export function watchVisibility(): void {
    document.addEventListener("visibilitychange", () => {
        clearTimeout(hiddenTimer);
        if (document.hidden) hiddenTimer = window.setTimeout(() => stream.sleep(), 30_000);
        else stream.wake();
    });
    // EventSource says nothing of a session that has died: ask once when the stream is lost.
    live.subscribe((status) => {
        if (status === "offline") get("/ui/v1/boot").catch(() => {});
    });
}

/** Watches topics while the view is mounted. */
export function useStream(topics: string[], handlers: Omit<Watcher, "topics">): void {
    const latest = useRef(handlers);
    latest.current = handlers;
    const key = topics.join(",");
    useEffect(() => {
        if (!key) return;
        return stream.watch({
            topics: key.split(","),
            onBatch: (batch) => latest.current.onBatch?.(batch),
            onLog: (batch) => latest.current.onLog?.(batch),
            onProgress: (list) => latest.current.onProgress?.(list),
            onResync: () => latest.current.onResync?.(),
        });
    }, [key]);
}

// --- snapshots ---

export interface Resource<T> {
    data: Signal<T | null>;
    error: Signal<ApiError | null>;
    /** A fetch has been under way for a while: time to show it. */
    slow: Signal<boolean>;
    reload(): void;
}

/** Fetches `path` and again when it changes. Old data stays while newer data is on its way, unless
 *  `path` names another thing (`identity` differs). */
export function useResource<T>(path: string | null, identity: string | null = path): Resource<T> {
    const data = useSignal<T | null>(null);
    const error = useSignal<ApiError | null>(null);
    const slow = useSignal(false);
    const abort = useRef<AbortController | null>(null);
    const shown = useRef<string | null>(null);

    const load = () => {
        abort.current?.abort();
        if (!path) return;
        const controller = new AbortController();
        abort.current = controller;
        if (shown.current !== identity) {
            data.value = null;
            error.value = null;
            shown.current = identity;
        }
        const timer = setTimeout(() => (slow.value = true), 150);
        const mark = stream.mark;
        get<T>(path, controller.signal)
            .then((answer) => {
                const snapshot = answer as { seq?: number; server_ms?: number };
                if (snapshot.server_ms) learnServerTime(snapshot.server_ms);
                if (snapshot.seq !== undefined) stream.sawSnapshot(snapshot.seq);
                data.value = answer;
                error.value = null;
                if (snapshot.seq !== undefined) stream.replay(snapshot.seq, mark);
            })
            .catch((reason: unknown) => {
                if ((reason as Error).name === "AbortError") return;
                error.value =
                    reason instanceof ApiError ? reason : new ApiError(0, String(reason), path);
            })
            .finally(() => {
                clearTimeout(timer);
                if (abort.current === controller) slow.value = false;
            });
    };

    useEffect(() => {
        load();
        return () => abort.current?.abort();
    }, [path]);

    return { data, error, slow, reload: load };
}
