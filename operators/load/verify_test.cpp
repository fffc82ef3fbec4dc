// verify: hash: what the warehouse holds after a load against what was sent.
#include "operators/load/verify.hpp"

#include <catch2/catch.hpp>

#include "operators/load/load_fixture.hpp"

using namespace sluice;
using namespace sluice::load;
using Json = nlohmann::json;

namespace {

/// Somebody's trigger that changes a value on its way into a table.
void meddle(LoadFixture& f, const std::string& table, const std::string& statement) {
    f.sql().execute(
        "create or replace function sales.meddle() returns trigger language plpgsql as $$ begin " +
        statement + "; return new; end $$; create trigger meddle before insert or update on " +
        table + " for each row execute function sales.meddle()"
    );
}

}  // namespace

TEST_CASE("every kind that has a hash has the same one in engine and warehouse", "[load][verify]") {
    LoadFixture f;
    const Json params{{"to", "sales.types"}, {"mode", "append"}, {"verify", "hash"}};
    REQUIRE_OK(f.load(
        0,
        params,
        "select * from (values "
        "(true, 7::smallint, (-8)::integer, 9::bigint, 12345.6700::decimal(12,4), "
        "(-0.05)::decimal(4,2), 100::decimal(9,0), 123::hugeint, 'caf\xC3\xA9', date '2026-01-05', "
        "time '07:08:09.5', timestamp '1999-12-31 23:59:59.999999', timestamptz '2026-01-05 "
        "07:00:00+01', uuid '00112233-4455-6677-8899-AABBCCDDEEFF', '\\xAB\\x00'::blob), "
        "(false, -32768, 0, -9223372036854775808, 0, 0, 0, "
        "-17014118346046923173168730371588410572, '', "
        "date '0044-03-15 (BC)', time '00:00:00', timestamp '0044-03-15 (BC) 12:00:00', "
        "timestamptz 'infinity', uuid 'ffffffff-4455-6677-8899-aabbccddeeff', ''::blob), "
        "(null, null, null, null, null, null, null, null, null, date 'infinity', null, timestamp "
        "'-infinity', null, null, null), "
        "(null, null, null, null, 99999999.9999, 0.10, 10, 5, E'a\\n\\'v1:x', date '12026-01-05', "
        "time '23:59:59.000001', timestamp '2026-01-05 00:00:00', null, null, null)) "
        "t(b, si, i, bi, d, dn, dz, h, v, da, t, ts, tz, u, bl)"
    ));
    CHECK(f.text("select count(*) from sales.types") == "4");
    // Columns of another type that take the values as they are.
    f.sql().execute(
        "drop table sales.types; create table sales.types (n numeric, w bigint, v varchar(5), "
        "_sluice_run_id text, _sluice_task text, _sluice_interval text, _sluice_source text, "
        "_sluice_row_hash text, _sluice_loaded_at timestamptz)"
    );
    Json narrower = params;
    narrower["max_rejects"] = 1;
    REQUIRE_OK(f.load(
        0,
        narrower,
        "select 7::integer n, 1.00::decimal(5,2) w, 'abcde' v union all select 8, 1.5, 'f'"
    ));
    CHECK(f.text("select n, w, v from sales.types") == "7,1,abcde");
}

TEST_CASE(
    "a value that the table changes fails the attempt, which leaves nothing", "[load][verify]"
) {
    for (const Json& more :
         {Json{{"mode", "append"}},
          Json{{"mode", "replace"}},
          Json{{"mode", "replace"}, {"key", "id"}},
          Json{{"mode", "merge"}, {"key", "id"}},
          Json{{"mode", "merge"}, {"key", "id"}, {"event_time", "at_"}},
          Json{{"mode", "scd2"}, {"key", "id"}, {"type1", "w"}, {"updated_at", "at_"}}}) {
        CAPTURE(more.dump());
        LoadFixture f;
        Json params{{"to", "sales.t"}, {"verify", "hash"}};
        params.update(more);
        const auto rows = [](const std::string& v) {
            return "select id, v, w, at_::timestamptz at_ from (values (1, 'a', 1, '2026-01-01'), "
                   "(2, '" +
                   v + "', 2, '2026-01-01'), (3, null, 3, '2026-01-01')) t(id, v, w, at_)";
        };
        REQUIRE_OK(f.load(0, params, rows("b")));
        REQUIRE_OK(f.load(0, params, rows("b2")));
        const std::string before = f.text("select * from sales.t order by id");
        meddle(f, "sales.t", "if new.v = 'c' then new.v = 'C'; end if");
        const Outcome outcome = f.load(0, params, rows("c"));
        CHECK(outcome.error_class == ErrorClass::data_quality);
        CHECK_THAT(outcome.message, Catch::Contains("E-LOAD-VERIFY"));
        CHECK(f.text("select * from sales.t order by id") == before);
        REQUIRE_OK(f.load(0, params, rows("d")));
        Json counts = params;
        counts["verify"] = "counts";
        REQUIRE_OK(f.load(0, counts, rows("c")));
        CHECK(f.text("select v from sales.t where id = 2 order by 1 limit 1") == "C");
    }
}

TEST_CASE(
    "a comparison that fails names the columns, and rows that a trigger adds or takes",
    "[load][verify]"
) {
    LoadFixture f;
    const Json params{{"to", "sales.t"}, {"mode", "append"}, {"verify", "hash"}};
    REQUIRE_OK(f.load(0, params, "select 1 id, 10 v, 'x' w"));
    meddle(f, "sales.t", "new.v = new.v + 1; new.w = upper(new.w)");
    CHECK_THAT(
        f.load(0, params, "select 1 id, 11 v, 'x' w").message,
        Catch::Contains("the rows of sales.t are not what was sent: 1 rows") &&
            Catch::Contains("in v, w (a trigger")
    );
    f.sql().execute(
        "drop trigger meddle on sales.t; create function sales.more() returns trigger language "
        "plpgsql as $$ begin insert into sales.t select * from sales.t where id = 1 and "
        "pg_trigger_depth() = 1; return null; end $$; create constraint trigger more after insert "
        "on sales.t deferrable initially deferred for each row execute function sales.more()"
    );
    CHECK_THAT(
        f.load(0, params, "select 1 id, 11 v, 'x' w").message,
        Catch::Contains("1 rows, hash") && Catch::Contains("against 2 rows")
    );
    CHECK(f.text("select id, v, w from sales.t") == "1,10,x");
}

TEST_CASE(
    "kinds without a hash are refused when the DAG is loaded, and by the load", "[load][verify]"
) {
    CHECK_FALSE(unhashable("decimal(10,2)"));
    CHECK(unhashable("double"));
    CHECK(unhashable("bigint[]") == "a list");
    DatasetSpec source;
    source.name = "curated.rows";
    for (const char* type : {"bigint", "double", "json"}) {
        ColumnSpec column;
        column.name = std::string("c_") + type;
        column.type = type;
        source.columns.push_back(column);
    }
    Dag dag;
    dag.schemas["sales"] = "warehouse";
    const Task task;
    const Json params{{"from", "curated.rows"}, {"to", "sales.t"}, {"verify", "hash"}};
    const auto result =
        ops::load_operator().check({dag, task, params, [&](const std::string& name) {
                                        return name == source.name ? &source : nullptr;
                                    }});
    REQUIRE(result.problems.size() == 2);
    CHECK(result.problems[0].code == "E-LOAD-VERIFY");
    CHECK_THAT(result.problems[1].message, Catch::Contains("curated.rows.c_json is of type json"));
    LoadFixture f;
    const Outcome outcome = f.load(
        0, {{"to", "sales.t"}, {"mode", "append"}, {"verify", "hash"}}, "select 1 id, 0.5::double v"
    );
    CHECK(outcome.error_class == ErrorClass::schema);
    CHECK_THAT(outcome.message, Catch::Contains("column \"v\" is of type double"));
    CHECK(f.text("select to_regclass('sales.t')") == "-");
}
