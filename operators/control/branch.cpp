#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "base/json_text.hpp"
#include "operators/control/control.hpp"

namespace sluice::ops {
namespace {

using Json = nlohmann::json;

constexpr const char* branch_schema = R"json({
  "type": "object", "required": ["case"], "additionalProperties": false,
  "properties": {
    "case": {"type": "array", "minItems": 1, "description": "The first one whose `when` is true decides.", "items": {
      "type": "object", "required": ["when", "then"], "additionalProperties": false, "properties": {
        "when": {"type": ["string", "boolean", "number", "null"], "x-template": "text", "description": "A template such as `{{ xcom.count > 0 }}`; null, false, 0, an empty value and the words false, 0, none and null are not true."},
        "then": {"x-downstream": true, "oneOf": [{"type": "string", "minLength": 1}, {"type": "array", "items": {"type": "string", "minLength": 1}}], "description": "Full ids of direct downstream tasks or groups; the others are skipped."}}}},
    "else": {"x-downstream": true, "oneOf": [{"type": "string", "minLength": 1}, {"type": "array", "items": {"type": "string", "minLength": 1}}], "description": "If none is true; absent = all are skipped."}
  }
})json";

constexpr const char* short_circuit_schema = R"json({
  "type": "object", "required": ["condition"], "additionalProperties": false,
  "properties": {
    "condition": {"type": ["string", "boolean", "number", "null"], "x-template": "text", "description": "What follows goes on if it is true; null, false, 0, an empty value and the words false, 0, none and null are not."},
    "ignore_downstream_trigger_rules": {"type": "boolean", "default": true, "description": "Skip everything below at once, teardowns excepted; false = only the direct downstreams, and trigger rules decide about the rest."}
  }
})json";

Outcome choose(task::TaskContext& ctx, const Json& params) {
    const Json* way = nullptr;
    for (const auto& entry : params.at("case")) {
        if (!is_true(entry.at("when"))) continue;
        way = &entry.at("then");
        break;
    }
    if (const auto otherwise = params.find("else"); way == nullptr && otherwise != params.end())
        way = &*otherwise;
    auto chosen = way == nullptr ? std::vector<std::string>{} : texts_of(*way);
    ctx.info(
        chosen.empty() ? std::string{"no case is true: everything below is skipped"}
                       : fmt::format("follows {}", fmt::join(chosen, ", "))
    );
    ctx.xcom("return_value", chosen);
    return task::branch(std::move(chosen));
}

Outcome pass_or_skip(task::TaskContext& ctx, const Json& params) {
    const Json& condition = params.at("condition");
    const bool holds = is_true(condition);
    ctx.info(fmt::format("the condition is {}: {}", holds ? "true" : "false", condition.dump()));
    ctx.xcom("return_value", holds);
    if (holds) return task::success();
    if (params.value("ignore_downstream_trigger_rules", true)) return task::skip_all_below();
    return task::branch({});
}

}  // namespace

task::Operator branch_operator() {
    return {
        .name = "branch",
        .summary =
            "Chooses by conditions which of its downstream tasks and groups go on; the "
            "others are skipped.",
        .schema = branch_schema,
        .traits =
            {.isolation = Isolation::inline_, .idempotent = true, .data = false, .instant = true},
        .check = {},
        .run = choose,
    };
}

task::Operator short_circuit_operator() {
    return {
        .name = "short_circuit",
        .summary = "Skips what follows unless its condition is true.",
        .schema = short_circuit_schema,
        .traits =
            {.isolation = Isolation::inline_, .idempotent = true, .data = false, .instant = true},
        .check = {},
        .run = pass_or_skip,
    };
}

task::Operator latest_only_operator() {
    return {
        .name = "latest_only",
        .summary =
            "Skips its downstream tasks in a run that is not the newest of its schedule; "
            "a manual run always goes on.",
        .schema = R"({"type": "object", "properties": {}, "additionalProperties": false})",
        .traits =
            {.isolation = Isolation::inline_, .idempotent = true, .data = false, .instant = true},
        .check = {},
        .run =
            [](task::TaskContext& ctx, const Json&) {
                if (ctx.is_latest_run()) return task::success();
                ctx.info("a newer run is due: the downstream tasks are skipped");
                return task::branch({});
            },
    };
}

}  // namespace sluice::ops
