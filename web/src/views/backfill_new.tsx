// backfill_new.tsx — the backfill form: scope, policy, and the exact dates before it is created.
import { useComputed, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { send, type ApiError, type DagList } from "../api";
import { parseConf } from "../conf";
import { navigate } from "../router";
import { links, type Route } from "../routes";
import { useTitle } from "../shell";
import { toast, useResource } from "../store";
import { dateTime, inputValue, iso, lastWeek, logical, parseLocal, serverNow, zoneName } from "../time";
import { Button, Field, Panel } from "../ui";

const reprocess = [
    { id: "none", label: "Missing runs only", hint: "dates that have a run are left alone" },
    { id: "failed", label: "Missing and failed runs", hint: "failed runs are cleared and run again" },
    { id: "completed", label: "Every date", hint: "runs that succeeded run again too" },
];

interface DryRun {
    backfills: { logical_date: string | null }[];
    total_entries: number;
}

export function BackfillNewPage({ route }: { route: Route }) {
    useTitle("New backfill");
    const list = useResource<DagList>("/ui/v1/dags");
    return (
        <main id="main" class="page backfill-new">
            <header class="page-head">
                <h1 tabIndex={-1}>New backfill</h1>
            </header>
            <Panel of={list} rows={6}>
                {(data) => <Form dags={data.dags.filter((dag) => dag.open && dag.kind !== "none")} query={route.query} />}
            </Panel>
        </main>
    );
}

function Form({ dags, query }: { dags: DagList["dags"]; query: URLSearchParams }) {
    const dag = useSignal(query.get("dag") ?? dags[0]?.id ?? "");
    const proposed = (id: string) => {
        const row = dags.find((item) => item.id === id);
        return lastWeek(row, serverNow()).map((ms) => inputValue(ms, "UTC")) as [string, string];
    };
    const [first, last] = proposed(dag.value);
    const from = useSignal(query.get("from") ?? first);
    const to = useSignal(query.get("to") ?? last);
    // Dates that nobody has chosen are those of the DAG that is chosen.
    const dated = useSignal(query.has("from") || query.has("to"));
    const choose = (id: string) => {
        dag.value = id;
        if (!dated.value) [from.value, to.value] = proposed(id);
    };
    const date = (field: typeof from, text: string) => {
        field.value = text;
        dated.value = true;
    };
    const tz = useSignal("UTC");
    const behavior = useSignal("none");
    const active = useSignal("4");
    const backwards = useSignal(false);
    const conf = useSignal("{}");
    const plan = useSignal<DryRun | null>(null);
    const error = useSignal("");
    const busy = useSignal(false);

    const body = useComputed(() => {
        const a = parseLocal(from.value, tz.value);
        const b = parseLocal(to.value, tz.value);
        const parsed = parseConf(conf.value);
        const n = Number(active.value);
        if (!dag.value || Number.isNaN(a) || Number.isNaN(b) || parsed.error || !(n >= 1)) return null;
        return {
            dag_id: dag.value,
            from_date: iso(a),
            to_date: iso(b),
            run_backwards: backwards.value,
            dag_run_conf: parsed.conf,
            reprocess_behavior: behavior.value,
            max_active_runs: Math.floor(n),
        };
    });

    // The list of dates follows the form: what is created is what was shown.
    const key = JSON.stringify(body.value);
    useEffect(() => {
        plan.value = null;
        error.value = "";
        if (!body.value) return;
        let current = true;
        const timer = setTimeout(() => {
            send<DryRun>("POST", "/api/v2/backfills/dry_run", body.value)
                .then((answer) => {
                    if (current) plan.value = answer;
                })
                .catch((reason: ApiError) => {
                    if (current) error.value = reason.message;
                });
        }, 250);
        return () => {
            current = false;
            clearTimeout(timer);
        };
    }, [key]);

    const submit = async (event: SubmitEvent) => {
        event.preventDefault();
        if (!body.value || !plan.value?.total_entries) return;
        busy.value = true;
        try {
            const made = await send<{ id: number }>("POST", "/api/v2/backfills", body.value);
            toast(`Backfill #${made.id} is created`);
            navigate(links.backfill(made.id));
        } catch (reason) {
            error.value = (reason as ApiError).message;
        } finally {
            busy.value = false;
        }
    };

    const confError = parseConf(conf.value).error;
    const when = (text: string) => {
        const ms = parseLocal(text, tz.value);
        return Number.isNaN(ms) ? "not a time" : `${dateTime(ms, "UTC")} UTC`;
    };
    const count = plan.value?.total_entries ?? 0;
    return (
        <form class="columns" onSubmit={(event) => void submit(event)} data-testid="backfill-form">
            <section class="card form" aria-label="Backfill">
                <Field id="bf-dag" label="DAG">
                    <select id="bf-dag" class="box" value={dag.value} onChange={(event) => choose(event.currentTarget.value)}>
                        {dags.some((item) => item.id === dag.value) || !dag.value ? null : (
                            <option value={dag.value}>{dag.value}</option>
                        )}
                        {dags.map((item) => (
                            <option key={item.id} value={item.id}>
                                {item.id}
                            </option>
                        ))}
                    </select>
                </Field>
                <div class="pair-fields">
                    <Field id="bf-from" label="First logical date" hint={when(from.value)}>
                        <input id="bf-from" type="datetime-local" value={from.value} onInput={(event) => date(from, event.currentTarget.value)} />
                    </Field>
                    <Field id="bf-to" label="Last logical date" hint={when(to.value)}>
                        <input id="bf-to" type="datetime-local" value={to.value} onInput={(event) => date(to, event.currentTarget.value)} />
                    </Field>
                </div>
                <Field id="bf-tz" label="Times above are in">
                    <select id="bf-tz" class="box" value={tz.value} onChange={(event) => (tz.value = event.currentTarget.value)}>
                        {[...new Set(["UTC", zoneName("local"), dags.find((item) => item.id === dag.value)?.tz ?? "UTC"])].map((name) => (
                            <option key={name}>{name}</option>
                        ))}
                    </select>
                </Field>
                <fieldset>
                    <legend>Dates that already have a run</legend>
                    {reprocess.map((item) => (
                        <label key={item.id} class="check">
                            <input type="radio" name="reprocess" checked={behavior.value === item.id} onChange={() => (behavior.value = item.id)} />
                            <span>
                                {item.label} <span class="muted">– {item.hint}</span>
                            </span>
                        </label>
                    ))}
                </fieldset>
                <div class="pair-fields">
                    <Field id="bf-active" label="Runs at once">
                        <input id="bf-active" type="number" min="1" max="1000" value={active.value} onInput={(event) => (active.value = event.currentTarget.value)} />
                    </Field>
                    <label class="check low">
                        <input type="checkbox" checked={backwards.value} onChange={(event) => (backwards.value = event.currentTarget.checked)} />
                        Newest date first
                    </label>
                </div>
                <Field id="bf-conf" label="Configuration (JSON)" error={confError}>
                    <textarea id="bf-conf" class="mono" rows={3} spellcheck={false} value={conf.value} onInput={(event) => (conf.value = event.currentTarget.value)} />
                </Field>
                <footer class="actions">
                    <Button kind="primary" type="submit" disabled={busy.value || !count}>
                        {count ? `Create ${count.toLocaleString("en")} run${count === 1 ? "" : "s"}` : "Create"}
                    </Button>
                </footer>
            </section>
            <section class="card" aria-labelledby="bf-plan">
                <h2 id="bf-plan">
                    Runs that will be made {count ? <span class="count">{count.toLocaleString("en")}</span> : null}
                </h2>
                {error.value ? (
                    <p class="field-error" role="alert">
                        {error.value}
                    </p>
                ) : !plan.value ? (
                    <p class="muted">{body.value ? "Asking the scheduler…" : "Fill in the form to see the dates."}</p>
                ) : count === 0 ? (
                    <p class="muted">None: no date of the range is due, or all of them have a run.</p>
                ) : (
                    <ul class="matrix plain" data-testid="backfill-plan">
                        {plan.value.backfills.slice(0, 1000).map((item, i) => (
                            <li key={i}>{item.logical_date ? logical(Date.parse(item.logical_date), "UTC") : "–"}</li>
                        ))}
                        {count > 1000 ? <li class="muted">and {(count - 1000).toLocaleString("en")} more</li> : null}
                    </ul>
                )}
            </section>
        </form>
    );
}
