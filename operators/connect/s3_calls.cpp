#include "operators/connect/s3_calls.hpp"

#include <algorithm>
#include <array>
#include <random>

#include "base/hash.hpp"
#include "operators/connect/xml.hpp"
#include "operators/engine/failure.hpp"

namespace sluice::connect {

using engine::Failure;

namespace {

constexpr std::chrono::milliseconds first_pause{100};
constexpr std::chrono::seconds longest_pause{20};
constexpr std::chrono::seconds longest_wait_asked{60};

/// Codes of errors that pass.
bool passes(long status, const std::string& code) {
    constexpr std::array<std::string_view, 14> codes{
        "SlowDown",
        "SlowDownRead",
        "SlowDownWrite",
        "InternalError",
        "ServiceUnavailable",
        "RequestTimeout",
        "Throttling",
        "ThrottlingException",
        "RequestLimitExceeded",
        "OperationAborted",
        "ConditionalRequestConflict",
        // The body was damaged on its way.
        "BadDigest",
        "XAmzContentSHA256Mismatch",
        "IncompleteBody",
    };
    if (std::ranges::find(codes, code) != codes.end()) return true;
    if (status == 507) return false;
    return status >= 500 || status == 429 || status == 408 || status == 425;
}

bool is_throttle(long status, const std::string& code) {
    return status == 429 || code.starts_with("SlowDown") || code.starts_with("Throttling") ||
           code == "RequestLimitExceeded";
}

struct Refusal {
    std::string_view code;
    ErrorClass error_class;
    std::string_view hint;
};

constexpr std::array<Refusal, 10> refusals{{
    {"InvalidAccessKeyId", ErrorClass::auth, "the access key is not known there"},
    {"SignatureDoesNotMatch", ErrorClass::auth, "the secret key is not that of the access key"},
    {"AccessDenied", ErrorClass::auth, ""},
    {"AccountProblem", ErrorClass::auth, ""},
    {"InvalidToken", ErrorClass::auth, ""},
    {"ExpiredToken", ErrorClass::auth, ""},
    {"RequestTimeTooSkewed", ErrorClass::permanent, "the clocks of both sides differ"},
    {"NoSuchBucket", ErrorClass::permanent, "the bucket is not there"},
    {"XMinioStorageFull", ErrorClass::resource, "the store is full"},
    {"QuotaExceeded", ErrorClass::resource, "the store is full"},
}};

bool is_expiry(const std::string& code) {
    return code == "ExpiredToken" || code == "InvalidToken" || code == "ExpiredTokenException";
}

std::string host_header(const std::string& url) {
    const auto begin = url.find("://") + 3;
    std::string host = url.substr(begin, url.find('/', begin) - begin);
    const bool tls = url.starts_with("https://");
    const std::string usual = tls ? ":443" : ":80";
    if (host.ends_with(usual)) host.resize(host.size() - usual.size());
    return host;
}

std::string path_of(const std::string& url) {
    const auto slash = url.find('/', url.find("://") + 3);
    return slash == std::string::npos ? "/" : url.substr(slash);
}

std::string header_of(const HttpReply& reply, const char* name) {
    const auto found = reply.headers.find(name);
    return found == reply.headers.end() ? "" : found->second;
}

}  // namespace

S3Calls::S3Calls(task::TaskContext& context, const task::Connection& connection)
    : context_(context),
      settings_(s3_settings(connection)),
      client_(context),
      credentials_(client_, connection, settings_.region, settings_.ca_file) {}

std::string S3Calls::address(const std::string& full_key) const {
    return "s3://" + settings_.bucket + (full_key.empty() ? "" : "/" + full_key);
}

HttpRequest S3Calls::signed_request(const S3Call& call) {
    const AwsCredentials& who = credentials_.get();
    const std::string time = amz_time(std::chrono::system_clock::now());
    HttpRequest request;
    request.method = call.method;
    request.url = s3_url(settings_, call.key);
    const std::string path = path_of(request.url);
    const std::string hash = sha256_hex(call.body);
    request.headers = call.headers;
    request.headers.emplace_back("Host", host_header(request.url));
    request.headers.emplace_back("x-amz-content-sha256", hash);
    request.headers.emplace_back("x-amz-date", time);
    if (!who.session_token.empty())
        request.headers.emplace_back("x-amz-security-token", who.session_token.reveal());
    const std::string proof = sigv4_authorization(
        {who.access_key, who.secret_key, settings_.region, "s3"},
        {call.method, path, call.query, request.headers, hash},
        time
    );
    request.headers.emplace_back("Authorization", proof);
    // The bytes as they are, with nothing asked for first.
    request.headers.emplace_back("Accept-Encoding", "identity");
    request.headers.emplace_back("Expect", "");
    // curl would say what a form has.
    const bool typed = std::ranges::any_of(call.headers, [](const auto& header) {
        return header.first == "Content-Type";
    });
    if (!typed) request.headers.emplace_back("Content-Type", "");
    if (!call.query.empty()) request.url += '?' + canonical_query(call.query);
    request.body = call.body;
    request.redirects = false;
    request.ca_file = settings_.ca_file;
    request.connect_seconds = settings_.connect_seconds;
    request.stall_seconds = settings_.stall_seconds;
    request.reply_bytes = std::size_t{32} << 20;
    request.into = call.into;
    return request;
}

S3Calls::Verdict S3Calls::judge_reply(const S3Call& call, const HttpReply& reply) const {
    using Kind = Verdict::Kind;
    const bool error_inside = call.looks_inside && reply.body.find("<Error>") != std::string::npos;
    if (reply.status / 100 == 2 && !error_inside) return {};
    std::string code = xml_text(reply.body, "Code");
    // A HEAD has no body.
    if (code.empty() && reply.status == 404 && !call.key.empty()) code = "NoSuchKey";
    if (reply.status == 404 && call.may_be_missing && code != "NoSuchBucket") return {};
    std::string message = std::to_string(reply.status);
    if (!code.empty()) message += ' ' + code;
    if (const std::string text = xml_text(reply.body, "Message"); !text.empty())
        message += ": " + text;
    // A refused HEAD does not say why: it may be the token's age.
    const bool mute = call.method == "HEAD" && (reply.status == 400 || reply.status == 403);
    if (is_expiry(code) || mute) return {Kind::renew, ErrorClass::auth, message};
    if (passes(reply.status, code) || (error_inside && reply.status == 200)) {
        const bool throttle = is_throttle(reply.status, code);
        return {
            Kind::again,
            throttle ? ErrorClass::rate_limited : ErrorClass::transient,
            message,
            retry_after(reply)
        };
    }
    const std::string region = header_of(reply, "x-amz-bucket-region");
    if (!region.empty() && region != settings_.region)
        message += " (the bucket is in " + region + ", the connection says " + settings_.region +
                   ": region_name)";
    const auto* known = std::ranges::find(refusals, code, &Refusal::code);
    if (known != refusals.end()) {
        if (!known->hint.empty()) message += " (" + std::string(known->hint) + ')';
        return {Kind::fail, known->error_class, message};
    }
    if (reply.status == 507) return {Kind::fail, ErrorClass::resource, message};
    const bool auth = reply.status == 401 || reply.status == 403;
    return {Kind::fail, auth ? ErrorClass::auth : ErrorClass::permanent, message};
}

S3Calls::Verdict S3Calls::judge(const S3Call& call, const HttpAnswer& answer) const {
    using Kind = Verdict::Kind;
    if (answer.reply) return judge_reply(call, *answer.reply);
    const bool later = answer.failure.error_class == ErrorClass::transient;
    return {later ? Kind::again : Kind::fail, answer.failure.error_class, answer.failure.message};
}

/// Twice as long each time, with chance: many tasks begin at once.
Duration S3Calls::pause(int attempt, const Verdict& verdict) {
    thread_local std::minstd_rand random{std::random_device{}()};
    const Duration full =
        std::min<Duration>(longest_pause, Duration{first_pause} * (1 << std::min(attempt, 10)));
    std::uniform_real_distribution<double> part(0.5, 1.0);
    const Duration chosen{
        static_cast<std::int64_t>(static_cast<double>(full.count()) * part(random))
    };
    if (!verdict.wait) return chosen;
    return std::max(chosen, std::min<Duration>(*verdict.wait, longest_wait_asked));
}

HttpReply S3Calls::send(S3Call call) {
    bool renewed = false;
    for (int attempt = 0;; ++attempt) {
        if (attempt > 0 && call.again) call.again(call);
        HttpAnswer answer = client_.send(signed_request(call));
        Verdict verdict = judge(call, answer);
        if (verdict.kind == Verdict::Kind::fine) return *std::move(answer.reply);
        const std::string what = "connection \"" + settings_.connection + "\": " + call.method +
                                 ' ' + address(call.key) + ": " + verdict.message;
        if (context_.cancelled()) throw Failure(ErrorClass::transient, what);
        if (verdict.kind == Verdict::Kind::renew) {
            if (renewed || !credentials_.renew()) throw Failure(verdict.error_class, what);
            renewed = true;
            continue;
        }
        if (verdict.kind == Verdict::Kind::fail) throw Failure(verdict.error_class, what);
        if (attempt >= settings_.retries)
            throw Failure(
                verdict.error_class, what + " (" + std::to_string(attempt + 1) + " tries)"
            );
        context_.log(task::Level::debug, what + ": once more");
        if (!client_.wait(pause(attempt, verdict)))
            throw Failure(ErrorClass::transient, what + " (cancelled)");
    }
}

}  // namespace sluice::connect
