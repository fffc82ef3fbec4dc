// runs.tsx — the runs of every DAG.
import type { Route } from "../routes";
import { useTitle } from "../shell";
import { RunsTable } from "./runs_table";

export function RunsPage({ route }: { route: Route }) {
    useTitle("Runs");
    return (
        <main id="main" class="page">
            <header class="page-head">
                <h1 tabIndex={-1}>Runs</h1>
            </header>
            <RunsTable dag={null} query={route.query} />
        </main>
    );
}
