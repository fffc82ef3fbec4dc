// ui.tsx — the small parts that every page is made of.
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { ApiError } from "./api";
import { dateTime, duration, logical, now, relative, serverNow, zoneName } from "./time";
import { stateOf, wordOf, type Letter } from "./tokens";
import type { Resource } from "./store";

const icons: Record<string, string> = {
    home: "M3 7.4 8 3.2l5 4.2V13H9.6V9.6H6.4V13H3Z",
    dags: "M3 3h4v4H3zM9 9h4v4H9zM5 7v4h4",
    runs: "M5 3.4 12 8l-7 4.6Z",
    backfills: "M3.2 8a4.8 4.8 0 1 0 1.5-3.5M3 3v2.4h2.4M8 5.4V8l1.9 1.2",
    alert: "M8 2.8 14 13H2ZM8 6.6v3M8 11.2v.4",
    menu: "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
    sun: "M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6ZM8 1.6v1.6M8 12.8v1.6M1.6 8h1.6M12.8 8h1.6M3.5 3.5l1.1 1.1M11.4 11.4l1.1 1.1M3.5 12.5l1.1-1.1M11.4 4.6l1.1-1.1",
    moon: "M13 9.6A5.4 5.4 0 0 1 6.4 3a5.4 5.4 0 1 0 6.6 6.6Z",
    user: "M8 3a2.4 2.4 0 1 0 0 4.8A2.4 2.4 0 0 0 8 3ZM3.4 13c.5-2.4 2.3-3.6 4.6-3.6s4.1 1.2 4.6 3.6",
    close: "M4 4l8 8M12 4l-8 8",
    left: "M9.8 3.8 5.6 8l4.2 4.2",
    right: "M6.2 3.8 10.4 8l-4.2 4.2",
    down: "M3.8 6.2 8 10.4l4.2-4.2",
    up: "M3.8 9.8 8 5.6l4.2 4.2",
    copy: "M5.6 5.6h7v7h-7zM3.4 10.4V3.4h7",
    download: "M8 2.8v7M5.2 7.2 8 10l2.8-2.8M3 12.8h10",
    retry: "M12.6 6A5 5 0 1 0 13 8.8M13 3v3.2H9.8",
    table: "M2.8 3.4h10.4v9.2H2.8zM2.8 6.6h10.4M6.4 6.6v6",
    play: "M5 3.4 12 8l-7 4.6Z",
    pause: "M5.6 3.6v8.8M10.4 3.6v8.8",
    check: "M3.4 8.4 6.6 11.6 12.8 4.8",
    search: "M7 3a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM10 10l3.2 3.2",
    key: "M2.5 5h11v6h-11zM5 9.2h6M4.6 7h.2M7 7h.2M9.4 7h.2M11.6 7h.2",
    clock: "M8 2.8a5.2 5.2 0 1 0 0 10.4A5.2 5.2 0 0 0 8 2.8ZM8 5.2V8l2 1.4",
    hand: "M4 13.2V8.8M4 8.8 6.6 3.4l1 .6v3h4.6l-.8 6.2H4",
};

export function Icon({ name, size = 16 }: { name: string; size?: number }) {
    return (
        <svg class="icon" width={size} height={size} viewBox="0 0 16 16" aria-hidden="true">
            <path d={icons[name] ?? ""} />
        </svg>
    );
}

/** The coloured square of a state, with its glyph: the same mark as a cell of the grid. */
export function Mark({ letter }: { letter: Letter }) {
    const token = stateOf(letter);
    return (
        <svg class={`mark mark-${letter} fill-${token?.fill ?? "none"}`} viewBox="0 0 14 14" aria-hidden="true">
            {token ? (
                <>
                    <rect x="1" y="1" width="12" height="12" rx="3" />
                    {token.fill === "half" ? <rect class="half" x="1" y="7" width="12" height="6" rx="2" /> : null}
                    {token.glyph ? <path d={token.glyph} /> : null}
                </>
            ) : (
                <circle cx="7" cy="7" r="1.5" />
            )}
        </svg>
    );
}

export function State({ letter, word }: { letter: Letter; word?: string }) {
    return (
        <span class={`state tint-${letter}`}>
            <Mark letter={letter} />
            {word ?? wordOf(letter)}
        </span>
    );
}

/** An instant: short text, everything in the title. */
export function Time({ ms, text }: { ms: number | null; text?: string }) {
    if (ms === null) return <span class="muted">–</span>;
    const title =
        `${dateTime(ms)} ${zoneName()}\n${dateTime(ms, "UTC", true)} UTC\n` +
        relative(ms, serverNow());
    return (
        <time dateTime={new Date(ms).toISOString()} title={title}>
            {text ?? dateTime(ms)}
        </time>
    );
}

export function Logical({ ms }: { ms: number | null }) {
    return <Time ms={ms} text={ms === null ? undefined : logical(ms)} />;
}

/** "3 m ago", kept right by the clock. */
export function Ago({ ms }: { ms: number | null }) {
    return <Time ms={ms} text={ms === null ? undefined : relative(ms, now.value)} />;
}

/** Start to end, or to now while it lasts. */
export function Lasted({ s, e }: { s: number | null; e: number | null }) {
    if (s === null) return <span class="muted">–</span>;
    const end = e ?? Math.max(now.value, s);
    // A running duration shows whole seconds: tenths would flicker.
    const ms = e === null ? Math.floor((end - s) / 1000) * 1000 : end - s;
    return <span class="num">{duration(ms)}</span>;
}

export function Button(props: {
    children?: ComponentChildren;
    onClick?: () => void;
    kind?: "primary" | "danger" | "plain" | "quiet";
    icon?: string;
    title?: string;
    disabled?: boolean;
    type?: "button" | "submit";
    pressed?: boolean;
    label?: string;
    testid?: string;
}) {
    return (
        <button
            type={props.type ?? "button"}
            class={`btn ${props.kind ?? "plain"} ${props.children ? "" : "only-icon"}`}
            onClick={props.onClick}
            title={props.title}
            disabled={props.disabled}
            aria-pressed={props.pressed}
            aria-label={props.label}
            data-testid={props.testid}
        >
            {props.icon ? <Icon name={props.icon} /> : null}
            {props.children ? <span>{props.children}</span> : null}
        </button>
    );
}

export function Copy({ text, label }: { text: string; label: string }) {
    const done = useSignal(false);
    const copy = () => {
        navigator.clipboard?.writeText(text).then(() => {
            done.value = true;
            setTimeout(() => (done.value = false), 1500);
        });
    };
    return (
        <button type="button" class="btn quiet only-icon small" onClick={copy} aria-label={label} title={label}>
            <Icon name={done.value ? "check" : "copy"} size={14} />
        </button>
    );
}

export function Switch(props: {
    on: boolean;
    label: string;
    busy?: boolean;
    disabled?: boolean;
    onChange(on: boolean): void;
}) {
    return (
        <button
            type="button"
            role="switch"
            class={`switch ${props.busy ? "busy" : ""}`}
            aria-checked={props.on}
            aria-label={props.label}
            title={props.label}
            disabled={props.disabled || props.busy}
            onClick={() => props.onChange(!props.on)}
        >
            <span />
        </button>
    );
}

/** The four states of a panel: loading, error, empty, and what it shows. */
export function Panel<T>(props: {
    of: Resource<T>;
    rows?: number;
    empty?: (data: T) => ComponentChildren | null;
    children: (data: T) => ComponentChildren;
}) {
    const { data, error, slow, reload } = props.of;
    if (data.value !== null) {
        const nothing = props.empty?.(data.value);
        return (
            <>
                {error.value ? <Failure error={error.value} retry={reload} inline /> : null}
                {nothing ?? props.children(data.value)}
            </>
        );
    }
    if (error.value) return <Failure error={error.value} retry={reload} />;
    return slow.value ? <Skeleton rows={props.rows ?? 8} /> : <div class="blank" aria-busy="true" />;
}

export function Skeleton({ rows }: { rows: number }) {
    return (
        <div class="skeleton" role="status" aria-label="Loading">
            {Array.from({ length: rows }, (_, i) => (
                <div key={i} class={`w${i % 4}`} />
            ))}
        </div>
    );
}

export function Failure(props: { error: ApiError; retry?: () => void; inline?: boolean }) {
    const { error } = props;
    const what =
        error.status === 404
            ? "Not found"
            : error.status === 403
              ? "Not allowed"
              : error.status === 0
                ? "Offline"
                : "This could not be loaded";
    return (
        <div class={props.inline ? "notice bad" : "empty"} role="alert">
            <strong>{what}</strong>
            <p>{error.message}</p>
            {props.inline ? null : <code class="muted">{error.path}</code>}
            {props.retry ? (
                <Button icon="retry" onClick={props.retry}>
                    Retry
                </Button>
            ) : null}
        </div>
    );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
    return (
        <div class="empty">
            <strong>{title}</strong>
            {children}
        </div>
    );
}

/** A native dialog, open while mounted. */
export function Dialog(props: {
    title: string;
    onClose(): void;
    children: ComponentChildren;
    wide?: boolean;
}) {
    const ref = useRef<HTMLDialogElement>(null);
    useEffect(() => {
        const dialog = ref.current!;
        dialog.showModal();
        // Not the close button: the form moves the focus on to its first field.
        dialog.focus();
        return () => dialog.close();
    }, []);
    const onCancel = (event: Event) => {
        event.preventDefault();
        props.onClose();
    };
    const onBackdrop = (event: MouseEvent) => {
        if (event.target === ref.current) props.onClose();
    };
    return (
        <dialog
            ref={ref}
            tabIndex={-1}
            class={props.wide ? "wide" : ""}
            aria-labelledby="dialog-title"
            onCancel={onCancel}
            onMouseDown={onBackdrop}
        >
            <header>
                <h2 id="dialog-title">{props.title}</h2>
                <Button kind="quiet" icon="close" label="Close" onClick={props.onClose} />
            </header>
            <div class="dialog-body">{props.children}</div>
        </dialog>
    );
}

export function Field(props: {
    label: string;
    hint?: ComponentChildren;
    error?: string;
    id: string;
    children: ComponentChildren;
}) {
    return (
        <div class="field">
            <label for={props.id}>{props.label}</label>
            {props.children}
            {props.error ? (
                <p class="field-error" role="alert">
                    {props.error}
                </p>
            ) : props.hint ? (
                <p class="hint">{props.hint}</p>
            ) : null}
        </div>
    );
}

export interface Tab {
    id: string;
    label: string;
    href: string;
    count?: number;
}

export function Tabs({ tabs, active, label }: { tabs: Tab[]; active: string; label: string }) {
    return (
        <nav class="tabs" aria-label={label}>
            {tabs.map((tab) => (
                <a key={tab.id} href={tab.href} aria-current={tab.id === active ? "page" : undefined}>
                    {tab.label}
                    {tab.count ? <span class="count">{tab.count}</span> : null}
                </a>
            ))}
        </nav>
    );
}

/** Name and value pairs. */
export function Facts({ rows }: { rows: [string, ComponentChildren][] }) {
    return (
        <dl class="facts">
            {rows.map(([name, value]) => (
                <div key={name}>
                    <dt>{name}</dt>
                    <dd>{value}</dd>
                </div>
            ))}
        </dl>
    );
}

/** Counts by state letter, as small marks with numbers. */
export function Counts({ counts }: { counts: Record<string, number> }) {
    const order = "sfuyrqckxdwgzn";
    return (
        <span class="counts">
            {[...order]
                .filter((letter) => counts[letter])
                .map((letter) => (
                    <span key={letter} title={`${counts[letter]} ${wordOf(letter)}`}>
                        <Mark letter={letter} />
                        <span class="num">{counts[letter]}</span>
                        <span class="sr">{wordOf(letter)}</span>
                    </span>
                ))}
        </span>
    );
}

/** Widths and places are CSS properties set by script: a policy without inline styles allows it. */
export function Bar(props: { at: number; to: number; class: string; title?: string }) {
    const style = {
        left: `${props.at * 100}%`,
        width: `max(3px, ${(props.to - props.at) * 100}%)`,
    };
    return <span class={props.class} style={style} title={props.title} />;
}

export function pretty(value: unknown): string {
    return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}
