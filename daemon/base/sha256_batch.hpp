// sha256_batch.hpp — SHA-256 and HMAC-SHA-256 of many texts at a time. Where build and processor
// have libipsec-mb each lane of the processor's vectors works at a text of its own: for short texts
// four times as fast as OpenSSL one after the other, where the processor has no instructions for
// SHA-256.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace sluice {

using Sha256Digest = std::array<std::uint8_t, 32>;

enum class Sha256Way : std::uint8_t {
    lanes,  // by libipsec-mb, if it is there; a few texts, and what it does not take, by OpenSSL
    one_by_one  // by OpenSSL
};

/// The library that `Sha256Way::lanes` uses here: "libipsec-mb" or "OpenSSL".
std::string_view sha256_lanes_library();

/// Puts the SHA-256 of `texts[i]` into `digests[i]`. The same values as sha256() either way; the
/// time does not depend on the bytes of the texts. Thread-safe.
void sha256_batch(
    std::span<const std::string_view> texts,
    std::span<Sha256Digest> digests,
    Sha256Way way = Sha256Way::lanes
);

/// HMAC-SHA-256 (RFC 2104) under one key. The two padded keys are hashed once; these states are
/// wiped when the key is freed.
class Sha256Hmac {
public:
    /// A key of any length.
    explicit Sha256Hmac(std::string_view key);
    ~Sha256Hmac();
    Sha256Hmac(const Sha256Hmac&) = delete;
    Sha256Hmac& operator=(const Sha256Hmac&) = delete;

    /// Puts the HMAC of `texts[i]` into `digests[i]`, which must not lie in a text. Thread-safe.
    void batch(
        std::span<const std::string_view> texts,
        std::span<Sha256Digest> digests,
        Sha256Way way = Sha256Way::lanes
    ) const;

private:
    struct States;
    std::unique_ptr<States> states_;
};

}  // namespace sluice
