#include <fstream>

#include <catch2/catch.hpp>

#include "operators/binding/warehouse_fixture.hpp"
#include "operators/report/report.hpp"

using namespace sluice;
using nlohmann::json;

TEST_CASE("queries over the warehouse run in its server", "[report]") {
    binding::WarehouseFixture w;
    w.sql.execute(
        "create table sales.fact (kind text, cents bigint); insert into sales.fact values ('a', "
        "125), ('b', 50), ('a', 1)"
    );
    const json params{
        {"to", "reports/x"},
        {"format", "csv"},
        {"queries",
         {{"share",
           "select f.kind, sum(f.cents) / sum(sum(f.cents)) over () as share from sales.fact f "
           "group by 1 order by 2 desc"}}}
    };
    const Outcome outcome = w.run(ops::report_operator(), params);
    INFO(outcome.message);
    REQUIRE(outcome.kind == OutcomeKind::success);
    std::ifstream in(w.path() + "/reports/x/share.csv");
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    CHECK(text.starts_with("kind,share\r\na,0.7159"));
    const Outcome mixed = w.run(
        ops::report_operator(),
        {{"to", "reports/x"}, {"queries", {{"q", "select 1 from sales.fact, curated.y"}}}}
    );
    CHECK(mixed.message.find("not both") != std::string::npos);
}
