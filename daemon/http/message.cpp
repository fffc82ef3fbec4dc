#include "http/message.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <limits>

#include <zlib.h>

#include "base/check.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"

namespace sluice::http {
namespace {

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool is_text(std::string_view type) {
    return type.starts_with("text/") || type.starts_with("application/json") ||
           type.starts_with("application/x-ndjson") || type.starts_with("application/javascript") ||
           type.starts_with("image/svg");
}

}  // namespace

std::string_view Request::header(std::string_view name) const {
    for (const auto& [key, value] : headers)
        if (key == name) return value;
    return {};
}

std::optional<std::string> Request::query_value(std::string_view name) const {
    for (const auto& [key, value] : query)
        if (key == name) return value;
    return std::nullopt;
}

std::vector<std::string> Request::query_values(std::string_view name) const {
    std::vector<std::string> values;
    for (const auto& [key, value] : query)
        if (key == name) values.push_back(value);
    return values;
}

const std::string& Request::param(std::string_view name) const {
    for (const auto& [key, value] : params)
        if (key == name) return value;
    unreachable();
}

std::string Request::cookie(std::string_view name) const {
    for (const auto& [key, text] : headers) {
        if (key != "cookie") continue;
        std::string_view rest = text;
        while (!rest.empty()) {
            const auto end = std::min(rest.find(';'), rest.size());
            std::string_view item = rest.substr(0, end);
            rest.remove_prefix(std::min(end + 1, rest.size()));
            while (item.starts_with(' ')) item.remove_prefix(1);
            if (item.size() > name.size() && item.starts_with(name) && item[name.size()] == '=')
                return std::string(item.substr(name.size() + 1));
        }
    }
    return {};
}

void Reply::set_header(std::string name, std::string value) {
    headers.emplace_back(std::move(name), std::move(value));
}

Reply json_reply(int status, std::string body) {
    return {status, "application/json", std::move(body), {}, nullptr};
}
Reply text_reply(int status, std::string body) {
    return {status, "text/plain; charset=utf-8", std::move(body), {}, nullptr};
}
Reply html_reply(int status, std::string body) {
    return {status, "text/html; charset=utf-8", std::move(body), {}, nullptr};
}
Reply redirect_reply(int status, std::string location) {
    Reply reply{status, "", "", {}, nullptr};
    reply.set_header("Location", std::move(location));
    return reply;
}

void apply_etag(const Request& request, Reply& reply) {
    if (reply.status != 200 || reply.stream) return;
    const std::string tag = "\"" + sha256_hex(reply.body).substr(0, 32) + "\"";
    const std::string_view known = request.header("if-none-match");
    if (known == "*" || known.find(tag) != std::string_view::npos) {
        reply.status = 304;
        reply.body.clear();
        reply.content_type.clear();
    }
    reply.set_header("ETag", tag);
}

bool accepts_gzip(const Request& request) {
    const std::string_view accepted = request.header("accept-encoding");
    const auto at = accepted.find("gzip");
    if (at == std::string_view::npos) return false;
    const std::string_view rest = accepted.substr(at + 4);
    return !(rest.starts_with(";q=0") && !rest.starts_with(";q=0."));
}

std::string gzip(std::string_view data, int level) {
    if (data.size() > std::numeric_limits<uInt>::max())
        throw Error(ErrorCode::limit, "a reply is too large to be compressed");
    z_stream stream{};
    if (deflateInit2(&stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        throw Error(ErrorCode::internal, "zlib cannot begin");
    std::string out(deflateBound(&stream, static_cast<uLong>(data.size())), '\0');
    // zlib reads through a pointer to non-const and writes nothing there.
    stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(data.data()));
    stream.avail_in = static_cast<uInt>(data.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    const int status = deflate(&stream, Z_FINISH);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    SLUICE_CHECK(status == Z_STREAM_END);
    return out;
}

void apply_gzip(const Request& request, Reply& reply) {
    if (reply.stream || reply.body.size() < 1400 || !is_text(reply.content_type)) return;
    for (const auto& [name, value] : reply.headers)
        if (name == "Content-Encoding") return;
    reply.set_header("Vary", "Accept-Encoding");
    if (!accepts_gzip(request)) return;
    reply.body = gzip(reply.body, 4);
    reply.set_header("Content-Encoding", "gzip");
}

std::string percent_decode(std::string_view text, Plus plus) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 &&
            hex_digit(text[i + 2]) >= 0) {
            out += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
            i += 2;
        } else if (text[i] == '+' && plus == Plus::space) {
            out += ' ';
        } else {
            out += text[i];
        }
    }
    return out;
}

std::string percent_encode(std::string_view text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (std::isalnum(byte) != 0 || c == '-' || c == '.' || c == '_' || c == '~') {
            out += c;
        } else {
            out += '%';
            out += digits[byte >> 4U];
            out += digits[byte & 15U];
        }
    }
    return out;
}

std::vector<Pair> parse_query(std::string_view text) {
    std::vector<Pair> pairs;
    while (!text.empty()) {
        const auto end = std::min(text.find('&'), text.size());
        const std::string_view item = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (item.empty()) continue;
        const auto equals = std::min(item.find('='), item.size());
        pairs.emplace_back(
            percent_decode(item.substr(0, equals), Plus::space),
            percent_decode(item.substr(std::min(equals + 1, item.size())), Plus::space)
        );
    }
    return pairs;
}

std::string escape_html(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        switch (c) {
            case '&':
                out += "&amp;";
                break;
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '"':
                out += "&quot;";
                break;
            case '\'':
                out += "&#39;";
                break;
            default:
                out += c;
        }
    }
    return out;
}

std::string_view reason(int status) {
    constexpr std::array<std::pair<int, std::string_view>, 25> table{{
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
    }};
    for (const auto& [code, text] : table)
        if (code == status) return text;
    return "Unknown";
}

}  // namespace sluice::http
