// look.hpp — the `http` and `sql` operators as sensors use them: what came back, not what to make
// of it.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "task/operator.hpp"

namespace sluice::ops {

struct HttpLook {
    Outcome outcome;  // of the `http` operator with these parameters
    long status{0};   // 0 = no reply
};
HttpLook look_http(task::TaskContext& ctx, const nlohmann::json& params);

/// Runs the statements and gives the first value of the last one's first row; null if there is
/// none. Throws SqlFailure, Error.
nlohmann::json look_sql(task::TaskContext& ctx, const nlohmann::json& params);

}  // namespace sluice::ops
