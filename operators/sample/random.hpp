// random.hpp — the sample's only source of variety: a hash of (seed, stream, row, field).
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice::sample {

/// The output of the splitmix64 generator whose state is `state`.
constexpr std::uint64_t splitmix64(std::uint64_t state) {
    std::uint64_t z = state + 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
}

constexpr std::uint64_t fnv1a64(std::string_view text) {
    std::uint64_t hash = 0xCBF29CE484222325ULL;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
    return hash;
}

/// One named stream of values; value `field` of row `row` does not depend on any other.
class Stream {
public:
    constexpr Stream(std::uint64_t seed, std::string_view name)
        : base_(splitmix64(seed ^ fnv1a64(name))) {}

    [[nodiscard]] constexpr std::uint64_t hash(std::uint64_t row, std::uint64_t field) const {
        return splitmix64(base_ + row * 0x9E3779B97F4A7C15ULL + field * 0xBF58476D1CE4E5B9ULL);
    }
    /// Uniform in [0, n).
    [[nodiscard]] constexpr std::int64_t below(
        std::int64_t n, std::int64_t row, std::uint64_t field
    ) const {
        __extension__ using Wide = unsigned __int128;
        const Wide product = static_cast<Wide>(hash(static_cast<std::uint64_t>(row), field)) *
                             static_cast<std::uint64_t>(n);
        return static_cast<std::int64_t>(product >> 64);
    }

private:
    std::uint64_t base_;
};

}  // namespace sluice::sample
