// tokens.ts — colours of the dashboard, once: the build writes them into the style sheet, the
// canvases read them here, and a test holds contrast and colour-blind distances.

/** One letter a state, as the daemon sends them. */
export type Letter = string;

export interface StateToken {
    word: string;
    light: string;
    dark: string;
    /** Strokes in a 14 x 14 box, drawn over the filled cell. */
    glyph: string;
    /** solid: filled; hollow: outline only; dotted: dotted outline; half: lower half filled. */
    fill: "solid" | "hollow" | "dotted" | "half";
}

const cross = "M4.2 4.2 9.8 9.8M9.8 4.2 4.2 9.8";
const play = "M5.2 3.8 10.4 7 5.2 10.2Z";
const again = "M10.3 5.6A3.6 3.6 0 1 0 10.6 7.6M10.6 3.4V5.8H8.2";
const clock = "M7 4.2V7L9 8.2";
const triangle = "M7 3.9 10.3 9.8H3.7Z";
const slash = "M3.6 10.4 10.4 3.6";
const hatch = "M2.6 7 7 2.6M3.2 10.8 10.8 3.2M7 11.4 11.4 7";

const waiting = { light: "#404857", dark: "#818182" };
const retry = { light: "#b3881c", dark: "#fbb435" };
const skip = { light: "#9569d2", dark: "#c4a4e5" };
const deferred = { light: "#38226c", dark: "#8350c5" };

export const states: Record<Letter, StateToken> = {
    s: { word: "success", light: "#05a197", dark: "#7bd7b4", glyph: "", fill: "solid" },
    r: { word: "running", light: "#2353d4", dark: "#5d94fd", glyph: play, fill: "solid" },
    f: { word: "failed", light: "#b43a00", dark: "#de4a14", glyph: cross, fill: "solid" },
    y: { word: "up for retry", ...retry, glyph: again, fill: "solid" },
    z: { word: "up for reschedule", ...retry, glyph: again, fill: "hollow" },
    q: { word: "queued", ...waiting, glyph: clock, fill: "solid" },
    c: { word: "scheduled", ...waiting, glyph: "", fill: "dotted" },
    n: { word: "not started", ...waiting, glyph: "", fill: "hollow" },
    u: {
        word: "upstream failed",
        light: "#621f17",
        dark: "#a74b53",
        glyph: triangle,
        fill: "half",
    },
    k: { word: "skipped", ...skip, glyph: slash, fill: "solid" },
    x: { word: "removed", ...skip, glyph: slash, fill: "dotted" },
    d: { word: "deferred", ...deferred, glyph: hatch, fill: "solid" },
    w: { word: "awaiting input", ...deferred, glyph: "M7 3.8V8M7 9.6V10.4", fill: "solid" },
    g: { word: "restarting", ...deferred, glyph: again, fill: "solid" },
    l: { word: "lost", ...waiting, glyph: cross, fill: "hollow" },
};

/** The state of a letter; an unknown letter (a task that the version lacks) has no token. */
export function stateOf(letter: Letter): StateToken | undefined {
    return states[letter];
}

export function wordOf(letter: Letter): string {
    return states[letter]?.word ?? "not in this version";
}

/** Airflow's word for a letter, as the API's filters take it. */
export function apiWordOf(letter: Letter): string {
    return wordOf(letter).replaceAll(" ", "_");
}

/** Worst first: the order in which a summary names states and a badge picks one. */
export const severity = "fuyzgrwdqcnkxsl";

export function worst(letters: Iterable<Letter>): Letter {
    let best = severity.length;
    for (const letter of letters) {
        const rank = severity.indexOf(letter);
        if (rank >= 0 && rank < best) best = rank;
    }
    return best < severity.length ? severity[best]! : ".";
}

export const isFinished = (letter: Letter): boolean => "sfkux".includes(letter);

export interface Surface {
    page: string;
    card: string;
    raised: string;
    line: string;
    text: string;
    muted: string;
    link: string;
    focus: string;
    danger: string;
    on: string;
}

export const surfaces: Record<"light" | "dark", Surface> = {
    light: {
        page: "#ffffff",
        card: "#f6f8fa",
        raised: "#ffffff",
        line: "#d5dbe1",
        text: "#1b2430",
        muted: "#57606a",
        link: "#1d4ed8",
        focus: "#1d4ed8",
        danger: "#a32d00",
        on: "#ffffff",
    },
    dark: {
        page: "#0f1419",
        card: "#171d24",
        raised: "#1d252e",
        line: "#2b3440",
        text: "#e6edf3",
        muted: "#9aa7b4",
        link: "#7ab0ff",
        focus: "#ffd166",
        danger: "#ff8a5c",
        on: "#0f1419",
    },
};

function block(theme: "light" | "dark"): string {
    const surface = Object.entries(surfaces[theme]).map(([name, value]) => `--${name}:${value}`);
    const colours = Object.entries(states).map(([letter, token]) => `--st-${letter}:${token[theme]}`);
    return [...surface, ...colours, `color-scheme:${theme}`].join(";");
}

/** The custom properties of both themes; the build puts them before app.css. */
export function tokenCss(): string {
    return `:root{${block("light")}}:root[data-theme="dark"]{${block("dark")}}`;
}
