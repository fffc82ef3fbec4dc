// warehouse.hpp — a transform inside the warehouse: tables, views and materialized views made from
// SQL in the server's own dialect.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "operators/expression/expression.hpp"
#include "task/operator.hpp"

namespace sluice::transform {

Outcome run_in_warehouse(
    task::TaskContext& context, const nlohmann::json& params, const expression::Source& source
);

}  // namespace sluice::transform
