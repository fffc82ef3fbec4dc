// trigger_dag_run.cpp — a run of another DAG, made exactly once. The run's id is chosen and made
// durable (as a wait that is over at once) before the run is asked for; so whatever becomes of the
// daemon in between, the same id is asked for again, and the second asking finds the first one's
// run. A run that is reset has an id already: it is asked for at once.
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"
#include "operators/control/control.hpp"

namespace sluice::ops {
namespace {

using Json = nlohmann::json;

constexpr const char* trigger_schema = R"json({
  "type": "object", "required": ["trigger_dag_id"], "additionalProperties": false,
  "properties": {
    "trigger_dag_id": {"type": "string", "minLength": 1, "description": "The DAG."},
    "trigger_run_id": {"type": "string", "minLength": 1, "description": "The run's id; made up if absent. A run that has it already fails the task, unless reset_dag_run."},
    "conf": {"type": "object", "additionalProperties": true, "default": {}, "description": "The run's conf; checked against the params of its DAG."},
    "logical_date": {"type": "string", "minLength": 1, "description": "Its logical date, such as `{{ logical_date }}`; none if absent."},
    "reset_dag_run": {"type": "boolean", "default": false, "description": "A run of that id or logical date is cleared and runs again."},
    "wait_for_completion": {"type": "boolean", "default": false, "description": "End when the run does. The task is deferred: it holds neither a slot nor a thread."},
    "allowed_states": {"type": ["string", "array"], "items": {"enum": ["success", "failed"]}, "default": ["success"], "description": "Final states of the run that are a success of the task."},
    "failed_states": {"type": ["string", "array"], "items": {"enum": ["success", "failed"]}, "default": ["failed"], "description": "Those that fail it."}
  }
})json";

std::string try_name(const task::TaskInfo& info) {
    auto text = fmt::format("{}/{}/{}", info.dag_id, info.run_id, info.task_id);
    if (info.map_index >= 0) text += fmt::format("[{}]", info.map_index);
    return fmt::format("{}#{}", text, info.try_number);
}

std::optional<Instant> wanted_date(const Json& params) {
    const auto written = params.find("logical_date");
    if (written == params.end()) return std::nullopt;
    const auto parsed = parse_time(written->get<std::string>());
    if (!parsed)
        throw Error(
            ErrorCode::invalid, "logical_date: \"" + written->get<std::string>() + "\" is no time"
        );
    return parsed->at;
}

std::string choose_id(const Json& params, const task::TaskInfo& info) {
    if (params.contains("trigger_run_id")) return params.at("trigger_run_id");
    const auto date = wanted_date(params).value_or(SystemClock().now());
    return fmt::format(
        "operator_triggered__{}_{}", format_offset(date), sha256_hex(try_name(info)).substr(0, 8)
    );
}

Json wish_of(const Json& params, const task::TaskInfo& info, const std::string& run_id) {
    Json wish{
        {"type", "trigger_run"},
        {"dag_id", params.at("trigger_dag_id")},
        {"run_id", run_id},
        {"conf", params.value("conf", Json::object())},
        {"reset", params.value("reset_dag_run", false)},
        {"by", try_name(info)}
    };
    if (const auto date = wanted_date(params)) wish["logical_date_us"] = to_micros(*date);
    return wish;
}

std::set<std::string> states_in(const Json& params, const char* key, const char* otherwise) {
    const auto found = params.find(key);
    if (found == params.end()) return {otherwise};
    if (found->is_string()) return {found->get<std::string>()};
    return found->get<std::set<std::string>>();
}

Outcome after_trigger(task::TaskContext& ctx, const Json& params, const std::string& run_id) {
    const std::string dag_id = params.at("trigger_dag_id");
    ctx.xcom("trigger_run_id", run_id);
    if (!params.value("wait_for_completion", false)) return task::success();
    const Json facts = ctx.ask({{"type", "run_facts"}, {"dag_id", dag_id}, {"run_id", run_id}});
    const auto run = facts.find("run");
    if (run == facts.end())
        return task::fail(
            ErrorClass::permanent, fmt::format("the run {} of {} is gone", run_id, dag_id)
        );
    const std::string state = run->at("state");
    const auto words = fmt::format("the run {} of {} is {}", run_id, dag_id, state);
    if (states_in(params, "failed_states", "failed").contains(state))
        return task::fail(ErrorClass::none, words);
    if (states_in(params, "allowed_states", "success").contains(state)) {
        ctx.info(words);
        return task::success();
    }
    WaitOrder order;
    order.kind = WaitKind::deferred;
    order.event = run_event(dag_id, run_id);
    order.seen = {facts.at("seen").get<std::int64_t>()};
    order.resume = Json{{"run_id", run_id}, {"made", true}}.dump();
    return task::wait(std::move(order));
}

Outcome run(task::TaskContext& ctx, const Json& params) {
    const auto& poke = ctx.poke();
    const Json resume = poke ? Json::parse(poke->resume) : Json();
    const bool reset = params.value("reset_dag_run", false);
    if (resume.is_object() && resume.value("made", false))
        return after_trigger(ctx, params, resume.at("run_id"));
    const std::string run_id =
        resume.is_object() ? resume.at("run_id").get<std::string>() : choose_id(params, ctx.info());
    if (!resume.is_object() && !reset) {
        WaitOrder order;
        order.kind = WaitKind::deferred;
        order.until = SystemClock().now();
        order.resume = Json{{"run_id", run_id}}.dump();
        return task::wait(std::move(order));
    }
    const Json made = ctx.ask(wish_of(params, ctx.info(), run_id));
    const std::string made_id = made.at("run_id");
    ctx.info(fmt::format("run {} of {}", made_id, params.at("trigger_dag_id").get<std::string>()));
    return after_trigger(ctx, params, made_id);
}

}  // namespace

task::Operator trigger_dag_run_operator() {
    return {
        .name = "trigger_dag_run",
        .summary = "Starts a run of another DAG, once, and waits for its end if asked to.",
        .schema = trigger_schema,
        .traits = {.isolation = Isolation::inline_, .idempotent = true},
        .check = {},
        .run = run,
    };
}

}  // namespace sluice::ops
