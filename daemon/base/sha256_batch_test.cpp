#include "base/sha256_batch.hpp"

#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/hash.hpp"

using namespace sluice;

namespace {

constexpr std::array both{Sha256Way::lanes, Sha256Way::one_by_one};

std::vector<Sha256Digest> hashed(const std::vector<std::string_view>& texts, Sha256Way way) {
    std::vector<Sha256Digest> out(texts.size());
    sha256_batch(texts, out, way);
    return out;
}

std::vector<Sha256Digest> signed_with(
    std::string_view key, const std::vector<std::string_view>& texts, Sha256Way way
) {
    std::vector<Sha256Digest> out(texts.size());
    Sha256Hmac(key).batch(texts, out, way);
    return out;
}

Sha256Digest openssl_hmac(std::string_view key, std::string_view text) {
    Sha256Digest out{};
    HMAC(
        EVP_sha256(),
        key.data(),
        static_cast<int>(key.size()),
        reinterpret_cast<const unsigned char*>(text.data()),
        text.size(),
        out.data(),
        nullptr
    );
    return out;
}

std::string hex(const Sha256Digest& digest) {
    return to_hex({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

std::vector<std::string_view> views(const std::vector<std::string>& texts) {
    return {texts.begin(), texts.end()};
}

/// Texts of the lengths from 0 to 300 in any order, and some that are much longer.
std::vector<std::string> random_texts(std::mt19937_64& random) {
    std::vector<std::string> out;
    for (std::size_t i = 0; i < 1000; ++i) {
        const std::size_t size = i % 200 == 7 ? 65'520 + random() % 40 : random() % 301;
        std::string text(size, '\0');
        for (char& c : text) c = static_cast<char>(random());
        out.push_back(std::move(text));
    }
    return out;
}

/// Bytes whose last one is the last of its page; the page behind cannot be read.
class Fenced {
public:
    Fenced() {
        REQUIRE(pages_ != MAP_FAILED);
        REQUIRE(mprotect(begin() + page_, page_, PROT_NONE) == 0);
        for (std::size_t i = 0; i < page_; ++i) begin()[i] = static_cast<char>(i % 251);
    }
    ~Fenced() { munmap(pages_, 2 * page_); }
    Fenced(const Fenced&) = delete;
    Fenced& operator=(const Fenced&) = delete;
    [[nodiscard]] std::string_view last(std::size_t size) const {
        return {begin() + page_ - size, size};
    }

private:
    [[nodiscard]] char* begin() const { return static_cast<char*>(pages_); }
    std::size_t page_{static_cast<std::size_t>(sysconf(_SC_PAGESIZE))};
    void* pages_{
        mmap(nullptr, 2 * page_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    };
};

struct Rfc4231 {
    std::string key;
    std::string text;
    std::string_view mac;
};

}  // namespace

TEST_CASE("a batch has the hashes of its texts, however long and many they are") {
    const std::uint64_t seed = std::random_device{}();
    CAPTURE(seed, sha256_lanes_library());
    std::mt19937_64 random(seed);
    const std::vector<std::string> texts = random_texts(random);
    const std::string key(32, static_cast<char>(random()));
    for (const int count : {0, 1, 3, 4, 15, 16, 17, 127, 128, 129, 1000}) {
        const std::vector<std::string_view> some(texts.begin(), texts.begin() + count);
        for (const Sha256Way way : both) {
            const auto digests = hashed(some, way);
            const auto macs = signed_with(key, some, way);
            std::size_t wrong = 0;
            for (std::size_t i = 0; i < some.size(); ++i) {
                if (digests[i] != sha256(some[i])) ++wrong;
                if (macs[i] != openssl_hmac(key, some[i])) ++wrong;
            }
            CAPTURE(count, static_cast<int>(way));
            CHECK(wrong == 0);
        }
    }
}

TEST_CASE("the vectors of FIPS 180-4") {
    const std::string million(1'000'000, 'a');
    const std::vector<std::string_view> texts{
        "abc", "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "", million
    };
    for (const Sha256Way way : both) {
        const auto digests = hashed(texts, way);
        CHECK(
            hex(digests[0]) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        CHECK(
            hex(digests[1]) == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        );
        CHECK(
            hex(digests[2]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        CHECK(
            hex(digests[3]) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        );
    }
}

TEST_CASE("the vectors of RFC 4231") {
    std::string counted;
    for (char c = 1; c <= 25; ++c) counted += c;
    const std::vector<Rfc4231> cases{
        {std::string(20, '\x0b'),
         "Hi There",
         "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {"Jefe",
         "what do ya want for nothing?",
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {std::string(20, '\xaa'),
         std::string(50, '\xdd'),
         "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
        {counted,
         std::string(50, '\xcd'),
         "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
        {std::string(131, '\xaa'),
         "Test Using Larger Than Block-Size Key - Hash Key First",
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
        {std::string(131, '\xaa'),
         "This is a test using a larger than block-size key and a larger than block-size data. The "
         "key needs to be hashed before being used by the HMAC algorithm.",
         "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"}
    };
    for (const Rfc4231& one : cases)
        for (const Sha256Way way : both)
            // Five of it, so that the lanes are used.
            for (const Sha256Digest& mac :
                 signed_with(one.key, std::vector<std::string_view>(5, one.text), way))
                CHECK(hex(mac) == one.mac);
}

TEST_CASE("nothing is read behind a text") {
    const Fenced bytes;
    std::vector<std::string_view> texts;
    for (std::size_t size = 0; size <= 300; ++size) texts.push_back(bytes.last(size));
    for (const Sha256Way way : both) {
        const auto digests = hashed(texts, way);
        const auto macs = signed_with("key", texts, way);
        for (std::size_t size = 0; size <= 300; size += 50) {
            CHECK(digests[size] == sha256(texts[size]));
            CHECK(macs[size] == openssl_hmac("key", texts[size]));
        }
    }
}

TEST_CASE("an empty text leaves nothing behind for the next ones") {
    const std::vector<std::string> texts{"", "a", "", "b", "c", "", "d", "e"};
    for (int round = 0; round < 3; ++round) {
        const auto macs = signed_with("key", views(texts), Sha256Way::lanes);
        const auto digests = hashed(views(texts), Sha256Way::lanes);
        for (std::size_t i = 0; i < texts.size(); ++i) {
            CHECK(macs[i] == openssl_hmac("key", texts[i]));
            CHECK(digests[i] == sha256(texts[i]));
        }
    }
}

TEST_CASE("threads share a key") {
    const Sha256Hmac key("a key");
    std::vector<std::string> texts;
    for (int i = 0; i < 500; ++i) texts.push_back("text " + std::to_string(i));
    std::array<std::vector<Sha256Digest>, 4> found;
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < found.size(); ++i)
        threads.emplace_back([&, i] {
            found[i].resize(texts.size());
            for (int round = 0; round < 20; ++round)
                key.batch(
                    views(texts), found[i], i % 2 == 0 ? Sha256Way::lanes : Sha256Way::one_by_one
                );
        });
    for (std::thread& thread : threads) thread.join();
    for (const auto& one : found) {
        REQUIRE(one.size() == texts.size());
        for (std::size_t i = 0; i < texts.size(); i += 7)
            CHECK(one[i] == openssl_hmac("a key", texts[i]));
    }
}
