// actions.tsx — clear, mark and cancel: one dialog that first shows exactly what it will touch.
import { signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { paths, send, type ApiError } from "../api";
import { toast } from "../store";
import { Button, Dialog, Mark } from "../ui";
import { states } from "../tokens";

export type Act =
    | { kind: "clear"; dag: string; run: string; task: string | null; failedOnly?: boolean }
    | { kind: "mark"; dag: string; run: string; task: string; to: "success" | "failed" | "skipped" }
    | { kind: "mark-run"; dag: string; run: string; to: "success" | "failed" }
    | { kind: "cancel"; dag: string; run: string };

const asked = signal<Act | null>(null);

export function openAction(act: Act): void {
    asked.value = act;
}

interface Affected {
    task_id: string;
    map_index: number;
    state: string | null;
}

const letterOfWord = (word: string | null) =>
    word === null
        ? "n"
        : (Object.entries(states).find(([letter, token]) => letter === word || token.word.replaceAll(" ", "_") === word)?.[0] ?? "n");

function clearBody(
    act: Extract<Act, { kind: "clear" }>,
    failed: boolean,
    down: boolean,
    latest: boolean,
    dry: boolean,
) {
    return {
        dry_run: dry,
        run_on_latest_version: latest,
        dag_run_id: act.run,
        only_failed: failed,
        include_downstream: down,
        reset_dag_runs: true,
        ...(act.task ? { task_ids: [act.task] } : {}),
    };
}

function ClearForm({ act, close }: { act: Extract<Act, { kind: "clear" }>; close(): void }) {
    const failedOnly = useSignal(act.failedOnly ?? act.task === null);
    const downstream = useSignal(act.task !== null);
    const latest = useSignal(false);
    const affected = useSignal<Affected[] | null>(null);
    const error = useSignal("");
    const busy = useSignal(false);
    const path = `${paths.v2dag(act.dag)}/clearTaskInstances`;

    useEffect(() => {
        let current = true;
        affected.value = null;
        error.value = "";
        const body = clearBody(act, failedOnly.value, downstream.value, latest.value, true);
        send<{ task_instances: Affected[] }>("POST", path, body)
            .then((answer) => {
                if (current) affected.value = answer.task_instances;
            })
            .catch((reason: ApiError) => {
                if (current) error.value = reason.message;
            });
        return () => {
            current = false;
        };
    }, [failedOnly.value, downstream.value, latest.value]);

    const submit = async () => {
        busy.value = true;
        try {
            await send("POST", path, clearBody(act, failedOnly.value, downstream.value, latest.value, false));
            toast(`Cleared ${affected.value?.length ?? 0} task instances: they run again`);
            close();
        } catch (reason) {
            error.value = (reason as ApiError).message;
        } finally {
            busy.value = false;
        }
    };

    const count = affected.value?.length ?? 0;
    return (
        <>
            <p class="muted">
                Cleared task instances forget their result and run again; what they wrote is replaced.
            </p>
            <label class="check">
                <input
                    type="checkbox"
                    checked={failedOnly.value}
                    onChange={(event) => (failedOnly.value = event.currentTarget.checked)}
                />
                Only failed ones
            </label>
            {act.task ? (
                <label class="check">
                    <input
                        type="checkbox"
                        checked={downstream.value}
                        onChange={(event) => (downstream.value = event.currentTarget.checked)}
                    />
                    And everything downstream of {act.task}
                </label>
            ) : null}
            <label class="check">
                <input
                    type="checkbox"
                    checked={latest.value}
                    onChange={(event) => (latest.value = event.currentTarget.checked)}
                />
                Go on with the latest version of the DAG
            </label>
            <AffectedList items={affected.value} />
            <Problem text={error.value} />
            <footer>
                <Button onClick={close}>Cancel</Button>
                <Button kind="primary" disabled={busy.value || !count} onClick={() => void submit()}>
                    {count ? `Clear ${count} task instance${count === 1 ? "" : "s"}` : "Nothing to clear"}
                </Button>
            </footer>
        </>
    );
}

function AffectedList({ items }: { items: Affected[] | null }) {
    if (!items) return <p class="muted">Asking what would be touched…</p>;
    if (!items.length) return <p class="muted">No task instance matches.</p>;
    return (
        <ul class="affected" aria-label="Affected task instances" tabIndex={0}>
            {items.slice(0, 200).map((item) => (
                <li key={`${item.task_id} ${item.map_index}`}>
                    <Mark letter={letterOfWord(item.state)} />
                    {item.task_id}
                    {item.map_index >= 0 ? <span class="muted num">[{item.map_index}]</span> : null}
                </li>
            ))}
            {items.length > 200 ? <li class="muted">and {items.length - 200} more</li> : null}
        </ul>
    );
}

function Problem({ text }: { text: string }) {
    return text ? (
        <p class="field-error" role="alert">
            {text}
        </p>
    ) : null;
}

interface Plan {
    text: string;
    button: string;
    done: string;
    danger?: boolean;
    run(): Promise<unknown>;
}

function planOf(act: Exclude<Act, { kind: "clear" }>): Plan {
    if (act.kind === "mark") {
        return {
            text: `Task ${act.task} of run ${act.run} is set to ${act.to}. A running attempt is ended. Tasks downstream then follow their trigger rules.`,
            button: `Mark ${act.to}`,
            done: `${act.task} is marked ${act.to}`,
            run: () => send("PATCH", paths.v2ti(act.dag, act.run, act.task), { new_state: act.to }),
        };
    }
    const to = act.kind === "cancel" ? "failed" : act.to;
    return {
        text:
            act.kind === "cancel"
                ? `Run ${act.run} of ${act.dag} is ended: running tasks are stopped, the others do not start.`
                : `Run ${act.run} of ${act.dag} is set to ${to}; its unfinished tasks do not run.`,
        button: act.kind === "cancel" ? "Cancel the run" : `Mark ${to}`,
        done: act.kind === "cancel" ? "The run is cancelled" : `The run is marked ${to}`,
        danger: to === "failed",
        run: () => send("PATCH", paths.v2run(act.dag, act.run), { state: to }),
    };
}

function ConfirmForm({ act, close }: { act: Exclude<Act, { kind: "clear" }>; close(): void }) {
    const plan = planOf(act);
    const error = useSignal("");
    const busy = useSignal(false);
    const submit = async () => {
        busy.value = true;
        try {
            await plan.run();
            toast(plan.done);
            close();
        } catch (reason) {
            error.value = (reason as ApiError).message;
        } finally {
            busy.value = false;
        }
    };
    return (
        <>
            <p>{plan.text}</p>
            <Problem text={error.value} />
            <footer>
                <Button onClick={close}>Back</Button>
                <Button kind={plan.danger ? "danger" : "primary"} disabled={busy.value} onClick={() => void submit()}>
                    {plan.button}
                </Button>
            </footer>
        </>
    );
}

const titles: Record<Act["kind"], string> = {
    clear: "Clear",
    mark: "Mark task",
    "mark-run": "Mark run",
    cancel: "Cancel run",
};

/** Mounted by the pages that act on runs. */
export function ActionHost() {
    const act = asked.value;
    if (!act) return null;
    const close = () => (asked.value = null);
    const title = act.kind === "clear" ? `Clear ${act.task ?? "run"}` : titles[act.kind];
    return (
        <Dialog title={title} onClose={close}>
            {act.kind === "clear" ? <ClearForm act={act} close={close} /> : <ConfirmForm act={act} close={close} />}
        </Dialog>
    );
}
