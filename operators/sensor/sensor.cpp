#include "operators/sensor/sensor.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"
#include "operators/engine/failure.hpp"
#include "operators/external/pg_session.hpp"
#include "operators/sensor/look.hpp"

namespace sluice::ops {
namespace {

using Json = nlohmann::json;
using std::chrono::seconds;

constexpr const char* sensor_schema = R"json({
  "type": "object",
  "properties": {
    "file": {
      "type": "object",
      "properties": {
        "conn_id": {"type": "string", "minLength": 1, "description": "A connection to files."},
        "path": {"type": "string", "minLength": 1, "description": "A path below it; * and ? in names, ** over folders. All that fit must be as wanted."},
        "min_bytes": {"type": "integer", "minimum": 0, "default": 1, "description": "At least so large; 0 for a marker such as `_SUCCESS`, which is empty."},
        "stable_for": {"type": "string", "format": "duration", "default": "0s", "description": "Not changed for so long."}
      },
      "required": ["conn_id", "path"], "additionalProperties": false,
      "description": "Waits for files. XCom: their names."
    },
    "sql": {
      "type": "object",
      "properties": {
        "conn_id": {"type": "string", "minLength": 1, "description": "A postgres connection."},
        "sql": {"type": ["string", "array", "object"], "items": {"type": "string"}, "x-template": "sql", "description": "A statement; a template is a bound parameter."}
      },
      "required": ["conn_id", "sql"], "additionalProperties": false,
      "description": "Waits until the first value of the first row is true: not null, 0, false or empty. XCom: that value."
    },
    "http": {
      "type": "object",
      "properties": {
        "conn_id": {"type": "string", "minLength": 1, "description": "An http connection."},
        "endpoint": {"type": "string", "description": "Path on the connection's server."},
        "url": {"type": "string", "minLength": 1, "description": "Whole address, for servers without credentials."},
        "method": {"enum": ["GET", "HEAD", "POST"], "default": "GET", "description": "HTTP method."},
        "headers": {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"], "x-secret": true}, "default": {}, "description": "Request headers."},
        "query_params": {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"], "x-secret": true}, "default": {}, "description": "Parameters of the address."},
        "body": {"description": "A string as it is; anything else as JSON."},
        "expect": {
          "type": "object",
          "properties": {
            "status": {"type": "array", "items": {"type": ["integer", "string"], "pattern": "^[0-9]{3}-[0-9]{3}$"}, "minItems": 1, "description": "Codes, or ranges as \"200-299\"; default 200-299."},
            "json": {"type": "object", "additionalProperties": true, "description": "JSONPath: the value that must stand there."}
          },
          "additionalProperties": false,
          "description": "What the reply must be; until then the sensor waits."
        }
      },
      "oneOf": [{"required": ["conn_id", "endpoint"]}, {"required": ["url"]}],
      "additionalProperties": false,
      "description": "Waits for a reply, as the http operator has it. XCom: the reply's body."
    },
    "dag": {
      "type": "object",
      "properties": {
        "external_dag_id": {"type": "string", "minLength": 1, "description": "The other DAG."},
        "external_task_ids": {"type": ["string", "array"], "items": {"type": "string"}, "minItems": 1, "description": "Tasks of it; the whole run if absent."},
        "execution_delta": {"type": "string", "format": "duration", "default": "0s", "description": "Its logical date is so much before this run's."},
        "allowed_states": {"type": ["string", "array"], "items": {"enum": ["success", "failed", "skipped", "upstream_failed", "running", "queued"]}, "default": ["success"], "description": "States that end the wait."},
        "failed_states": {"type": ["string", "array"], "items": {"enum": ["success", "failed", "skipped", "upstream_failed", "removed"]}, "description": "States that fail the sensor at once; every final state that is not allowed, if absent."}
      },
      "required": ["external_dag_id"], "additionalProperties": false,
      "description": "Waits for the run of another DAG of the same logical date, woken by its end. XCom: its run_id."
    },
    "dataset": {"type": "string", "pattern": "^[a-z_][a-z0-9_]*\\.[a-z_][a-z0-9_]*$", "x-template": "none", "description": "Waits until this data set of the lake has something for the run's data interval."},
    "time": {"type": "string", "minLength": 1, "description": "Waits for a time of day (\"07:30\") at or after the end of the data interval in the DAG's time zone, an instant, or a duration after that end."},
    "poke_interval": {"type": "string", "format": "duration", "default": "60s", "description": "Between two looks."},
    "timeout": {"type": "string", "format": "duration", "default": "7d", "description": "From the first look, over retries and restarts; then the task fails and is not retried."},
    "mode": {"enum": ["reschedule", "poke", "deferrable"], "default": "reschedule", "description": "As in Airflow. Here every one costs a timer only; a deferrable sensor is shown as deferred."},
    "exponential_backoff": {"type": "boolean", "default": false, "description": "The interval doubles, with a jitter."},
    "max_wait": {"type": "string", "format": "duration", "description": "The interval is never longer."},
    "soft_fail": {"type": "boolean", "default": false, "description": "A timeout, and a failure that no retry can cure, skip the task."},
    "never_fail": {"type": "boolean", "default": false, "description": "Every failure skips the task; not with soft_fail."},
    "silent_fail": {"type": "boolean", "default": false, "description": "A look that fails is logged and counts as \"not yet\"."}
  },
  "oneOf": [{"required": ["file"]}, {"required": ["sql"]}, {"required": ["http"]}, {"required": ["dag"]}, {"required": ["dataset"]}, {"required": ["time"]}],
  "additionalProperties": false
})json";

Duration duration_in(const Json& params, const char* key, const char* otherwise) {
    const auto text = params.value(key, otherwise);
    const auto duration = parse_duration(text);
    if (!duration || *duration < Duration::zero())
        throw Error(ErrorCode::invalid, fmt::format("{}: \"{}\" is no duration", key, text));
    return *duration;
}

struct Rules {
    explicit Rules(const Json& params)
        : poke_interval(duration_in(params, "poke_interval", "60s")),
          timeout(duration_in(params, "timeout", "7d")),
          deferrable(params.value("mode", "reschedule") == "deferrable"),
          backoff(params.value("exponential_backoff", false)),
          soft_fail(params.value("soft_fail", false)),
          never_fail(params.value("never_fail", false)),
          silent_fail(params.value("silent_fail", false)) {
        if (params.contains("max_wait")) max_wait = duration_in(params, "max_wait", "60s");
    }
    Duration poke_interval;
    Duration timeout;
    bool deferrable;
    bool backoff;
    bool soft_fail;
    bool never_fail;
    bool silent_fail;
    std::optional<Duration> max_wait;
};

/// Airflow's: b = max(int(interval * 2^(n-2)), 1), plus SHA1("dag#task#begin#n") mod b, in seconds.
Duration pause_before(const Rules& rules, const task::TaskInfo& info, Instant first_at, int n) {
    Duration pause = rules.poke_interval;
    if (rules.backoff) {
        constexpr double longest = 7 * 86'400;
        const double wanted = to_seconds(rules.poke_interval) * std::pow(2.0, n - 2);
        const auto base = static_cast<std::int64_t>(std::clamp(wanted, 1.0, longest));
        std::int64_t jitter = 0;
        const auto text =
            fmt::format("{}#{}#{}#{}", info.dag_id, info.task_id, format_offset(first_at), n);
        for (const std::uint8_t byte : sha1(text)) jitter = (jitter * 256 + byte) % base;
        pause = seconds{base + jitter};
    }
    return rules.max_wait ? std::min(pause, *rules.max_wait) : pause;
}

Sight look(task::TaskContext& ctx, const Json& params, Instant now) {
    if (params.contains("file")) return look_at_file(ctx, params.at("file"), now);
    if (params.contains("sql")) return look_at_sql(ctx, params.at("sql"));
    if (params.contains("http")) return look_at_http(ctx, params.at("http"));
    if (params.contains("dag")) return look_at_dag(ctx, params.at("dag"));
    if (params.contains("dataset")) return look_at_dataset(ctx, params.at("dataset"));
    return look_at_time(ctx, params.at("time"), now);
}

/// What keeps it from looking is a failure of its class.
Sight try_look(task::TaskContext& ctx, const Json& params, Instant now) {
    try {
        return look(ctx, params, now);
    } catch (const SqlFailure& failure) {
        return Sight::never(failure.what(), failure.error_class());
    } catch (const engine::Failure& failure) {
        return Sight::never(failure.what(), failure.error_class());
    } catch (const Error& error) {
        const bool away = error.code() == ErrorCode::unavailable;
        return Sight::never(error.what(), away ? ErrorClass::transient : ErrorClass::permanent);
    }
}

bool is_final(ErrorClass error_class) {
    return error_class != ErrorClass::none && error_class != ErrorClass::transient &&
           error_class != ErrorClass::rate_limited && error_class != ErrorClass::resource;
}

Outcome failed(const Rules& rules, ErrorClass error_class, const std::string& why) {
    if (rules.never_fail || (rules.soft_fail && is_final(error_class))) return task::skip(why);
    auto outcome = task::fail(error_class, why);
    outcome.skip_on_timeout = rules.soft_fail || rules.never_fail;
    return outcome;
}

Outcome wait_on(
    task::TaskContext& ctx, const Rules& rules, const Sight& sight, Instant first_at, Instant now
) {
    const auto& poke = ctx.poke();
    const int number = poke ? poke->pokes + 1 : 1;
    WaitOrder order;
    order.kind = rules.deferrable ? WaitKind::deferred : WaitKind::reschedule;
    order.event = sight.event;
    order.seen = sight.seen;
    order.resume = Json(sight.why).dump(-1, ' ', false, Json::error_handler_t::replace);
    if (!poke || poke->resume != order.resume) ctx.info("not yet: " + sight.why);
    // A look by the clock, but where only an event can change what is seen.
    const Instant last = first_at + rules.timeout;
    Instant next =
        sight.event.empty()
            ? sight.until.value_or(now + pause_before(rules, ctx.info(), first_at, number))
            : last;
    order.until = std::min(next, last);
    auto outcome = task::wait(std::move(order));
    outcome.skip_on_timeout = rules.soft_fail || rules.never_fail;
    return outcome;
}

Outcome run(task::TaskContext& ctx, const Json& params) {
    const Rules rules(params);
    const Instant now = SystemClock().now();
    const Instant first_at = ctx.poke() ? ctx.poke()->first_at : now;
    Sight sight = try_look(ctx, params, now);
    if (sight.is == Sight::Is::never && rules.silent_fail && !ctx.cancelled()) {
        ctx.warn("the look failed, which counts as not yet: " + sight.why);
        sight.is = Sight::Is::not_yet;
    }
    switch (sight.is) {
        case Sight::Is::so:
            if (!sight.value.is_null()) ctx.xcom("return_value", sight.value);
            return task::success();
        case Sight::Is::never:
            return failed(rules, sight.error_class, sight.why);
        case Sight::Is::not_yet:
            break;
    }
    if (now - first_at >= rules.timeout)
        return failed(
            rules,
            ErrorClass::permanent,
            fmt::format("timeout of {}: {}", format_duration(rules.timeout), sight.why)
        );
    return wait_on(ctx, rules, sight, first_at, now);
}

task::CheckResult check(const task::CheckInput& input) {
    task::CheckResult result;
    const auto complain = [&](const char* pointer, std::string message) {
        Problem problem;
        problem.code = "E-VALUE";
        problem.pointer = pointer;
        problem.message = std::move(message);
        result.problems.push_back(std::move(problem));
    };
    const auto& params = input.params;
    if (params.value("soft_fail", false) && params.value("never_fail", false))
        complain("/never_fail", "soft_fail and never_fail exclude each other");
    if (const auto time = params.find("time"); time != params.end() && time->is_string()) {
        const std::string text = *time;
        task::TaskInfo info;
        info.timezone = input.dag.timezone;
        if (text.find("{{") == std::string::npos && !target_of(text, info, Instant{}))
            complain("/time", "\"" + text + "\" is no time of day, time or duration");
    }
    return result;
}

}  // namespace

task::Operator sensor_operator() {
    return {
        .name = "sensor",
        .summary = "Waits until a file, a row, a reply, a run, a data set or a time is there.",
        .schema = sensor_schema,
        .traits = {.isolation = Isolation::inline_, .idempotent = true},
        .check = check,
        .run = run,
    };
}

}  // namespace sluice::ops
