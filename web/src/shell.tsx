// shell.tsx — rail, top bar, the page of the current route, toasts, and the keys that work anywhere.
import { signal, useComputed } from "@preact/signals";
import type { ComponentType } from "preact";
import { useEffect } from "preact/hooks";
import { get, send, type ImportErrors } from "./api";
import { navigate, route } from "./router";
import { links, type Route, type RouteName } from "./routes";
import {
    boot,
    dismiss,
    importErrors,
    live,
    offlineSince,
    setTheme,
    stream,
    theme,
    toasts,
    toLogin,
    useStream,
} from "./store";
import { topics } from "./stream";
import { clock, duration, now, serverNow, setZone, zone, zoneName } from "./time";
import { Button, Dialog, Empty, Icon } from "./ui";
import { DagsPage } from "./views/dags";
import { HomePage } from "./views/home";
import { LoginPage } from "./views/login";
import { TriggerHost } from "./views/trigger";

type Page = ComponentType<{ route: Route }>;

const loaded = signal<Partial<Record<RouteName, Page>>>({
    home: HomePage,
    dags: DagsPage,
    missing: Missing,
});

const loaders: Partial<Record<RouteName, () => Promise<Page>>> = {
    dag: () => import("./views/dag").then((m) => m.DagPage),
    run: () => import("./views/run").then((m) => m.RunPage),
    task: () => import("./views/task").then((m) => m.TaskPage),
    runs: () => import("./views/runs").then((m) => m.RunsPage),
    backfills: () => import("./views/backfills").then((m) => m.BackfillsPage),
    backfill: () => import("./views/backfills").then((m) => m.BackfillPage),
    "backfill-new": () => import("./views/backfill_new").then((m) => m.BackfillNewPage),
    "import-errors": () => import("./views/import_errors").then((m) => m.ImportErrorsPage),
};

function Missing() {
    useTitle("Not found");
    return (
        <main id="main" class="page">
            <Empty title="There is no such page">
                <p>
                    <a href="/">Home</a> · <a href="/dags">DAGs</a>
                </p>
            </Empty>
        </main>
    );
}

export function useTitle(title: string): void {
    useEffect(() => {
        document.title = title === "Sluice" ? title : `${title} – Sluice`;
    }, [title]);
}

const places: { name: RouteName; href: string; label: string; icon: string; key: string }[] = [
    { name: "home", href: "/", label: "Home", icon: "home", key: "h" },
    { name: "dags", href: "/dags", label: "DAGs", icon: "dags", key: "d" },
    { name: "runs", href: "/runs", label: "Runs", icon: "runs", key: "r" },
    { name: "backfills", href: "/backfills", label: "Backfills", icon: "backfills", key: "b" },
    { name: "import-errors", href: "/import-errors", label: "Import errors", icon: "alert", key: "i" },
];

const railOpen = signal(false);
const keysOpen = signal(false);

function placeOf(name: RouteName): RouteName {
    if (name === "dag" || name === "run" || name === "task") return "dags";
    if (name === "backfill" || name === "backfill-new") return "backfills";
    return name;
}

function Rail() {
    const current = placeOf(route.value.name);
    return (
        <nav class={`rail ${railOpen.value ? "open" : ""}`} aria-label="Main" id="rail">
            <a class="brand" href="/" aria-label="Sluice, home">
                <svg width="22" height="22" viewBox="0 0 32 32" aria-hidden="true">
                    <rect width="32" height="32" rx="7" />
                    <path d="M7 11c4 0 4 3 9 3s5-3 9-3M7 18c4 0 4 3 9 3s5-3 9-3" />
                </svg>
                <span>Sluice</span>
            </a>
            <ul>
                {places.map((place) => (
                    <li key={place.name}>
                        <a
                            href={place.href}
                            title={place.label}
                            aria-current={current === place.name ? "page" : undefined}
                            onClick={() => (railOpen.value = false)}
                        >
                            <Icon name={place.icon} />
                            <span>{place.label}</span>
                            {place.name === "import-errors" && importErrors.value > 0 ? (
                                <span class="count bad" data-testid="import-error-count">
                                    {importErrors.value}
                                </span>
                            ) : null}
                        </a>
                    </li>
                ))}
            </ul>
            <p class="rail-foot muted">
                {boot.value?.instance} · {boot.value?.version}
            </p>
        </nav>
    );
}

function Crumbs() {
    const { name, params } = route.value;
    const parts: [string, string][] = [];
    const place = places.find((item) => item.name === placeOf(name));
    if (place) parts.push([place.label, place.href]);
    if (params.dag) parts.push([params.dag, links.dag(params.dag)]);
    if (params.dag && params.run) parts.push([params.run, links.run(params.dag, params.run)]);
    if (params.dag && params.run && params.task) {
        parts.push([params.task, links.task(params.dag, params.run, params.task)]);
    }
    if (name === "backfill-new") parts.push(["New", "/backfills/new"]);
    if (name === "backfill") parts.push([`#${params.id}`, links.backfill(Number(params.id))]);
    return (
        <nav class="crumbs" aria-label="Breadcrumb">
            <ol>
                {parts.map(([label, href], i) => (
                    <li key={href}>
                        <a href={href} aria-current={i === parts.length - 1 ? "page" : undefined} title={label}>
                            {label}
                        </a>
                    </li>
                ))}
            </ol>
        </nav>
    );
}

function LiveChip() {
    const status = live.value;
    // `now` ticks: the age of the data and the number of held events stay right.
    const at = now.value;
    const text =
        status === "live"
            ? "live"
            : status === "paused"
              ? `paused${stream.heldCount ? ` · ${stream.heldCount} held` : ""}`
              : status === "offline"
                ? `offline ${duration(Math.max(0, Math.floor((Date.now() - offlineSince.value) / 1000) * 1000 + at * 0))}`
                : "connecting";
    const toggle = () => (status === "paused" ? stream.resume() : stream.pause());
    return (
        <button
            type="button"
            class={`live ${status}`}
            onClick={toggle}
            disabled={status === "offline" || status === "connecting"}
            title={status === "paused" ? "Resume live updates (Shift+L)" : "Pause live updates (Shift+L)"}
            data-testid="live"
        >
            <i aria-hidden="true" />
            {text}
        </button>
    );
}

function Zone() {
    const local = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const choices = [...new Set(["UTC", "local", boot.value?.tz ?? "UTC"])];
    if (!choices.includes(zone.value)) choices.push(zone.value);
    return (
        <label class="zone">
            <span class="num">{clock(now.value, zoneName(), false)}</span>
            <select
                aria-label="Time zone of display"
                value={zone.value}
                onChange={(event) => setZone(event.currentTarget.value)}
            >
                {choices.map((choice) => (
                    <option key={choice} value={choice}>
                        {choice === "local" ? `Local (${local})` : choice}
                    </option>
                ))}
            </select>
        </label>
    );
}

async function logout(): Promise<void> {
    await send("POST", "/ui/v1/logout").catch(() => {});
    toLogin();
}

function TopBar() {
    const dark = theme.value === "dark";
    return (
        <header class="top">
            <button
                type="button"
                class="btn quiet only-icon burger"
                aria-label="Menu"
                aria-expanded={railOpen.value}
                aria-controls="rail"
                onClick={() => (railOpen.value = !railOpen.value)}
            >
                <Icon name="menu" />
            </button>
            <Crumbs />
            <LiveChip />
            <Zone />
            <Button
                kind="quiet"
                icon={dark ? "sun" : "moon"}
                label={dark ? "Light theme" : "Dark theme"}
                title={dark ? "Light theme (Shift+D)" : "Dark theme (Shift+D)"}
                onClick={() => setTheme(dark ? "light" : "dark")}
            />
            <Button kind="quiet" icon="key" label="Keyboard shortcuts" title="Keyboard shortcuts (?)" onClick={() => (keysOpen.value = true)} />
            <details class="menu">
                <summary aria-label={`Account: ${boot.value?.user.name}`}>
                    <Icon name="user" />
                    <span>{boot.value?.user.name}</span>
                </summary>
                <div>
                    <p class="muted">
                        {boot.value?.user.name} · {boot.value?.user.role}
                    </p>
                    <button type="button" class="btn quiet" onClick={() => void logout()}>
                        Log out
                    </button>
                </div>
            </details>
        </header>
    );
}

const keyRows: [string, string][] = [
    ["g then h, d, r, b, i", "home, DAGs, runs, backfills, import errors"],
    ["/", "filter"],
    ["↑ ↓ ← →, h j k l", "move in the grid"],
    ["Enter, Esc", "open, back"],
    ["t", "trigger the DAG"],
    ["p", "pause or un-pause the DAG"],
    ["[ ]", "older, newer run"],
    ["e E", "next, previous error line"],
    ["f", "follow the log"],
    ["Shift+L", "pause live updates"],
    ["Shift+D", "theme"],
    ["?", "this list"],
];

function Keys() {
    return (
        <Dialog title="Keyboard" onClose={() => (keysOpen.value = false)}>
            <dl class="keys">
                {keyRows.map(([keys, act]) => (
                    <div key={keys}>
                        <dt>
                            <kbd>{keys}</kbd>
                        </dt>
                        <dd>{act}</dd>
                    </div>
                ))}
            </dl>
        </Dialog>
    );
}

function Toasts() {
    return (
        <div class="toasts" role="status" aria-live="polite">
            {toasts.value.map((item) => (
                <div key={item.id} class={`toast ${item.kind}`}>
                    <Icon name={item.kind === "ok" ? "check" : "alert"} />
                    {item.href ? <a href={item.href}>{item.text}</a> : <span>{item.text}</span>}
                    <Button kind="quiet" icon="close" label="Dismiss" onClick={() => dismiss(item.id)} />
                </div>
            ))}
        </div>
    );
}

/** Keys of a page: registered while it is mounted. */
const pageKeys: Record<string, () => void>[] = [];

export function useKeys(keys: Record<string, () => void>): void {
    useEffect(() => {
        pageKeys.push(keys);
        return () => {
            pageKeys.splice(pageKeys.indexOf(keys), 1);
        };
    });
}

let goPending = 0;

function onKey(event: KeyboardEvent): void {
    const at = event.target as HTMLElement;
    if (at.closest("input, textarea, select, dialog, [contenteditable]")) return;
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (Date.now() - goPending < 1500) {
        goPending = 0;
        const place = places.find((item) => item.key === event.key);
        if (place) {
            event.preventDefault();
            navigate(place.href);
            return;
        }
    }
    for (let i = pageKeys.length - 1; i >= 0; i--) {
        const act = pageKeys[i]![event.key];
        if (act) {
            event.preventDefault();
            act();
            return;
        }
    }
    if (event.key === "g") goPending = Date.now();
    else if (event.key === "?") keysOpen.value = true;
    else if (event.key === "D") setTheme(theme.value === "dark" ? "light" : "dark");
    else if (event.key === "L") live.value === "paused" ? stream.resume() : stream.pause();
    else if (event.key === "/") {
        const filter = document.querySelector<HTMLInputElement>("input[data-filter]");
        if (!filter) return;
        event.preventDefault();
        filter.focus();
        filter.select();
    }
}

function OfflineBanner() {
    const since = offlineSince.value;
    // A short loss is healed by the next try: say nothing.
    const late = useComputed(() => live.value === "offline" && now.value >= 0 && Date.now() - since > 2500);
    if (!late.value) return null;
    return (
        <div class="banner" role="status">
            <Icon name="alert" />
            Sluice cannot be reached. You see what was true at {clock(serverNow() - (Date.now() - since))}; trying
            again.
        </div>
    );
}

export function App() {
    useEffect(() => {
        addEventListener("keydown", onKey);
        return () => removeEventListener("keydown", onKey);
    }, []);
    const user = boot.value?.user.name;
    useEffect(() => {
        if (!user) return;
        get<ImportErrors>("/ui/v1/import-errors").then(
            (answer) => (importErrors.value = answer.errors.length),
            () => {},
        );
    }, [user]);
    // Watched on every page: the count of import errors, and that the server is there.
    useStream(user ? [topics.dags] : [], {
        onBatch: (batch) => {
            if (batch.err !== undefined) importErrors.value = batch.err;
        },
    });
    const at = route.value;
    if (at.name === "login") return <LoginPage route={at} />;
    const Page = loaded.value[at.name];
    const load = loaders[at.name];
    if (!Page && load) {
        void load().then((page) => (loaded.value = { ...loaded.value, [at.name]: page }));
    }
    return (
        <>
            <a class="skip" href="#main">
                Skip to content
            </a>
            <Rail />
            {railOpen.value ? <div class="shade" onClick={() => (railOpen.value = false)} /> : null}
            <div class="body">
                <TopBar />
                <OfflineBanner />
                {Page ? <Page route={at} /> : <main id="main" />}
            </div>
            <Toasts />
            {keysOpen.value ? <Keys /> : null}
            <TriggerHost />
        </>
    );
}
