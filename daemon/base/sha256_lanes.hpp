// sha256_lanes.hpp — the part of Intel's libipsec-mb that sha256_batch.cpp uses. A build without
// the library has no lanes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/sha256_batch.hpp"

namespace sluice {

/// The words of a hash after one block, in the processor's order of bytes.
using Sha256State = std::array<std::uint8_t, 32>;

/// What lanes are for: their instructions differ.
enum class Sha256Use : std::uint8_t { hash, hmac };

class Sha256Lanes {
public:
    /// Those of the calling thread; null where build or processor has none.
    static Sha256Lanes* of_thread(Sha256Use use);
    /// The library's HMAC knows no empty text, and no length beyond 16 bits.
    static bool takes(std::string_view text) { return !text.empty() && text.size() <= 65'534; }

    explicit Sha256Lanes(Sha256Use use);
    ~Sha256Lanes();
    Sha256Lanes(const Sha256Lanes&) = delete;
    Sha256Lanes& operator=(const Sha256Lanes&) = delete;

    [[nodiscard]] bool work() const { return manager_ != nullptr; }
    [[nodiscard]] Sha256State after(std::span<const std::uint8_t, 64> block) const;
    /// Of those texts that it takes.
    void hash(std::span<const std::string_view> texts, std::span<Sha256Digest> digests);
    /// `inner` and `outer` are the states after the padded keys.
    void hmac(
        const Sha256State& inner,
        const Sha256State& outer,
        std::span<const std::string_view> texts,
        std::span<Sha256Digest> digests
    );

private:
    struct Manager;
    std::unique_ptr<Manager> manager_;
};

}  // namespace sluice
