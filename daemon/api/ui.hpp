// ui.hpp — the endpoints of /ui/v1 (what the dashboard reads) and of /status (HTML, no JavaScript).
#pragma once

#include "api/services.hpp"

namespace sluice::api {

Rows ui_endpoints();         // all of /ui/v1 but the session
Rows ui_dag_endpoints();     // DAGs, structure, grid, code
Rows ui_run_endpoints();     // runs, gantt, task instances, backfills
Rows ui_log_endpoints();     // logs
Rows ui_home_endpoints();    // home, import errors, stream
Rows ui_outbox_endpoints();  // callbacks on their way
Rows ui_deadline_endpoints();
Rows ui_vault_endpoints();   // the token vault, users
Rows ui_lake_endpoints();    // legal holds
Rows ui_metric_endpoints();  // what data tasks measured, progress, row flow
Rows status_endpoints();

// Shared by them.
Json millis_or_null(const std::optional<Instant>& at);
/// {"seq", "server_ms"}: `seq` is taken before any row is read.
Json head(Services& services);
Json progress_json(const TaskProgress& progress, const std::string& task_id);
Json ui_run(Services& services, const store::RunRow& row);
/// Median duration in milliseconds of the successful ones; null if there is none.
Json median_duration(const std::vector<store::RunRow>& runs);
std::string one_letter(char letter);

}  // namespace sluice::api
