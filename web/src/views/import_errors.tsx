// import_errors.tsx — the files that could not be read.
import type { Batch, ImportErrors } from "../api";
import type { Route } from "../routes";
import { useTitle } from "../shell";
import { useResource, useStream } from "../store";
import { topics } from "../stream";
import { Empty, Panel } from "../ui";
import { ProblemCard } from "./problem";

export function ImportErrorsPage(_: { route: Route }) {
    useTitle("Import errors");
    const errors = useResource<ImportErrors>("/ui/v1/import-errors");
    const onBatch = (batch: Batch) => {
        if (batch.err === undefined) return;
        errors.reload();
    };
    useStream([topics.dags], { onBatch, onResync: errors.reload });
    return (
        <main id="main" class="page">
            <header class="page-head">
                <h1 tabIndex={-1}>Import errors</h1>
            </header>
            <Panel
                of={errors}
                rows={4}
                empty={(data) =>
                    data.errors.length ? null : (
                        <Empty title="Every file of the DAG folder is fine">
                            <p>
                                A file that cannot be read appears here within a second, with the line and what
                                was probably meant.
                            </p>
                        </Empty>
                    )
                }
            >
                {(data) => (
                    <div class="pinned">
                        {data.errors.map((item) => (
                            <ProblemCard key={item.id} item={item} open />
                        ))}
                    </div>
                )}
            </Panel>
        </main>
    );
}
