// v2.hpp — the endpoints of /api/v2, one function a group. docs/design/architecture.md says what
// is served; the shapes are Airflow's.
#pragma once

#include "api/services.hpp"

namespace sluice::api {

Rows dag_endpoints();
Rows run_endpoints();
Rows task_endpoints();
Rows mark_endpoints();
Rows xcom_endpoints();
Rows hitl_endpoints();
Rows why_endpoints();
Rows log_endpoints();
Rows backfill_endpoints();
Rows pool_endpoints();
Rows asset_endpoints();
Rows admin_endpoints();
Rows meta_endpoints();

/// The condition of a DAG's schedule, and what of it is still missing, for its details.
void add_asset_condition(Services& services, const Dag& dag, Json& json);

}  // namespace sluice::api
