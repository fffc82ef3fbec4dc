#include <catch2/catch.hpp>

#include "model/json_schema.hpp"
#include "operators/transform/transform_fixture.hpp"

using namespace sluice;
using namespace sluice::transform_test;

TEST_CASE("the schema of transform is sound", "[transform]") {
    CHECK(schema_faults(Json::parse(op().schema)).empty());
    const Json good = Json::parse(R"j({"from": "processed.x", "to": "processed.y", "steps": [
        {"rename": "snake_case"}, {"normalize": {"a": ["trim", "nfc"]}}, {"cast": {"p": "varchar(10)"
}
},
        {"fill_null": {"s": "unknown", "m": false}}, {"dedup": {"key": ["a", "b"], "order_by": "c desc"}},
        {"join": {"dataset": "processed.z", "using": "id", "how": "left", "select": {"m": "n"}}},
        {"filter": "s <> 'x'"}, {"derive": {"g": "a * b"}}]
})j");
    for (const Problem& problem : check_against(good, Json::parse(op().schema)))
        FAIL(format(problem));
    CHECK_FALSE(
        check_against(Json::parse(R"j({"to": "a.b", "stepz": []})j"), Json::parse(op().schema))
            .empty()
    );
}

TEST_CASE("the example's net amount rounds halves to even", "[transform]") {
    Transform t;
    t.given(
        R"j({"qty": "integer", "unit_price_cents": "bigint", "discount_bp": "integer"})j",
        "select * from (values (1, 25::bigint, 1000), (1, 35, 1000), (3, 1999, 0)) x(qty, "
        "unit_price_cents, discount_bp)"
    );
    CHECK(
        t.steps(
            R"j([{"derive": {"net_cents": "cast(round_even(qty * unit_price_cents * (10000 - discount_bp) / 10000, 0) as bigint)"
    }
    }])j",
            "select net_cents from processed.out order by unit_price_cents"
        ) == Lines{"22", "32", "5997"}
    );
    CHECK(t.column("net_cents") == "bigint @");
}

TEST_CASE("what is wrong with a step is said with its place", "[transform]") {
    Transform t;
    t.declare("processed.x", R"j({"id": "bigint", "name": "varchar"})j");
    CHECK(t.problem(R"j([{"drop": "nme"}])j").suggestion.find("name") != std::string::npos);
    CHECK(t.problem(R"j([{"drop": "name"}, {"filter": "name = 'x'"}])j").pointer == "/steps/1");
    CHECK(t.problem(R"j([{"normalize": {"id": "trim"}}])j").code == "E-STEP");
    CHECK(t.problem(R"j([{"filter": "name > date '2026-01-01' + name"}])j").code == "E-STEP-BIND");
    CHECK(
        t.problem(R"j([{"derive": {"x": "sum(id)"
    }
    }])j")
            .code == "E-STEP"
    );
    CHECK(t.problem(R"j([{"cast": {"id": "number"}}])j").code == "E-TYPE");
    const auto unknown = t.check(
        op(), {{"from", "processed.none"}, {"to", "processed.out"}, {"steps", {{{"drop", "x"}}}}}
    );
    REQUIRE(unknown.problems.size() == 1);
    CHECK(unknown.problems[0].message.find("processed.none") != std::string::npos);
}

TEST_CASE("warehouse SQL is bound for its names and types, or warned about", "[transform]") {
    Transform t;
    t.schemas = {{"sales", "warehouse"}};
    t.declare("sales.fact", R"j({"day": "date", "cents": "bigint"})j");
    const auto view = t.check(
        op(),
        {{"to", "sales.v"},
         {"materialized", "view"},
         {"sql", "select day, sum(cents) / 100.0 as amount from sales.fact group by 1"}}
    );
    CHECK(view.problems.empty());
    CHECK(view.reads == Lines{"sales.fact"});
    CHECK(view.writes.at(0).columns.at(0).type == "date");
    const auto foreign = t.check(
        op(),
        {{"to", "sales.w"},
         {"sql", "select day, cents::money from sales.fact where daterange(day, null) @> now()"}}
    );
    REQUIRE(foreign.problems.size() == 1);
    CHECK(foreign.problems[0].code == "W-SQL-BIND");
    CHECK(foreign.problems[0].severity == Severity::warning);
}

TEST_CASE("a table that SQL makes is not cut into partitions", "[transform]") {
    DatasetSpec table;
    table.name = "sales.v";
    table.partition_by = "month(day)";
    const nlohmann::json params{{"to", table.name}, {"sql", "select date '2026-01-01' as day"}};
    const auto refused =
        op().check({Dag{}, sluice::Task{}, params, [&](const std::string&) { return &table; }});
    REQUIRE(refused.problems.size() == 1);
    CHECK_THAT(
        refused.problems[0].message, Catch::Contains("partition_by is for tables of a load")
    );
}
