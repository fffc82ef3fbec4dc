#include <thread>

#include <catch2/catch.hpp>

#include "operators/load/load_fixture.hpp"

using namespace sluice;
using namespace sluice::load;
using Json = nlohmann::json;

TEST_CASE("every type of the language arrives unchanged", "[load][types]") {
    LoadFixture f;
    REQUIRE_OK(f.load(
        0,
        {{"to", "sales.types"}, {"mode", "append"}},
        "select true b, 7::smallint si, (-8)::integer i, 9::bigint bi, 12345.6700::decimal(12,4) "
        "d, "
        "-0.05::decimal(4,2) dn, 0::decimal(9,3) dz, 12345678901234567890123456789.123456789::"
        "decimal(38,9) dbig, 1.5::float r, 0.1::double dp, 'caf\xC3\xA9' v, date '2026-01-05' da, "
        "time '07:08:09.5' t, timestamp '1999-12-31 23:59:59.999999' ts, "
        "timestamptz '2026-01-05 07:00:00+01' tz, interval '1 month 2 days 3 hours' iv, "
        "uuid '00112233-4455-6677-8899-aabbccddeeff' u, '{\"a\": 1}'::json j, '\\xAB'::blob bl, "
        "[1, null, 3]::bigint[] l, []::varchar[] le, ['x', 'y,z'] lt, null::integer n, "
        "'infinity'::timestamptz inf, 123::hugeint h"
    ));
    CHECK(
        f.text("select b, si, i, bi, d, dn, dz, dbig, r, dp, v, da, t, ts from sales.types") ==
        "t,7,-8,9,12345.6700,-0.05,0.000,12345678901234567890123456789.123456789,1.5,0.1,"
        "caf\xC3\xA9,2026-01-05,07:08:09.5,1999-12-31 23:59:59.999999"
    );
    CHECK(
        f.text("select tz, iv, u, j->>'a', bl, l, le, lt[2], n, inf, h from sales.types") ==
        "2026-01-05 06:00:00+00,1 mon 2 days 03:00:00,00112233-4455-6677-8899-aabbccddeeff,1,"
        "\\xab,{1,NULL,3},{},y,z,-,infinity,123"
    );
    CHECK(
        f.text("select _sluice_run_id, _sluice_task, _sluice_source, length(_sluice_row_hash) "
               "from sales.types") == "day0,test_dag.task,curated.rows,64"
    );
}

TEST_CASE("append replaces exactly what the interval wrote before", "[load]") {
    LoadFixture f;
    const Json params{{"to", "sales.events"}, {"mode", "append"}};
    REQUIRE_OK(f.load(0, params, "select 1 as n union all select 1"));
    REQUIRE_OK(f.load(1, params, "select 2 as n"));
    CHECK(f.xcom["rows_out"] == 1);
    REQUIRE_OK(f.load(0, params, "select 7 as n"));
    CHECK(f.text("select n from sales.events order by n") == "2 7");
    CHECK(
        f.text(
            "select slice, generation, state, rows from _sluice.ledger order by slice, generation"
        ) ==
        "2026-01-01T00:00:00+00:00/2026-01-02T00:00:00+00:00,1,superseded,2 "
        "2026-01-01T00:00:00+00:00/2026-01-02T00:00:00+00:00,2,committed,1 "
        "2026-01-02T00:00:00+00:00/2026-01-03T00:00:00+00:00,1,committed,1"
    );
}

TEST_CASE(
    "merge shows the greatest interval that observes the key, in any order", "[load][merge]"
) {
    const Json params{{"to", "sales.dim_x"}, {"key", "id"}};
    const std::vector<std::string> days{
        "select 1 id, 'a' v union all select 2, 'b'",
        "select 2 id, 'B' v union all select 3, 'c'",
        "select 3 id, 'C' v"
    };
    std::vector<std::vector<int>> orders{{0, 1, 2}, {2, 1, 0}, {1, 0, 2, 1}, {2, 0, 1, 0}};
    for (const auto& order : orders) {
        LoadFixture f;
        for (const int day : order) {
            REQUIRE_OK(f.load(day, params, days[static_cast<std::size_t>(day)]));
        }
        CHECK(
            f.text("select id, v, is_inferred from sales.dim_x order by id") == "1,a,f 2,B,f 3,C,f"
        );
        CHECK(f.text("select count(distinct x_sk) from sales.dim_x") == "3");
    }
}

TEST_CASE("a corrected re-run of a merge brings back what it had hidden", "[load][merge]") {
    LoadFixture f;
    const Json params{{"to", "sales.dim_x"}, {"key", "id"}};
    REQUIRE_OK(f.load(0, params, "select 1 id, 'a' v"));
    const std::string sk = f.text("select x_sk from sales.dim_x");
    REQUIRE_OK(f.load(1, params, "select 1 id, 'poison' v union all select 9, 'ghost'"));
    CHECK(f.text("select id, v from sales.dim_x order by 1") == "1,poison 9,ghost");
    REQUIRE_OK(f.load(1, params, "select 5 id, 'e' v"));
    CHECK(f.text("select id, v from sales.dim_x order by 1") == "1,a 5,e");
    CHECK(f.text("select x_sk from sales.dim_x where id = 1") == sk);
}

TEST_CASE("merge deletes: absent from a snapshot, or by a condition, or flagged", "[load][merge]") {
    SECTION("absent") {
        const Json params{{"to", "sales.dim_x"}, {"key", "id"}, {"deletes", "absent"}};
        for (const auto& order : std::vector<std::vector<int>>{{0, 1}, {1, 0}, {0, 1, 0}}) {
            LoadFixture f;
            for (const int day : order) {
                REQUIRE_OK(f.load(
                    day,
                    params,
                    day == 0 ? "select 1 id, 'a' v union all select 2, 'b'" : "select 2 id, 'B' v"
                ));
            }
            CHECK(f.text("select id, v from sales.dim_x order by 1") == "2,B");
        }
    }
    SECTION("where") {
        LoadFixture f;
        const Json params{
            {"to", "sales.t"}, {"key", "id"}, {"deletes", {{"where", "gone is not null"}}}
        };
        REQUIRE_OK(f.load(0, params, "select 1 id, null::date gone union all select 2, null"));
        REQUIRE_OK(f.load(1, params, "select 1 id, date '2026-01-02' gone"));
        CHECK(f.text("select id from sales.t order by 1") == "2");
    }
    SECTION("flag") {
        LoadFixture f;
        const Json params{
            {"to", "sales.t"},
            {"key", "id"},
            {"on_delete", "flag"},
            {"deletes", {{"where", "gone is not null"}}}
        };
        REQUIRE_OK(f.load(0, params, "select 1 id, null::date gone union all select 2, null"));
        REQUIRE_OK(f.load(1, params, "select 1 id, date '2026-01-02' gone"));
        CHECK(f.text("select id, is_deleted from sales.t order by 1") == "1,t 2,f");
    }
}

TEST_CASE("keys that are null or twice fail with a clear message", "[load]") {
    LoadFixture f;
    const Json params{{"to", "sales.dim_x"}, {"key", "id"}};
    Outcome outcome = f.load(0, params, "select null::int id, 'a' v");
    CHECK(outcome.error_class == ErrorClass::data_quality);
    CHECK_THAT(outcome.message, Catch::Contains("E-LOAD-KEY"));
    outcome = f.load(0, params, "select 1 id, 'a' v union all select 1, 'b'");
    CHECK_THAT(outcome.message, Catch::Contains("(1)"));
    CHECK(f.text("select to_regclass('sales.dim_x') is null") == "t");
}

TEST_CASE("a row that the table refuses is named by its column, not shown", "[load]") {
    LoadFixture f;
    const Json params{{"to", "sales.t"}, {"mode", "append"}};
    REQUIRE_OK(f.load(0, params, "select 1 as n, 'seen' as v"));
    const auto [change, told] = GENERATE(table<std::string, std::string>(
        {{"alter column n set not null", "\"n\""},
         {"add constraint n_there check (n is not null)", "n_there"}}
    ));
    f.sql().execute("alter table sales.t " + change);
    const Outcome outcome = f.load(1, params, "select null::int as n, 'private words' as v");
    CHECK(outcome.kind == OutcomeKind::failed);
    CHECK_THAT(outcome.message, Catch::Contains(told));
    CHECK_THAT(outcome.message, !Catch::Contains("private words"));
}

TEST_CASE("a table gains columns and never changes their types", "[load]") {
    LoadFixture f;
    const Json params{{"to", "sales.t"}, {"key", "id"}};
    REQUIRE_OK(f.load(0, params, "select 1 id, 'a' v"));
    REQUIRE_OK(f.load(1, params, "select 2 id, 'b' v, 7 extra"));
    CHECK(f.text("select id, v, extra from sales.t order by 1") == "1,a,- 2,b,7");
    const Outcome outcome = f.load(2, params, "select 3 id, 4.5::double v");
    CHECK(outcome.error_class == ErrorClass::schema);
    CHECK_THAT(outcome.message, Catch::Contains("\"v\""));
}

TEST_CASE("the date dimension is whole, and unchanged when nothing changed", "[load][date]") {
    LoadFixture f;
    f.reuse = true;
    const Json params{
        {"to", "sales.dim_date"},
        {"from",
         {{"date_spine", {{"start", "2020-01-01"}, {"end", "2021-12-31"}, {"fiscal_year_start", 4}}}
         }}
    };
    REQUIRE_OK(f.load(0, params));
    CHECK(
        f.text("select count(*), min(date_sk), max(date_sk) from sales.dim_date") ==
        "731,20200101,20211231"
    );
    CHECK(
        f.text("select date, year, quarter, month, year_month, iso_week, day_of_week, is_weekend, "
               "fiscal_year, fiscal_quarter from sales.dim_date where date_sk in (20200331, "
               "20210101, 20210404) order by 1") ==
        "2020-03-31,2020,1,3,2020-03,14,2,f,2020,4 2021-01-01,2021,1,1,2021-01,53,5,f,2021,4 "
        "2021-04-04,2021,2,4,2021-04,13,7,t,2022,1"
    );
    const Outcome again = f.load(1, params);
    CHECK(again.unchanged);
    // The same rows, whichever day's run loads them.
    CHECK(f.text("select count(*) from sales.dim_date where _sluice_loaded_at is not null") == "0");
    Json shorter = params;
    shorter["from"]["date_spine"]["end"] = "2020-12-31";
    REQUIRE_OK(f.load(1, shorter));
    CHECK(f.text("select count(*) from sales.dim_date") == "366");
}

TEST_CASE("replace without a key leaves the new rows only", "[load]") {
    LoadFixture f;
    const Json params{{"to", "sales.t"}, {"mode", "replace"}};
    REQUIRE_OK(f.load(0, params, "select 1 n union all select 1"));
    REQUIRE_OK(f.load(1, params, "select 2 n"));
    CHECK(f.text("select n from sales.t") == "2");
}

TEST_CASE("an older attempt cannot overwrite a newer one", "[load][fence]") {
    LoadFixture f;
    const Json params{{"to", "sales.events"}, {"mode", "append"}};
    REQUIRE_OK(f.load(0, params, "select 1 as n"));
    // As if another daemon's attempt had claimed far ahead.
    f.sql().execute(
        "insert into _sluice.ledger (dataset, partition, slice, generation, state) select dataset, "
        "partition, slice, 50, 'writing' from _sluice.ledger"
    );
    REQUIRE_OK(f.load(0, params, "select 2 as n"));
    CHECK(f.text("select max(generation) from _sluice.ledger") == "51");
    CHECK(f.text("select state from _sluice.ledger where generation = 50") == "deleted");
}

TEST_CASE("a missing connection or wrong type of it is a clear error", "[load]") {
    LoadFixture f;
    const Outcome outcome = f.load(0, {{"to", "other.t"}, {"mode", "append"}}, "select 1 n");
    CHECK(outcome.kind == OutcomeKind::failed);
    CHECK_THAT(outcome.message, Catch::Contains("other.t"));
}

TEST_CASE("runs that replace one table at the same time take turns", "[load][fence]") {
    LoadFixture f;
    f.reuse = true;
    const Json params{
        {"to", "sales.dim_date"},
        {"from", {{"date_spine", {{"start", "2000-01-01"}, {"end", "2029-12-31"}}}}}
    };
    std::vector<Outcome> outcomes(4);
    std::vector<std::thread> threads;
    for (int day = 0; day < 4; ++day) {
        threads.emplace_back([&, day] {
            task::FakeContext fake(f.ledger);
            f.prepare(fake, day);
            fake.job.reuse = true;
            outcomes[static_cast<std::size_t>(day)] = fake.run(ops::load_operator(), params);
        });
    }
    for (auto& thread : threads) thread.join();
    int unchanged = 0;
    for (const Outcome& outcome : outcomes) {
        INFO(outcome.message);
        CHECK(outcome.kind == OutcomeKind::success);
        unchanged += outcome.unchanged ? 1 : 0;
    }
    CHECK(unchanged == 3);
    CHECK(f.text("select count(*) from sales.dim_date") == "10958");
}
