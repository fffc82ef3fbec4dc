#include "operators/external/http_auth.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>

#include <nlohmann/json.hpp>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/json_text.hpp"
#include "operators/connect/base64.hpp"
#include "operators/connect/patience.hpp"

namespace sluice::ops {
namespace {

using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;

enum class Way { none, basic, bearer, api_key, oauth2, hmac, sigv4 };
constexpr std::array<std::pair<std::string_view, Way>, 7> ways{{
    {"none", Way::none},
    {"basic", Way::basic},
    {"bearer", Way::bearer},
    {"api_key", Way::api_key},
    {"oauth2", Way::oauth2},
    {"hmac", Way::hmac},
    {"sigv4", Way::sigv4},
}};

[[noreturn]] void refuse(const task::Connection& connection, const std::string& why) {
    throw Error(ErrorCode::invalid, "connection \"" + connection.id + "\": " + why);
}

std::string text_in(const Json& extra, const char* key, const char* otherwise = "") {
    const auto found = extra.find(key);
    return found != extra.end() && found->is_string() ? found->get<std::string>() : otherwise;
}

Way way_of(const task::Connection& connection, const Json& extra) {
    const std::string written = text_in(extra, "auth");
    if (written.empty()) return connection.login.empty() ? Way::none : Way::basic;
    for (const auto& [name, way] : ways)
        if (name == written) return way;
    refuse(
        connection,
        "auth \"" + written + "\" is none of none, basic, bearer, api_key, oauth2, hmac, sigv4"
    );
}

std::string hmac(const EVP_MD* digest, const Secret& key, const std::string& text) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
    unsigned int size = 0;
    if (HMAC(
            digest,
            key.reveal().data(),
            static_cast<int>(key.reveal().size()),
            reinterpret_cast<const unsigned char*>(text.data()),
            text.size(),
            out.data(),
            &size
        ) == nullptr)
        throw Error(ErrorCode::internal, "HMAC failed");
    return {reinterpret_cast<const char*>(out.data()), size};
}

/// Path and query of an address.
std::string target_of(const std::string& url) {
    const auto host = url.find("://");
    const auto path = url.find_first_of("/?", host == std::string::npos ? 0 : host + 3);
    if (path == std::string::npos) return "/";
    return url[path] == '?' ? "/" + url.substr(path) : url.substr(path);
}

}  // namespace

std::string http_url(const task::Connection& connection, std::string_view endpoint) {
    std::string base = connection.host;
    if (base.empty()) refuse(connection, "it names no host");
    if (base.find("://") == std::string::npos) {
        const bool tls = connection.schema == "https" || connection.type == "https";
        base = (tls ? "https://" : "http://") + base;
    }
    while (base.ends_with('/')) base.pop_back();
    if (connection.port != 0) base += ':' + std::to_string(connection.port);
    if (!endpoint.starts_with('/')) base += '/';
    return base.append(endpoint);
}

void add_query(std::string& url, const std::string& query) {
    if (!query.empty()) url += (url.find('?') == std::string::npos ? '?' : '&') + query;
}

std::vector<std::pair<std::string, std::string>> pairs_of(const Json& params, const char* key) {
    std::vector<std::pair<std::string, std::string>> out;
    if (const auto found = params.find(key); found != params.end() && found->is_object())
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

struct HttpAuth::State {
    HttpClient& client;
    task::Connection connection;
    Json extra;
    Way way;
    Secret token;
    Clock::time_point expires{};

    /// A login of a client by itself (RFC 6749, 4.4).
    std::optional<HttpFailure> fetch_token();
    void sign_hmac(HttpRequest& request) const;
};

std::optional<HttpFailure> HttpAuth::State::fetch_token() {
    HttpRequest request;
    request.method = "POST";
    const std::string url = text_in(extra, "token_url");
    request.url = url.find("://") != std::string::npos ? url : http_url(connection, url);
    request.ca_file = text_in(extra, "ca_file");
    request.headers.emplace_back("Content-Type", "application/x-www-form-urlencoded");
    request.headers.emplace_back("Accept", "application/json");
    std::vector<std::pair<std::string, std::string>> form{{"grant_type", "client_credentials"}};
    for (const char* key : {"scope", "audience", "resource"})
        if (const std::string value = text_in(extra, key); !value.empty())
            form.emplace_back(key, value);
    if (text_in(extra, "client_auth", "basic") == "body") {
        form.emplace_back("client_id", connection.login);
        form.emplace_back("client_secret", connection.password.reveal());
    } else {
        request.login = connection.login;
        request.password = connection.password;
    }
    request.body = encode_query(form);
    const HttpAnswer answer = client.send(request);
    const std::string what = "the token of " + request.url.substr(0, request.url.find('?'));
    if (!answer.reply)
        return HttpFailure{answer.failure.error_class, what + ": " + answer.failure.message};
    const HttpReply& reply = *answer.reply;
    const bool later = reply.status >= 500 || reply.status == 429 || reply.status == 408;
    if (reply.status != 200) {
        // The reply names what is wrong ("invalid_client"); it holds no secret of ours.
        return HttpFailure{
            later ? ErrorClass::transient : ErrorClass::auth,
            what + " is refused: " + std::to_string(reply.status) + ' ' + reply.body.substr(0, 200)
        };
    }
    const Json json = Json::parse(reply.body, nullptr, false);
    const std::string value = json.is_object() ? text_in(json, "access_token") : "";
    if (value.empty()) return HttpFailure{ErrorClass::auth, what + ": no access_token came back"};
    const auto given = json.find("expires_in");
    const std::int64_t seconds =
        given != json.end() && given->is_number() ? given->get<std::int64_t>() : 300;
    // Early enough for a request that is under way, however short it lives.
    expires =
        Clock::now() + std::chrono::seconds{seconds - std::min<std::int64_t>(30, seconds / 5)};
    token = Secret(value);
    return std::nullopt;
}

/// What is signed: method, path with query, time, key and the body's SHA-256, a line each.
void HttpAuth::State::sign_hmac(HttpRequest& request) const {
    const std::string time = std::to_string(std::chrono::duration_cast<std::chrono::seconds>(
                                                std::chrono::system_clock::now().time_since_epoch()
    )
                                                .count());
    const std::string text = request.method + '\n' + target_of(request.url) + '\n' + time + '\n' +
                             connection.login + '\n' + sha256_hex(request.body);
    const bool longer = text_in(extra, "hmac_digest", "sha256") == "sha512";
    const std::string bytes = hmac(longer ? EVP_sha512() : EVP_sha256(), connection.password, text);
    const bool hex = text_in(extra, "hmac_encoding", "hex") != "base64";
    request.headers.emplace_back(text_in(extra, "hmac_key_header", "X-Key-Id"), connection.login);
    request.headers.emplace_back(text_in(extra, "hmac_time_header", "X-Timestamp"), time);
    request.headers.emplace_back(
        text_in(extra, "hmac_header", "X-Signature"), hex ? to_hex(bytes) : connect::base64(bytes)
    );
}

HttpAuth::HttpAuth(HttpClient& client, const task::Connection& connection) {
    const Json extra = connect::extra_of(connection);
    const Way way = way_of(connection, extra);
    state_ = std::make_unique<State>(State{client, connection, extra, way, {}});
    if (way == Way::oauth2 && text_in(extra, "token_url").empty())
        refuse(connection, "auth oauth2 needs \"token_url\" in extra");
    if (way == Way::sigv4 &&
        (text_in(extra, "region").empty() || text_in(extra, "service").empty()))
        refuse(connection, "auth sigv4 needs \"region\" and \"service\" in extra");
    if (way != Way::none && way != Way::basic && connection.password.empty())
        refuse(
            connection,
            "its password, the credential of auth " + text_in(extra, "auth") + ", is empty"
        );
}

HttpAuth::~HttpAuth() = default;

std::optional<HttpFailure> HttpAuth::sign(HttpRequest& request) {
    const task::Connection& connection = state_->connection;
    const Json& extra = state_->extra;
    request.ca_file = text_in(extra, "ca_file");
    for (auto& header : pairs_of(extra, "headers"))
        if (!has_header(request, header.first)) request.headers.push_back(std::move(header));
    switch (state_->way) {
        case Way::none:
            break;
        case Way::basic:
            request.login = connection.login;
            request.password = connection.password;
            break;
        case Way::bearer:
            request.headers.emplace_back("Authorization", "Bearer " + connection.password.reveal());
            break;
        case Way::api_key:
            // libcurl would carry them to another host.
            request.redirects = false;
            if (text_in(extra, "api_key_in", "header") == "query") {
                const std::string name = text_in(extra, "api_key_name", "api_key");
                // An address that the server told may have it already.
                if (request.url.find('?' + name + '=') == std::string::npos &&
                    request.url.find('&' + name + '=') == std::string::npos)
                    add_query(request.url, encode_query({{name, connection.password.reveal()}}));
            } else {
                request.headers.emplace_back(
                    text_in(extra, "api_key_name", "X-API-Key"), connection.password.reveal()
                );
            }
            break;
        case Way::oauth2:
            if (state_->token.empty() || Clock::now() >= state_->expires)
                if (auto failure = state_->fetch_token()) return failure;
            request.headers.emplace_back("Authorization", "Bearer " + state_->token.reveal());
            break;
        case Way::hmac:
            request.redirects = false;
            state_->sign_hmac(request);
            break;
        case Way::sigv4:
            request.redirects = false;
            request.login = connection.login;
            request.password = connection.password;
            request.sigv4 = "aws:amz:" + text_in(extra, "region") + ':' + text_in(extra, "service");
            if (const std::string token = text_in(extra, "session_token"); !token.empty())
                request.headers.emplace_back("X-Amz-Security-Token", token);
            break;
    }
    return std::nullopt;
}

bool HttpAuth::renew() {
    if (state_->way != Way::oauth2 || state_->token.empty()) return false;
    state_->token = Secret();
    return true;
}

HttpAnswer send_signed(HttpClient& client, HttpAuth& auth, const HttpRequest& request) {
    for (bool first = true;; first = false) {
        HttpRequest whole = request;
        if (auto failure = auth.sign(whole)) return {std::nullopt, std::move(*failure)};
        HttpAnswer answer = client.send(whole);
        if (answer.reply && answer.reply->status == 401 && first && auth.renew()) continue;
        return answer;
    }
}

HttpAnswer send_signed(
    HttpClient& client, const task::Connection& connection, const HttpRequest& request
) {
    HttpAuth auth(client, connection);
    return send_signed(client, auth, request);
}

}  // namespace sluice::ops
