// auth.hpp — who is calling: passwords (argon2id), access tokens (JWT, HS512), dashboard sessions
// (a signed cookie) and the brake on guessing. Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/secret.hpp"
#include "http/message.hpp"
#include "store/admin.hpp"

namespace sluice::api {

struct Caller {
    std::string user;
    std::string role;
    std::string session;  // id of the cookie session; "" = a bearer token
    std::string csrf;     // of the session
};

/// Hashes with libsodium's argon2id at its interactive cost; the text holds salt and parameters.
std::string hash_password(const Secret& password);
bool password_matches(const std::string& hash, const Secret& password);
/// 24 characters, for the first administrator.
std::string random_password();

std::string base64url(std::string_view bytes);
std::optional<std::string> base64url_decode(std::string_view text);

struct Claims {
    std::string subject;
    std::string role;
    std::string audience;
    std::string id;
    std::int64_t issued_at{};   // seconds
    std::int64_t expires_at{};  // seconds
};
std::string sign_token(const Claims& claims, const Secret& key);
/// None when the form, the signature, the audience or the time is wrong.
std::optional<Claims> read_token(
    std::string_view token, const Secret& key, std::string_view audience, std::int64_t now
);

class Auth {
public:
    Auth(store::Admin& admin, const Clock& clock) : admin_(admin), clock_(clock) {}

    /// Throws Failure: 401 "Invalid credentials", 429 after too many failures.
    store::User check_password(
        const std::string& user, const Secret& password, const http::Request& request
    );
    enum class Life { day, hour };
    std::string access_token(const store::User& user, Life life);
    /// Value of the session cookie and the caller that it stands for.
    std::pair<std::string, Caller> open_session(const store::User& user);
    void close_session(const http::Request& request);

    /// Throws Failure: 401 "Not authenticated", 403 "Invalid JWT token" or for a CSRF token that
    /// is missing or wrong.
    Caller identify(const http::Request& request);
    /// None without a valid session or token.
    std::optional<Caller> try_identify(const http::Request& request);

    static constexpr std::string_view cookie_name = "sluice_session";
    /// A session closed on another node is over here after this time at the latest.
    static constexpr auto sessions_pace = std::chrono::seconds{2};

private:
    std::vector<store::SigningKey> keys();
    std::optional<Claims> read_any(std::string_view token, std::string_view audience);
    std::optional<Caller> session_of(const http::Request& request);
    bool is_closed(const std::string& session);
    void brake(const std::string& who);
    void note_failure(const std::string& who);
    [[nodiscard]] std::int64_t now_seconds() const;

    store::Admin& admin_;
    const Clock& clock_;
    std::mutex mutex_;  // guards all below
    std::vector<store::SigningKey> keys_;
    std::set<std::string> closed_sessions_;  // of all nodes, as of sessions_read_
    std::optional<std::chrono::steady_clock::time_point> sessions_read_;
    struct Failures {
        int count{};
        std::int64_t since{};
    };
    std::map<std::string, Failures> failures_;  // by user and address
};

}  // namespace sluice::api
