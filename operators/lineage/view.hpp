// view.hpp — the lineage of all columns of a DAG version, for the API.
#pragma once

#include <string>

#include "model/dag.hpp"

namespace sluice::lineage {

/// JSON: [{dataset, task, operator, dag, columns: [{name, type, class, from: [{dataset, column,
/// masking, method, attested}]}]}], sorted by name; `task` is null if no task of this DAG writes
/// it, `dag` the other DAG that does.
std::string view(const Dag& dag);

}  // namespace sluice::lineage
