#include "base/sha256_batch.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.hpp"

namespace sluice {

namespace {

constexpr std::size_t lane_count = 8;
constexpr std::size_t block_bytes = 64;
using Word = std::uint32_t;
/// The same word of each lane's hash.
using LaneWords __attribute__((vector_size(4 * lane_count))) = Word;
using LaneState = std::array<LaneWords, 8>;
using LaneBlocks = std::array<const std::uint8_t*, lane_count>;

/// FIPS 180-4, 4.2.2.
constexpr std::array<Word, 64> round_constants{
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
};

/// Turns the order of the bytes where the processor's is not the standard's.
Word big_endian(Word word) {
    return std::endian::native == std::endian::little ? __builtin_bswap32(word) : word;
}

void store_big_endian(Word word, std::uint8_t* bytes) {
    word = big_endian(word);
    std::memcpy(bytes, &word, sizeof word);
}

// A macro: a function would have to be compiled for each kind of processor, as its caller is.
// NOLINTNEXTLINE(cppcoreguidelines-macro-usage)
#define SLUICE_ROTATED(words, bits) (((words) >> (bits)) | ((words) << (32 - (bits))))

/// One block of each lane.
[[gnu::always_inline]] inline void compress_as_compiled(
    LaneState& state, const LaneBlocks& blocks
) {
    std::array<LaneWords, 16> w;
    for (std::size_t lane = 0; lane < lane_count; ++lane)
        for (std::size_t i = 0; i < w.size(); ++i) {
            Word word = 0;
            std::memcpy(&word, blocks[lane] + 4 * i, sizeof word);
            w[i][lane] = big_endian(word);
        }
    auto [a, b, c, d, e, f, g, h] = state;
#pragma GCC unroll 64
    for (std::size_t i = 0; i < round_constants.size(); ++i) {
        if (i >= w.size()) {
            const LaneWords x = w[(i + 1) % 16];
            const LaneWords y = w[(i + 14) % 16];
            w[i % 16] += (SLUICE_ROTATED(x, 7) ^ SLUICE_ROTATED(x, 18) ^ (x >> 3)) +
                         w[(i + 9) % 16] +
                         (SLUICE_ROTATED(y, 17) ^ SLUICE_ROTATED(y, 19) ^ (y >> 10));
        }
        const LaneWords t1 =
            h + (SLUICE_ROTATED(e, 6) ^ SLUICE_ROTATED(e, 11) ^ SLUICE_ROTATED(e, 25)) +
            (g ^ (e & (f ^ g))) + round_constants[i] + w[i % 16];
        const LaneWords t2 =
            (SLUICE_ROTATED(a, 2) ^ SLUICE_ROTATED(a, 13) ^ SLUICE_ROTATED(a, 22)) +
            ((a & b) | (c & (a | b)));
        h = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + t2;
    }
    const LaneState sum{a, b, c, d, e, f, g, h};
    for (std::size_t i = 0; i < state.size(); ++i) state[i] += sum[i];
}

#undef SLUICE_ROTATED

void compress_plain(LaneState& state, const LaneBlocks& blocks) {
    compress_as_compiled(state, blocks);
}

#ifdef __x86_64__
[[gnu::target("avx2")]] void compress_avx2(LaneState& state, const LaneBlocks& blocks) {
    compress_as_compiled(state, blocks);
}

/// It has an instruction for a rotation and one for three-way logic.
[[gnu::target("avx2,avx512f,avx512vl")]] void compress_avx512(
    LaneState& state, const LaneBlocks& blocks
) {
    compress_as_compiled(state, blocks);
}
#endif

auto fastest_compress() {
    auto* fastest = compress_plain;
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2") != 0) fastest = compress_avx2;
    if (__builtin_cpu_supports("avx512vl") != 0) fastest = compress_avx512;
#endif
    return fastest;
}

void compress(LaneState& state, const LaneBlocks& blocks) {
    static auto* const fastest = fastest_compress();
    fastest(state, blocks);
}

/// The texts of one call, as the lanes take them: whoever has none takes the next.
class Lanes {
public:
    Lanes(
        std::span<const std::string_view> texts,
        std::span<Sha256Digest> digests,
        const Sha256Start& start
    )
        : texts_(texts), digests_(digests), start_(start) {
        for (std::size_t lane = 0; lane < lane_count; ++lane) take(lane);
    }

    void run() {
        while (busy_ > 0) {
            compress(state_, blocks_);
            for (std::size_t lane = 0; lane < lane_count; ++lane) step(lane);
        }
    }

private:
    struct Lane {
        std::size_t text{};
        std::size_t whole{};  // blocks that lie in the text itself
        std::size_t ends{};   // blocks of `end`; 0 and no whole ones: it rests
        std::array<std::uint8_t, 2 * block_bytes> end{};  // the rest of the text, padded
    };

    void take(std::size_t lane) {
        Lane& its = lane_[lane];
        blocks_[lane] = its.end.data();
        if (next_ == texts_.size()) return;
        ++busy_;
        const std::string_view text = texts_[next_];
        its.text = next_++;
        its.whole = text.size() / block_bytes;
        const std::string_view rest = text.substr(its.whole * block_bytes);
        its.end.fill(0);
        std::copy(rest.begin(), rest.end(), its.end.begin());
        its.end[rest.size()] = 0x80;
        its.ends = rest.size() < block_bytes - 8 ? 1 : 2;
        const std::uint64_t bits = (start_.bytes + text.size()) * 8;
        std::uint8_t* const size = its.end.data() + its.ends * block_bytes - 8;
        store_big_endian(static_cast<Word>(bits >> 32U), size);
        store_big_endian(static_cast<Word>(bits), size + 4);
        if (its.whole > 0) blocks_[lane] = reinterpret_cast<const std::uint8_t*>(text.data());
        for (std::size_t i = 0; i < state_.size(); ++i) state_[i][lane] = start_.state[i];
    }

    /// A block of the lane is done.
    void step(std::size_t lane) {
        Lane& its = lane_[lane];
        if (its.whole > 0) {
            blocks_[lane] = --its.whole > 0 ? blocks_[lane] + block_bytes : its.end.data();
        } else if (its.ends > 1) {
            --its.ends;
            blocks_[lane] += block_bytes;
        } else if (its.ends == 1) {
            its.ends = 0;
            --busy_;
            for (std::size_t i = 0; i < state_.size(); ++i)
                store_big_endian(state_[i][lane], digests_[its.text].data() + 4 * i);
            take(lane);
        }
    }

    std::span<const std::string_view> texts_;
    std::span<Sha256Digest> digests_;
    const Sha256Start& start_;
    std::size_t next_{0};
    std::size_t busy_{0};
    LaneState state_{};
    LaneBlocks blocks_{};
    std::array<Lane, lane_count> lane_{};
};

}  // namespace

Sha256Start sha256_after(std::span<const std::uint8_t, 64> block) {
    const Sha256Start begin;
    LaneState state{};
    LaneBlocks blocks{};
    blocks.fill(block.data());
    for (std::size_t i = 0; i < state.size(); ++i) state[i] += begin.state[i];
    compress(state, blocks);
    Sha256Start out;
    for (std::size_t i = 0; i < state.size(); ++i) out.state[i] = state[i][0];
    out.bytes = block_bytes;
    return out;
}

void sha256_batch(
    std::span<const std::string_view> texts,
    std::span<Sha256Digest> digests,
    const Sha256Start& start
) {
    SLUICE_CHECK(texts.size() == digests.size());
    Lanes(texts, digests, start).run();
}

}  // namespace sluice
