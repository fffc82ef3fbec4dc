#include "operators/report/report.hpp"

#include <filesystem>
#include <fstream>

#include <catch2/catch.hpp>

#include "model/json_schema.hpp"
#include "operators/binding/lake_fixture.hpp"
#include "operators/report/table.hpp"

using namespace sluice;
using nlohmann::json;

namespace {

const task::Operator& op() {
    static const task::Operator made = ops::report_operator();
    return made;
}

report::Page page() {
    report::Table table{
        "revenue_by_month",
        {"year_month", "revenue"},
        {{"2026-01", "1234567.50"}, {"2026-02", "-2"}, {std::nullopt, std::nullopt}}
    };
    return {"Sales <2026>", "All shops", "today", {table, {"empty", {"a"}, {}}}};
}

}  // namespace

TEST_CASE("the page is whole, escaped, and has bars", "[report]") {
    const std::string html = report::html(page());
    CHECK(html.find("<h1>Sales &lt;2026&gt;</h1>") != std::string::npos);
    CHECK(html.find("<h2 id=\"revenue_by_month\">Revenue by month</h2>") != std::string::npos);
    CHECK(html.find("1,234,567.5") != std::string::npos);
    CHECK(html.find("width:100.0%") != std::string::npos);
    CHECK(html.find("No rows.") != std::string::npos);
    CHECK(html.find("<script") == std::string::npos);
    CHECK(html.find("http://") == std::string::npos);
}

TEST_CASE("CSV quotes what it must, JSON keeps numbers and nulls", "[report]") {
    const report::Table table{"t", {"a", "b,c"}, {{"x\"y", std::nullopt}, {"line\nbreak", "1"}}};
    CHECK(report::csv(table) == "a,\"b,c\"\r\n\"x\"\"y\",\r\n\"line\nbreak\",1\r\n");
    const json parsed = json::parse(report::json(page()));
    CHECK(parsed.at("title") == "Sales <2026>");
    CHECK(parsed.at("queries").at("revenue_by_month").at(0).at("revenue") == 1234567.5);
    CHECK(parsed.at("queries").at("revenue_by_month").at(2).at("revenue").is_null());
    CHECK(parsed.at("queries").at("empty").empty());
}

TEST_CASE("queries over the lake are written in every format", "[report]") {
    binding::LakeFixture lake;
    lake.declare(
        "curated.sales", R"j({"category": "varchar", "cents": "bigint", "who": "varchar @name"})j"
    );
    lake.put(
        "curated.sales",
        "select * from (values ('toys', 100::bigint, 'a'), ('books', 250, 'b'), ('toys', 50, 'c')) "
        "t(category, cents, who)"
    );
    const json params{
        {"title", "Day"},
        {"format", {"html", "csv", "json"}},
        {"to", "reports/demo/2026-01-05/"},
        {"queries",
         {{"by_category",
           {{"text",
             "select category, sum(cents) / 100.0 as revenue from curated.sales where cents > $1 "
             "group by 1 order by 2 desc"},
            {"values", {10}}}},
          {"total",
           {{"sql", {"select count(*) as n", "from curated.sales"}},
            {"expect", {{"rows", 1}, {"value", 3}}}}}}}
    };
    const auto checked = lake.check(op(), params);
    CHECK(checked.problems.empty());
    CHECK(checked.reads == std::vector<std::string>{"curated.sales"});
    const Outcome outcome = lake.run(op(), params);
    INFO(outcome.message);
    REQUIRE(outcome.kind == OutcomeKind::success);
    CHECK(lake.xcom.at("files") == 4);
    CHECK(lake.xcom.at("rows_out") == 3);
    std::ifstream in(lake.path() + "/reports/demo/2026-01-05/by_category.csv");
    CHECK(
        std::string(std::istreambuf_iterator<char>(in), {}) ==
        "category,revenue\r\nbooks,2.5\r\ntoys,1.5\r\n"
    );
    CHECK(std::filesystem::exists(lake.path() + "/reports/demo/2026-01-05/report.html"));

    json wrong = params;
    wrong["queries"]["total"]["expect"]["value"] = 4;
    CHECK(lake.run(op(), wrong).error_class == ErrorClass::data_quality);
    wrong = params;
    wrong["to"] = "../elsewhere";
    CHECK(lake.run(op(), wrong).kind == OutcomeKind::failed);
}

TEST_CASE("a report shows no classified column", "[report]") {
    binding::LakeFixture lake;
    lake.declare("curated.sales", R"j({"who": "varchar @name", "n": "bigint"})j");
    const auto codes = [&](const char* sql) {
        std::vector<std::string> out;
        for (const Problem& one : lake.check(op(), {{"queries", {{"q", sql}}}}).problems)
            out.push_back(one.code);
        return out;
    };
    CHECK(
        codes("select who, count(*) from curated.sales group by 1") ==
        std::vector<std::string>{"E-PII"}
    );
    CHECK(codes("select count(distinct who) from curated.sales").empty());
    CHECK(codes("select n from curated.none") == std::vector<std::string>{"E-DATASET"});
    CHECK(schema_faults(json::parse(op().schema)).empty());
}
