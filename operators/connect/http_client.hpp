// http_client.hpp — HTTP requests of a task, over libcurl. They block; a cancel of the attempt ends
// them at once.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/run.hpp"
#include "task/context.hpp"

namespace sluice::connect {

struct HttpReply;

struct HttpRequest {
    std::string method{"GET"};
    std::string url;
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;
    std::string login;  // basic authentication
    Secret password;
    std::string ca_file;    // "" = the system's
    std::string sigv4{};    // "aws:amz:<region>:<service>": signed with login and password
    bool redirects{true};   // of GET and HEAD are followed
    bool as_stored{false};  // no Content-Encoding is asked for or undone
    std::size_t reply_bytes{std::size_t{8} << 20};  // a longer reply is an error
    /// Gets the body of a reply with status 2xx, piece by piece, of any length; `head` has status
    /// and headers. What it throws ends the request and comes out of send().
    std::function<void(const HttpReply& head, std::string_view bytes)> into{};
    long connect_seconds{10};
    long stall_seconds{300};  // so long without a byte: the server is gone
};

struct HttpReply {
    long status{0};
    std::map<std::string, std::string> headers;  // names in lower case; repeated: joined by ", "
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

/// Keeps the connection to a server from one request to the next. One thread only.
class HttpClient {
public:
    explicit HttpClient(task::TaskContext& ctx);
    ~HttpClient();
    HttpClient(const HttpClient&) = delete;
    HttpClient& operator=(const HttpClient&) = delete;

    /// Follows redirects of GET and HEAD only, at most five; TLS certificates are always checked.
    HttpAnswer send(const HttpRequest& request);
    /// False if the attempt is cancelled meanwhile.
    bool wait(Duration time);

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// One request with a client of its own.
HttpAnswer send_http(task::TaskContext& ctx, const HttpRequest& request);

/// What a Retry-After header asks for; none if there is none that can be read.
std::optional<Duration> retry_after(const HttpReply& reply);

/// Percent-encoded `name=value&...`.
std::string encode_query(const std::vector<std::pair<std::string, std::string>>& parameters);

}  // namespace sluice::connect
