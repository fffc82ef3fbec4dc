// trigger.tsx — the dialog that starts a run: logical date, configuration, note.
import { signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { paths, send, type ApiError, type DagDetail } from "../api";
import { parseConf } from "../conf";
import { navigate } from "../router";
import { links } from "../routes";
import { toast, useResource } from "../store";
import { dateTime, iso, parseLocal, zoneName } from "../time";
import { Button, Dialog, Field, Panel } from "../ui";

const asked = signal<string | null>(null);

export function openTrigger(dag: string): void {
    asked.value = dag;
}

function defaults(dag: DagDetail): string {
    const conf: Record<string, unknown> = {};
    for (const [name, spec] of Object.entries(dag.params)) conf[name] = spec.default ?? null;
    return Object.keys(conf).length ? JSON.stringify(conf, null, 2) : "{}";
}

function Form({ dag, close }: { dag: DagDetail; close(): void }) {
    const when = useSignal("");
    const conf = useSignal(defaults(dag));
    const note = useSignal("");
    const unpause = useSignal(dag.paused);
    const busy = useSignal(false);
    const error = useSignal("");
    useEffect(() => document.getElementById("trigger-conf")?.focus(), []);
    const parsed = parseConf(conf.value);
    const at = when.value ? parseLocal(when.value) : null;
    const badDate = at !== null && Number.isNaN(at);

    const submit = async (event: SubmitEvent) => {
        event.preventDefault();
        if (parsed.error || badDate) return;
        busy.value = true;
        error.value = "";
        try {
            if (dag.paused && unpause.value) {
                await send("PATCH", paths.v2dag(dag.id), { is_paused: false });
            }
            const run = await send<{ dag_run_id: string }>("POST", paths.v2runs(dag.id), {
                logical_date: at === null ? null : iso(at),
                conf: parsed.conf,
                ...(note.value ? { note: note.value } : {}),
            });
            close();
            toast(`Triggered ${dag.id}`, "ok", links.run(dag.id, run.dag_run_id));
            navigate(links.run(dag.id, run.dag_run_id));
        } catch (reason) {
            error.value = (reason as ApiError).message;
        } finally {
            busy.value = false;
        }
    };

    return (
        <form onSubmit={(event) => void submit(event)} data-testid="trigger-form">
            <Field
                id="trigger-date"
                label="Logical date"
                error={badDate ? `This time does not exist in ${zoneName()}.` : undefined}
                hint={
                    at === null
                        ? "Empty: no logical date, the run is about now."
                        : `${dateTime(at)} ${zoneName()} = ${dateTime(at, "UTC")} UTC`
                }
            >
                <input
                    id="trigger-date"
                    type="datetime-local"
                    value={when.value}
                    onInput={(event) => (when.value = event.currentTarget.value)}
                />
            </Field>
            <Field
                id="trigger-conf"
                label="Configuration (JSON)"
                error={parsed.error}
                hint={
                    Object.entries(dag.params)
                        .map(([name, spec]) => spec.description && `${name}: ${spec.description}`)
                        .filter(Boolean)
                        .join(" · ") || "Tasks read it as conf."
                }
            >
                <textarea
                    id="trigger-conf"
                    class="mono"
                    rows={6}
                    spellcheck={false}
                    value={conf.value}
                    onInput={(event) => (conf.value = event.currentTarget.value)}
                />
            </Field>
            <Field id="trigger-note" label="Note">
                <input
                    id="trigger-note"
                    maxLength={1000}
                    value={note.value}
                    onInput={(event) => (note.value = event.currentTarget.value)}
                />
            </Field>
            {dag.paused ? (
                <label class="check">
                    <input
                        type="checkbox"
                        checked={unpause.value}
                        onChange={(event) => (unpause.value = event.currentTarget.checked)}
                    />
                    Un-pause the DAG first (a run of a paused DAG stays queued)
                </label>
            ) : null}
            {error.value ? (
                <p class="field-error" role="alert">
                    {error.value}
                </p>
            ) : null}
            <footer>
                <Button onClick={close}>Cancel</Button>
                <Button
                    kind="primary"
                    type="submit"
                    icon="play"
                    disabled={busy.value || !!parsed.error || badDate || !dag.open}
                >
                    {busy.value ? "Triggering…" : "Trigger"}
                </Button>
            </footer>
        </form>
    );
}

function TriggerDialog({ dag }: { dag: string }) {
    const detail = useResource<DagDetail>(paths.dag(dag));
    const close = () => (asked.value = null);
    return (
        <Dialog title={`Trigger ${dag}`} onClose={close}>
            <Panel of={detail} rows={4}>
                {(data) => <Form dag={data} close={close} />}
            </Panel>
        </Dialog>
    );
}

/** Mounted once, by the shell. */
export function TriggerHost() {
    return asked.value ? <TriggerDialog key={asked.value} dag={asked.value} /> : null;
}
