// sha256_batch.hpp — SHA-256 of many texts at a time: each lane of the processor's vectors works at
// a text of its own. For short texts five times as fast as one after the other, where the processor
// has no instructions for SHA-256.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace sluice {

using Sha256Digest = std::array<std::uint8_t, 32>;

/// The state of a hash after some whole blocks; the default is after none.
struct Sha256Start {
    std::array<std::uint32_t, 8> state{
        0x6a09e667,
        0xbb67ae85,
        0x3c6ef372,
        0xa54ff53a,
        0x510e527f,
        0x9b05688c,
        0x1f83d9ab,
        0x5be0cd19
    };
    std::uint64_t bytes{0};
};

/// The state after one block, such as the padded key of an HMAC.
Sha256Start sha256_after(std::span<const std::uint8_t, 64> block);

/// Puts the SHA-256 of what `start` has seen and `texts[i]` into `digests[i]`, which may lie where
/// the text does. The same values as sha256(); the time does not depend on the bytes of the texts.
/// Thread-safe.
void sha256_batch(
    std::span<const std::string_view> texts,
    std::span<Sha256Digest> digests,
    const Sha256Start& start = {}
);

}  // namespace sluice
