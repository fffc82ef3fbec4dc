// time.ts — the one module that formats time. Everything is kept as epoch milliseconds UTC; the
// zone of display is the user's choice.
import { signal } from "@preact/signals";

const remembered = typeof localStorage === "undefined" ? null : localStorage.getItem("sluice.tz");

/** "UTC", "local" or an IANA name. */
export const zone = signal<string>(remembered ?? "local");

export function setZone(name: string): void {
    zone.value = name;
    if (typeof localStorage !== "undefined") localStorage.setItem("sluice.tz", name);
}

export function zoneName(name: string = zone.value): string {
    return name === "local" ? Intl.DateTimeFormat().resolvedOptions().timeZone : name;
}

/** The server's clock: ours plus the offset learnt from its answers; ticks once a second. */
export const now = signal<number>(Date.now());
let offset = 0;

export function learnServerTime(server_ms: number): void {
    offset = server_ms - Date.now();
}

export function serverNow(): number {
    return Date.now() + offset;
}

export function startClock(): void {
    setInterval(() => {
        if (document.visibilityState === "visible") now.value = serverNow();
    }, 1000);
}

interface Parts {
    year: string;
    month: string;
    day: string;
    hour: string;
    minute: string;
    second: string;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function partsOf(ms: number, tz: string): Parts {
    let format = formats.get(tz);
    if (!format) {
        format = new Intl.DateTimeFormat("en-GB", {
            timeZone: tz,
            hourCycle: "h23",
            year: "numeric",
            month: "2-digit",
            day: "2-digit",
            hour: "2-digit",
            minute: "2-digit",
            second: "2-digit",
        });
        formats.set(tz, format);
    }
    const parts: Record<string, string> = {};
    for (const { type, value } of format.formatToParts(ms)) parts[type] = value;
    return parts as unknown as Parts;
}

export function date(ms: number, tz = zoneName()): string {
    const p = partsOf(ms, tz);
    return `${p.year}-${p.month}-${p.day}`;
}

export function clock(ms: number, tz = zoneName(), seconds = true): string {
    const p = partsOf(ms, tz);
    return seconds ? `${p.hour}:${p.minute}:${p.second}` : `${p.hour}:${p.minute}`;
}

/** "2026-11-21 09:45:12", and the milliseconds if asked. */
export function dateTime(ms: number, tz = zoneName(), millis = false): string {
    const text = `${date(ms, tz)} ${clock(ms, tz)}`;
    return millis ? `${text}.${String(((ms % 1000) + 1000) % 1000).padStart(3, "0")}` : text;
}

/** The shortest that is clear: a midnight shows its date alone, today its time alone. */
export function shortTime(ms: number, at = now.value, tz = zoneName()): string {
    const day = date(ms, tz);
    if (day === date(at, tz)) return clock(ms, tz);
    const time = clock(ms, tz, false);
    return time === "00:00" ? day : `${day} ${time}`;
}

/** A logical date: always with its day. */
export function logical(ms: number, tz = zoneName()): string {
    const time = clock(ms, tz, false);
    return time === "00:00" ? date(ms, tz) : `${date(ms, tz)} ${time}`;
}

const units: [string, number][] = [
    ["d", 86_400_000],
    ["h", 3_600_000],
    ["m", 60_000],
    ["s", 1000],
];

/** Two significant units: "1 h 04 m", "9 m 44 s", "22 s", "0.42 s", "8 ms". */
export function duration(ms: number): string {
    if (ms < 0) ms = 0;
    if (ms < 100) return `${Math.round(ms)} ms`;
    if (ms < 9_950) return `${(ms / 1000).toFixed(ms < 995 ? 2 : 1)} s`;
    ms = Math.round(ms / 1000) * 1000;
    const first = units.findIndex(([, size]) => ms >= size);
    const [name, size] = units[first]!;
    const whole = Math.floor(ms / size);
    const lower = units[first + 1];
    if (!lower) return `${whole} ${name}`;
    const rest = Math.floor((ms - whole * size) / lower[1]);
    return rest ? `${whole} ${name} ${String(rest).padStart(2, "0")} ${lower[0]}` : `${whole} ${name}`;
}

/** "in 4 m", "3 h ago", "now". One unit: these are read at a glance. */
export function relative(ms: number, at = now.value): string {
    const delta = ms - at;
    const size = Math.abs(delta);
    if (size < 1000) return "now";
    const unit = units.find(([, u]) => size >= u)!;
    const text = `${Math.floor(size / unit[1])} ${unit[0]}`;
    return delta > 0 ? `in ${text}` : `${text} ago`;
}

/** The UTC instant as the API takes it. */
export function iso(ms: number): string {
    return new Date(ms).toISOString();
}

/** Wall time "2026-11-21T09:45" (or with seconds) in a zone -> epoch ms; NaN if it does not exist
 *  there (a gap of daylight saving) or is no time. The earlier instant of an ambiguous one. */
export function parseLocal(text: string, tz = zoneName()): number {
    const match = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d))?)?$/.exec(text.trim());
    if (!match) return NaN;
    const [, y, mo, d, h = "00", mi = "00", s = "00"] = match;
    const guess = Date.UTC(+y!, +mo! - 1, +d!, +h, +mi, +s);
    const wanted = `${y}-${mo}-${d} ${h}:${mi}:${s}`;
    let found = NaN;
    for (const shift of [-1, 0, 1]) {
        // The offset in force a day before, at, and a day after: one of them is right.
        const probe = guess + shift * 86_400_000;
        const p = dateTime(probe, tz).split(/[- :]/).map(Number);
        const zoneOffset = Date.UTC(p[0]!, p[1]! - 1, p[2], p[3], p[4], p[5]) - probe;
        const candidate = guess - zoneOffset;
        if (dateTime(candidate, tz) === wanted && !(candidate >= found)) found = candidate;
    }
    return found;
}

/** For <input type=datetime-local>. */
export function inputValue(ms: number, tz = zoneName()): string {
    return `${date(ms, tz)}T${clock(ms, tz, false)}`;
}

/** The last week of a DAG's dates as [first, last]: before today, or before its end, not before its start. */
export function lastWeek(dag: { start: number | null; end: number | null } | undefined, now: number): [number, number] {
    const day = 86_400_000;
    const midnight = (ms: number) => Math.floor(ms / day) * day;
    const last = Math.min(midnight(now) - day, midnight(dag?.end ?? Infinity));
    const first = Math.max(last - 6 * day, dag?.start ?? -Infinity);
    return [Math.min(first, last), last];
}
