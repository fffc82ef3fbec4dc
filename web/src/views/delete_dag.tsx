// delete_dag.tsx — the dialog that deletes a DAG: it says what goes and what stays, and asks for the DAG's id.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get, paths, send, type ApiError, type DagDetail } from "../api";
import { navigate } from "../router";
import { toast } from "../store";
import { Button, Dialog, Field } from "../ui";

function Form({ dag, close }: { dag: DagDetail; close(): void }) {
    const runs = useSignal<number | null>(null);
    const typed = useSignal("");
    const busy = useSignal(false);
    const error = useSignal("");
    useEffect(() => {
        document.getElementById("delete-id")?.focus();
        get<{ total_entries: number }>(`${paths.v2runs(dag.id)}?limit=1`).then(
            (answer) => (runs.value = answer.total_entries),
            (reason: ApiError) => (error.value = reason.message),
        );
    }, []);

    const submit = async (event: SubmitEvent) => {
        event.preventDefault();
        if (typed.value !== dag.id) return;
        busy.value = true;
        error.value = "";
        try {
            await send("DELETE", paths.v2dag(dag.id));
            close();
            toast(`${dag.id} is deleted`);
            navigate("/dags");
        } catch (reason) {
            error.value = (reason as ApiError).message;
        } finally {
            busy.value = false;
        }
    };

    return (
        <form onSubmit={(event) => void submit(event)} data-testid="delete-form">
            <p>
                {runs.value === null ? "Its runs" : `Its ${runs.value} run${runs.value === 1 ? "" : "s"}`} with task instances,
                XComs and logs, its backfills and versions are removed. Data sets and the event log stay.
            </p>
            {dag.stale ? null : (
                <p>
                    Its file <code>{dag.file}</code> is still in the DAG folder: the DAG comes again from it, as a new one.
                </p>
            )}
            <Field id="delete-id" label={`Type ${dag.id} to delete it`} error={error.value || undefined}>
                <input
                    id="delete-id"
                    class="mono"
                    autocomplete="off"
                    value={typed.value}
                    onInput={(event) => (typed.value = event.currentTarget.value)}
                />
            </Field>
            <footer>
                <Button onClick={close}>Back</Button>
                <Button kind="danger" type="submit" disabled={busy.value || typed.value !== dag.id}>
                    Delete
                </Button>
            </footer>
        </form>
    );
}

/** The button, and its dialog. */
export function DeleteDag({ dag }: { dag: DagDetail }) {
    const open = useSignal(false);
    return (
        <>
            <Button kind="danger" onClick={() => (open.value = true)}>
                Delete the DAG…
            </Button>
            {open.value ? (
                <Dialog title={`Delete ${dag.id}`} onClose={() => (open.value = false)}>
                    <Form dag={dag} close={() => (open.value = false)} />
                </Dialog>
            ) : null}
        </>
    );
}
