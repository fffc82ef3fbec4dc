// code.tsx — text with line numbers; JSON gets a little colour.
import { useMemo } from "preact/hooks";
import { Copy } from "../ui";

export interface Piece {
    kind: "key" | "string" | "number" | "word" | "";
    text: string;
}

const token = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|\b(true|false|null)\b/g;

/** A line of JSON in coloured pieces; other text comes back whole. */
export function colour(line: string): Piece[] {
    const pieces: Piece[] = [];
    let from = 0;
    for (const match of line.matchAll(token)) {
        if (match.index > from) pieces.push({ kind: "", text: line.slice(from, match.index) });
        const [whole, string, colon, number] = match;
        if (string && colon) {
            pieces.push({ kind: "key", text: string }, { kind: "", text: colon });
        } else {
            pieces.push({ kind: string ? "string" : number ? "number" : "word", text: whole });
        }
        from = match.index + whole.length;
    }
    if (from < line.length) pieces.push({ kind: "", text: line.slice(from) });
    return pieces;
}

/** Text kept on one line is unfolded: what is stored may be canonical JSON. */
export function readable(name: string, text: string): string {
    if (!name.endsWith(".json") || text.includes("\n")) return text;
    try {
        return JSON.stringify(JSON.parse(text), null, 2);
    } catch {
        return text;
    }
}

export function CodeView({ name, text }: { name: string; text: string }) {
    const shown = readable(name, text);
    const json = name.endsWith(".json") || shown.startsWith("{");
    const lines = useMemo(() => shown.replace(/\n$/, "").split("\n"), [shown]);
    return (
        <figure class="source">
            <figcaption>
                <code>{name}</code>
                <span class="muted num">{lines.length} lines</span>
                <Copy text={shown} label={`Copy ${name}`} />
            </figcaption>
            <pre class="code" tabIndex={0}>
                {lines.map((line, i) => (
                    <span key={i} class="code-line">
                        <i>{i + 1}</i>
                        {json
                            ? colour(line).map((piece, j) =>
                                  piece.kind ? (
                                      <b key={j} class={`t-${piece.kind}`}>
                                          {piece.text}
                                      </b>
                                  ) : (
                                      piece.text
                                  ),
                              )
                            : line}
                        {"\n"}
                    </span>
                ))}
            </pre>
        </figure>
    );
}
