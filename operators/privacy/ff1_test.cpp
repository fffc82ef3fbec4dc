#include "operators/privacy/ff1.hpp"

#include <random>
#include <vector>

#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "operators/privacy/crypto.hpp"

using namespace sluice;
using privacy::Ff1;

namespace {

const std::string k128 = "2B7E151628AED2A6ABF7158809CF4F3C";
const std::string k192 = k128 + "EF4359D8D580AA4F";
const std::string k256 = k192 + "7F036D6F04FC6A94";
constexpr std::string_view characters = "0123456789abcdefghijklmnopqrstuvwxyz";

std::string run(
    const std::string& key,
    int radix,
    const std::string& tweak_hex,
    const std::string& text,
    Ff1::Way way
) {
    const Ff1 cipher(privacy::hex_key(Secret(key), "the key"), radix);
    const std::string tweak =
        tweak_hex.empty() ? "" : privacy::hex_key(Secret(tweak_hex), "the tweak").reveal();
    std::vector<std::uint8_t> numerals;
    for (const char c : text) numerals.push_back(static_cast<std::uint8_t>(characters.find(c)));
    Ff1::Item item{numerals, tweak};
    cipher.run({&item, 1}, way);
    std::string out;
    for (const std::uint8_t one : numerals) out += characters[one];
    return out;
}

struct Vector {
    std::string key;
    int radix;
    std::string tweak;
    std::string plain;
    std::string masked;
};

}  // namespace

TEST_CASE("FF1 gives the nine sample vectors of NIST SP 800-38G, both ways", "[mask][ff1]") {
    const std::string digits = "0123456789";
    const std::string mixed = "0123456789abcdefghi";
    const std::string ten = "39383736353433323130";
    const std::string eleven = "3737373770717273373737";
    const auto v = GENERATE_COPY(values<Vector>({
        {k128, 10, "", digits, "2433477484"},
        {k128, 10, ten, digits, "6124200773"},
        {k128, 36, eleven, mixed, "a9tv40mll9kdu509eum"},
        {k192, 10, "", digits, "2830668132"},
        {k192, 10, ten, digits, "2496655549"},
        {k192, 36, eleven, mixed, "xbj3kv35jrawxv32ysr"},
        {k256, 10, "", digits, "6657667009"},
        {k256, 10, ten, digits, "1001623463"},
        {k256, 36, eleven, mixed, "xs8a0azh2avyalyzuwd"},
    }));
    CHECK(run(v.key, v.radix, v.tweak, v.plain, Ff1::Way::encrypt) == v.masked);
    CHECK(run(v.key, v.radix, v.tweak, v.masked, Ff1::Way::decrypt) == v.plain);
}

TEST_CASE("FF1 comes back from every length and tweak, short and long", "[mask][ff1]") {
    std::mt19937 random(20260101);
    for (const std::size_t length : {2U, 7U, 16U, 19U, 37U, 56U, 57U, 58U, 120U})
        for (const std::size_t tweak : {0U, 5U, 12U, 16U, 33U}) {
            CAPTURE(length, tweak);
            std::string plain;
            std::string hex;
            for (std::size_t i = 0; i < length; ++i) plain += characters[random() % 10];
            for (std::size_t i = 0; i < tweak; ++i) hex += "5a";
            const std::string masked = run(k256, 10, hex, plain, Ff1::Way::encrypt);
            CHECK(run(k256, 10, hex, masked, Ff1::Way::decrypt) == plain);
        }
}

TEST_CASE("a batch gives what its values give one by one, whatever their lengths", "[mask][ff1]") {
    std::mt19937 random(7);
    const Ff1 cipher(privacy::hex_key(Secret(k128), "the key"), 10);
    std::vector<std::vector<std::uint8_t>> together;
    std::vector<std::string> tweaks;
    for (std::size_t i = 0; i < 300; ++i) {
        std::vector<std::uint8_t> one(6 + random() % 60);
        for (std::uint8_t& numeral : one) numeral = static_cast<std::uint8_t>(random() % 10);
        together.push_back(std::move(one));
        tweaks.emplace_back(random() % 20, 'x');
    }
    auto alone = together;
    std::vector<Ff1::Item> items;
    for (std::size_t i = 0; i < together.size(); ++i) items.push_back({together[i], tweaks[i]});
    cipher.run(items, Ff1::Way::encrypt);
    for (std::size_t i = 0; i < alone.size(); ++i) {
        Ff1::Item item{alone[i], tweaks[i]};
        cipher.run({&item, 1}, Ff1::Way::encrypt);
    }
    CHECK(together == alone);
}

TEST_CASE("a domain of less than a million values is none", "[mask][ff1]") {
    CHECK(Ff1::large_enough(10, 6));
    CHECK_FALSE(Ff1::large_enough(10, 5));
    CHECK(Ff1::large_enough(36, 4));
    CHECK_FALSE(Ff1::large_enough(26, 4));
    CHECK_THROWS_AS(Ff1(Secret("short"), 10), Error);
}
