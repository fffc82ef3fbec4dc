#include <catch2/catch.hpp>

#include "operators/binding/warehouse_fixture.hpp"
#include "operators/transform/transform.hpp"

using namespace sluice;
using nlohmann::json;

TEST_CASE("views and materialized views are made, kept, refreshed and replaced", "[transform]") {
    binding::WarehouseFixture w;
    const task::Operator op = ops::transform_operator();
    w.sql.execute("create table sales.fact (day date, kind text, cents bigint)");
    w.sql.execute("insert into sales.fact values ('2026-01-01', 'a', 100), ('2026-01-01', 'b', 50)"
    );
    w.declare("sales.fact", R"j({"day": "date", "kind": "varchar", "cents": "bigint"})j");
    const auto run = [&](const json& params) {
        const Outcome outcome = w.run(op, params);
        INFO(outcome.message);
        REQUIRE(outcome.kind == OutcomeKind::success);
    };
    json view{
        {"to", "sales.v"},
        {"materialized", "view"},
        {"sql", "select day, cents from sales.fact where kind <> 'sales.x'"}
    };
    run(view);
    const std::string first = w.text("select 'sales.v'::regclass::oid");
    run(view);
    CHECK(w.text("select 'sales.v'::regclass::oid") == first);
    const json materialized{
        {"to", "sales.mv"},
        {"materialized", "materialized_view"},
        {"key", {"day"}},
        {"sql", "select day, sum(cents) as cents from sales.v group by 1"}
    };
    run(materialized);
    CHECK(w.text("select * from sales.mv") == "2026-01-01|150");
    CHECK(w.xcom.at("rows_out") == 1);
    w.sql.execute("insert into sales.fact values ('2026-01-02', 'a', 7)");
    const std::string made = w.text("select 'sales.mv'::regclass::oid");
    run(materialized);
    CHECK(w.text("select * from sales.mv order by 1") == "2026-01-01|150 2026-01-02|7");
    CHECK(w.text("select 'sales.mv'::regclass::oid") == made);
    view["sql"] = "select day, cents, kind from sales.fact";
    run(view);
    CHECK(w.text("select kind from sales.v order by 1 limit 1") == "a");
    const json table{
        {"to", "sales.t"},
        {"key", "day"},
        {"sql",
         {{"text", "select day, count(*) as n from sales.fact where cents > $1 group by 1"},
          {"values", {60}}}}
    };
    run(table);
    run(table);
    CHECK(w.text("select * from sales.t order by 1") == "2026-01-01|1");
    const Outcome wrong = w.run(op, {{"to", "sales.v"}, {"sql", "select 1 as x"}});
    CHECK(wrong.error_class == ErrorClass::schema);
}
