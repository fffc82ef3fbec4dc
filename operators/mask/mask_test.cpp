#include "operators/mask/mask.hpp"

#include <catch2/catch.hpp>

#include "base/hash.hpp"
#include "model/json_schema.hpp"
#include "operators/binding/lake_fixture.hpp"
#include "operators/mask/crypto.hpp"
#include "operators/mask/methods.hpp"

using namespace sluice;
using nlohmann::json;
using policy::Method;
using policy::Rule;
using Lines = std::vector<std::string>;

namespace {

constexpr const char* master_hex =
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
constexpr const char* address = "ana.silva@example.com";

constexpr const char* the_policy = R"(
key: mask_master
allow: {curated: [quasi], warehouse: [quasi]}
classes:
  name: {method: hmac, length: 32}
  email: {method: hmac, normalize: [trim, lower]}
  card: {method: partial, keep_last: 4}
  dob: year
  ip: {method: sha256, salt: ip_salt}
  address: drop
  geo: {method: geo, digits: 1}
  national_id: {method: constant, value: hidden}
columns:
  raw.c.email:
    outputs:
      email_key: {method: hmac, normalize: [trim, lower]}
      email_masked: {method: email, domain: keep}
  raw.o.ip: {method: md5, legacy: true}
)";

const task::Operator& op() {
    static const task::Operator made = ops::mask_operator();
    return made;
}

std::string hex_of(const mask::Digest& digest) {
    return to_hex({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

std::string masked(Rule rule, std::string_view value, const std::string& salt = "") {
    const mask::Keys keys{mask::master_key(Secret(master_hex)), Secret(salt)};
    return (*mask::text_mask(rule, "email", keys))(value).text;
}

struct Mask : binding::LakeFixture {
    Mask() {
        policy = "policies/pii.yaml";
        files[policy] = the_policy;
        secrets["mask_master"] = Secret(master_hex);
        secrets["ip_salt"] = Secret("s3cret");
    }
    const json params{{"from", "processed.c"}, {"to", "curated.c"}};
};

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
        mask::derive_key(mask::master_key(Secret(master_hex)), "hash|customer_email|k1");
    CHECK(
        to_hex(key.reveal()) == "ee23a8b788eaacb1d7206d6c387470e965b524c304b349df5b32fc70c1bb18ab"
    );
    CHECK(
        hex_of(mask::Hmac(key)(address)) ==
        "f356750ad23831860d9c45b9a6733fcdb812b2a9575f6f1282296c7365f8dea1"
    );
    CHECK_THROWS_AS(mask::master_key(Secret("short")), Error);
    CHECK(mask::base64url("\xFB\xFF") == "-_8");
    CHECK(mask::base32("foobar") == "MZXW6YTBOI");
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

TEST_CASE(
    "a data set is masked by classes and columns, and only allowed classes remain", "[mask]"
) {
    Mask m;
    m.declare("raw.c", R"j({"id": "bigint"})j");
    m.declare(
        "processed.c",
        R"j({"id": "bigint not null", "email": "varchar @email", "full_name": "varchar @name", "card": "varchar @card", "born": "date @dob", "street": "varchar @address", "city": "varchar @quasi", "ip": "varchar @ip", "ssn": "varchar @national_id", "lat": "double @geo"})j"
    );
    m.put(
        "processed.c",
        "select 1::bigint as id, 'Ana.Silva@example.com' as email, 'Ana' as full_name, "
        "'4111-1111-1111-1234' as card, date '1980-02-03' as born, 'Main 1' as street, 'Rome' as "
        "city, '10.0.0.1' as ip, '1' as ssn, 41.8967::double as lat union all select 2, 'none', "
        "null, null, null, null, null, null, null, null"
    );
    json params = m.params;
    params["rules"] = json::parse(
        R"j({"email": {"outputs": {"email_key": {"method": "hmac", "normalize": ["lower"]}, "email_masked": "email"}}})j"
    );
    const auto checked = m.check(op(), params);
    for (const Problem& problem : checked.problems) FAIL(format(problem));
    const Outcome outcome = m.run(op(), params);
    INFO(outcome.message);
    // A run outside a DAG has no default policy.
    REQUIRE(outcome.kind == OutcomeKind::failed);
    params["policy"] = m.policy;
    REQUIRE(m.run(op(), params).kind == OutcomeKind::success);
    CHECK(m.xcom.at("rows_masked") == 2);
    Rule ip;
    ip.method = Method::sha256;
    Rule key;
    key.method = Method::hmac;
    const auto got = m.rows(
        {"curated.c"},
        "select id, email_masked, card, born, city, ip, ssn, lat, length(full_name), email_key "
        "from curated.c order by id"
    );
    CHECK(
        got.at(0) == "1|A***@example.com|****-****-****-1234|1980|Rome|" +
                         masked(ip, "10.0.0.1", "s3cret") + "|hidden|41.9|32|" +
                         masked(key, "ana.silva@example.com")
    );
    CHECK(got.at(1).starts_with("2|***|null|null|null|null|null|null|null|"));
    Lines names;
    for (const ColumnSpec& column : m.dataset("curated.c").columns) {
        names.push_back(column.name + " " + column.type);
        CHECK(column.pii_class == (column.name == "city" ? "quasi" : ""));
    }
    CHECK(
        names ==
        Lines{
            "id bigint",
            "email_key varchar",
            "email_masked varchar",
            "full_name varchar",
            "card varchar",
            "born integer",
            "city varchar",
            "ip varchar",
            "ssn varchar",
            "lat double"
        }
    );
}

TEST_CASE("a column rule follows the origin's name, and beats the class", "[mask]") {
    Mask m;
    m.declare("processed.c", R"j({"mail": "varchar @email", "address": "varchar @ip"})j");
    DatasetSpec spec = m.dataset("processed.c");
    Dag dag;
    dag.policy = m.policy;
    dag.files = m.files;
    spec.columns[0].origins = {"raw.c.email"};
    spec.columns[1].origins = {"raw.o.ip"};
    const Task the_task;
    const auto checked =
        op().check({dag, the_task, m.params, [&](const std::string&) { return &spec; }});
    CHECK(checked.problems.empty());
    Lines names;
    for (const ColumnSpec& column : checked.writes.at(0).columns) names.push_back(column.name);
    CHECK(names == Lines{"email_key", "email_masked", "address"});
}

TEST_CASE("what the policy does not cover is refused at load", "[mask]") {
    Mask m;
    const auto codes = [&](const std::string& columns, const std::string& rules) {
        m.declare("processed.c", columns);
        json params = m.params;
        params["rules"] = json::parse(rules);
        Lines out;
        for (const Problem& problem : m.check(op(), params).problems) out.push_back(problem.code);
        return out;
    };
    CHECK(codes(R"j({"phone": "varchar @phone"})j", "{}") == Lines{"E-PII"});
    CHECK(
        codes(R"j({"phone": "varchar @phone"})j", R"j({"phone": "sha256"})j") ==
        Lines{"W-MASK-UNKEYED"}
    );
    CHECK(codes(R"j({"x": "varchar @name"})j", R"j({"x": "md5"})j") == Lines{"E-MASK-LEGACY"});
    CHECK(
        codes(
            R"j({"x": "varchar @national_id"})j",
            R"j({"x": {"method": "partial", "keep_last": 6}})j"
        ) == Lines{"E-MASK-WEAK"}
    );
    CHECK(codes(R"j({"x": "boolean @dob"})j", "{}") == Lines{"E-MASK-TYPE"});
    CHECK(codes(R"j({"x": "varchar"})j", R"j({"y": "drop"})j") == Lines{"E-COLUMN"});
    CHECK(codes(R"j({"x": "varchar"})j", R"j({"x": "hmak"})j") == Lines{"E-MASK-METHOD"});
    m.policy = "";
    CHECK(codes(R"j({"x": "varchar"})j", "{}") == Lines{"E-POLICY"});
}

TEST_CASE("columns that nobody declared are refused, left out or passed", "[mask]") {
    Mask m;
    m.declare("processed.c", R"j({"id": "bigint"})j");
    m.put("processed.c", "select 1::bigint as id, 'x@y.z' as gift_note");
    json params = m.params;
    params["policy"] = m.policy;
    CHECK(m.run(op(), params).error_class == ErrorClass::schema);
    params["undeclared"] = "drop";
    REQUIRE(m.run(op(), params).kind == OutcomeKind::success);
    CHECK(
        m.rows(
            {"curated.c"},
            "select count(*) from (describe select * from curated.c) where column_name = "
            "'gift_note'"
        ) == Lines{"0"}
    );
    params["undeclared"] = "pass";
    REQUIRE(m.run(op(), params).kind == OutcomeKind::success);
    CHECK(m.rows({"curated.c"}, "select gift_note from curated.c") == Lines{"x@y.z"});
}

TEST_CASE("the schema of mask is sound", "[mask]") {
    CHECK(schema_faults(json::parse(op().schema)).empty());
}
