// outside.hpp — a load whose `to` is {conn_id, ...}: a table or a file of an outside system,
// written through the interface of the data sources (operators/extract/source.hpp).
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "task/operator.hpp"

namespace sluice::load {

bool is_outside(const nlohmann::json& params);
task::CheckResult check_outside(const task::CheckInput& input);
Outcome run_outside(task::TaskContext& context, const nlohmann::json& params);

}  // namespace sluice::load
