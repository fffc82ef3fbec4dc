// logwindow.ts — which lines of a long log the page needs: windows of a scaled scroll area, pages
// of the server's index, and the cache of them. Pure; the view fetches.
import type { LogLine, LogLines } from "./api";

export const lineHeight = 18;
export const pageSize = 256;
/** Browsers cap the height of an element; beyond this the scroll bar is scaled. */
export const maxHeight = 8_000_000;

export interface Window {
    /** Height of the scroll area. */
    height: number;
    first: number;
    count: number;
    /** Where the first line stands, in the scroll area. */
    top: number;
}

export function windowAt(scroll: number, view: number, total: number, overscan = 12): Window {
    const natural = total * lineHeight;
    const height = Math.min(natural, maxHeight);
    const fits = Math.ceil(view / lineHeight) + 1;
    if (natural <= maxHeight) {
        const first = Math.max(0, Math.min(Math.floor(scroll / lineHeight) - overscan, total));
        const count = Math.max(0, Math.min(total - first, fits + 2 * overscan));
        return { height, first, count, top: first * lineHeight };
    }
    // Scaled: the scroll position is a share of the whole; lines are laid out from it.
    const share = Math.min(1, Math.max(0, scroll / Math.max(1, height - view)));
    const exact = share * (total - view / lineHeight);
    const at = Math.max(0, Math.floor(exact));
    const first = Math.max(0, at - overscan);
    const count = Math.min(total - first, fits + 2 * overscan);
    return { height, first, count, top: scroll - (exact - first) * lineHeight };
}

/** The scroll position that shows a line near the middle. */
export function scrollTo(line: number, view: number, total: number): number {
    const natural = total * lineHeight;
    const wanted = Math.max(0, line * lineHeight - view / 2 + lineHeight);
    if (natural <= maxHeight) return Math.min(wanted, Math.max(0, natural - view));
    const share = Math.min(1, wanted / (natural - view));
    return share * (maxHeight - view);
}

/** Pages of lines by place, least recently used ones dropped. */
export class LineCache {
    private pages = new Map<number, LogLine[]>();
    total = 0;

    constructor(private readonly limit = 48) {}

    clear(): void {
        this.pages.clear();
        this.total = 0;
    }

    put(answer: LogLines): void {
        this.total = answer.total;
        for (let i = 0; i < answer.lines.length; ) {
            const at = answer.from + i;
            const page = Math.floor(at / pageSize);
            const within = at - page * pageSize;
            const take = answer.lines.slice(i, i + pageSize - within);
            const known = this.pages.get(page) ?? [];
            const merged = [...known];
            take.forEach((line, j) => (merged[within + j] = line));
            this.pages.delete(page);
            this.pages.set(page, merged);
            i += take.length;
        }
        while (this.pages.size > this.limit) this.pages.delete(this.pages.keys().next().value!);
    }

    /** New lines of a running attempt; `from` is the place of the first. */
    append(from: number, lines: LogLine[], total: number): void {
        // A gap: those pages are fetched when they are looked at.
        if (lines.length) this.put({ from, total, complete: false, lines });
        this.total = Math.max(this.total, total);
    }

    get(at: number): LogLine | undefined {
        return this.pages.get(Math.floor(at / pageSize))?.[at % pageSize];
    }

    /** Pages of a window that are not (wholly) there. */
    missing(first: number, count: number): number[] {
        const last = Math.min(first + count, this.total) - 1;
        const pages: number[] = [];
        for (let page = Math.floor(first / pageSize); page * pageSize <= last; page++) {
            const lines = this.pages.get(page);
            const from = Math.max(first, page * pageSize) - page * pageSize;
            const to = Math.min(last, page * pageSize + pageSize - 1) - page * pageSize;
            let whole = !!lines;
            for (let i = from; whole && i <= to; i++) whole = lines![i] !== undefined;
            if (!whole) pages.push(page);
        }
        return pages;
    }
}
