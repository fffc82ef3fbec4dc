#include "operators/connect/http_client.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <chrono>
#include <ctime>
#include <exception>
#include <memory>

#include "base/error.hpp"
#include "operators/connect/curl.hpp"

namespace sluice::connect {
namespace {

/// A reply as it comes.
struct Coming {
    HttpReply reply;
    const HttpRequest& request;
    CURL* easy{nullptr};
    bool whole_head{false};
    std::exception_ptr refused{};  // by `into`
};

std::size_t take_body(char* data, std::size_t size, std::size_t count, void* to) {
    auto& coming = *static_cast<Coming*>(to);
    HttpReply& reply = coming.reply;
    const std::size_t bytes = size * count;
    if (coming.request.into) {
        curl_easy_getinfo(coming.easy, CURLINFO_RESPONSE_CODE, &reply.status);
        if (reply.status / 100 == 2) try {
                coming.request.into(reply, {data, bytes});
                return bytes;
            } catch (...) {
                coming.refused = std::current_exception();
                return 0;
            }
    }
    if (reply.body.size() + bytes > coming.request.reply_bytes) return 0;  // curl: write error
    reply.body.append(data, bytes);
    return bytes;
}

std::size_t take_header(char* data, std::size_t size, std::size_t count, void* to) {
    auto& reply = static_cast<Coming*>(to)->reply;
    const std::string_view line(data, size * count);
    static_cast<Coming*>(to)->whole_head = line == "\r\n" || line == "\n";
    // A redirect or "100 Continue" begins anew.
    if (line.starts_with("HTTP/")) reply.headers.clear();
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) return size * count;
    std::string name(line.substr(0, colon));
    std::ranges::transform(name, name.begin(), [](unsigned char c) {
        return static_cast<char>(std::tolower(c));
    });
    std::string_view value = line.substr(colon + 1);
    while (!value.empty() && (value.front() == ' ' || value.front() == '\t'))
        value.remove_prefix(1);
    while (!value.empty() && (value.back() == '\r' || value.back() == '\n')) value.remove_suffix(1);
    std::string& known = reply.headers[name];
    if (!known.empty()) known += ", ";
    known += value;
    return size * count;
}

ErrorClass class_of(CURLcode code) {
    // The codes are many; those that say "the request itself is wrong" are these.
    if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT ||
        code == CURLE_WRITE_ERROR || code == CURLE_TOO_MANY_REDIRECTS ||
        code == CURLE_SSL_CACERT_BADFILE)
        return ErrorClass::permanent;
    if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_LOGIN_DENIED)
        return ErrorClass::auth;
    return ErrorClass::transient;
}

Easy make_easy(const HttpRequest& request, const List& headers, Coming& coming, char* message) {
    Easy easy = new_easy();
    set(easy, CURLOPT_URL, request.url.c_str());
    set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    set(easy, CURLOPT_NOSIGNAL, 1L);
    set(easy, CURLOPT_ERRORBUFFER, message);
    set(easy, CURLOPT_USERAGENT, "sluice");
    if (!request.as_stored) set(easy, CURLOPT_ACCEPT_ENCODING, "");
    set(easy, CURLOPT_CONNECTTIMEOUT, request.connect_seconds);
    set(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(easy, CURLOPT_LOW_SPEED_TIME, request.stall_seconds);
    set(easy, CURLOPT_HTTPHEADER, headers.get());
    set(easy, CURLOPT_WRITEFUNCTION, &take_body);
    set(easy, CURLOPT_WRITEDATA, &coming);
    set(easy, CURLOPT_HEADERFUNCTION, &take_header);
    set(easy, CURLOPT_HEADERDATA, &coming);
    const bool reading = request.method == "GET" || request.method == "HEAD";
    if (reading && request.redirects) {
        set(easy, CURLOPT_FOLLOWLOCATION, 1L);
        set(easy, CURLOPT_MAXREDIRS, 5L);
    }
    if (request.method == "HEAD") set(easy, CURLOPT_NOBODY, 1L);
    if (!request.body.empty() || !reading) {
        set(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
        set(easy, CURLOPT_POSTFIELDS, request.body.c_str());
    }
    if (request.method != "HEAD") set(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    if (!request.login.empty()) {
        if (request.sigv4.empty()) {
            set(easy, CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BASIC));
        } else {
            set(easy, CURLOPT_AWS_SIGV4, request.sigv4.c_str());
        }
        set(easy, CURLOPT_USERNAME, request.login.c_str());
        set(easy, CURLOPT_PASSWORD, request.password.reveal().c_str());
    }
    if (!request.ca_file.empty()) set(easy, CURLOPT_CAINFO, request.ca_file.c_str());
    return easy;
}

List header_list(const HttpRequest& request) {
    List list;
    for (const auto& [name, value] : request.headers) {
        if ((name + value).find_first_of("\r\n") != std::string::npos)
            throw Error(ErrorCode::invalid, "header \"" + name + "\" has a line break in it");
        append(list, name + ": " + value);
    }
    return list;
}

}  // namespace

struct HttpClient::State {
    task::TaskContext& ctx;
    Multi multi;
};

HttpClient::HttpClient(task::TaskContext& ctx) {
    start_curl();
    state_ = std::make_unique<State>(State{ctx, new_multi(ctx)});
}

HttpClient::~HttpClient() = default;

HttpAnswer HttpClient::send(const HttpRequest& request) {
    auto& [ctx, multi] = *state_;
    Coming coming{{}, request};
    char message[CURL_ERROR_SIZE] = "";
    const List headers = header_list(request);
    const Easy easy = make_easy(request, headers, coming, message);
    coming.easy = easy.get();
    const CURLcode code = perform(ctx, multi, easy);
    if (ctx.cancelled()) return {std::nullopt, {ErrorClass::permanent, "cancelled"}};
    if (coming.refused) std::rethrow_exception(coming.refused);
    if (code != CURLE_OK) {
        std::string why = *message != '\0' ? message : curl_easy_strerror(code);
        if (code == CURLE_WRITE_ERROR)
            why = "the reply has more than " + std::to_string(request.reply_bytes) + " bytes";
        // A handshake that breaks off may be better next time; this one never is.
        const bool plain = code == CURLE_SSL_CONNECT_ERROR &&
                           why.find("wrong version number") != std::string::npos;
        if (plain) return {std::nullopt, {ErrorClass::permanent, "the server does not speak TLS"}};
        return {std::nullopt, {class_of(code), why}};
    }
    // curl takes a server that goes away in between for one that has no more to say.
    if (!coming.whole_head)
        return {std::nullopt, {ErrorClass::transient, "the reply broke off in its headers"}};
    curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &coming.reply.status);
    return {std::move(coming.reply), {}};
}

bool HttpClient::wait(Duration time) { return connect::wait(state_->ctx, state_->multi, time); }

HttpAnswer send_http(task::TaskContext& ctx, const HttpRequest& request) {
    return HttpClient(ctx).send(request);
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

std::string encode_query(const std::vector<std::pair<std::string, std::string>>& parameters) {
    const auto encode = [](const std::string& text) {
        std::string out;
        for (const char c : text) {
            if (std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                std::string_view("-._~").find(c) != std::string_view::npos) {
                out += c;
            } else {
                static constexpr char digits[] = "0123456789ABCDEF";
                const auto byte = static_cast<unsigned char>(c);
                out += {'%', digits[byte >> 4U], digits[byte & 15U]};
            }
        }
        return out;
    };
    std::string out;
    for (const auto& [name, value] : parameters)
        out += (out.empty() ? "" : "&") + encode(name) + '=' + encode(value);
    return out;
}

}  // namespace sluice::connect
