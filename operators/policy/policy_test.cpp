#include "operators/policy/policy.hpp"

#include <catch2/catch.hpp>

using namespace sluice;
using policy::Method;

namespace {

constexpr const char* good = R"(
key: mask_master
allow:
  curated: [quasi]
  warehouse: [quasi]
classes:
  name: {method: hmac, length: 32}
  email: {method: hmac, normalize: [trim, lower]}
  card: {method: partial, keep_last: 4}
  dob: year
  ip: {method: sha256, salt: ip_salt}
  address: drop
columns:
  raw.customers.email:
    outputs:
      email_key: {method: hmac, normalize: [trim, lower]}
      email_masked: {method: email, domain: keep}
  raw.orders.ip: {method: md5, legacy: true}
)";

std::vector<std::string> codes(const std::string& text) {
    std::vector<std::string> out;
    for (const Problem& problem : policy::read(text, "p.yaml").problems)
        out.push_back(problem.code);
    return out;
}

}  // namespace

TEST_CASE("a policy is read with all its rules", "[policy]") {
    const auto parsed = policy::read(good, "p.yaml");
    REQUIRE(parsed.value);
    const policy::Policy& p = *parsed.value;
    CHECK(p.key == "mask_master");
    CHECK(p.allowed("curated") == std::vector<std::string>{"quasi"});
    CHECK(p.allowed("report").empty());
    CHECK(p.classes.at("dob").method == Method::year);
    CHECK(p.classes.at("name").length == 32);
    const auto& outputs = p.columns.at("raw.customers.email").outputs;
    REQUIRE(outputs.size() == 2);
    CHECK(outputs[0].column == "email_key");
    CHECK(outputs[1].rule.method == Method::email);
    CHECK(p.columns.at("raw.customers.email").keyed());
    CHECK_FALSE(p.columns.at("raw.orders.ip").keyed());
}

TEST_CASE("what is wrong with a policy is said all at once", "[policy]") {
    const std::string wrong = R"(
key: k
allow: {curated: [quasy]}
classes:
  email: {method: hmak}
  card: {method: partial, keep: 4}
  name: {method: hmac, length: 8}
  iban: {method: token, convergent: false}
  pet: drop
)";
    const auto found = codes(wrong);
    for (const char* code :
         {"E-CLASS", "E-MASK-METHOD", "E-UNKNOWN-KEY", "E-MASK-LENGTH", "E-MASK-RULE"}) {
        CAPTURE(code);
        CHECK(std::find(found.begin(), found.end(), code) != found.end());
    }
    const auto parsed = policy::read(wrong, "p.yaml");
    CHECK_FALSE(parsed.value);
    for (const Problem& problem : parsed.problems)
        if (problem.code == "E-MASK-METHOD") {
            CHECK(problem.suggestion.find("hmac") != std::string::npos);
            CHECK(problem.line == 5);
        }
}

TEST_CASE("an empty or broken policy has problems and no value", "[policy]") {
    CHECK_FALSE(policy::read("", "p.yaml").value);
    CHECK_FALSE(policy::read("{", "p.json").value);
    CHECK_FALSE(policy::read("[]", "p.json").value);
}

TEST_CASE("the options of every method are read, and weak ones refused", "[policy]") {
    const auto rule = [](const std::string& text) {
        std::string out = "key: k\nallow: {curated: []}\nclasses:\n  card: " + text + "\n";
        return out;
    };
    const auto good = [&](const std::string& text) {
        auto parsed = policy::read(rule(text), "p.yaml");
        for (const Problem& problem : parsed.problems) FAIL(format(problem));
        return parsed.value->classes.at("card");
    };
    CHECK(good("{method: ff1, keep_last: 4}").alphabet == "0123456789");
    CHECK(good("{method: ff1, alphabet: custom, characters: abc}").alphabet == "abc");
    CHECK(good("{method: ff1, tweak: '3938'}").tweak == "98");
    CHECK(good("siv").keyed());
    CHECK(good("{method: shift_date, subject: id, days: 10}").days == 10);
    CHECK(good("{method: bucket, bounds: [18, 30]}").bounds.size() == 2);
    CHECK(good("{method: bucket, unit: month}").unit == "month");
    CHECK(good("{method: round, to: 100}").step == 100);
    CHECK(good("{method: noise, scale: '5%', row: id}").relative);
    CHECK(good("{method: fake, dictionary: city, locale: fr}").locale == "fr");
    const std::vector<std::pair<std::string, std::string>> bad{
        {"{method: ff1, alphabet: custom, characters: aa}", "E-MASK-RULE"},
        {"{method: ff1, alphabet: alnum36, luhn: repair}", "E-MASK-RULE"},
        {"{method: ff1, tweak: zz}", "E-MASK-RULE"},
        {"{method: shift_date, subject: id, days: 3}", "E-MASK-WEAK"},
        {"shift_date", "E-MASK-RULE"},
        {"{method: bucket}", "E-MASK-RULE"},
        {"{method: bucket, width: 5, unit: day}", "E-MASK-RULE"},
        {"{method: bucket, bounds: [3, 1]}", "E-MASK-RULE"},
        {"{method: round, to: 0}", "E-MASK-RULE"},
        {"{method: noise, scale: 1}", "E-MASK-RULE"},
        {"{method: fake}", "E-REQUIRED"},
        {"{method: fake, dictionary: pets}", "E-ENUM"},
    };
    for (const auto& [text, code] : bad) {
        CAPTURE(text);
        const auto found = codes(rule(text));
        CHECK(found == std::vector<std::string>{code});
    }
}

TEST_CASE("another key version says from which one it comes", "[policy]") {
    const std::string rest = "\nallow: {}\nclasses: {}\n";
    CHECK(codes("key: k\nkey_version: 2" + rest) == std::vector<std::string>{"E-MASK-REKEY"});
    CHECK(
        codes("key: k\nkey_version: 2\nrekey_from: 2" + rest) ==
        std::vector<std::string>{"E-MASK-REKEY"}
    );
    const auto parsed = policy::read("key: k\nkey_version: 2\nrekey_from: 1" + rest, "p.yaml");
    REQUIRE(parsed.value);
    CHECK(parsed.value->key_version == 2);
}
