// control.hpp — operators that only shape the graph.
#pragma once

#include "task/operator.hpp"

namespace sluice::ops {

/// Does nothing: a place to join or fan out. A task like any other.
task::Operator empty_operator();
/// Chooses which of its downstream tasks and groups go on.
task::Operator branch_operator();
/// Skips what follows unless a condition holds.
task::Operator short_circuit_operator();
/// Skips what follows in a run that is not the newest of its schedule.
task::Operator latest_only_operator();
/// Starts a run of another DAG.
task::Operator trigger_dag_run_operator();
/// Ask a person: for approval, to fill in a form, for the way to go.
task::Operator approval_operator();
task::Operator hitl_entry_operator();
task::Operator hitl_branch_operator();

/// Whether a rendered value counts as true: null, false, 0, "", [] and {} do not, nor do the words
/// "false", "0", "none" and "null" in any case.
bool is_true(const nlohmann::json& value);

}  // namespace sluice::ops
