// dag_removal.hpp — what is stored of a deleted DAG goes bit by bit, on a connection of its own:
// its runs (whose other rows Retention::sweep_deleted takes), backfills, metrics and versions.
// Stopped or killed anywhere, the next call goes on. Several at once do no harm: each bit is taken
// only while that deletion of the DAG is recorded, so a DAG that came again loses nothing.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "model/turn.hpp"
#include "store/retention.hpp"

namespace sluice::store {

/// Returns the DAGs of which nothing is left that one of the same id would see. `gone` is called
/// for each run before its row goes. Throws Error(unavailable).
std::vector<DeletedDag> remove_deleted_dags(
    const std::string& url, const Retention::Gone& gone, const Retention::GoOn& go_on
);

}  // namespace sluice::store
