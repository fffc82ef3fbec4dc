#include <algorithm>
#include <charconv>
#include <chrono>

#include <curl/curl.h>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/json_text.hpp"
#include "base/limits.hpp"
#include "operators/external/external.hpp"
#include "operators/external/http_client.hpp"
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

std::vector<std::pair<std::string, std::string>> pairs_of(const Json& params, const char* key) {
    std::vector<std::pair<std::string, std::string>> out;
    if (const auto found = params.find(key); found != params.end())
        for (const auto& [name, value] : found->items()) out.emplace_back(name, text_of(value));
    return out;
}

bool has_header(const HttpRequest& request, std::string_view name) {
    return std::ranges::any_of(request.headers, [&](const auto& header) {
        return std::ranges::equal(header.first, name, [](unsigned char a, unsigned char b) {
            return std::tolower(a) == std::tolower(b);
        });
    });
}

/// As Airflow reads an http connection: `schema` is the protocol, or the host is a whole address.
void apply_connection(
    HttpRequest& request, const task::Connection& connection, std::string endpoint
) {
    std::string base = connection.host;
    if (base.find("://") == std::string::npos) {
        const bool tls = connection.schema == "https" || connection.type == "https";
        base = (tls ? "https://" : "http://") + base;
    }
    while (base.ends_with('/')) base.pop_back();
    if (connection.port != 0) base += ':' + std::to_string(connection.port);
    if (!endpoint.starts_with('/')) endpoint.insert(0, "/");
    request.url = base + endpoint;
    request.login = connection.login;
    request.password = connection.password;
    const Json extra = Json::parse(connection.extra, nullptr, false);
    if (!extra.is_object()) return;
    for (auto& header : pairs_of(extra, "headers"))
        if (!has_header(request, header.first)) request.headers.push_back(std::move(header));
    request.ca_file = extra.value("ca_file", "");
    if (extra.value("auth", "") == "bearer") {
        // The token is the password; no login goes with it.
        request.headers.emplace_back("Authorization", "Bearer " + connection.password.reveal());
        request.login.clear();
    }
}

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
    if (params.contains("conn_id")) {
        apply_connection(request, ctx.connection(params.at("conn_id")), params.at("endpoint"));
    } else {
        request.url = params.at("url");
    }
    const std::string query = encode_query(pairs_of(params, "query_params"));
    if (!query.empty())
        request.url += (request.url.find('?') == std::string::npos ? '?' : '&') + query;
    return request;
}

bool status_fits(const Json& expected, long status) {
    return std::ranges::any_of(expected, [&](const Json& one) {
        if (one.is_number_integer()) return one.get<long>() == status;
        const std::string range = one.get<std::string>();
        return std::stol(range) <= status && status <= std::stol(range.substr(range.find('-') + 1));
    });
}

std::optional<Duration> retry_after(const HttpReply& reply) {
    const auto found = reply.headers.find("retry-after");
    if (found == reply.headers.end()) return std::nullopt;
    const std::string& text = found->second;
    long seconds = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (failed != std::errc{} || end != text.data() + text.size()) {
        const std::time_t at = curl_getdate(text.c_str(), nullptr);
        if (at == -1) return std::nullopt;
        seconds = static_cast<long>(at - std::time(nullptr));
    }
    return std::chrono::seconds{std::clamp(seconds, 0L, 86'400L)};
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
    const HttpRequest request = request_of(ctx, params);
    const std::string what = request.method + ' ' + request.url.substr(0, request.url.find('?'));
    const auto begin = std::chrono::steady_clock::now();
    const HttpAnswer answer = send_http(ctx, request);
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
