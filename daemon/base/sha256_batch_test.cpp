#include "base/sha256_batch.hpp"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "base/hash.hpp"

using namespace sluice;

namespace {

std::vector<Sha256Digest> batch(
    const std::vector<std::string>& texts, const Sha256Start& start = {}
) {
    const std::vector<std::string_view> views(texts.begin(), texts.end());
    std::vector<Sha256Digest> out(texts.size());
    sha256_batch(views, out, start);
    return out;
}

std::string text_of(std::size_t size, std::size_t seed) {
    std::string out(size, '\0');
    for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>((i * 131 + seed * 29) % 251);
    return out;
}

}  // namespace

TEST_CASE("a batch has the hashes of its texts, however long they are") {
    // Each length around the ends of blocks, long beside short ones, none and a full stop of lanes.
    for (const std::size_t count : {0U, 1U, 7U, 8U, 9U, 300U}) {
        std::vector<std::string> texts;
        for (std::size_t i = 0; i < count; ++i)
            texts.push_back(text_of(i % 5 == 4 ? i * 37 : i, i));
        const auto digests = batch(texts);
        for (std::size_t i = 0; i < count; ++i) CHECK(digests[i] == sha256(texts[i]));
    }
}

TEST_CASE("the vectors of FIPS 180-4") {
    const auto digests =
        batch({"abc", "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", ""});
    const auto hex = [](const Sha256Digest& digest) {
        return to_hex({reinterpret_cast<const char*>(digest.data()), digest.size()});
    };
    CHECK(hex(digests[0]) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(hex(digests[1]) == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    CHECK(hex(digests[2]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST_CASE("a batch goes on after a block") {
    std::array<std::uint8_t, 64> block{};
    for (std::size_t i = 0; i < block.size(); ++i) block[i] = static_cast<std::uint8_t>(3 * i);
    const std::string head(block.begin(), block.end());
    const Sha256Start start = sha256_after(block);
    const std::vector<std::string> texts{"", "a", text_of(64, 2), text_of(200, 3)};
    const auto digests = batch(texts, start);
    for (std::size_t i = 0; i < texts.size(); ++i) CHECK(digests[i] == sha256(head + texts[i]));
}
