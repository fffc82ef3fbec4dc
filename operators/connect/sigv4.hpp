// sigv4.hpp — AWS Signature Version 4: the header Authorization of one request. Pure.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/secret.hpp"

namespace sluice::connect {

struct SigV4Key {
    std::string access_key;
    Secret secret_key;
    std::string region;
    std::string service;  // "s3", "sts"
};

using Pairs = std::vector<std::pair<std::string, std::string>>;

struct SigV4Request {
    std::string method;
    std::string path;          // as it is sent: percent-encoded, begins with '/'
    Pairs query;               // not encoded
    Pairs headers;             // all that are signed; `host` and `x-amz-date` among them
    std::string payload_hash;  // SHA-256 of the body in hex, or "UNSIGNED-PAYLOAD"
};

/// `time` is that of the header x-amz-date.
std::string sigv4_authorization(
    const SigV4Key& key, const SigV4Request& request, const std::string& time
);

/// "20130524T000000Z".
std::string amz_time(std::chrono::system_clock::time_point at);

/// Percent-encoding of all but A-Z a-z 0-9 - . _ ~, and of '/' unless it is kept.
std::string uri_encode(std::string_view text, bool keep_slash = false);
/// "a=1&b=%20", sorted, as it is signed and sent.
std::string canonical_query(const Pairs& query);

}  // namespace sluice::connect
