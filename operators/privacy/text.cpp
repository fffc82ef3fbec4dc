#include "operators/privacy/text.hpp"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

#include <utf8proc.h>

#include "base/hash.hpp"

namespace sluice::privacy {

namespace {

using policy::Rule;

/// The grapheme clusters of a text; a byte that is no UTF-8 stands for itself.
std::vector<std::string_view> graphemes(std::string_view text) {
    std::vector<std::string_view> out;
    utf8proc_int32_t state = 0;
    utf8proc_int32_t before = -1;
    std::size_t start = 0;
    for (std::size_t at = 0; at < text.size();) {
        utf8proc_int32_t code = 0;
        const auto size = utf8proc_iterate(
            reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at,
            static_cast<utf8proc_ssize_t>(text.size() - at),
            &code
        );
        if (size <= 0) code = 0xFFFD;
        if (before >= 0 && utf8proc_grapheme_break_stateful(before, code, &state)) {
            out.push_back(text.substr(start, at - start));
            start = at;
        }
        before = code;
        at += size <= 0 ? 1 : static_cast<std::size_t>(size);
    }
    if (start < text.size()) out.push_back(text.substr(start));
    return out;
}

bool is_separator(std::string_view cluster) {
    return cluster.size() == 1 &&
           std::string_view("-. ()").find(cluster.front()) != std::string_view::npos;
}

std::string as_text(const Digest& digest) {
    return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

std::string map_text(
    std::string_view value,
    unsigned int options,
    utf8proc_int32_t (*change)(utf8proc_int32_t, void*)
) {
    utf8proc_uint8_t* mapped = nullptr;
    const auto size = utf8proc_map_custom(
        reinterpret_cast<const utf8proc_uint8_t*>(value.data()),
        static_cast<utf8proc_ssize_t>(value.size()),
        &mapped,
        static_cast<utf8proc_option_t>(options),
        change,
        nullptr
    );
    const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owned{mapped, &std::free};
    if (size < 0) return std::string(value);  // no UTF-8: as it is
    return {reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(size)};
}

utf8proc_int32_t to_lower(utf8proc_int32_t code, void*) { return utf8proc_tolower(code); }

char ascii_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

std::string trimmed(std::string_view value) {
    constexpr std::string_view blanks = " \t\r\n\f\v";
    const std::size_t first = value.find_first_not_of(blanks);
    if (first == std::string_view::npos) return "";
    return std::string(value.substr(first, value.find_last_not_of(blanks) - first + 1));
}

}  // namespace

std::string normalized(const std::vector<std::string>& how, std::string_view value) {
    std::string out(value);
    // What the library would do to ASCII, without its three passes and its allocation.
    const bool ascii =
        std::ranges::all_of(value, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
    for (const std::string& one : how) {
        if (one == "trim") out = trimmed(out);
        if (one == "lower" && ascii)
            std::ranges::transform(out, out.begin(), ascii_lower);
        else if (one == "lower")
            out = map_text(out, 0, to_lower);
        if (one == "nfc" && !ascii)
            out = map_text(out, UTF8PROC_STABLE | UTF8PROC_COMPOSE, nullptr);
    }
    return out;
}

std::string masked_partial(const Rule& rule, std::string_view value) {
    const auto clusters = graphemes(value);
    const auto counts = [&](std::string_view one) {
        return !rule.keep_format || !is_separator(one);
    };
    const auto total = std::ranges::count_if(clusters, counts);
    std::ptrdiff_t first = rule.keep_first;
    std::ptrdiff_t last = rule.keep_last;
    if (total - first - last < rule.min_masked) first = last = 0;
    std::string out;
    std::ptrdiff_t seen = 0;
    for (const std::string_view one : clusters) {
        if (!counts(one)) {
            out += one;
            continue;
        }
        const bool kept = seen < first || seen >= total - last;
        out += kept ? std::string(one) : rule.fill;
        ++seen;
    }
    return out;
}

/// "ana.silva@example.com" -> "a***@example.com": the count of stars says nothing of the length.
Masked masked_email(const Rule& rule, const Hmac* key, std::string_view value) {
    const std::string stars(static_cast<std::size_t>(rule.stars), '*');
    const std::size_t at = value.rfind('@');
    const bool address = at != std::string_view::npos && at > 0 && at + 1 < value.size() &&
                         value.find_first_of(" \t\r\n", at) == std::string_view::npos;
    if (!address) return {stars, true};
    const std::string_view local = value.substr(0, at);
    const std::string_view domain = value.substr(at + 1);
    std::string out;
    if (rule.local == "first") out = std::string(graphemes(local).front()) + stars;
    if (rule.local == "none") out = stars;
    if (rule.local == "hmac") out = to_hex(as_text((*key)(local))).substr(0, 16);
    out += '@';
    const std::size_t dot = domain.rfind('.');
    if (rule.mail_domain == "keep") out += domain;
    if (rule.mail_domain == "hmac") out += to_hex(as_text((*key)(domain))).substr(0, 16);
    if (rule.mail_domain == "tld")
        out += stars +
               (dot == std::string_view::npos ? std::string() : std::string(domain.substr(dot)));
    return {out, false};
}

}  // namespace sluice::privacy
