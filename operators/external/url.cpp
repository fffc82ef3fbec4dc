#include "operators/external/url.hpp"

#include <algorithm>
#include <cctype>
#include <memory>
#include <string_view>

#include <curl/curl.h>

namespace sluice::ops {
namespace {

struct UrlDelete {
    void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Url = std::unique_ptr<CURLU, UrlDelete>;

Url parse(const std::string& text) {
    Url url(curl_url());
    if (url && curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) url.reset();
    return url;
}

std::string part(const Url& url, CURLUPart what) {
    char* text = nullptr;
    if (curl_url_get(url.get(), what, &text, CURLU_DEFAULT_PORT) != CURLUE_OK) return {};
    std::string out = text;
    curl_free(text);
    std::ranges::transform(out, out.begin(), [](unsigned char c) {
        return static_cast<char>(std::tolower(c));
    });
    return out;
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0)
        text.remove_prefix(1);
    while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0)
        text.remove_suffix(1);
    return text;
}

/// The end of a parameter: the next ';' or ',' outside quotes.
std::size_t parameter_end(std::string_view text) {
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '"') quoted = !quoted;
        if (!quoted && (text[i] == ';' || text[i] == ',')) return i;
    }
    return text.size();
}

bool is_next(std::string_view parameter) {
    const auto equal = parameter.find('=');
    if (equal == std::string_view::npos || trim(parameter.substr(0, equal)) != "rel") return false;
    std::string_view value = trim(parameter.substr(equal + 1));
    if (value.size() >= 2 && value.front() == '"') value = value.substr(1, value.size() - 2);
    // Several relations stand in one, with spaces between.
    while (!value.empty()) {
        const auto end = std::min(value.find(' '), value.size());
        if (value.substr(0, end) == "next") return true;
        value.remove_prefix(std::min(end + 1, value.size()));
    }
    return false;
}

}  // namespace

std::optional<std::string> resolve_url(const std::string& base, const std::string& reference) {
    const Url url = parse(base);
    if (!url) return std::nullopt;
    if (curl_url_set(url.get(), CURLUPART_URL, reference.c_str(), 0) != CURLUE_OK)
        return std::nullopt;
    char* text = nullptr;
    if (curl_url_get(url.get(), CURLUPART_URL, &text, 0) != CURLUE_OK) return std::nullopt;
    std::string out = text;
    curl_free(text);
    return out;
}

bool same_origin(const std::string& a, const std::string& b) {
    const Url one = parse(a);
    const Url other = parse(b);
    if (!one || !other) return false;
    return std::ranges::all_of(
        std::initializer_list<CURLUPart>{CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT},
        [&](CURLUPart what) { return part(one, what) == part(other, what); }
    );
}

std::optional<std::string> next_link(const std::string& header) {
    std::string_view rest = header;
    for (;;) {
        const auto open = rest.find('<');
        const auto close = rest.find('>');
        if (open == std::string_view::npos || close == std::string_view::npos || close < open)
            return std::nullopt;
        const std::string_view address = rest.substr(open + 1, close - open - 1);
        rest.remove_prefix(close + 1);
        bool next = false;
        while (!rest.empty() && rest.front() != ',') {
            rest.remove_prefix(1);  // ';' or a space
            const auto end = parameter_end(rest);
            next = next || is_next(rest.substr(0, end));
            rest.remove_prefix(end);
        }
        if (next) return std::string(trim(address));
    }
}

}  // namespace sluice::ops
