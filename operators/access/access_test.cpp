#include "operators/access/access.hpp"

#include <catch2/catch.hpp>

#include "operators/access/rules.hpp"
#include "operators/binding/warehouse_fixture.hpp"

using namespace sluice;
using nlohmann::json;

namespace {

constexpr const char* rules = R"(
etl: test_etl
owner: test_views
readers:
  test_all: {views: [v, m]}
  test_web: {views: v, rows: {fact: "channel = 'web'"}}
)";

class Fixture : public binding::WarehouseFixture {
public:
    Fixture() {
        sql.execute(
            "create table sales.fact (channel text, n int); insert into sales.fact values ('web', "
            "1), ('store', 2); create view sales.v as select * from sales.fact; create view "
            "sales.w "
            "as select * from sales.fact; create materialized view sales.m as select sum(n) as n "
            "from sales.v"
        );
        for (const char* name : {"sales.v", "sales.w", "sales.m", "sales.fact"})
            declare(name, R"({"n": "bigint"})");
    }
    std::string apply(const std::string& text = rules) {
        files = {{"access/rules.yaml", text}};
        const Outcome outcome = run(ops::access_operator(), params);
        return outcome.kind == OutcomeKind::success ? "" : outcome.message;
    }
    /// What the role gets for the query: its cells, or "refused".
    std::string as(const std::string& role, const std::string& query) {
        sql.execute("set session authorization " + role);
        std::string out;
        try {
            out = text(query);
        } catch (const engine::Failure& failure) {
            out = std::string(failure.what()).find("permission denied") == std::string::npos
                      ? failure.what()
                      : "refused";
        }
        sql.execute("reset session authorization");
        return out;
    }
    const json params{{"schema", "sales"}, {"rules", "access/rules.yaml"}};
};

std::vector<std::string> problems_of(const std::string& text) {
    std::vector<std::string> out;
    for (const Problem& one : access::read(text, "rules.yaml").problems)
        out.push_back(one.code + " " + one.pointer);
    return out;
}

}  // namespace

TEST_CASE(
    "readers see their views, and of the rows behind them what a rule lets them", "[access]"
) {
    Fixture f;
    CHECK(f.check(ops::access_operator(), f.params).problems.size() == 1);  // no file yet
    REQUIRE(f.apply().empty());
    CHECK(f.check(ops::access_operator(), f.params).problems.empty());
    CHECK(f.as("test_all", "select n from sales.v order by 1") == "1 2");
    CHECK(f.as("test_all", "select n from sales.m") == "3");
    CHECK(f.as("test_web", "select n from sales.v") == "1");
    for (const char* role : {"test_all", "test_web"})
        for (const char* query :
             {"select n from sales.fact",
              "select n from sales.w",
              "delete from sales.v",
              "create table sales.x (n int)"}) {
            CAPTURE(role, query);
            CHECK(f.as(role, query) == "refused");
        }
    CHECK(f.as("test_web", "select n from sales.m") == "refused");
    CHECK(f.as("test_etl", "insert into sales.fact values ('store', 5)").empty());
    CHECK(f.as("test_etl", "select sum(n) from sales.fact") == "8");
    // Who refreshes and reports sees everything, though the view is another's.
    CHECK(f.text("select count(*) from sales.v") == "3");
    f.sql.execute("refresh materialized view sales.m");
    CHECK(f.text("select n from sales.m") == "8");
}

TEST_CASE(
    "applied again, access changes nothing; what was granted beside it is taken", "[access]"
) {
    Fixture f;
    REQUIRE(f.apply().empty());
    REQUIRE(f.apply().empty());
    CHECK(f.logs.back().second.find("0 changes") != std::string::npos);
    f.sql.execute("grant select on sales.fact to test_web; grant select on sales.w to public");
    REQUIRE(f.apply().empty());
    CHECK(f.as("test_web", "select n from sales.fact") == "refused");
    CHECK(f.as("test_all", "select n from sales.w") == "refused");
    // A view made anew is closed until the rules have been applied.
    f.sql.execute("drop view sales.v cascade; create view sales.v as select * from sales.fact");
    CHECK(f.as("test_web", "select n from sales.v") == "refused");
    REQUIRE(
        f.apply("owner: test_views\nreaders: {test_web: {views: [v], rows: {fact: n > 1}}}").empty()
    );
    CHECK(f.as("test_web", "select n from sales.v") == "2");
    REQUIRE(f.apply("owner: test_views\nreaders: {test_web: {views: [v]}}").empty());
    CHECK(f.as("test_web", "select n from sales.v order by 1") == "1 2");
    CHECK(f.text("select count(*) from pg_policy") == "0");
}

TEST_CASE("rules that would show more than they say are refused", "[access]") {
    Fixture f;
    using Catch::Contains;
    CHECK_THAT(f.apply("readers: {test_all: {views: [fact]}}"), Contains("is no view"));
    CHECK_THAT(
        f.apply("readers: {test_web: {views: [m], rows: {fact: n > 1}}}"),
        Contains("holds the rows of all")
    );
    CHECK_THAT(f.apply("readers: {sluice: {views: [v]}}"), Contains("goes past all rules"));
    REQUIRE(f.apply().empty());
    f.sql.execute("grant test_etl to test_web");
    CHECK_THAT(f.apply(), Contains("by way of another role"));
    f.sql.execute("revoke test_etl from test_web");
}

TEST_CASE("a file of access rules is read strictly", "[access]") {
    CHECK(problems_of(rules).empty());
    CHECK(
        problems_of("readers: {a: {views: []}}") == std::vector<std::string>{"E-ACCESS /readers/a"}
    );
    CHECK(
        problems_of("readers: {a: {views: v, rows: {t: 1}}}") ==
        std::vector<std::string>{"E-ACCESS /readers/a/rows/t"}
    );
    CHECK(
        problems_of("etl: a\nreaders: {a: {views: v}}") ==
        std::vector<std::string>{"E-ACCESS /readers"}
    );
    CHECK(problems_of("reader: {}").size() == 1);
}
