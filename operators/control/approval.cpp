// approval.cpp — a person decides: approval, a form, a choice of ways. The question waits without a
// thread (awaiting_input); the answer comes with the next poke.
#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "base/clock.hpp"
#include "operators/control/control.hpp"
#include "task/job.hpp"

namespace sluice::ops {
namespace {

using Json = nlohmann::json;

constexpr const char* approval_schema = R"json({
  "type": "object", "required": ["subject"], "additionalProperties": false,
  "properties": {
    "subject": {"type": "string", "minLength": 1, "description": "The question, in one line."},
    "body": {"type": "string", "description": "More of it, in Markdown."},
    "defaults": {"enum": ["Approve", "Reject"], "description": "Chosen when execution_timeout has passed; if absent the task fails then."},
    "assigned_users": {"type": ["string", "array"], "items": {"type": "string"}, "description": "Who may answer; everybody who may edit the run, if absent."},
    "params": {"type": "object", "additionalProperties": true, "x-template": "none", "default": {}, "description": "Fields of a form, each a JSON Schema or a plain value as default."},
    "fail_on_reject": {"type": "boolean", "default": false, "description": "A rejection fails the task; otherwise it skips the direct downstreams."}
  }
})json";

constexpr const char* entry_schema = R"json({
  "type": "object", "required": ["subject"], "additionalProperties": false,
  "properties": {
    "subject": {"type": "string", "minLength": 1, "description": "What is asked, in one line."},
    "body": {"type": "string", "description": "More of it, in Markdown."},
    "options": {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}, "default": ["OK"], "description": "The buttons."},
    "multiple": {"type": "boolean", "default": false, "description": "Several options may be chosen."},
    "defaults": {"type": ["string", "array"], "items": {"type": "string"}, "description": "Chosen when execution_timeout has passed; if absent the task fails then."},
    "assigned_users": {"type": ["string", "array"], "items": {"type": "string"}, "description": "Who may answer; everybody who may edit the run, if absent."},
    "params": {"type": "object", "additionalProperties": true, "x-template": "none", "default": {}, "description": "Fields of the form, each a JSON Schema or a plain value as default."}
  }
})json";

constexpr const char* way_schema = R"json({
  "type": "object", "required": ["subject", "options"], "additionalProperties": false,
  "properties": {
    "subject": {"type": "string", "minLength": 1, "description": "What is to be chosen, in one line."},
    "body": {"type": "string", "description": "More of it, in Markdown."},
    "options": {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}, "x-template": "none", "description": "Full ids of direct downstream tasks or groups; those not chosen are skipped."},
    "multiple": {"type": "boolean", "default": false, "description": "Several may be chosen."},
    "defaults": {"type": ["string", "array"], "items": {"type": "string"}, "description": "Chosen when execution_timeout has passed; if absent the task fails then."},
    "assigned_users": {"type": ["string", "array"], "items": {"type": "string"}, "description": "Who may answer; everybody who may edit the run, if absent."},
    "params": {"type": "object", "additionalProperties": true, "x-template": "none", "default": {}, "description": "Fields of a form, each a JSON Schema or a plain value as default."}
  }
})json";

Json list_of(const Json& params, const char* key) {
    const auto found = params.find(key);
    if (found == params.end()) return Json::array();
    return found->is_array() ? *found : Json::array({*found});
}

/// What is shown to people; kept with the wait.
Json question_of(const Json& params, const Json& options) {
    return {
        {"subject", params.at("subject")},
        {"body", params.value("body", "")},
        {"options", options},
        {"defaults", list_of(params, "defaults")},
        {"multiple", params.value("multiple", false)},
        {"assigned_users", list_of(params, "assigned_users")},
        {"params", params.value("params", Json::object())}
    };
}

using Decide = Outcome (*)(const Json& params, const std::vector<std::string>& chosen);

Outcome end_with(
    task::TaskContext& ctx,
    const Json& params,
    const Json& answer,
    const std::string& who,
    Decide decide
) {
    const auto chosen = answer.at("chosen_options").get<std::vector<std::string>>();
    ctx.info(fmt::format("{}: {}", who, fmt::join(chosen, ", ")));
    ctx.xcom("return_value", answer);
    return decide(params, chosen);
}

Outcome ask(task::TaskContext& ctx, const Json& params, const Json& options, Decide decide) {
    const auto& poke = ctx.poke();
    const Json resume = poke ? Json::parse(poke->resume) : Json();
    const Instant now = SystemClock().now();
    if (resume.is_object() && resume.contains("answer")) {
        const Json& answer = resume.at("answer");
        const Json user = answer.value("responded_by_user", Json::object());
        return end_with(
            ctx, params, answer, "answered by " + user.value("name", "somebody"), decide
        );
    }
    if (ctx.info().test_mode) {
        Json chosen = list_of(params, "defaults");
        if (chosen.empty()) chosen = Json::array({options.at(0)});
        const Json answer{{"chosen_options", chosen}, {"params_input", Json::object()}};
        return end_with(ctx, params, answer, "a test asks nobody", decide);
    }
    std::optional<Instant> until;
    const bool asked = resume.is_object();
    if (const auto& timeout = ctx.job().execution_timeout)
        until = (asked ? poke->first_at : now) + *timeout;
    if (asked && until && now >= *until) {
        const Json defaults = list_of(params, "defaults");
        if (defaults.empty())
            return task::fail(
                ErrorClass::permanent,
                "nobody has answered within " + format_duration(*ctx.job().execution_timeout)
            );
        const Json answer{{"chosen_options", defaults}, {"params_input", Json::object()}};
        return end_with(ctx, params, answer, "nobody has answered, the default", decide);
    }
    const Json question = question_of(params, options);
    if (!asked) ctx.info("asks: " + question.at("subject").get<std::string>());
    WaitOrder order;
    order.kind = WaitKind::input;
    order.until = until;
    order.resume = question.dump();
    return task::wait(std::move(order));
}

Outcome approve_or_not(const Json& params, const std::vector<std::string>& chosen) {
    if (std::ranges::find(chosen, "Approve") != chosen.end()) return task::success();
    if (params.value("fail_on_reject", false)) return task::fail(ErrorClass::permanent, "rejected");
    return task::branch({});
}

Outcome go_on(const Json&, const std::vector<std::string>&) { return task::success(); }

Outcome go_ways(const Json&, const std::vector<std::string>& chosen) {
    return task::branch(chosen);
}

}  // namespace

task::Operator approval_operator() {
    return {
        .name = "approval",
        .summary = "Asks a person to approve; a rejection skips what follows.",
        .schema = approval_schema,
        .traits = {},
        .check = {},
        .run = [](task::TaskContext& ctx, const Json& params
               ) { return ask(ctx, params, Json::array({"Approve", "Reject"}), approve_or_not); },
    };
}

task::Operator hitl_entry_operator() {
    return {
        .name = "hitl_entry",
        .summary = "Asks a person to fill in a form.",
        .schema = entry_schema,
        .traits = {},
        .check = {},
        .run = [](task::TaskContext& ctx, const Json& params
               ) { return ask(ctx, params, params.value("options", Json::array({"OK"})), go_on); },
    };
}

task::Operator hitl_branch_operator() {
    return {
        .name = "hitl_branch",
        .summary = "Asks a person which of its downstream tasks and groups go on.",
        .schema = way_schema,
        .traits = {},
        .check = {},
        .run = [](task::TaskContext& ctx,
                  const Json& params) { return ask(ctx, params, params.at("options"), go_ways); },
    };
}

}  // namespace sluice::ops
