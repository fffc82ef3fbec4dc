// http_auth.hpp — how a connection of type http proves who we are. Which way, `extra.auth` says:
// none, basic, bearer, api_key, oauth2, hmac or sigv4; without it basic if there is a login.
// Credentials are the connection's login and password, nothing else.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "operators/connect/http_client.hpp"

namespace sluice::ops {

// The client is that of all who speak HTTP.
using connect::encode_query;
using connect::HttpAnswer;
using connect::HttpClient;
using connect::HttpFailure;
using connect::HttpReply;
using connect::HttpRequest;
using connect::retry_after;

/// The address of an endpoint on the connection's server, as Airflow reads an http connection:
/// `schema` is the protocol, or the host is a whole address.
std::string http_url(const task::Connection& connection, std::string_view endpoint);
/// Appends "name=value&..." to an address.
void add_query(std::string& url, const std::string& query);
/// The members of an object of scalars, as text.
std::vector<std::pair<std::string, std::string>> pairs_of(
    const nlohmann::json& params, const char* key
);
bool has_header(const HttpRequest& request, std::string_view name);

/// The proof for one connection, over many requests: a token is fetched when it is needed and kept
/// until shortly before it expires. One thread only.
class HttpAuth {
public:
    /// Throws Error(invalid) if the connection's settings are no way to log in.
    HttpAuth(HttpClient& client, const task::Connection& connection);
    ~HttpAuth();
    HttpAuth(const HttpAuth&) = delete;
    HttpAuth& operator=(const HttpAuth&) = delete;

    /// Adds the connection's headers and the proof to a request whose address and body are
    /// complete; says why if it cannot.
    std::optional<HttpFailure> sign(HttpRequest& request);
    /// After a 401: true if a new proof may be better than the old one (which is then forgotten).
    bool renew();

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Sends one request with the connection's proof; after a 401, once more with a new one.
HttpAnswer send_signed(HttpClient& client, HttpAuth& auth, const HttpRequest& request);
HttpAnswer send_signed(
    HttpClient& client, const task::Connection& connection, const HttpRequest& request
);

}  // namespace sluice::ops
