#include "operators/privacy/methods.hpp"

#include <set>

#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "operators/privacy/crypto.hpp"
#include "operators/privacy/one_value.hpp"
#include "operators/privacy/text.hpp"

using namespace sluice;
using policy::Method;
using policy::Rule;

namespace {

constexpr const char* master_hex =
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
constexpr const char* address = "ana.silva@example.com";

privacy::Keys keys_with(const std::string& salt = "", const std::string& raw = "") {
    privacy::Keys keys;
    keys.master = privacy::master_key(Secret(master_hex));
    keys.salt = Secret(salt);
    keys.raw = Secret(raw);
    return keys;
}

std::string hex_of(const privacy::Digest& digest) {
    return to_hex({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

std::string masked(const Rule& rule, std::string_view value, const std::string& salt = "") {
    return privacy::masked_value(rule, "email", keys_with(salt), value);
}

Rule rule_of(Method method) {
    Rule rule;
    rule.method = method;
    return rule;
}

/// Luhn's check, written apart from the product's.
bool luhn(const std::string& text) {
    int sum = 0;
    int place = 0;
    for (auto at = text.rbegin(); at != text.rend(); ++at) {
        if (*at < '0' || *at > '9') continue;
        int digit = *at - '0';
        if (place++ % 2 == 1) digit = digit * 2 > 9 ? digit * 2 - 9 : digit * 2;
        sum += digit;
    }
    return sum % 10 == 0;
}

}  // namespace

TEST_CASE("digests equal the published check values", "[mask]") {
    Rule rule;
    rule.method = Method::sha256;
    CHECK(
        masked(rule, address) == "7bda2560ce1bf126ff5df73ed84b6c9f8dd6064e33fc273eb05b7761e31c2b86"
    );
    CHECK(
        masked(rule, address, "s3cret") ==
        "e589a3a52fc2d2f7ddc4d7ddab4edd8fc79a9b0589f58c998e84e2c6aed09556"
    );
    rule.method = Method::md5;
    CHECK(masked(rule, address) == "558b7948b15d37e88ef06d03d80b6e5b");
    const Secret key =
        privacy::derive_key(privacy::master_key(Secret(master_hex)), "hash|customer_email|k1");
    CHECK(
        to_hex(key.reveal()) == "ee23a8b788eaacb1d7206d6c387470e965b524c304b349df5b32fc70c1bb18ab"
    );
    CHECK(
        hex_of(privacy::Hmac(key)(address)) ==
        "f356750ad23831860d9c45b9a6733fcdb812b2a9575f6f1282296c7365f8dea1"
    );
    CHECK_THROWS_AS(privacy::master_key(Secret("short")), Error);
    CHECK(privacy::base64url("\xFB\xFF") == "-_8");
    CHECK(privacy::base32("foobar") == "MZXW6YTBOI");
}

TEST_CASE("ASCII is normalized as it is beside other letters", "[mask]") {
    for (int code = 0; code < 0x80; ++code) {
        const std::string one(1, static_cast<char>(code));
        for (const std::string method : {"lower", "nfc"}) {
            const std::string beside = privacy::normalized({method}, one + "\u00C4");
            CHECK(privacy::normalized({method}, one) == beside.substr(0, beside.size() - 2));
        }
    }
    CHECK(privacy::normalized({"trim", "lower"}, " Ana@Example.COM ") == "ana@example.com");
}

TEST_CASE("hmac is the same for what normalizes to the same", "[mask]") {
    Rule rule;
    rule.method = Method::hmac;
    const std::string whole = masked(rule, address);
    CHECK(whole.size() == 64);
    CHECK(masked(rule, "  ANA.SILVA@example.com ") != whole);
    rule.normalize = {"trim", "lower"};
    CHECK(masked(rule, "  ANA.SILVA@example.com ") == whole);
    rule.length = 32;
    CHECK(masked(rule, address) == whole.substr(0, 32));
    rule.domain = "other";
    CHECK(masked(rule, address) != whole.substr(0, 32));
    rule.normalize = {"nfc"};
    CHECK(masked(rule, "e\xCC\x81") == masked(rule, "\xC3\xA9"));
}

TEST_CASE("partial keeps the format and the last characters, or nothing", "[mask]") {
    Rule rule;
    rule.method = Method::partial;
    CHECK(masked(rule, "4111-1111-1111-1234") == "****-****-****-1234");
    CHECK(masked(rule, "+1 (555) 010-2345") == "** (***) ***-2345");
    CHECK(masked(rule, "1234567") == "*******");  // three hidden are too few: all are
    CHECK(masked(rule, "") == "");
    rule.keep_format = false;
    CHECK(masked(rule, "4111-1111-1111-1234") == "***************1234");
    rule.keep_first = 1;
    rule.keep_last = 0;
    CHECK(
        masked(
            rule,
            "\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x94\xAC"
            "abcd"
        ) == "\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x94\xAC****"
    );
}

TEST_CASE("an e-mail keeps its first letter and domain; what is none is hidden", "[mask]") {
    Rule rule;
    rule.method = Method::email;
    CHECK(masked(rule, address) == "a***@example.com");
    CHECK(masked(rule, "x@y") == "x***@y");
    CHECK(masked(rule, "\"a@b\"@example.com") == "\"***@example.com");
    CHECK(masked(rule, "nobody") == "***");
    CHECK(masked(rule, "@example.com") == "***");
    rule.local = "none";
    rule.mail_domain = "tld";
    CHECK(masked(rule, address) == "***@***.com");
    rule.local = "hmac";
    rule.mail_domain = "hmac";
    CHECK(masked(rule, address).size() == 16 + 1 + 16);
}

TEST_CASE("another key version gives other pseudonyms", "[mask]") {
    Rule rule = rule_of(Method::hmac);
    auto keys = keys_with();
    const std::string first = privacy::masked_value(rule, "email", keys, address);
    keys.version = 2;
    CHECK(privacy::masked_value(rule, "email", keys, address) != first);
    CHECK(privacy::key_purpose(rule, "email", 2) == "hmac|email|k2");
    rule.domain = "person";
    CHECK(privacy::key_purpose(rule, "email", 1) == "hmac|person|k1");
}

TEST_CASE("a key of the secret store itself gives the published HMAC", "[mask]") {
    Rule rule = rule_of(Method::hmac);
    rule.raw_key = "shared";
    const auto keys =
        keys_with("", "ee23a8b788eaacb1d7206d6c387470e965b524c304b349df5b32fc70c1bb18ab");
    CHECK(
        privacy::masked_value(rule, "email", keys, address) ==
        "f356750ad23831860d9c45b9a6733fcdb812b2a9575f6f1282296c7365f8dea1"
    );
}

TEST_CASE("siv is deterministic and can be undone with its key and domain only", "[mask]") {
    const Rule rule = rule_of(Method::siv);
    const auto keys = keys_with();
    const std::string sealed = privacy::masked_value(rule, "email", keys, address);
    CHECK(sealed == privacy::masked_value(rule, "email", keys, address));
    CHECK(sealed != privacy::masked_value(rule, "phone", keys, address));
    const auto back = privacy::Direction::unmask;
    CHECK(privacy::masked_value(rule, "email", keys, sealed, back) == address);
    CHECK(privacy::masked_value(rule, "phone", keys, sealed, back) == "null");
    CHECK(privacy::masked_value(rule, "email", keys, "?", back) == "null");
    CHECK(privacy::masked_value(rule, "email", keys, "").empty());
    // RFC 5297 over AES-256: the value of another library for key 00..3f, domain "dom".
    std::string key;
    for (int i = 0; i < 64; ++i) key += static_cast<char>(i);
    const privacy::Siv siv(Secret(key), "dom");
    CHECK(to_hex(siv.seal("hello")) == "b69ef75397b8f68e3e4ff4e0a0248fe8ed4db69e9a");
}

TEST_CASE("a date is shifted by the same days for a subject, within the limits", "[mask]") {
    Rule rule = rule_of(Method::shift_date);
    rule.days = 10;
    const auto function =
        *privacy::function_of(rule, "dob", keys_with(), std::make_shared<privacy::Tally>());
    std::vector<std::optional<std::string>> subjects;
    for (int i = 0; i < 1000; ++i) subjects.emplace_back(std::to_string(i % 500));
    privacy::Values values(subjects);
    function.body(values, values);
    std::set<std::int64_t> seen(values.integers.begin(), values.integers.end());
    CHECK(*seen.begin() == -10);
    CHECK(*seen.rbegin() == 10);
    CHECK(seen.size() == 21);
    for (std::size_t i = 0; i < 500; ++i) CHECK(values.integers[i] == values.integers[i + 500]);
}

TEST_CASE("a fake name is the same for the same value, and of its dictionary", "[mask]") {
    Rule rule = rule_of(Method::fake);
    rule.dictionary = "full_name";
    const std::string one = masked(rule, "Ana Silva");
    CHECK(one == masked(rule, "Ana Silva"));
    CHECK(one.find(' ') != std::string::npos);
    std::set<std::string> seen;
    for (int i = 0; i < 200; ++i) seen.insert(masked(rule, std::to_string(i)));
    CHECK(seen.size() > 150);
    rule.locale = "de";
    CHECK(masked(rule, "Ana Silva") != one);
}

TEST_CASE("ff1 keeps the form of what people write, and gives it back", "[mask]") {
    Rule rule = rule_of(Method::ff1);
    rule.keep_last = 4;
    const auto keys = keys_with();
    const std::string phone = "+1 (555) 010-2345";
    const std::string hidden = privacy::masked_value(rule, "phone", keys, phone);
    CHECK(hidden.size() == phone.size());
    CHECK(hidden != phone);
    CHECK(hidden.ends_with("2345"));
    for (std::size_t i = 0; i < phone.size(); ++i)
        CHECK(
            (std::isdigit(static_cast<unsigned char>(phone[i])) != 0) ==
            (std::isdigit(static_cast<unsigned char>(hidden[i])) != 0)
        );
    CHECK(privacy::masked_value(rule, "phone", keys, hidden, privacy::Direction::unmask) == phone);
    CHECK(privacy::masked_value(rule, "phone", keys, "12345-6789") == "***");  // five are too few
    rule.alphabet = "0123456789abcdefghijklmnopqrstuvwxyz";
    rule.fold_case = true;
    rule.keep_last = 0;
    const std::string plate = privacy::masked_value(rule, "token", keys, "AB-123-cd");
    CHECK(plate[2] == '-');
    CHECK(plate.find_first_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ") == std::string::npos);
    CHECK(
        privacy::masked_value(rule, "token", keys, plate, privacy::Direction::unmask) == "ab-123-cd"
    );
}

TEST_CASE("a masked card never validates, or always, and is found again", "[mask]") {
    Rule rule = rule_of(Method::ff1);
    rule.keep_last = GENERATE(0, 4);
    rule.luhn = GENERATE("", "break", "repair");
    const auto keys = keys_with();
    int valid_before = 0;
    for (int i = 0; i < 400; ++i) {
        const std::string card = "4111-1111-" + std::to_string(1000 + i) + "-1111";
        const std::string hidden = privacy::masked_value(rule, "card", keys, card);
        if (luhn(card)) {
            ++valid_before;
            CHECK(luhn(hidden) == (rule.luhn == "repair"));
        }
        CHECK(
            privacy::masked_value(rule, "card", keys, hidden, privacy::Direction::unmask) == card
        );
        if (rule.keep_last == 4) CHECK(hidden.ends_with("1111"));
    }
    CHECK(valid_before == 40);
}
