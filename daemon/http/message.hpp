// message.hpp — Request and Reply as plain data: all that handlers see of HTTP.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::http {

class Later;
class Stream;

using Pair = std::pair<std::string, std::string>;

struct Request {
    std::string method;         // "GET"
    std::string path;           // as sent, still percent-encoded, without the query
    std::string query_text;     // as sent, without '?'
    std::vector<Pair> query;    // decoded, in order; '+' is a space here
    std::vector<Pair> headers;  // names in lower case
    std::vector<Pair> params;   // path parameters, decoded, '+' literal; set by the router
    std::string body;
    std::string remote;      // address of the peer
    std::string request_id;  // the caller's X-Request-Id / correlation-id, or a new one

    /// First header of that (lower case) name, "" if there is none.
    [[nodiscard]] std::string_view header(std::string_view name) const;
    /// First query parameter of that name.
    [[nodiscard]] std::optional<std::string> query_value(std::string_view name) const;
    [[nodiscard]] std::vector<std::string> query_values(std::string_view name) const;
    /// A path parameter that the route's pattern has.
    [[nodiscard]] const std::string& param(std::string_view name) const;
    /// A cookie of that name, "" if there is none.
    [[nodiscard]] std::string cookie(std::string_view name) const;
};

struct Reply {
    int status{200};
    std::string content_type;  // "" = none is sent
    std::string body;
    std::vector<Pair> headers;
    /// Set = the body is what is pushed into the stream until it is closed; `body` goes first.
    std::shared_ptr<Stream> stream;
    /// Set = this is not the reply yet: it comes from here, later.
    std::shared_ptr<Later> later;

    void set_header(std::string name, std::string value);
};

Reply json_reply(int status, std::string body);
Reply text_reply(int status, std::string body);
Reply html_reply(int status, std::string body);
Reply redirect_reply(int status, std::string location);

/// A strong ETag of the body, quoted; the request's If-None-Match is compared with it. On a match
/// the reply becomes an empty 304.
void apply_etag(const Request& request, Reply& reply);

/// Compresses the body with gzip when the caller takes it, the type is text-like and the body is
/// larger than a packet. Sets Content-Encoding and Vary.
void apply_gzip(const Request& request, Reply& reply);
bool accepts_gzip(const Request& request);
std::string gzip(std::string_view data, int level = 6);

/// %XX is decoded; a broken escape stays as it is. `plus_is_space` for query strings.
enum class Plus { literal, space };
std::string percent_decode(std::string_view text, Plus plus);
std::string percent_encode(std::string_view text);
std::vector<Pair> parse_query(std::string_view text);

/// & < > " ' made harmless for HTML text and attributes.
std::string escape_html(std::string_view text);

/// The reason phrase of a status.
std::string_view reason(int status);

}  // namespace sluice::http
