// operators.hpp — the table of all operators: one line each in operators.cpp.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "task/operator.hpp"

namespace sluice::ops {

/// Sorted by name.
const std::vector<task::Operator>& all_operators();

/// What every worker that opens the engine would begin with, done once in the process that workers
/// are copied from. Starts no thread, opens no connection to anything.
void prepare_worker();

/// Asks the token vault (privacy/vault_request.hpp).
std::string vault_request(
    const std::string& question,
    const std::function<task::Connection(const std::string& conn_id)>& connection,
    const std::function<Secret(const std::string& name)>& secret
);

/// Where every column of a DAG version comes from, as JSON (lineage/view.hpp).
std::string lineage(const Dag& dag);

}  // namespace sluice::ops
