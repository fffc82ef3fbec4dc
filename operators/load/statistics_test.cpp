// When a load has the statistics of its tables made anew.
#include "operators/load/statistics.hpp"

#include <catch2/catch.hpp>

#include "operators/load/load_fixture.hpp"

using namespace sluice;
using namespace sluice::load;
using Json = nlohmann::json;

namespace {

/// Nobody else analyzes.
void without_autovacuum(LoadFixture& f) {
    f.sql().execute("alter system set autovacuum = off");
    f.sql().query("select pg_reload_conf()");
}

/// How often the table was analyzed by a load.
std::string analyses(LoadFixture& f, const std::string& table) {
    f.sql().query("select pg_stat_clear_snapshot()");
    return f.text("select pg_stat_get_analyze_count('" + table + "'::regclass)");
}

/// Until the sessions of earlier loads have told what they changed.
void wait_for_changes(LoadFixture& f, const std::string& table, int rows) {
    const std::string changed = "select pg_stat_get_mod_since_analyze('" + table +
                                "'::regclass) from "
                                "pg_stat_clear_snapshot()";
    int looks = 0;
    while (f.text(changed) != std::to_string(rows) && ++looks < 1000)
        f.sql().query("select pg_sleep(0.01)");
    REQUIRE(looks < 1000);
}

std::string rows(int from, int count) {
    return "select i as id, 'value ' || i as v from range(" + std::to_string(from) + ", " +
           std::to_string(from + count) + ") t(i)";
}

}  // namespace

TEST_CASE("a large table is analyzed when a tenth of it has changed", "[load][statistics]") {
    LoadFixture f;
    without_autovacuum(f);
    const Json params{{"to", "sales.events"}, {"mode", "append"}};
    REQUIRE_OK(f.load(0, params, rows(0, 2000)));
    CHECK(analyses(f, "sales.events") == "1");
    wait_for_changes(f, "sales.events", 0);
    REQUIRE_OK(f.load(1, params, rows(2000, 150)));
    CHECK(analyses(f, "sales.events") == "1");

    SECTION("by one load") {
        REQUIRE_OK(f.load(2, params, rows(2150, 1000)));
        CHECK(analyses(f, "sales.events") == "2");
        wait_for_changes(f, "sales.events", 0);
    }
    SECTION("by several") {
        wait_for_changes(f, "sales.events", 150);
        REQUIRE_OK(f.load(2, params, rows(2150, 150)));
        CHECK(analyses(f, "sales.events") == "2");
    }
    SECTION("not if the task says so") {
        Json without = params;
        without["analyze"] = false;
        REQUIRE_OK(f.load(2, without, rows(2150, 1000)));
        CHECK(analyses(f, "sales.events") == "1");
    }
}

TEST_CASE("observations are analyzed when a tenth of them has changed", "[load][statistics]") {
    LoadFixture f;
    without_autovacuum(f);
    const Json params{{"to", "sales.dim_x"}, {"key", "id"}};
    const std::string table = R"(_sluice."sales.dim_x.obs")";
    REQUIRE_OK(f.load(0, params, rows(0, 30'000)));
    CHECK(analyses(f, table) == "1");
    wait_for_changes(f, table, 30'000);
    REQUIRE_OK(f.load(1, params, rows(30'000, 1100)));
    CHECK(analyses(f, table) == "2");
    REQUIRE_OK(f.load(2, params, rows(31'100, 1100)));
    CHECK(analyses(f, table) == "2");
    CHECK(analyses(f, "sales.dim_x") == "1");
    REQUIRE_OK(f.load(3, params, rows(0, 30'000)));
    CHECK(analyses(f, table) == "3");
    CHECK(analyses(f, "sales.dim_x") == "2");
}

TEST_CASE("a table in partitions is analyzed by every load", "[load][statistics]") {
    LoadFixture f;
    f.target.name = "sales.t";
    f.target.partition_by = "year(at_)";
    const Json params{{"to", "sales.t"}, {"mode", "append"}};
    REQUIRE_OK(f.load(0, params, "select i as n, date '2026-01-01' as at_ from range(2000) t(i)"));
    CHECK(analyses(f, "sales.t") == "1");
    REQUIRE_OK(f.load(1, params, "select 1 as n, date '2026-01-02' as at_"));
    CHECK(analyses(f, "sales.t") == "2");
}
