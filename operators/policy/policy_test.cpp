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
    CHECK(outputs[0].first == "email_key");
    CHECK(outputs[1].second.method == Method::email);
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
  iban: token
  pet: drop
)";
    const auto found = codes(wrong);
    for (const char* code :
         {"E-CLASS", "E-MASK-METHOD", "E-UNKNOWN-KEY", "E-MASK-LENGTH", "E-NOT-YET"}) {
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
