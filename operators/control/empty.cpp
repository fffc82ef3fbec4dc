#include <nlohmann/json.hpp>

#include "operators/control/control.hpp"

namespace sluice::ops {

task::Operator empty_operator() {
    return {
        .name = "empty",
        .summary = "Does nothing; a place where branches join or fan out.",
        .schema = R"({"type": "object", "properties": {}, "additionalProperties": false})",
        .traits =
            {.isolation = Isolation::inline_,
             .idempotent = true,
             .data = false,
             .instant = true,
             .empty = true},
        .check = {},
        .run = [](task::TaskContext&, const nlohmann::json&) { return task::success(); },
    };
}

}  // namespace sluice::ops
