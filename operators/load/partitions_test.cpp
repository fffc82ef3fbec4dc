// partition_by: tables in ranges of a date or time.
#include "operators/load/partitions.hpp"

#include <catch2/catch.hpp>

#include "operators/load/load_fixture.hpp"

using namespace sluice;
using namespace sluice::load;
using Json = nlohmann::json;

namespace {

/// Rows (id, v, at_) of `type`.
std::string dated(const std::string& values, const std::string& type = "timestamp") {
    return "select id, v, at_::" + type + " at_ from (values " + values + ") t(id, v, at_)";
}

void cut(LoadFixture& f, const std::string& by) {
    f.target.name = "sales.t";
    f.target.partition_by = by;
}

constexpr const char* parts =
    "select relname, pg_get_expr(relpartbound, c.oid), (select count(*) from sales.t where "
    "tableoid = c.oid) from pg_inherits join pg_class c on c.oid = inhrelid where inhparent = "
    "'sales.t'::regclass and relkind = 'r' order by 1";

}  // namespace

TEST_CASE("ranges are made as rows come, of each kind of time", "[load][partition]") {
    struct Case {
        const char* by;
        const char* type;
        const char* zone;
        const char* found;
    };
    const auto one = GENERATE(
        Case{
            "month(at_)",
            "timestamp",
            "UTC",
            "t_2025_12,FOR VALUES FROM ('2025-12-01 00:00:00') TO ('2026-01-01 00:00:00'),1 "
            "t_2026_01,FOR VALUES FROM ('2026-01-01 00:00:00') TO ('2026-02-01 00:00:00'),2"
        },
        Case{
            "quarter(at_)",
            "date",
            "UTC",
            "t_2025_q4,FOR VALUES FROM ('2025-10-01') TO ('2026-01-01'),1 "
            "t_2026_q1,FOR VALUES FROM ('2026-01-01') TO ('2026-04-01'),2"
        },
        Case{
            "year(at_)",
            "timestamptz",
            "America/New_York",
            "t_2025,FOR VALUES FROM ('2025-01-01 05:00:00+00') TO ('2026-01-01 05:00:00+00'),1 "
            "t_2026,FOR VALUES FROM ('2026-01-01 05:00:00+00') TO ('2027-01-01 05:00:00+00'),2"
        },
        Case{
            "hour(at_)",
            "timestamptz",
            "Asia/Kolkata",
            "t_2025_12_31_18,FOR VALUES FROM ('2025-12-31 18:00:00+00') TO ('2025-12-31 "
            "19:00:00+00'),1 t_2025_12_31_20,FOR VALUES FROM ('2025-12-31 20:00:00+00') TO "
            "('2025-12-31 21:00:00+00'),1 t_2026_01_01_07,FOR VALUES FROM ('2026-01-01 "
            "07:00:00+00') TO ('2026-01-01 08:00:00+00'),1"
        }
    );
    CAPTURE(one.by, one.type);
    LoadFixture f;
    f.timezone = one.zone;
    cut(f, one.by);
    REQUIRE_OK(f.load(
        0,
        {{"to", "sales.t"}, {"mode", "append"}, {"verify", "hash"}},
        dated(
            "(1, 'a', '2025-12-31 23:59:00'), (2, 'b', '2026-01-01 02:00:00'), (3, 'c', "
            "'2026-01-01 12:30:00')",
            one.type
        )
    ));
    CHECK(f.text(parts) == one.found);
}

TEST_CASE("days whose clock is changed are next to each other", "[load][partition]") {
    LoadFixture f;
    f.timezone = "America/Sao_Paulo";  // where the hour of midnight was left out or came twice
    cut(f, "day(at_)");
    REQUIRE_OK(f.load(
        0,
        {{"to", "sales.t"}, {"mode", "append"}},
        "select range::int id, timestamptz '2018-11-03 00:00:00+00' + range * interval 20 minutes "
        "as at_ from range(250) union all select range, timestamptz '2018-02-16 00:00:00+00' + "
        "range * interval 20 minutes from range(250)"
    ));
    CHECK(f.text("select count(*) from sales.t") == "500");
}

TEST_CASE("every way to load keeps its promise over partitions", "[load][partition]") {
    for (const Json& more :
         {Json{{"mode", "append"}},
          Json{{"mode", "replace"}},
          Json{{"mode", "replace"}, {"key", {"id", "at_"}}},
          Json{{"mode", "merge"}, {"key", {"id", "at_"}}},
          Json{{"mode", "merge"}, {"key", {"id", "at_"}}, {"event_time", "at_"}}}) {
        CAPTURE(more.dump());
        LoadFixture f;
        cut(f, "month(at_)");
        Json params{{"to", "sales.t"}, {"verify", "hash"}};
        params.update(more);
        const bool whole = more["mode"] == "replace";
        const std::string shown = "select id, v from sales.t order by id";
        REQUIRE_OK(f.load(0, params, dated("(1, 'a', '2026-01-01'), (2, 'b', '2026-02-01')")));
        REQUIRE_OK(f.load(1, params, dated("(3, 'c', '2026-01-02')")));
        CHECK(f.text(shown) == (whole ? "3,c" : "1,a 2,b 3,c"));
        REQUIRE_OK(f.load(0, params, dated("(1, 'A', '2026-01-01'), (4, 'd', '2026-03-01')")));
        CHECK(f.text(shown) == (whole ? "1,A 4,d" : "1,A 3,c 4,d"));
        CHECK(
            f.text("select count(*) from pg_inherits where inhparent = 'sales.t'::regclass") == "3"
        );
        // The index of a key stands over all of them.
        if (more.contains("key"))
            CHECK_THROWS_AS(
                f.sql().execute("insert into sales.t (id, at_) values (4, '2026-03-01')"), Error
            );
    }
}

TEST_CASE("who reads the table does not wait for a new partition", "[load][partition]") {
    LoadFixture f;
    cut(f, "month(at_)");
    const Json params{{"to", "sales.t"}, {"key", {"id", "at_"}}, {"event_time", "at_"}};
    REQUIRE_OK(f.load(0, params, dated("(1, 'a', '2026-01-01')")));
    connect::Postgres reader(warehouse_connection(), "reader");
    reader.execute("begin");
    CHECK(reader.value("select count(*) from sales.t") == "1");
    // The reader's lock is held until its transaction ends: a load that needed the table alone
    // would wait for it.
    REQUIRE_OK(f.load(1, params, dated("(2, 'b', '2026-02-01')")));
    CHECK(reader.value("select count(*) from sales.t") == "2");
    reader.execute("commit");
}

TEST_CASE("facts in partitions follow their dimension", "[load][partition][rekey]") {
    LoadFixture f;
    const Json dimension{
        {"to", "sales.dim_c"}, {"mode", "scd2"}, {"key", "c"}, {"updated_at", "at_"}
    };
    const Json facts{
        {"to", "sales.t"},
        {"key", {"id", "at_"}},
        {"event_time", "at_"},
        {"dimensions", {"sales.dim_c"}}
    };
    REQUIRE_OK(f.load(0, dimension, "select 1 c, 'old' v, timestamptz '2025-01-01' at_"));
    cut(f, "month(at_)");
    // Rows at the same place of two partitions: a row is more than its place.
    const auto sold = [](int day, int c) {
        return "select range::int as id, " + std::to_string(c) +
               " c, timestamptz '2026-01-15 12:00:00+00' + range * interval 1 month at_ from "
               "range(3) where " +
               std::to_string(day) + " >= 0";
    };
    REQUIRE_OK(f.load(0, facts, sold(0, 1)));
    REQUIRE_OK(f.load(1, facts, "select id + 10 id, c, at_ from (" + sold(1, 7) + ")"));
    REQUIRE_OK(f.load(
        1,
        dimension,
        "select 1 c, 'new' v, timestamptz '2026-02-01' at_ union all select 7, "
        "'seven', timestamptz '2026-01-01'"
    ));
    CHECK(
        f.text("select id, v, is_inferred from sales.t f join sales.dim_c d using (c_sk) order by 1"
        ) == "0,old,f 1,new,f 2,new,f 10,seven,f 11,seven,f 12,seven,f"
    );
    CHECK(
        f.text("select count(*) from sales.t f join sales.dim_c d using (c_sk) where f.c <> d.c") ==
        "0"
    );
}

TEST_CASE("rows that belong to no partition", "[load][partition][rejects]") {
    LoadFixture f;
    cut(f, "month(at_)");
    Json params{{"to", "sales.t"}, {"mode", "append"}};
    const std::string rows = dated("(1, 'a', '2026-01-01'), (2, 'b', null), (3, 'c', 'infinity')");
    const Outcome outcome = f.load(0, params, rows);
    CHECK(outcome.error_class == ErrorClass::data_quality);
    CHECK_THAT(outcome.message, Catch::Contains("2 rows for sales.t have no \"at_\""));
    CHECK(f.text("select to_regclass('sales.t')") == "-");
    params["max_rejects"] = 2;
    REQUIRE_OK(f.load(0, params, rows));
    CHECK(f.text("select id from sales.t") == "1");
    CHECK(
        f.text("select column_name, reason from _sluice.rejects order by row_number") ==
        "at_,in no partition at_,in no partition"
    );
    const Outcome many = f.load(
        0,
        params,
        "select range::int id, timestamp '1900-01-01' + range * interval 1 month at_ from "
        "range(600)"
    );
    CHECK_THAT(many.message, Catch::Contains("600 new partitions by month"));
}

TEST_CASE(
    "a table that is there is not cut, and a trial's copy is in one piece", "[load][partition]"
) {
    LoadFixture f;
    const Json params{{"to", "sales.t"}, {"key", {"id", "at_"}}, {"event_time", "at_"}};
    REQUIRE_OK(f.load(0, params, dated("(1, 'a', '2026-01-01')")));
    cut(f, "month(at_)");
    const Outcome outcome = f.load(0, params, dated("(1, 'b', '2026-01-01')"));
    CHECK(outcome.error_class == ErrorClass::schema);
    CHECK_THAT(outcome.message, Catch::Contains("sales.t was made without partitions"));
    f.sql().execute("drop table sales.t");
    REQUIRE_OK(f.load(0, params, dated("(1, 'b', '2026-01-01')")));
    f.sql().execute(
        "drop schema if exists sales__try cascade; create schema sales__try; create table "
        "sales__try.t (like sales.t including all)"
    );
    f.schema = "sales__try";
    REQUIRE_OK(f.load(1, params, dated("(2, 'c', '2026-05-01')")));
    CHECK(f.text("select id from sales__try.t") == "2");
    CHECK(f.text("select id from sales.t") == "1");
    f.sql().execute("drop schema sales__try cascade");
}

TEST_CASE("what cannot be cut is said when the DAG is loaded", "[load][partition]") {
    DatasetSpec source;
    source.name = "curated.rows";
    for (const char* type : {"bigint", "date", "timestamp"}) {
        ColumnSpec column;
        column.name = std::string("c_") + type;
        column.type = type;
        source.columns.push_back(column);
    }
    const auto problems = [&](const std::string& by, Json params) {
        Dag dag;
        dag.schemas["sales"] = "warehouse";
        params["from"] = source.name;
        DatasetSpec table;
        table.name = params["to"];
        table.partition_by = by;
        const auto result =
            ops::load_operator()
                .check({dag, Task{}, params, [&](const std::string& name) -> const DatasetSpec* {
                            if (name == source.name) return &source;
                            return name == table.name ? &table : nullptr;
                        }});
        std::string out;
        for (const Problem& found : result.problems) out += found.code + " " + found.message + "|";
        return out;
    };
    const Json append{{"to", "sales.t"}, {"mode", "append"}};
    CHECK(problems("month(c_date)", append).empty());
    CHECK(problems("hour(c_timestamp)", append).empty());
    CHECK_THAT(
        problems("hour(c_date)", append), Catch::Contains("by hour of \"c_date\", which is date")
    );
    CHECK_THAT(problems("day(c_bigint)", append), Catch::Contains("which is bigint"));
    CHECK_THAT(problems("day(none)", append), Catch::Contains("which curated.rows has not"));
    CHECK_THAT(
        problems("day(c_date)", {{"to", "sales.t"}, {"key", "c_bigint"}}),
        Catch::Contains("E-LOAD-PARTITION sales.t is partitioned by \"c_date\", which its key lacks"
        )
    );
    CHECK(problems("day(c_date)", {{"to", "sales.t"}, {"key", {"c_bigint", "c_date"}}}).empty());
    CHECK_THAT(
        problems("day(c_date)", {{"to", "sales.dim_x"}, {"key", {"c_bigint", "c_date"}}}),
        Catch::Contains("sales.dim_x is a dimension")
    );
}
