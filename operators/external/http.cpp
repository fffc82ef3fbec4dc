#include <algorithm>
#include <chrono>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/json_text.hpp"
#include "base/limits.hpp"
#include "operators/external/external.hpp"
#include "operators/external/http_auth.hpp"
#include "operators/external/json_path.hpp"
#include "operators/external/look.hpp"
#include "task/job.hpp"

namespace sluice::ops {
namespace {

using Json = nlohmann::json;

constexpr const char* http_schema = R"json({
  "type": "object",
  "properties": {
    "conn_id": {"type": "string", "minLength": 1, "description": "An http connection: base address and credentials."},
    "endpoint": {"type": "string", "description": "Path on the connection's server."},
    "url": {"type": "string", "minLength": 1, "description": "Whole address, for servers without credentials."},
    "method": {"enum": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"], "default": "POST", "description": "HTTP method."},
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
      "description": "What the reply must be; anything else fails the task."
    },
    "idempotency_key": {"type": "boolean", "default": true, "description": "Send an Idempotency-Key that is the same for every attempt of this task and interval."}
  },
  "oneOf": [{"required": ["conn_id", "endpoint"]}, {"required": ["url"]}],
  "additionalProperties": false
})json";

/// The same for every attempt; parts are length-prefixed so that they cannot run into each other.
std::string idempotency_key(const task::TaskInfo& info) {
    const std::string interval = info.data_interval ? format_z(info.data_interval->start) + '/' +
                                                          format_z(info.data_interval->end)
                                                    : info.run_id;
    std::string text;
    for (const std::string& part :
         {info.dag_id, info.task_id, interval, std::to_string(info.map_index)})
        text += std::to_string(part.size()) + ':' + part;
    return sha256_hex(text);
}

HttpRequest request_of(task::TaskContext& ctx, const Json& params) {
    HttpRequest request;
    request.method = params.value("method", "POST");
    request.headers = pairs_of(params, "headers");
    if (const auto body = params.find("body"); body != params.end() && !body->is_null()) {
        request.body = text_of(*body);
        if (!body->is_string() && !has_header(request, "Content-Type"))
            request.headers.emplace_back("Content-Type", "application/json");
    }
    const bool reading = request.method == "GET" || request.method == "HEAD";
    if (params.value("idempotency_key", true) && !reading &&
        !has_header(request, "Idempotency-Key"))
        request.headers.emplace_back("Idempotency-Key", idempotency_key(ctx.info()));
    request.url = params.contains("conn_id") ? http_url(
                                                   ctx.connection(params.at("conn_id")),
                                                   params.at("endpoint").get<std::string>()
                                               )
                                             : params.at("url").get<std::string>();
    add_query(request.url, encode_query(pairs_of(params, "query_params")));
    return request;
}

bool status_fits(const Json& expected, long status) {
    return std::ranges::any_of(expected, [&](const Json& one) {
        if (one.is_number_integer()) return one.get<long>() == status;
        const std::string range = one.get<std::string>();
        return std::stol(range) <= status && status <= std::stol(range.substr(range.find('-') + 1));
    });
}

Outcome refused(const HttpReply& reply, const std::string& what) {
    std::string message = what + " answered " + std::to_string(reply.status);
    const std::string begin = reply.body.substr(0, 300);
    if (!begin.empty()) message += ": " + begin;
    if (reply.status == 429) return task::rate_limited(message, retry_after(reply));
    if (reply.status == 503 && reply.headers.contains("retry-after"))
        return task::rate_limited(message, retry_after(reply));
    if (reply.status == 401 || reply.status == 403 || reply.status == 407)
        return task::fail(ErrorClass::auth, message);
    if (reply.status >= 500 || reply.status == 408 || reply.status == 425)
        return task::fail(ErrorClass::transient, message);
    return task::fail(ErrorClass::permanent, message);
}

/// "" if the reply is as expected, else what is not.
std::string unmet(const Json& expected, const Json& body) {
    for (const auto& [path, value] : expected.items()) {
        const Json* found = find_path(body, path);
        if (found == nullptr) return path + " is not in the reply";
        if (*found != value)
            return path + " is " + found->dump().substr(0, 200) + ", expected " + value.dump();
    }
    return "";
}

}  // namespace

HttpLook look_http(task::TaskContext& ctx, const Json& params) {
    HttpRequest request = request_of(ctx, params);
    const std::string what = request.method + ' ' + request.url.substr(0, request.url.find('?'));
    const auto begin = std::chrono::steady_clock::now();
    HttpClient client(ctx);
    const HttpAnswer answer =
        params.contains("conn_id")
            ? send_signed(client, ctx.connection(params.at("conn_id")), std::move(request))
            : client.send(request);
    if (!answer.reply)
        return {task::fail(answer.failure.error_class, what + ": " + answer.failure.message), 0};
    const HttpReply& reply = *answer.reply;
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now() - begin
    );
    ctx.info(
        what + " -> " + std::to_string(reply.status) + ", " + std::to_string(reply.body.size()) +
        " bytes, " + std::to_string(took.count()) + " ms"
    );
    const Json expect = params.value("expect", Json::object());
    if (!status_fits(expect.value("status", Json::array({"200-299"})), reply.status))
        return {refused(reply, what), reply.status};
    const Json body = task::json_or_text(reply.body);
    const std::string wrong = unmet(expect.value("json", Json::object()), body);
    if (!wrong.empty())
        return {task::fail(ErrorClass::data_quality, what + ": " + wrong), reply.status};
    if (reply.body.size() > limits::artefact_bytes) {
        ctx.warn(
            "the reply is no XCom: it has more than artefact_bytes (" +
            std::to_string(limits::artefact_bytes) + ')'
        );
    } else if (!reply.body.empty()) {
        ctx.xcom("return_value", body);
    }
    return {task::success(), reply.status};
}

task::Operator http_operator() {
    return {
        .name = "http",
        .summary = "Sends one HTTP request and looks at the reply.",
        .schema = http_schema,
        .traits = {},
        .check = {},
        .run = [](task::TaskContext& ctx,
                  const Json& params) { return look_http(ctx, params).outcome; },
    };
}

}  // namespace sluice::ops
