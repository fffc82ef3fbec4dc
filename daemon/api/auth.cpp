#include "api/auth.hpp"

#include <array>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>

#include "api/failure.hpp"
#include "api/json.hpp"
#include "base/check.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"

namespace sluice::api {
namespace {

constexpr std::string_view api_audience = "apache-airflow";
constexpr std::string_view session_audience = "sluice-session";
constexpr std::int64_t day = 86'400;  // seconds
constexpr int failures_allowed = 10;
constexpr std::int64_t failure_window = 60;  // seconds

void init_sodium() {
    static const int ready = sodium_init();
    if (ready < 0) throw Error(ErrorCode::internal, "libsodium cannot begin");
}

std::string random_bytes(std::size_t size) {
    init_sodium();
    std::string bytes(size, '\0');
    randombytes_buf(bytes.data(), bytes.size());
    return bytes;
}

std::string hmac(const EVP_MD* digest, const Secret& key, std::string_view text) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
    unsigned int size = 0;
    const auto* result = HMAC(
        digest,
        key.reveal().data(),
        static_cast<int>(key.reveal().size()),
        reinterpret_cast<const unsigned char*>(text.data()),
        text.size(),
        out.data(),
        &size
    );
    SLUICE_CHECK(result != nullptr);
    return {reinterpret_cast<const char*>(out.data()), size};
}

bool equal(std::string_view a, std::string_view b) {
    return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

/// A hash that no password has, so that an unknown user costs the same time as a known one.
const std::string& decoy_hash() {
    static const std::string hash = hash_password(Secret(random_bytes(32)));
    return hash;
}

}  // namespace

std::string hash_password(const Secret& password) {
    init_sodium();
    std::array<char, crypto_pwhash_STRBYTES> text{};
    const std::string& bytes = password.reveal();
    if (crypto_pwhash_str(
            text.data(),
            bytes.data(),
            bytes.size(),
            crypto_pwhash_OPSLIMIT_INTERACTIVE,
            crypto_pwhash_MEMLIMIT_INTERACTIVE
        ) != 0)
        throw Error(ErrorCode::internal, "a password cannot be hashed: out of memory");
    return text.data();
}

bool password_matches(const std::string& hash, const Secret& password) {
    init_sodium();
    const std::string& bytes = password.reveal();
    return crypto_pwhash_str_verify(hash.c_str(), bytes.data(), bytes.size()) == 0;
}

std::string random_password() { return base64url(random_bytes(18)); }

std::string base64url(std::string_view bytes) {
    std::string out(
        sodium_base64_encoded_len(bytes.size(), sodium_base64_VARIANT_URLSAFE_NO_PADDING), '\0'
    );
    sodium_bin2base64(
        out.data(),
        out.size(),
        reinterpret_cast<const unsigned char*>(bytes.data()),
        bytes.size(),
        sodium_base64_VARIANT_URLSAFE_NO_PADDING
    );
    out.resize(out.size() - 1);  // the NUL
    return out;
}

std::optional<std::string> base64url_decode(std::string_view text) {
    std::string out(text.size(), '\0');
    std::size_t size = 0;
    const char* end = nullptr;
    if (sodium_base642bin(
            reinterpret_cast<unsigned char*>(out.data()),
            out.size(),
            text.data(),
            text.size(),
            nullptr,
            &size,
            &end,
            sodium_base64_VARIANT_URLSAFE_NO_PADDING
        ) != 0 ||
        end != text.data() + text.size())
        return std::nullopt;
    out.resize(size);
    return out;
}

std::string sign_token(const Claims& claims, const Secret& key) {
    Json payload;
    payload["sub"] = claims.subject;
    payload["role"] = claims.role;
    payload["teams"] = Json::array();
    payload["jti"] = claims.id;
    payload["aud"] = claims.audience;
    payload["nbf"] = claims.issued_at;
    payload["iat"] = claims.issued_at;
    payload["exp"] = claims.expires_at;
    const std::string text =
        base64url(R"({"alg":"HS512","typ":"JWT"})") + "." + base64url(dump(payload));
    return text + "." + base64url(hmac(EVP_sha512(), key, text));
}

std::optional<Claims> read_token(
    std::string_view token, const Secret& key, std::string_view audience, std::int64_t now
) {
    const auto last = token.rfind('.');
    if (last == std::string_view::npos) return std::nullopt;
    const auto signature = base64url_decode(token.substr(last + 1));
    if (!signature || !equal(*signature, hmac(EVP_sha512(), key, token.substr(0, last))))
        return std::nullopt;
    const auto first = token.find('.');
    if (first == last) return std::nullopt;
    const auto header_text = base64url_decode(token.substr(0, first));
    const auto payload_text = base64url_decode(token.substr(first + 1, last - first - 1));
    if (!header_text || !payload_text) return std::nullopt;
    const Json header = Json::parse(*header_text, nullptr, false);
    const Json payload = Json::parse(*payload_text, nullptr, false);
    if (!header.is_object() || !payload.is_object()) return std::nullopt;
    if (header.value("alg", "") != "HS512") return std::nullopt;
    try {
        Claims claims;
        claims.subject = payload.at("sub").get<std::string>();
        claims.role = payload.at("role").get<std::string>();
        claims.audience = payload.at("aud").get<std::string>();
        claims.id = payload.at("jti").get<std::string>();
        claims.issued_at = payload.at("iat").get<std::int64_t>();
        claims.expires_at = payload.at("exp").get<std::int64_t>();
        const bool in_time =
            payload.at("nbf").get<std::int64_t>() <= now + 60 && now < claims.expires_at;
        if (claims.audience != audience || !in_time) return std::nullopt;
        return claims;
    } catch (const Json::exception&) {
        return std::nullopt;
    }
}

std::int64_t Auth::now_seconds() const { return to_micros(clock_.now()) / 1'000'000; }

std::vector<store::SigningKey> Auth::keys() {
    const std::lock_guard lock(mutex_);
    if (keys_.empty()) {
        const store::SigningKey fresh{
            .id = to_hex(random_bytes(8)),
            .key = Secret(random_bytes(64)),
            .created_at = clock_.now()
        };
        keys_ = admin_.signing_keys(fresh);
        SLUICE_CHECK(!keys_.empty());
    }
    return keys_;
}

std::optional<Claims> Auth::read_any(std::string_view token, std::string_view audience) {
    for (const store::SigningKey& key : keys())
        if (auto claims = read_token(token, key.key, audience, now_seconds())) return claims;
    return std::nullopt;
}

void Auth::brake(const std::string& who) {
    const std::int64_t now = now_seconds();
    const std::lock_guard lock(mutex_);
    const auto found = failures_.find(who);
    if (found == failures_.end() || now - found->second.since >= failure_window) return;
    if (found->second.count >= failures_allowed)
        throw failure(429, "Too many failed logins, try again in a minute");
}

void Auth::note_failure(const std::string& who) {
    const std::int64_t now = now_seconds();
    const std::lock_guard lock(mutex_);
    if (failures_.size() > 10'000) failures_.clear();
    Failures& failures = failures_[who];
    if (now - failures.since >= failure_window) failures = {0, now};
    ++failures.count;
}

store::User Auth::check_password(
    const std::string& user, const Secret& password, const http::Request& request
) {
    const std::string who = request.remote + " " + user;
    brake(who);
    const auto known = admin_.user(user);
    const bool usable = known && known->active && !known->password_hash.empty();
    const bool right = password_matches(usable ? known->password_hash : decoy_hash(), password);
    if (usable && right) return *known;
    note_failure(who);
    AuditEntry entry;
    entry.at = clock_.now();
    entry.actor = user.substr(0, 250);
    entry.source = request.remote;
    entry.request_id = request.request_id;
    entry.event = "login_failed";
    entry.extra = "{}";
    admin_.audit(entry);
    throw failure(401, "Invalid credentials");
}

std::string Auth::access_token(const store::User& user, Life life) {
    const std::int64_t now = now_seconds();
    const Claims claims{
        .subject = user.name,
        .role = user.role,
        .audience = std::string(api_audience),
        .id = to_hex(random_bytes(16)),
        .issued_at = now,
        .expires_at = now + (life == Life::day ? day : 3600),
    };
    return sign_token(claims, keys().front().key);
}

std::pair<std::string, Caller> Auth::open_session(const store::User& user) {
    const std::int64_t now = now_seconds();
    const Claims claims{
        .subject = user.name,
        .role = user.role,
        .audience = std::string(session_audience),
        .id = to_hex(random_bytes(16)),
        .issued_at = now,
        .expires_at = now + 7 * day,
    };
    const Secret key = keys().front().key;
    Caller caller{
        user.name, user.role, claims.id, to_hex(hmac(EVP_sha256(), key, "csrf:" + claims.id))
    };
    return {sign_token(claims, key), std::move(caller)};
}

void Auth::close_session(const http::Request& request) {
    const auto claims = read_any(request.cookie(cookie_name), session_audience);
    if (!claims) return;
    admin_.close_session(claims->id, from_micros(claims->expires_at * 1'000'000));
    const std::lock_guard lock(mutex_);
    closed_sessions_.insert(claims->id);
}

bool Auth::is_closed(const std::string& session) {
    const auto now = std::chrono::steady_clock::now();
    {
        const std::lock_guard lock(mutex_);
        if (closed_sessions_.contains(session)) return true;
        if (sessions_read_ && now - *sessions_read_ < sessions_pace) return false;
    }
    // It may have been closed on another node.
    auto closed = admin_.closed_sessions();
    const std::lock_guard lock(mutex_);
    sessions_read_ = now;
    closed_sessions_ = std::move(closed);
    return closed_sessions_.contains(session);
}

std::optional<Caller> Auth::session_of(const http::Request& request) {
    const std::string cookie = request.cookie(cookie_name);
    if (cookie.empty()) return std::nullopt;
    for (const store::SigningKey& key : keys()) {
        const auto claims = read_token(cookie, key.key, session_audience, now_seconds());
        if (!claims) continue;
        if (is_closed(claims->id)) return std::nullopt;
        return Caller{
            claims->subject,
            claims->role,
            claims->id,
            to_hex(hmac(EVP_sha256(), key.key, "csrf:" + claims->id)),
        };
    }
    return std::nullopt;
}

Caller Auth::identify(const http::Request& request) {
    const std::string_view header = request.header("authorization");
    if (header.size() > 7 && (header.starts_with("Bearer ") || header.starts_with("bearer "))) {
        const auto claims = read_any(header.substr(7), api_audience);
        if (!claims) throw failure(403, "Invalid JWT token");
        return {claims->subject, claims->role, "", ""};
    }
    auto caller = session_of(request);
    if (!caller) throw failure(401, "Not authenticated");
    const bool reads =
        request.method == "GET" || request.method == "HEAD" || request.method == "OPTIONS";
    if (!reads && !equal(request.header("x-csrf-token"), caller->csrf))
        throw failure(403, "CSRF token missing or wrong");
    return *caller;
}

std::optional<Caller> Auth::try_identify(const http::Request& request) {
    try {
        return identify(request);
    } catch (const Failure&) {
        return std::nullopt;
    }
}

}  // namespace sluice::api
