// flow.tsx — how rows went through a run: data sets from raw to the warehouse, as wide as they have
// rows, and what was lost on the way. The table below says the same in numbers.
import { paths, type Flow, type FlowTask } from "../api";
import { bytes, compact } from "../numbers";
import { links } from "../routes";
import { useResource, useStream } from "../store";
import { topics } from "../stream";
import { duration } from "../time";
import { isFinished } from "../tokens";
import { Empty, Panel } from "../ui";

const layers = ["Raw", "Processed", "Curated", "Warehouse"];
const box = { width: 196, height: 46, gap: 22, between: 84, top: 30 };

interface Node {
    name: string;
    layer: number;
    row: number;
    rows: number | null;
    lost: string;
    task: string | null;
}

interface Edge {
    from: Node;
    to: Node;
    rows: number;
}

/** What did not get to the other side, and why. */
export function lostOf(summary: Record<string, number>): string {
    const parts: [string, string][] = [
        ["rows_quarantined", "quarantined"],
        ["rows_rejected", "rejected"],
        ["rows_deduplicated", "duplicates"],
    ];
    return parts
        .filter(([key]) => summary[key])
        .map(([key, word]) => `−${compact(summary[key]!)} ${word}`)
        .join(", ");
}

/** Data sets in their layers and the tasks between them. A data set that several tasks read has an
 *  edge to each of their outputs. */
export function pictureOf(tasks: FlowTask[]): { nodes: Node[]; edges: Edge[] } {
    const nodes = new Map<string, Node>();
    const filled = layers.map(() => 0);
    const node = ([name, layer]: [string, number]): Node => {
        let found = nodes.get(name);
        if (!found) {
            found = { name, layer, row: filled[layer]!++, rows: null, lost: "", task: null };
            nodes.set(name, found);
        }
        return found;
    };
    const edges: Edge[] = [];
    for (const task of tasks) {
        const outputs = task.writes.map((output) => {
            const to = node(output);
            to.rows = task.summary.rows_out ?? null;
            to.lost = lostOf(task.summary);
            to.task = task.t;
            return to;
        });
        for (const input of task.reads.map(node)) {
            for (const to of outputs) edges.push({ from: input, to, rows: input.rows ?? task.summary.rows_in ?? 0 });
        }
    }
    return { nodes: [...nodes.values()], edges };
}

export function FlowView({ dag, run }: { dag: string; run: string }) {
    const flow = useResource<Flow>(`${paths.run(dag, run)}/flow`, `${dag} ${run}`);
    // Counts come with the end of each task.
    useStream([topics.run(dag, run)], {
        onBatch: (batch) => {
            if (batch.ti?.some((event) => event[0] === dag && event[1] === run && isFinished(event[4]))) flow.reload();
        },
        onResync: () => flow.reload(),
    });
    return (
        <Panel
            of={flow}
            empty={(data) =>
                data.tasks.length ? null : (
                    <Empty title="No data task of this run has ended yet">Row counts come with the end of each data task.</Empty>
                )
            }
        >
            {(data) => (
                <div class="flow" data-testid="flow">
                    <Picture dag={dag} run={run} tasks={data.tasks} />
                    <Numbers dag={dag} run={run} tasks={data.tasks} />
                </div>
            )}
        </Panel>
    );
}

function Picture({ dag, run, tasks }: { dag: string; run: string; tasks: FlowTask[] }) {
    const { nodes, edges } = pictureOf(tasks);
    if (!nodes.length) return null;
    const used = layers.map((_, layer) => nodes.some((node) => node.layer === layer));
    const place = layers.map((_, layer) => used.slice(0, layer).filter(Boolean).length);
    const x = (node: Node) => place[node.layer]! * (box.width + box.between);
    const y = (node: Node) => box.top + node.row * (box.height + box.gap);
    const width = used.filter(Boolean).length * (box.width + box.between) - box.between;
    const height = Math.max(...nodes.map(y)) + box.height + box.gap;
    const most = Math.max(1, ...edges.map((edge) => edge.rows));
    return (
        <div class="scroll-x">
            <svg class="flow-picture" width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="group" aria-label="Rows from raw to loaded; the table below has the numbers">
                {layers.map((name, layer) =>
                    used[layer] ? (
                        <text key={name} class="flow-layer" x={place[layer]! * (box.width + box.between)} y="16">
                            {name}
                        </text>
                    ) : null,
                )}
                {edges.map((edge) => {
                    const back = place[edge.from.layer]! >= place[edge.to.layer]!;
                    const [x1, y1] = [x(edge.from) + box.width, y(edge.from) + box.height / 2];
                    const [x2, y2] = [x(edge.to), y(edge.to) + box.height / 2];
                    const bend = back ? 36 : (x2 - x1) / 2;
                    return (
                        <path
                            key={`${edge.from.name} ${edge.to.name}`}
                            class="flow-edge"
                            stroke-width={Math.max(1.5, 14 * Math.sqrt(edge.rows / most))}
                            d={
                                back
                                    ? `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 + box.width + bend} ${y2} ${x2 + box.width} ${y2}`
                                    : `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`
                            }
                        />
                    );
                })}
                {nodes.map((node) => (
                    <a key={node.name} href={node.task ? links.task(dag, run, node.task, -1) : undefined}>
                        <g transform={`translate(${x(node)} ${y(node)})`}>
                            <title>{`${node.name}${node.task ? `, written by ${node.task}` : ""}`}</title>
                            <rect class="flow-box" width={box.width} height={box.height} rx="5" />
                            <text class="flow-name" x="10" y="18">
                                {short(node.name)}
                            </text>
                            <text class="flow-rows" x="10" y="36">
                                {node.rows === null ? "rows not counted" : `${node.rows.toLocaleString("en")} rows`}
                            </text>
                            {node.lost ? (
                                <text class="flow-lost" x="0" y={box.height + 15}>
                                    {node.lost}
                                </text>
                            ) : null}
                        </g>
                    </a>
                ))}
            </svg>
        </div>
    );
}

const short = (name: string) => {
    const rest = name.slice(name.indexOf(".") + 1);
    return rest.length > 26 ? `${rest.slice(0, 25)}…` : rest;
};

function Numbers({ dag, run, tasks }: { dag: string; run: string; tasks: FlowTask[] }) {
    const columns: [string, string][] = [
        ["rows_in", "Rows in"],
        ["rows_out", "Rows out"],
        ["rows_quarantined", "Quarantined"],
        ["rows_rejected", "Rejected"],
        ["rows_deduplicated", "Duplicates"],
        ["rows_masked", "Masked"],
    ];
    return (
        <div class="scroll-x">
            <table class="list">
                <thead>
                    <tr>
                        <th>Task</th>
                        <th>Operator</th>
                        {columns.map(([key, title]) => (
                            <th key={key} class="right">
                                {title}
                            </th>
                        ))}
                        <th class="right">Bytes</th>
                        <th class="right">Peak memory</th>
                        <th class="right">Duration</th>
                    </tr>
                </thead>
                <tbody>
                    {tasks.map((task) => {
                        const of = (key: string) => task.summary[key];
                        return (
                            <tr key={task.t}>
                                <td>
                                    <a class="strong" href={links.task(dag, run, task.t, -1)}>
                                        {task.t}
                                    </a>
                                </td>
                                <td class="muted">{task.op}</td>
                                {columns.map(([key]) => (
                                    <td key={key} class="right num">
                                        {of(key)?.toLocaleString("en") ?? "–"}
                                    </td>
                                ))}
                                <td class="right num nowrap">{of("bytes") === undefined ? "–" : bytes(of("bytes")!)}</td>
                                <td class="right num nowrap">{of("peak_memory_bytes") === undefined ? "–" : bytes(of("peak_memory_bytes")!)}</td>
                                <td class="right num nowrap">{of("seconds") === undefined ? "–" : duration(of("seconds")! * 1000)}</td>
                            </tr>
                        );
                    })}
                </tbody>
            </table>
        </div>
    );
}
