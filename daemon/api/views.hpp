// views.hpp — model -> JSON in the shapes of Airflow's API v2. Pure functions: all fields are
// there, null where unknown.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/json.hpp"
#include "core/scheduler.hpp"
#include "model/dag.hpp"
#include "model/run.hpp"
#include "model/turn.hpp"
#include "runtime/dag_registry.hpp"
#include "store/admin.hpp"
#include "store/queries.hpp"

namespace sluice::api {

/// All DAGs come from one folder; Airflow would call it a bundle.
inline constexpr const char* bundle_name = "dags-folder";

/// Stands in `hostname` and `unixname`.
struct Node {
    std::string hostname;
    std::string user;
};

std::string task_instance_id(
    const std::string& dag_id, const std::string& run_id, const std::string& task_id, MapIndex map
);

bool is_periodic(const Schedule& schedule);
/// "0 0 * * *"; "" = none.
std::string schedule_summary(const Schedule& schedule);
/// "At 00:00", "Never, external triggers only".
std::string schedule_description(const Schedule& schedule);

Json version_view(const store::VersionRow& version);
Json version_or_null(const std::optional<store::VersionRow>& version);
Json dag_view(const runtime::ListedDag& listed);
Json dag_details_view(
    const runtime::ListedDag& listed,
    const std::optional<store::VersionRow>& version,
    std::int64_t active_runs
);
Json task_view(const Dag& dag, const Task& task);
Json run_view(const DagRun& run, const std::optional<store::VersionRow>& version);

/// A task instance with what surrounds it. `task` may be null: its version is unknown here.
struct InstanceContext {
    const std::string& dag_id;
    const std::string& run_id;
    const std::string& task_id;
    std::optional<Instant> logical_date;
    Instant run_after;
    const Task* task;
    const std::optional<store::VersionRow>& version;
    const Node& node;
};
Json instance_view(
    const TaskInstance& instance,
    const InstanceContext& context,
    const std::optional<std::string>& rendered = std::nullopt
);
/// A try: the live one or a superseded one.
Json try_view(const TaskInstance& instance, const InstanceContext& context);
Json try_view(const AttemptRecord& attempt, int max_tries, const InstanceContext& context);

Json xcom_view(const store::XcomRow& xcom, const store::RunRow& run, bool with_value);
/// Python's str() of a JSON value, which Airflow shows with stringify=true.
std::string python_text(const Json& value, bool top = true);
Json import_error_view(const runtime::ImportError& error);
Json backfill_view(const Backfill& backfill);
Json pool_view(const core::Scheduler::PoolUse& use);
Json audit_view(const store::AuditRow& row);
/// Passwords and keys that look secret are "***".
Json connection_view(const store::StoredConnection& connection);
Json variable_view(const store::Variable& variable);
bool looks_secret(const std::string& key);

}  // namespace sluice::api
