// ansi.ts — a log line in pieces: colours of terminals become classes, links become links, hits of
// a search are marked. No markup is ever made from text.

export interface LogPiece {
    text: string;
    class: string;
    href?: string;
}

const escape = /\u001b\[([0-9;]*)m|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|\u001b\[[0-9;?]*[A-Za-z]/g;
const names = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
const url = /https?:\/\/[^\s<>"'`]*[^\s<>"'`.,;:!?)\]}]/g;

interface Style {
    colour: string;
    bold: boolean;
    dim: boolean;
}

function apply(style: Style, codes: number[]): Style {
    let next = { ...style };
    for (let i = 0; i < codes.length; i++) {
        const code = codes[i]!;
        if (code === 0) next = { colour: "", bold: false, dim: false };
        else if (code === 1) next.bold = true;
        else if (code === 2) next.dim = true;
        else if (code === 22) next.bold = next.dim = false;
        else if (code >= 30 && code <= 37) next.colour = names[code - 30]!;
        else if (code >= 90 && code <= 97) next.colour = names[code - 90]!;
        else if (code === 39) next.colour = "";
        else if (code === 38 || code === 48) {
            // 256 and true colours: the first sixteen are named, the others stay plain.
            const basic = codes[i + 2] ?? 0;
            if (code === 38 && codes[i + 1] === 5 && basic < 16) next.colour = names[basic % 8]!;
            i += codes[i + 1] === 5 ? 2 : 4;
        }
    }
    return next;
}

const classOf = (style: Style) =>
    [style.colour && `a-${style.colour}`, style.bold && "a-bold", style.dim && "a-dim"]
        .filter(Boolean)
        .join(" ");

/** The text without escapes, as it is searched and copied. */
export function plain(text: string): string {
    // What a progress bar overwrote is gone.
    const shown = text.includes("\r") ? text.replace(/\r+$/, "").slice(text.replace(/\r+$/, "").lastIndexOf("\r") + 1) : text;
    return shown.replace(escape, "");
}

export function pieces(text: string, find = ""): LogPiece[] {
    const whole = text.replace(/\r+$/, "");
    const shown = whole.slice(whole.lastIndexOf("\r") + 1);
    const parts: LogPiece[] = [];
    let style: Style = { colour: "", bold: false, dim: false };
    let from = 0;
    const add = (part: string) => {
        if (part) parts.push(...linked(part, classOf(style)));
    };
    for (const match of shown.matchAll(escape)) {
        add(shown.slice(from, match.index));
        if (match[1] !== undefined) style = apply(style, match[1].split(";").map(Number));
        from = match.index + match[0].length;
    }
    add(shown.slice(from));
    return find ? parts.flatMap((part) => marked(part, find.toLowerCase())) : parts;
}

function linked(text: string, style: string): LogPiece[] {
    const parts: LogPiece[] = [];
    let from = 0;
    for (const match of text.matchAll(url)) {
        if (match.index > from) parts.push({ text: text.slice(from, match.index), class: style });
        parts.push({ text: match[0], class: style, href: match[0] });
        from = match.index + match[0].length;
    }
    if (from < text.length) parts.push({ text: text.slice(from), class: style });
    return parts;
}

function marked(part: LogPiece, find: string): LogPiece[] {
    const lower = part.text.toLowerCase();
    const parts: LogPiece[] = [];
    let from = 0;
    for (let at = lower.indexOf(find); at >= 0; at = lower.indexOf(find, from)) {
        if (at > from) parts.push({ ...part, text: part.text.slice(from, at) });
        parts.push({ ...part, text: part.text.slice(at, at + find.length), class: `${part.class} hit` });
        from = at + find.length;
    }
    if (from < part.text.length) parts.push({ ...part, text: part.text.slice(from) });
    return parts;
}
