// Instances of a mapped task that load one table: each replaces what its item loaded.
#include <catch2/catch.hpp>

#include "operators/load/load_fixture.hpp"

using namespace sluice;
using namespace sluice::load;
using Json = nlohmann::json;

namespace {

using Items = std::vector<std::string>;

/// Rows (id, v) of one item.
std::string row(int id, const std::string& v) {
    return "select " + std::to_string(id) + " id, '" + v + "' v";
}

}  // namespace

TEST_CASE("each instance replaces what its item wrote for the interval", "[load][mapped]") {
    const auto modes = std::vector<Json>{
        {{"to", "sales.t"}, {"mode", "append"}},
        {{"to", "sales.t"}, {"mode", "merge"}, {"key", "id"}},
        {{"to", "sales.t"}, {"mode", "merge"}, {"key", "id"}, {"event_time", "at"}},
        {{"to", "sales.t"}, {"mode", "replace"}},
        {{"to", "sales.t"}, {"mode", "replace"}, {"key", "id"}},
        {{"to", "sales.t"}, {"mode", "scd2"}, {"key", "id"}}
    };
    for (const Json& params : modes) {
        INFO(params.dump());
        LoadFixture f;
        const auto with_time = [](const std::string& rows) {
            return "select *, timestamptz '2026-01-01' as at from (" + rows + ")";
        };
        const auto load = [&](const std::string& rows, const std::string& item, const Items& all) {
            REQUIRE_OK(f.load(0, params, with_time(rows), item, all));
        };
        const std::string shown = "select id, v from sales.t order by id";
        const Items three{"a", "b", "c"};
        load(row(1, "x"), "a", three);
        load(row(2, "y"), "b", three);
        load(row(3, "z"), "c", three);
        CHECK(f.text(shown) == "1,x 2,y 3,z");
        // One of them again, with other rows: the others' stay.
        load(row(4, "new"), "b", three);
        CHECK(f.text(shown) == "1,x 3,z 4,new");
        // A shorter list in another order: what is no more goes with the last of them.
        load(row(3, "zz"), "c", {"c", "b"});
        load(row(4, "new"), "b", {"c", "b"});
        CHECK(f.text(shown) == "3,zz 4,new");
        const bool whole = params["mode"] == "replace";
        const std::string day = whole ? "" : "2026-01-01T00:00:00+00:00/2026-01-02T00:00:00+00:00";
        CHECK(
            f.text("select slice from _sluice.ledger where state = 'committed' order by 1") ==
            day + "#b " + day + "#c"
        );
        // The task is mapped no more.
        REQUIRE_OK(f.load(0, params, with_time(row(9, "one"))));
        CHECK(f.text(shown) == "9,one");
        load(row(1, "x"), "a", {"a"});
        CHECK(f.text(shown) == "1,x");
    }
}

TEST_CASE("items keep their rows of other intervals, but for replace", "[load][mapped]") {
    LoadFixture f;
    const Items both{"a", "b"};
    const Json append{{"to", "sales.t"}, {"mode", "append"}};
    for (const int day : {1, 0}) {
        REQUIRE_OK(f.load(day, append, row(day, "a"), "a", both));
        REQUIRE_OK(f.load(day, append, row(day, "b"), "b", both));
    }
    CHECK(f.text("select id, v from sales.t order by 1, 2") == "0,a 0,b 1,a 1,b");
    const Json replace{{"to", "sales.r"}, {"mode", "replace"}};
    for (const int day : {0, 1}) {
        REQUIRE_OK(f.load(day, replace, row(day, "a"), "a", both));
        REQUIRE_OK(f.load(day, replace, row(day + 7, "b"), "b", both));
    }
    CHECK(f.text("select id, v from sales.r order by 1, 2") == "1,a 8,b");
}

TEST_CASE("a key that two items have", "[load][mapped]") {
    LoadFixture f;
    const Items both{"a", "b"};
    SECTION("fails a fact and a part that is replaced") {
        for (const Json& params :
             {Json{{"to", "sales.t"}, {"key", "id"}, {"event_time", "at"}},
              Json{{"to", "sales.t"}, {"mode", "replace"}, {"key", "id"}}}) {
            f.sql().execute("drop schema if exists sales, _sluice cascade");
            const std::string rows = "select 1 id, timestamptz '2026-01-01' as at";
            REQUIRE_OK(f.load(0, params, rows, "a", both));
            const Outcome crossing = f.load(0, params, rows, "b", both);
            CHECK(crossing.error_class == ErrorClass::data_quality);
            CHECK(crossing.message.find("E-LOAD-CROSS") != std::string::npos);
            // From an item that is no more it comes over, although the list is no shorter.
            REQUIRE_OK(f.load(0, params, rows, "b", {"b", "c"}));
            CHECK(f.text("select id from sales.t") == "1");
        }
    }
    SECTION("is settled the same way in any order when observations are kept") {
        const Json merge{{"to", "sales.t"}, {"key", "id"}};
        for (const bool turned : {false, true}) {
            f.sql().execute("drop schema if exists sales, _sluice cascade");
            for (const std::string& item : turned ? Items{"b", "a"} : both)
                REQUIRE_OK(f.load(0, merge, row(1, item), item, both));
            CHECK(f.text("select v from sales.t") == "b");
        }
        REQUIRE_OK(f.load(0, merge, row(2, "b"), "b", both));
        CHECK(f.text("select id, v from sales.t order by id") == "1,a 2,b");
    }
}

TEST_CASE("from.where takes some rows of a data set", "[load]") {
    LoadFixture f;
    const Json params{
        {"to", "sales.t"},
        {"mode", "append"},
        {"from", {{"dataset", "curated.rows"}, {"where", {{"text", "v = $1"}, {"values", {"b"}}}}}}
    };
    REQUIRE_OK(f.load(0, params, row(1, "a") + " union all " + row(2, "b")));
    CHECK(f.text("select id, v from sales.t") == "2,b");
    CHECK(f.xcom["rows_in"] == 1);
}
