// grid.ts — draws the visible part of the run grid: run bars, cells, crosshair.
import type { Grid, Run } from "../api";
import { letterOf, visible, type Row } from "../rows";
import { date, logical, serverNow } from "../time";
import { states, surfaces } from "../tokens";

export interface Metrics {
    pitch: number;
    cell: number;
    row: number;
    head: number;
    label: number;
}

/** How big things are: many runs are drawn narrower, a coarse pointer gets bigger targets. */
export function metricsFor(runs: number, coarse: boolean, width: number): Metrics {
    const label = width < 600 ? 132 : 216;
    if (coarse) return { pitch: 26, cell: 20, row: 30, head: 78, label };
    if (runs > 120) return { pitch: 11, cell: 9, row: 20, head: 78, label };
    return { pitch: 18, cell: 14, row: 22, head: 78, label };
}

export interface Place {
    row: number;
    column: number;
}

/** What lies under a point of the viewport; row -1 is the head (the run itself). */
export function hit(
    x: number,
    y: number,
    scroll: { x: number; y: number },
    metrics: Metrics,
    rows: number,
    columns: number,
): Place | null {
    if (x < metrics.label) return null;
    const column = Math.floor((x - metrics.label + scroll.x) / metrics.pitch);
    const row = y < metrics.head ? -1 : Math.floor((y - metrics.head + scroll.y) / metrics.row);
    if (column < 0 || column >= columns || row >= rows) return null;
    return { row, column };
}

export interface Scene {
    grid: Grid;
    rows: Row[];
    metrics: Metrics;
    width: number;
    height: number;
    scroll: { x: number; y: number };
    theme: "light" | "dark";
    hover: Place | null;
    focus: Place | null;
}

const paths = new Map<string, Path2D>();

function glyph(text: string): Path2D {
    let path = paths.get(text);
    if (!path) paths.set(text, (path = new Path2D(text)));
    return path;
}

export function draw(canvas: HTMLCanvasElement, scene: Scene): void {
    const ratio = devicePixelRatio || 1;
    const { width, height } = scene;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
        canvas.width = Math.round(width * ratio);
        canvas.height = Math.round(height * ratio);
        canvas.style.width = `${width}px`;
        canvas.style.height = `${height}px`;
    }
    const pen = canvas.getContext("2d")!;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const { metrics, grid, rows } = scene;
    const [first, last] = visible(scene.scroll.x, width - metrics.label, metrics.pitch, grid.runs.length);
    const [top, bottom] = visible(scene.scroll.y, height - metrics.head, metrics.row, rows.length);

    pen.save();
    pen.beginPath();
    pen.rect(metrics.label, metrics.head, width - metrics.label, height - metrics.head);
    pen.clip();
    crosshair(pen, scene);
    for (let column = first; column < last; column++) {
        const x = metrics.label + column * metrics.pitch - scene.scroll.x + (metrics.pitch - metrics.cell) / 2;
        const cells = grid.cells[column]!;
        for (let row = top; row < bottom; row++) {
            const y = metrics.head + row * metrics.row - scene.scroll.y;
            cell(pen, scene, letterOf(rows[row]!, cells), x, y, rows[row]!.kind === "group");
        }
    }
    if (scene.focus && scene.focus.row >= 0) outline(pen, scene, scene.focus);
    pen.restore();

    pen.save();
    pen.beginPath();
    pen.rect(metrics.label, 0, width - metrics.label, metrics.head);
    pen.clip();
    head(pen, scene, first, last);
    pen.restore();
    pen.fillStyle = surfaces[scene.theme].line;
    pen.fillRect(0, metrics.head - 1, width, 1);
    pen.fillRect(metrics.label - 1, 0, 1, metrics.head);
}

function crosshair(pen: CanvasRenderingContext2D, scene: Scene): void {
    const { metrics, hover } = scene;
    if (!hover) return;
    pen.fillStyle = scene.theme === "dark" ? "rgb(255 255 255 / 7%)" : "rgb(20 40 70 / 6%)";
    pen.fillRect(
        metrics.label + hover.column * metrics.pitch - scene.scroll.x,
        0,
        metrics.pitch,
        metrics.head + scene.rows.length * metrics.row - scene.scroll.y,
    );
    if (hover.row < 0) return;
    const y = metrics.head + hover.row * metrics.row - scene.scroll.y;
    pen.fillRect(metrics.label, y, scene.width - metrics.label, metrics.row);
}

function outline(pen: CanvasRenderingContext2D, scene: Scene, at: Place): void {
    const { metrics } = scene;
    pen.strokeStyle = surfaces[scene.theme].focus;
    pen.lineWidth = 2;
    const y = at.row < 0 ? 1 : metrics.head + at.row * metrics.row - scene.scroll.y + 1;
    const size = at.row < 0 ? metrics.head - 2 : metrics.row - 2;
    pen.beginPath();
    pen.roundRect(metrics.label + at.column * metrics.pitch - scene.scroll.x, y, metrics.pitch, size, 4);
    pen.stroke();
}

function cell(
    pen: CanvasRenderingContext2D,
    scene: Scene,
    letter: string,
    x: number,
    top: number,
    group: boolean,
): void {
    const { metrics, theme } = scene;
    const size = metrics.cell;
    const y = top + (metrics.row - size) / 2;
    const token = states[letter];
    if (!token) {
        pen.fillStyle = surfaces[theme].muted;
        pen.beginPath();
        pen.arc(x + size / 2, y + size / 2, 1.3, 0, 7);
        pen.fill();
        return;
    }
    const colour = token[theme];
    const scale = size / 14;
    pen.globalAlpha = letter === "n" ? 0.38 : 1;
    pen.fillStyle = colour;
    pen.strokeStyle = colour;
    pen.beginPath();
    if (token.fill === "solid") {
        pen.roundRect(x, y, size, size, 3 * scale);
        pen.fill();
    } else {
        pen.lineWidth = 1.2;
        pen.setLineDash(token.fill === "dotted" ? [2, 2] : []);
        pen.roundRect(x + 0.6, y + 0.6, size - 1.2, size - 1.2, 3 * scale);
        pen.stroke();
        pen.setLineDash([]);
        if (token.fill === "half") pen.fillRect(x + 0.6, y + size / 2, size - 1.2, size / 2 - 0.6);
    }
    if (token.glyph && (size >= 9 || letter === "f")) {
        pen.translate(x, y);
        pen.scale(scale, scale);
        pen.lineWidth = 1.7;
        pen.lineCap = "round";
        pen.lineJoin = "round";
        const onFill = surfaces[theme].page;
        if (token.fill === "half") {
            pen.fillStyle = onFill;
            pen.lineWidth = 1.2;
            pen.fill(glyph(token.glyph));
            pen.stroke(glyph(token.glyph));
        } else {
            pen.strokeStyle = token.fill === "solid" ? onFill : colour;
            pen.stroke(glyph(token.glyph));
            if (letter === "r") {
                pen.fillStyle = onFill;
                pen.fill(glyph(token.glyph));
            }
        }
        pen.scale(1 / scale, 1 / scale);
        pen.translate(-x, -y);
    }
    if (group && token.fill === "solid") {
        // A group's cell stands for several: a second edge behind it.
        pen.globalAlpha = 0.45;
        pen.fillStyle = colour;
        pen.fillRect(x + 2, y + size + 0.5, size - 4, 1.5);
    }
    pen.globalAlpha = 1;
}

function tookOf(run: Run): number {
    return run.s === null ? 0 : (run.e ?? serverNow()) - run.s;
}

const bars = { top: 22, bottom: 62 };

/** Dates, bars by duration, and a mark for runs that no schedule made. */
function head(pen: CanvasRenderingContext2D, scene: Scene, first: number, last: number): void {
    const { metrics, grid, theme } = scene;
    const surface = surfaces[theme];
    const longest = Math.max(1, ...grid.runs.map(tookOf));
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "middle";
    let lastDay = "";
    let free = -Infinity;
    // From the left edge of the whole grid: labels must not dance while it scrolls.
    for (let column = 0; column < last; column++) {
        const run = grid.runs[column]!;
        const x = metrics.label + column * metrics.pitch - scene.scroll.x;
        const at = run.ld ?? run.ra;
        const day = date(at);
        const text = day !== lastDay ? day.slice(5) : logical(at).slice(11);
        const room = day !== lastDay ? 0 : metrics.pitch * 4;
        if (text && x >= free + room) {
            if (column >= first - 4) {
                pen.fillStyle = surface.muted;
                pen.fillText(text, x + 2, 9);
                pen.fillRect(x + 0.5, 16, 1, 4);
            }
            free = x + 44;
            lastDay = day;
        }
        if (column < first) continue;
        const token = states[run.st]!;
        const height = 3 + (bars.bottom - bars.top - 3) * Math.sqrt(Math.min(1, tookOf(run) / longest));
        const left = x + (metrics.pitch - metrics.cell) / 2;
        pen.fillStyle = token[theme];
        pen.strokeStyle = token[theme];
        pen.beginPath();
        pen.roundRect(left, bars.bottom - height, metrics.cell, height, 2);
        if (run.st === "q") pen.stroke();
        else pen.fill();
        if (run.st === "f" && metrics.cell >= 9) {
            pen.save();
            pen.translate(left + (metrics.cell - 9) / 2, bars.bottom - Math.max(height, 11) + 1);
            pen.scale(9 / 14, 9 / 14);
            pen.lineWidth = 2.4;
            pen.lineCap = "round";
            pen.strokeStyle = height < 10 ? token[theme] : surface.page;
            pen.stroke(glyph(token.glyph));
            pen.restore();
        }
        type(pen, run, left + metrics.cell / 2, surface.muted);
    }
    pen.fillStyle = surface.line;
    if (scene.focus && scene.focus.row < 0) outline(pen, scene, scene.focus);
}

/** Nothing for a scheduled run; a dot for a manual one, a diamond for a backfill. */
function type(pen: CanvasRenderingContext2D, run: Run, x: number, colour: string): void {
    pen.fillStyle = colour;
    pen.beginPath();
    if (run.ty === "manual") pen.arc(x, 69, 2.2, 0, 7);
    else if (run.ty === "backfill") {
        pen.moveTo(x, 66);
        pen.lineTo(x + 3, 69);
        pen.lineTo(x, 72);
        pen.lineTo(x - 3, 69);
    }
    pen.fill();
    if (run.note) {
        pen.beginPath();
        pen.rect(x - 2, 74, 4, 1.5);
        pen.fill();
    }
}
