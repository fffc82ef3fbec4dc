// log_line.tsx — one line of a log: number, time, level, text.
import { pieces, plain } from "../ansi";
import type { LogLine } from "../api";
import { toast } from "../store";
import { clock, date, zoneName } from "../time";

const levelNames: Record<string, string> = { D: "DEBUG", I: "INFO", W: "WARN", E: "ERROR", "": "" };

export function Line({ line, digits, find, lit }: { line: LogLine | undefined; digits: number; find: string; lit: boolean }) {
    if (!line) return <div class="log-line wait" />;
    const [n, t, level, text] = line;
    return (
        <div class={`log-line lv-${level} ${lit ? "lit" : ""}`} title={plain(text).length > 400 ? plain(text) : undefined}>
            <a
                class="n"
                href={`#L${n + 1}`}
                tabIndex={-1}
                aria-label={`Line ${n + 1}`}
                onClick={(event) => {
                    event.preventDefault();
                    history.replaceState(null, "", `#L${n + 1}`);
                    void navigator.clipboard?.writeText(location.href);
                    toast("A link to the line is in the clipboard");
                }}
                style={{ minWidth: `${digits + 1}ch` }}
            >
                {n + 1}
            </a>
            <time title={t === null ? "" : `${date(t)} ${zoneName()}`}>
                {t === null ? "" : `${clock(t)}.${String(Math.floor(t) % 1000).padStart(3, "0")}`}
            </time>
            <span class="lv">{levelNames[level] ?? ""}</span>
            <span class="text">
                {pieces(text, find).map((piece, i) =>
                    piece.href ? (
                        <a key={i} class={piece.class} href={piece.href} target="_blank" rel="noreferrer noopener">
                            {piece.text}
                        </a>
                    ) : piece.class ? (
                        <span key={i} class={piece.class}>
                            {piece.text}
                        </span>
                    ) : (
                        piece.text
                    ),
                )}
            </span>
        </div>
    );
}
