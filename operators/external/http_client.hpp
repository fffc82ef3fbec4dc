// http_client.hpp — one HTTP request of a task, over libcurl. Blocks; a cancel of the attempt ends
// it at once.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/run.hpp"
#include "task/context.hpp"

namespace sluice::ops {

struct HttpRequest {
    std::string method{"GET"};
    std::string url;
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;
    std::string login;  // basic authentication
    Secret password;
    std::string ca_file;  // "" = the system's
};

struct HttpReply {
    long status{0};
    std::map<std::string, std::string> headers;  // names in lower case
    std::string body;
};

/// No reply: why, and what it means for a retry.
struct HttpFailure {
    ErrorClass error_class{ErrorClass::transient};
    std::string message;
};

struct HttpAnswer {
    std::optional<HttpReply> reply;
    HttpFailure failure;  // if there is no reply
};

inline constexpr std::size_t http_reply_bytes = 8U << 20;

/// Follows redirects of GET and HEAD only, at most five; TLS certificates are always checked.
HttpAnswer send_http(task::TaskContext& ctx, const HttpRequest& request);

/// Percent-encoded `name=value&...`.
std::string encode_query(const std::vector<std::pair<std::string, std::string>>& parameters);

}  // namespace sluice::ops
