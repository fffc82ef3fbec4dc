#include "operators/mask/mask.hpp"

#include <catch2/catch.hpp>

#include "model/json_schema.hpp"
#include "operators/binding/lake_fixture.hpp"
#include "operators/privacy/crypto.hpp"
#include "operators/privacy/one_value.hpp"

using namespace sluice;
using nlohmann::json;
using policy::Method;
using policy::Rule;
using Lines = std::vector<std::string>;

namespace {

constexpr const char* master_hex =
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

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

std::string masked(Rule rule, std::string_view value, const std::string& salt = "") {
    privacy::Keys keys;
    keys.master = privacy::master_key(Secret(master_hex));
    keys.salt = Secret(salt);
    return privacy::masked_value(rule, "email", keys, value);
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

namespace {

/// One text column through the whole operator, file in, file out.
Lines through(
    Mask& m, const std::string& rule, const std::string& type, const std::string& values
) {
    m.declare("processed.c", R"j({"id": "bigint", "x": ")j" + type + R"j("})j");
    m.put("processed.c", "select i as id, x from (values " + values + ") t(i, x)");
    json params = m.params;
    params["policy"] = m.policy;
    params["rules"] = {{"x", json::parse(rule)}};
    for (const Problem& problem : m.check(op(), params).problems)
        if (problem.severity == Severity::error) FAIL(format(problem));
    const Outcome outcome = m.run(op(), params);
    INFO(outcome.message);
    REQUIRE(outcome.kind == OutcomeKind::success);
    return m.rows({"curated.c"}, "select x from curated.c order by id");
}

}  // namespace

TEST_CASE("the check values come out of a file that went in", "[mask]") {
    Mask m;
    m.secrets["shared"] =
        Secret("ee23a8b788eaacb1d7206d6c387470e965b524c304b349df5b32fc70c1bb18ab");
    const std::string rows =
        "(1, 'ana.silva@example.com'), (2, null), (3, 'ana.silva@example.com')";
    const auto got = [&](const std::string& rule) { return through(m, rule, "varchar", rows); };
    const auto twice = [](const std::string& value) { return Lines{value, "null", value}; };
    CHECK(
        got(R"("sha256")") ==
        twice("7bda2560ce1bf126ff5df73ed84b6c9f8dd6064e33fc273eb05b7761e31c2b86")
    );
    CHECK(
        got(R"({"method": "sha256", "salt": "ip_salt"})") ==
        twice("e589a3a52fc2d2f7ddc4d7ddab4edd8fc79a9b0589f58c998e84e2c6aed09556")
    );
    CHECK(got(R"("md5")") == twice("558b7948b15d37e88ef06d03d80b6e5b"));
    CHECK(
        got(R"({"method": "hmac", "raw_key": "shared"})") ==
        twice("f356750ad23831860d9c45b9a6733fcdb812b2a9575f6f1282296c7365f8dea1")
    );
    CHECK(got(R"("email")") == twice("a***@example.com"));
}

TEST_CASE("the nine vectors of FF1 come out of a file that went in", "[mask][ff1]") {
    Mask m;
    const std::string k128 = "2B7E151628AED2A6ABF7158809CF4F3C";
    m.secrets["k128"] = Secret(k128);
    m.secrets["k192"] = Secret(k128 + "EF4359D8D580AA4F");
    m.secrets["k256"] = Secret(k128 + "EF4359D8D580AA4F7F036D6F04FC6A94");
    const auto got = [&](const std::string& key, const std::string& rest, const std::string& text) {
        return through(
            m,
            R"({"method": "ff1", "raw_key": ")" + key + R"(", )" + rest + "}",
            "varchar",
            "(1, '" + text + "')"
        );
    };
    const std::string digits = "0123456789";
    const std::string mixed = "0123456789abcdefghi";
    const std::string none = R"("tweak": "")";
    const std::string ten = R"("tweak": "39383736353433323130")";
    const std::string eleven = R"("alphabet": "alnum36", "tweak": "3737373770717273373737")";
    CHECK(got("k128", none, digits) == Lines{"2433477484"});
    CHECK(got("k128", ten, digits) == Lines{"6124200773"});
    CHECK(got("k128", eleven, mixed) == Lines{"a9tv40mll9kdu509eum"});
    CHECK(got("k192", none, digits) == Lines{"2830668132"});
    CHECK(got("k192", ten, digits) == Lines{"2496655549"});
    CHECK(got("k192", eleven, mixed) == Lines{"xbj3kv35jrawxv32ysr"});
    CHECK(got("k256", none, digits) == Lines{"6657667009"});
    CHECK(got("k256", ten, digits) == Lines{"1001623463"});
    CHECK(got("k256", eleven, mixed) == Lines{"xs8a0azh2avyalyzuwd"});
}

TEST_CASE("numbers and dates are put into buckets, rounded, shifted and blurred", "[mask]") {
    Mask m;
    CHECK(
        through(
            m,
            R"({"method": "bucket", "bounds": [18, 30]})",
            "integer",
            "(1, 17), (2, 18), (3, 99), (4, null)"
        ) == Lines{"<18", "[18,30)", ">=30", "null"}
    );
    CHECK(
        through(m, R"({"method": "bucket", "width": 10})", "integer", "(1, 17), (2, -1)") ==
        Lines{"[10,20)", "[-10,0)"}
    );
    CHECK(
        through(m, R"({"method": "bucket", "unit": "decade"})", "date", "(1, date '1987-05-06')") ==
        Lines{"1980-01-01"}
    );
    CHECK(
        through(m, R"({"method": "round", "to": 100})", "bigint", "(1, 149::bigint), (2, 150)") ==
        Lines{"100", "200"}
    );
    const auto shifted = through(
        m,
        R"({"method": "shift_date", "subject": "id", "days": 10})",
        "date",
        "(1, date '2026-01-20'), (2, date '2026-01-20'), (3, null)"
    );
    CHECK(shifted[0] >= "2026-01-10");
    CHECK(shifted[0] <= "2026-01-30");
    CHECK(shifted[2] == "null");
    const std::string noise = R"({"method": "noise", "scale": 5, "row": "id"})";
    const auto blurred = through(m, noise, "bigint", "(1, 1000::bigint), (2, 1000)");
    CHECK(blurred == through(m, noise, "bigint", "(1, 1000::bigint), (2, 1000)"));
    for (const std::string& one : blurred) {
        CHECK(std::stoi(one) >= 995);
        CHECK(std::stoi(one) <= 1005);
    }
}

TEST_CASE("what is too short for ff1 fails the task without showing it, or is hidden", "[mask]") {
    Mask m;
    m.declare("processed.c", R"j({"id": "bigint", "x": "varchar @token"})j");
    m.put("processed.c", "select 1::bigint as id, '98765' as x");
    json params = m.params;
    params["policy"] = m.policy;
    params["rules"] = {{"x", "ff1"}};
    const Outcome outcome = m.run(op(), params);
    CHECK(outcome.error_class == ErrorClass::data_quality);
    CHECK(outcome.message.find("x by ff1: 1 values are too short") != std::string::npos);
    CHECK(outcome.message.find("98765") == std::string::npos);
    params["rules"]["x"] = {{"method", "ff1"}, {"on_invalid", "hide"}};
    REQUIRE(m.run(op(), params).kind == OutcomeKind::success);
    CHECK(m.rows({"curated.c"}, "select x from curated.c") == Lines{"***"});
}

TEST_CASE("settings that hide too little for the column are refused at load", "[mask]") {
    Mask m;
    const auto codes = [&](const std::string& column, const std::string& rule) {
        m.declare("processed.c", R"j({"id": "bigint", "x": ")j" + column + R"j("})j");
        json params = m.params;
        params["rules"] = {{"x", json::parse(rule)}};
        Lines out;
        for (const Problem& problem : m.check(op(), params).problems) out.push_back(problem.code);
        return out;
    };
    CHECK(codes("varchar(5)", R"("ff1")") == Lines{"E-MASK-WEAK"});
    CHECK(codes("varchar(9)", R"({"method": "ff1", "keep_last": 4})") == Lines{"E-MASK-WEAK"});
    CHECK(codes("varchar(10)", R"({"method": "ff1", "keep_last": 4})").empty());
    CHECK(codes("double @geo", R"({"method": "geo", "digits": 4})") == Lines{"E-MASK-WEAK"});
    CHECK(codes("varchar", R"({"method": "shift_date", "subject": "id"})") == Lines{"E-MASK-TYPE"});
    CHECK(codes("date", R"({"method": "shift_date", "subject": "who"})") == Lines{"E-COLUMN"});
    CHECK(codes("varchar", R"({"method": "round", "to": 10})") == Lines{"E-MASK-TYPE"});
}

TEST_CASE("a readable column that looks like personal data fails the task", "[mask][detect]") {
    Mask m;
    m.declare("processed.c", R"j({"id": "bigint", "note": "varchar", "city": "varchar @quasi"})j");
    m.put(
        "processed.c",
        "select i as id, 'person' || i || '@example.com' as note, 'James' as city from range(100) "
        "t(i)"
    );
    json params = m.params;
    params["policy"] = m.policy;
    const Outcome outcome = m.run(op(), params);
    CHECK(outcome.error_class == ErrorClass::data_quality);
    CHECK(outcome.message.find("processed.c has columns") != std::string::npos);
    CHECK(outcome.message.find("note: email (100% of 100 values)") != std::string::npos);
    CHECK(outcome.message.find("person1") == std::string::npos);
    params["detect"] = false;
    CHECK(m.run(op(), params).kind == OutcomeKind::success);
    params.erase("detect");
    params["rules"] = {{"note", "hmac"}};
    CHECK(m.run(op(), params).kind == OutcomeKind::success);
}

TEST_CASE("small classes fail the task, or are suppressed up to a share", "[mask][k_anonymity]") {
    Mask m;
    m.declare(
        "processed.c",
        R"j({"id": "bigint", "state": "varchar @quasi", "age": "integer @quasi", "ill": "varchar"})j"
    );
    // 1,200 rows in classes of 300, and three that stand alone.
    m.put(
        "processed.c",
        "select i as id, 'S' || (i % 2) as state, (i % 4 / 2)::integer as age, 'x' || (i % 3) as "
        "ill from range(1200) t(i) union all select i, 'lonely', i::integer, 'y' from range(2000, "
        "2003) t(i)"
    );
    json params = m.params;
    params["policy"] = m.policy;
    params["k_anonymity"] = {{"quasi", {"state", "age"}}, {"k", 5}};
    CHECK(m.check(op(), params).problems.empty());
    const Outcome outcome = m.run(op(), params);
    CHECK(outcome.error_class == ErrorClass::data_quality);
    CHECK(outcome.message.find("3 classes of state, age with 3 of 1203 rows") != std::string::npos);
    CHECK(outcome.message.find("lonely") == std::string::npos);
    params["k_anonymity"]["enforce"] = "suppress";
    REQUIRE(m.run(op(), params).kind == OutcomeKind::success);
    CHECK(
        m.rows(
            {"curated.c"},
            "select count(*), count(state), count(age), count(ill), min(n) from (select *, "
            "count(*) over (partition by state, age) as n from curated.c) where state is not null "
            "or id >= 2000"
        ) == Lines{"1203|1200|1200|1203|3"}
    );
    params["k_anonymity"]["max_suppressed"] = "0.1%";
    CHECK(m.run(op(), params).message.find("more than 0.1%") != std::string::npos);
    params["k_anonymity"] = {
        {"quasi", {"state", "age"}}, {"k", 2}, {"sensitive", "ill"}, {"l", 4}, {"enforce", "fail"}
    };
    CHECK(m.run(op(), params).message.find("(l is 4)") != std::string::npos);
    params["k_anonymity"] = {{"quasi", "street"}, {"k", 5}};
    CHECK(m.check(op(), params).problems.at(0).code == "E-COLUMN");
}
