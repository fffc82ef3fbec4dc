// rows.ts — the order of tasks on a page: topological, with groups kept together and foldable.
import type { Structure } from "./api";
import { worst } from "./tokens";

/** Node indexes so that every node comes after its upstreams; file order among equals. */
export function topological(structure: Pick<Structure, "nodes" | "edges">): number[] {
    const left = structure.nodes.map(() => 0);
    const down: number[][] = structure.nodes.map(() => []);
    for (const [from, to] of structure.edges) {
        left[to]!++;
        down[from]!.push(to);
    }
    const ready = left.flatMap((count, i) => (count === 0 ? [i] : []));
    const order: number[] = [];
    for (let at = 0; at < ready.length; at++) {
        const node = ready[at]!;
        order.push(node);
        for (const to of down[node]!) if (--left[to]! === 0) ready.push(to);
    }
    return order;
}

export interface Row {
    kind: "task" | "group";
    id: string;
    label: string;
    depth: number;
    /** The node, or the nodes of a group. */
    nodes: number[];
    open?: boolean;
}

/**
 * Rows of the grid: a group stands where its last task would, its members under it. (By its first, a
 * group with one task that waits for nothing would come before the groups it mostly depends on.)
 */
export function rowsOf(structure: Structure, closed: ReadonlySet<string>, filter = ""): Row[] {
    const wanted = filter.toLowerCase();
    const parents = new Map(structure.groups.map(([id, parent]) => [id, parent]));
    const members = new Map<string, (number | string)[]>();
    const nodesIn = new Map<string, number[]>();
    const seen = new Set<string>();
    // Place of a task, or of a group's last task, in topological order.
    const place = new Map<number | string, number>();
    for (const [at, node] of topological(structure).entries()) {
        const [id, group] = structure.nodes[node]!;
        if (wanted && !id.toLowerCase().includes(wanted)) continue;
        let parent = group;
        push(members, parent, node);
        place.set(node, at);
        while (parent) {
            place.set(parent, at);
            push(nodesIn, parent, node);
            const above = parents.get(parent) ?? "";
            if (!seen.has(parent)) {
                seen.add(parent);
                push(members, above, parent);
            }
            parent = above;
        }
    }
    for (const items of members.values()) items.sort((a, b) => place.get(a)! - place.get(b)!);
    const rows: Row[] = [];
    const walk = (group: string, depth: number) => {
        for (const item of members.get(group) ?? []) {
            if (typeof item === "number") {
                const id = structure.nodes[item]![0];
                const short = group && id.startsWith(`${group}.`) ? id.slice(group.length + 1) : id;
                rows.push({ kind: "task", id, label: short, depth, nodes: [item] });
            } else {
                const open = !closed.has(item);
                const short = group && item.startsWith(`${group}.`) ? item.slice(group.length + 1) : item;
                rows.push({ kind: "group", id: item, label: short, depth, nodes: nodesIn.get(item) ?? [], open });
                if (open) walk(item, depth + 1);
            }
        }
    };
    walk("", 0);
    return rows;
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
    const list = map.get(key);
    if (list) list.push(value);
    else map.set(key, [value]);
}

/** The letter that a row shows for a run: a group shows its worst. */
export function letterOf(row: Row, cells: string): string {
    return row.nodes.length === 1 ? (cells[row.nodes[0]!] ?? ".") : worst(row.nodes.map((node) => cells[node] ?? "."));
}

/** Which of `count` equal cells a window shows. */
export function visible(scroll: number, size: number, pitch: number, count: number): [number, number] {
    const first = Math.min(count, Math.max(0, Math.floor(scroll / pitch)));
    const last = Math.min(count, Math.ceil((scroll + size) / pitch));
    return [first, Math.max(first, last)];
}
