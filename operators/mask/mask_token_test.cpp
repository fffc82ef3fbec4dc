#include <catch2/catch.hpp>

#include "operators/binding/warehouse_fixture.hpp"
#include "operators/mask/mask.hpp"
#include "operators/privacy/vault.hpp"

using namespace sluice;
using nlohmann::json;
using Lines = std::vector<std::string>;

namespace {

struct Tokens : binding::WarehouseFixture {
    Tokens() {
        sql.execute("drop schema if exists vault cascade");
        policy = "p.yaml";
        files[policy] = "key: master\nvault: warehouse\nallow: {curated: []}\nclasses: {}\n";
        secrets["master"] = Secret(std::string(32, 'm'));
        declare(
            "processed.c",
            R"j({"key": "bigint", "token": "varchar", "ssn": "varchar @national_id"})j"
        );
        put("processed.c",
            "select i as key, 't' as token, ' ' || (i % 100) || 'X' as ssn from range(12000) t(i) "
            "union all select -1, 't', null");
    }
    Outcome masked(const json& rule) {
        const json params{
            {"from", "processed.c"},
            {"to", "curated.c"},
            {"policy", policy},
            {"rules", {{"ssn", rule}}}
        };
        for (const Problem& problem : check(op, params).problems) FAIL(format(problem));
        return run(op, params);
    }
    const task::Operator op = ops::mask_operator();
};

}  // namespace

TEST_CASE("a column becomes tokens of the vault, the same in every run", "[mask][vault]") {
    Tokens m;
    const json rule{{"method", "token"}, {"normalize", {"trim", "lower"}}};
    const Outcome outcome = m.masked(rule);
    INFO(outcome.message);
    REQUIRE(outcome.kind == OutcomeKind::success);
    const std::string query =
        "select count(*), count(ssn), count(distinct ssn), min(length(ssn)), sum(key) from "
        "curated.c";
    CHECK(m.rows({"curated.c"}, query) == Lines{"12001|12000|100|30|71993999"});
    const std::string one = "select ssn from curated.c where key = 7";
    const Lines first = m.rows({"curated.c"}, one);
    REQUIRE(m.masked(rule).kind == OutcomeKind::success);
    CHECK(m.rows({"curated.c"}, one) == first);
    CHECK(m.text("select count(*), count(distinct tag) from vault.token") == "100|100");
    CHECK(
        m.text("select distinct action || ' ' || domain || ' ' || n from vault.access") ==
        "tokenize national_id 100"
    );
    privacy::Vault vault(m.sql, Secret(std::string(32, 'm')));
    CHECK(vault.detokenize("national_id", {first.at(0)}, {"eve", "a test", ""})[0] == " 7X");
    CHECK(vault.find("national_id", {"7x"}) == first);
}

TEST_CASE(
    "tokens that do not converge differ by row, and still agree in a second run", "[mask][vault]"
) {
    Tokens m;
    const json rule{{"method", "token"}, {"convergent", false}, {"row", "key"}};
    REQUIRE(m.masked(rule).kind == OutcomeKind::success);
    const std::string query = "select md5(string_agg(ssn, ',' order by key)) from curated.c";
    const Lines first = m.rows({"curated.c"}, query);
    CHECK(m.text("select count(*) from vault.token") == "12000");
    REQUIRE(m.masked(rule).kind == OutcomeKind::success);
    CHECK(m.rows({"curated.c"}, query) == first);
    CHECK(m.text("select count(*) from vault.token") == "12000");
}

TEST_CASE("a vault that is not there fails the task by its name", "[mask][vault]") {
    Tokens m;
    m.files[m.policy] = "key: master\nvault: nowhere\nallow: {curated: []}\nclasses: {}\n";
    const Outcome outcome = m.masked("token");
    CHECK(outcome.kind == OutcomeKind::failed);
    CHECK(outcome.message.find("nowhere") != std::string::npos);
}

TEST_CASE("values of a subject have its key, and go with it", "[mask][vault]") {
    Tokens m;
    const json rule{{"method", "token"}, {"subject", "key"}};
    REQUIRE(m.masked(rule).kind == OutcomeKind::success);
    // 12000 subjects, of which every hundredth has the same value.
    CHECK(
        m.rows({"curated.c"}, "select count(*), count(ssn), count(distinct ssn) from curated.c") ==
        Lines{"12001|12000|12000"}
    );
    CHECK(m.text("select count(*) from vault.subject") == "12000");
    const Lines tokens = m.rows({"curated.c"}, "select ssn from curated.c where key in (7, 107)");
    privacy::Vault vault(m.sql, Secret(std::string(32, 'm')));
    const privacy::VaultActor eve{"eve", "a test", ""};
    CHECK(vault.erase_subject("national_id", "7", eve) == 1);
    const auto left = vault.detokenize("national_id", tokens, eve);
    CHECK(left.size() == 2);
    CHECK(static_cast<int>(left[0].has_value()) + static_cast<int>(left[1].has_value()) == 1);
    REQUIRE(m.masked(rule).kind == OutcomeKind::success);
    CHECK(vault.detokenize("national_id", tokens, eve) == left);
}
