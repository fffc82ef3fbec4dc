#include "operators/connect/sigv4.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <ctime>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/error.hpp"
#include "base/hash.hpp"

namespace sluice::connect {
namespace {

std::string hmac_sha256(const std::string& key, const std::string& text) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
    unsigned int size = 0;
    if (HMAC(
            EVP_sha256(),
            key.data(),
            static_cast<int>(key.size()),
            reinterpret_cast<const unsigned char*>(text.data()),
            text.size(),
            out.data(),
            &size
        ) == nullptr)
        throw Error(ErrorCode::internal, "HMAC failed");
    return {reinterpret_cast<const char*>(out.data()), size};
}

/// Lower case, sorted; values trimmed, runs of spaces within them one space.
Pairs canonical_headers(const Pairs& headers) {
    Pairs out;
    for (const auto& [name, value] : headers) {
        std::string lower = name;
        std::ranges::transform(lower, lower.begin(), [](unsigned char c) {
            return static_cast<char>(std::tolower(c));
        });
        std::string trimmed_value;
        for (const char c : value) {
            if (c != ' ') {
                trimmed_value += c;
            } else if (!trimmed_value.empty() && trimmed_value.back() != ' ') {
                trimmed_value += ' ';
            }
        }
        while (trimmed_value.ends_with(' ')) trimmed_value.pop_back();
        out.emplace_back(std::move(lower), std::move(trimmed_value));
    }
    std::ranges::sort(out);
    return out;
}

}  // namespace

std::string uri_encode(std::string_view text, bool keep_slash) {
    static constexpr char digits[] = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if ((byte < 128 && std::isalnum(byte) != 0) || c == '-' || c == '.' || c == '_' ||
            c == '~' || (c == '/' && keep_slash)) {
            out += c;
        } else {
            out += {'%', digits[byte >> 4U], digits[byte & 15U]};
        }
    }
    return out;
}

std::string canonical_query(const Pairs& query) {
    Pairs encoded;
    for (const auto& [name, value] : query)
        encoded.emplace_back(uri_encode(name), uri_encode(value));
    std::ranges::sort(encoded);
    std::string out;
    for (const auto& [name, value] : encoded) {
        if (!out.empty()) out += '&';
        out += name + '=' + value;
    }
    return out;
}

std::string amz_time(std::chrono::system_clock::time_point at) {
    const std::time_t seconds = std::chrono::system_clock::to_time_t(at);
    std::tm utc{};
    ::gmtime_r(&seconds, &utc);
    std::array<char, 20> text{};
    std::strftime(text.data(), text.size(), "%Y%m%dT%H%M%SZ", &utc);
    return text.data();
}

std::string sigv4_authorization(
    const SigV4Key& key, const SigV4Request& request, const std::string& time
) {
    std::string names;
    std::string canonical =
        request.method + '\n' + request.path + '\n' + canonical_query(request.query) + '\n';
    for (const auto& [name, value] : canonical_headers(request.headers)) {
        if (!names.empty()) names += ';';
        names += name;
        canonical += name;
        canonical += ':';
        canonical += value;
        canonical += '\n';
    }
    canonical += '\n' + names + '\n' + request.payload_hash;
    const std::string day = time.substr(0, 8);
    const std::string scope = day + '/' + key.region + '/' + key.service + "/aws4_request";
    const std::string text =
        "AWS4-HMAC-SHA256\n" + time + '\n' + scope + '\n' + sha256_hex(canonical);
    std::string signing_key = "AWS4" + key.secret_key.reveal();
    for (const std::string& part : {day, key.region, key.service, std::string("aws4_request")})
        signing_key = hmac_sha256(signing_key, part);
    return "AWS4-HMAC-SHA256 Credential=" + key.access_key + '/' + scope +
           ", SignedHeaders=" + names + ", Signature=" + to_hex(hmac_sha256(signing_key, text));
}

}  // namespace sluice::connect
