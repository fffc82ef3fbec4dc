// max_rejects: what a table refuses is set aside, the rest is loaded.
#include "operators/load/rejects.hpp"

#include <catch2/catch.hpp>

#include "operators/load/load_fixture.hpp"

using namespace sluice;
using namespace sluice::load;
using Json = nlohmann::json;

namespace {

ColumnSpec spec_of(const std::string& name, const std::string& pii_class = "") {
    ColumnSpec column;
    column.name = name;
    column.pii_class = pii_class;
    return column;
}

constexpr const char* kept =
    "select row_number, column_name, reason from _sluice.rejects order by dataset, slice, 1";

/// A row (id, name, price, place, size) of the table below.
std::string item(
    const std::string& id,
    const std::string& name,
    const std::string& price = "1",
    const std::string& place = "1",
    const std::string& size = "1"
) {
    return "select " + id + "::int id, " + name + "::varchar as name, " + price +
           "::decimal(12,3) price, " + place + "::bigint place, " + size + "::bigint size";
}

std::string all(const std::vector<std::string>& rows) {
    std::string out;
    for (const std::string& row : rows) out += (out.empty() ? "" : " union all ") + row;
    return out;
}

/// A table of somebody who is strict.
void strict_table(LoadFixture& f, const std::string& more = "") {
    f.sql().execute(
        "create schema sales; create table sales.place (id bigint primary key); insert into "
        "sales.place values (1), (2); create table sales.items (id int not null, name varchar(5) "
        "not null, price numeric(5,2) check (price >= 0), place bigint references sales.place, "
        "size smallint, constraint small_price check (price < 10 or size > 0)" +
        more +
        ", _sluice_run_id text, _sluice_task text, _sluice_interval text, _sluice_source text, "
        "_sluice_row_hash text, _sluice_loaded_at timestamptz)"
    );
}

}  // namespace

TEST_CASE("what a value must be to fit a narrower column", "[load][rejects]") {
    LoadFixture f;
    const auto refused = [&](const std::string& value, const char* from, const char* to) {
        const auto test = too_much("v", from, to);
        REQUIRE(test);
        return f.text("select " + *test + " from (select " + value + "::" + from + " v) x");
    };
    CHECK(refused("'abcde'", "text", "character varying(5)") == "f");
    CHECK(refused("'abcdef'", "text", "character varying(5)") == "t");
    CHECK(refused("'caf\xC3\xA9s'", "text", "character(5)") == "f");
    CHECK(refused("32767", "bigint", "smallint") == "f");
    CHECK(refused("-32769", "bigint", "smallint") == "t");
    CHECK(refused("2147483648", "bigint", "integer") == "t");
    CHECK(refused("7.5", "numeric(4,2)", "integer") == "t");
    CHECK(refused("7.00", "numeric(4,2)", "integer") == "f");
    CHECK(refused("9223372036854775808", "numeric(38,0)", "bigint") == "t");
    CHECK(refused("99999.99", "numeric(12,4)", "numeric(7,2)") == "f");
    CHECK(refused("100000", "numeric(12,4)", "numeric(7,2)") == "t");
    CHECK(refused("0.001", "numeric(12,4)", "numeric(7,2)") == "t");
    CHECK(refused("1", "numeric(12,4)", "numeric") == "f");
    CHECK(refused("0.5", "numeric(3,2)", "numeric(2,2)") == "f");
    CHECK(refused("1", "integer", "numeric(2,2)") == "t");
    CHECK(refused("null", "integer", "smallint") == "-");
    CHECK_FALSE(too_much("v", "text", "integer"));
    CHECK_FALSE(too_much("v", "double precision", "numeric(4,2)"));
}

TEST_CASE(
    "what the table refuses is set aside with its reason, the rest is loaded", "[load][rejects]"
) {
    LoadFixture f;
    strict_table(f, ", unique (name)");
    f.columns = {spec_of("id"), spec_of("name", "name"), spec_of("price"), spec_of("place")};
    const Json params{{"to", "sales.items"}, {"mode", "append"}, {"max_rejects", 8}};
    REQUIRE_OK(f.load(
        0,
        params,
        all(
            {item("1", "'one'"),
             item("2", "null"),
             item("3", "'secret name'"),
             item("4", "'four'", "1000"),
             item("5", "'five'", "1.005"),
             item("6", "'six'", "-1"),
             item("7", "'seven'", "1", "3"),
             item("8", "'eight'", "1", "null", "40000"),
             item("9", "'nine'", "1", "null", "null"),
             item("10", "'one'")}
        )
    ));
    CHECK(f.xcom["rows_in"] == 10);
    CHECK(f.xcom["rows_out"] == 2);
    CHECK(f.xcom["rows_rejected"] == 8);
    CHECK(
        f.text("select count(*), count(*) filter (where name = 'one') from sales.items") == "2,1"
    );
    // Which of two equal names stays, their hashes say: the tenth row or the first.
    CHECK_THAT(
        f.text(kept),
        Catch::Contains("2,name,not null 3,name,no character varying(5) 4,price,no numeric(5,2) "
                        "5,price,no numeric(5,2) 6,price,check items_price_check 7,place,foreign "
                        "key items_place_fkey 8,size,no smallint") &&
            Catch::Contains(",name,twice in unique items_name_key")
    );
    // A class, and a column that nobody declares, are not readable.
    CHECK(
        f.text("select row from _sluice.rejects where row_number = 3") ==
        R"({"id": 3, "name": "***", "size": "***", "place": 1, "price": 1.000})"
    );
    CHECK(f.text("select row->>'name' from _sluice.rejects where row_number = 2") == "-");
    CHECK(
        f.text("select distinct dataset, slice, generation, dag_id, task_id, run_id from "
               "_sluice.rejects"
        ) == "sales.items,2026-01-01T00:00:00+00:00/2026-01-02T00:00:00+00:00,1,test_dag,task,day0"
    );
    const std::string whole = f.text("select rows, content_hash from _sluice.ledger");

    // Another day has rejects of its own; a second run of the first replaces its own.
    REQUIRE_OK(f.load(1, params, all({item("21", "'zwei'"), item("22", "null")})));
    REQUIRE_OK(f.load(0, params, all({item("1", "'one'"), item("2", "'two'"), item("3", "null")})));
    CHECK(f.text(kept) == "3,name,not null 2,name,not null");
    // One that takes all or nothing leaves what was; one that finds none takes them away.
    const Json strict{{"to", "sales.items"}, {"mode", "append"}};
    CHECK(f.load(0, strict, "select 1 id").error_class == ErrorClass::data_quality);
    CHECK(f.text(kept) == "3,name,not null 2,name,not null");
    REQUIRE_OK(f.load(0, params, item("1", "'one'")));
    CHECK(f.xcom["rows_rejected"] == 0);
    CHECK(f.text(kept) == "2,name,not null");
    CHECK(whole.starts_with("2,"));
}

TEST_CASE("the ledger's hash is that of the rows that were loaded", "[load][rejects]") {
    LoadFixture f;
    strict_table(f);
    const Json params{{"to", "sales.items"}, {"mode", "append"}, {"max_rejects", "50%"}};
    const std::string hash =
        "select rows, content_hash from _sluice.ledger where state = 'committed'";
    REQUIRE_OK(f.load(0, params, all({item("1", "'one'"), item("2", "null"), item("3", "'three'")}))
    );
    const std::string some = f.text(hash);
    REQUIRE_OK(f.load(0, params, all({item("3", "'three'"), item("1", "'one'")})));
    CHECK(f.text(hash) == some);
}

TEST_CASE("more rejects than allowed fail the load, which leaves nothing", "[load][rejects]") {
    LoadFixture f;
    strict_table(f);
    Json params{{"to", "sales.items"}, {"mode", "append"}, {"max_rejects", 1}};
    REQUIRE_OK(f.load(0, params, all({item("1", "'one'"), item("2", "null")})));
    const std::string before = f.text(kept);
    const std::string bad =
        all({item("1", "'uno'"), item("2", "'secret name'"), item("3", "null"), item("4", "null")});
    for (const Json& most : {Json(2), Json("74.9%")}) {
        params["max_rejects"] = most;
        const Outcome outcome = f.load(0, params, bad);
        CHECK(outcome.error_class == ErrorClass::data_quality);
        CHECK_THAT(
            outcome.message,
            Catch::Contains("3 of 4 rows for sales.items would be refused, max_rejects allows 2: "
                            "name: not null (2 rows); name: no character varying(5) (1 rows)")
        );
        CHECK(outcome.message.find("secret") == std::string::npos);
        CHECK(f.text("select name from sales.items") == "one");
        CHECK(f.text(kept) == before);
    }
    params["max_rejects"] = "75%";
    REQUIRE_OK(f.load(0, params, bad));
    CHECK(f.text("select name from sales.items") == "uno");
}

TEST_CASE("rows without a key, and keys that are given twice", "[load][rejects]") {
    for (const Json& more :
         {Json{{"mode", "merge"}},
          Json{{"mode", "replace"}},
          Json{{"mode", "merge"}, {"event_time", "at_"}},
          Json{{"mode", "scd2"}, {"updated_at", "at_"}}}) {
        CAPTURE(more.dump());
        LoadFixture f;
        Json params{{"to", "sales.t"}, {"key", "id"}, {"max_rejects", "80%"}};
        params.update(more);
        const std::string rows =
            "select * replace (at_::timestamptz as at_) from (values (1, 'a', timestamptz "
            "'2026-01-01'), (null, 'b', '2026-01-01'), "
            "(2, 'c', '2026-01-01'), (2, 'd', '2026-01-01'), (2, 'e', '2026-01-01')) t(id, v, at_)";
        REQUIRE_OK(f.load(0, params, rows));
        const bool history = more["mode"] == "scd2";
        CHECK(f.text("select id from sales.t order by id") == "1 2");
        CHECK(f.xcom["rows_rejected"] == (history ? 1 : 3));
        const std::string chosen = f.text("select v from sales.t where id = 2");
        REQUIRE_OK(f.load(0, params, rows));
        CHECK(f.text("select v from sales.t where id = 2") == chosen);
        CHECK(f.text("select count(*) from _sluice.rejects") == (history ? "1" : "3"));
    }
}

TEST_CASE(
    "a history refuses what dates no version, and takes deletes as they are", "[load][rejects]"
) {
    LoadFixture f;
    const Json params{
        {"to", "sales.dim_x"},
        {"mode", "scd2"},
        {"key", "id"},
        {"updated_at", "at_"},
        {"deletes", {{"where", "gone"}}},
        {"max_rejects", 2}
    };
    REQUIRE_OK(f.load(0, params, "select 1 id, 'a' v, timestamptz '2026-01-01' at_, false gone"));
    f.sql().execute("alter table sales.dim_x add check (v <> 'bad')");
    f.sql().execute("alter table sales.dim_x alter v set not null");
    REQUIRE_OK(f.load(
        1,
        params,
        "select * replace (at_::timestamptz as at_) from (values (1, null, '2026-01-02', true), "
        "(2, "
        "'bad', '2026-01-02', false), (3, 'b', null, false), (4, 'c', '2026-01-02', false)) "
        "t(id, v, at_, gone)"
    ));
    CHECK(f.text("select id, v, is_current from sales.dim_x order by id") == "1,a,f 4,c,t");
    CHECK(f.text(kept) == "2,v,check dim_x_v_check 3,at_,dates no version");
}

TEST_CASE(
    "a fact that no dimension has is set aside where nothing is inferred", "[load][rejects]"
) {
    LoadFixture f;
    REQUIRE_OK(f.load(
        0,
        {{"to", "sales.dim_date"},
         {"from", {{"date_spine", {{"start", "2026-01-01"}, {"end", "2026-12-31"}}}}}}
    ));
    REQUIRE_OK(f.load(0, {{"to", "sales.dim_c"}, {"key", "c"}}, "select 1 c"));
    const Json params{
        {"to", "sales.fact"},
        {"key", "id"},
        {"event_time", "at_"},
        {"dimensions", {"sales.dim_date", {{"dimension", "sales.dim_c"}, {"missing", "fail"}}}},
        {"max_rejects", 2}
    };
    REQUIRE_OK(f.load(
        0,
        params,
        "select * replace (at_::timestamptz as at_) from (values (1, 1, '2026-01-01'), (2, 9, "
        "'2026-01-01'), (3, 1, '2027-01-01')) t(id, c, at_)"
    ));
    CHECK(f.text("select id, date_sk from sales.fact") == "1,20260101");
    CHECK(f.text(kept) == "2,c,not in sales.dim_c 3,at_,not in sales.dim_date");
}

TEST_CASE("values that PostgreSQL cannot hold at all", "[load][rejects]") {
    LoadFixture f;
    const Json params{{"to", "sales.t"}, {"mode", "append"}, {"max_rejects", 4}};
    REQUIRE_OK(f.load(
        0,
        params,
        "select id, v, j::json j, d::date d, t::timestamp t from (values (1, 'a' || chr(0), '{}', "
        "'2026-01-01', '2026-01-01'), (2, 'b', '\"\\u0000\"', '2026-01-01', null), (3, 'c', "
        "'\"\\\\u0000\"', '5000-01-01 (BC)', 'infinity'), (4, 'd', null, 'infinity', "
        "'294246-12-31'), (5, 'e', '\"\\\\u0000\"', null, '290000-01-01 (BC)')) x(id, v, j, d, t)"
    ));
    CHECK(f.text("select id from sales.t") == "4");
    CHECK(
        f.text("select column_name, reason from _sluice.rejects order by row_number") ==
        "v,no value of PostgreSQL j,no value of PostgreSQL d,no value of PostgreSQL t,no value "
        "of PostgreSQL"
    );
    // Without max_rejects the load fails, as before.
    const Outcome outcome =
        f.load(1, {{"to", "sales.t"}, {"mode", "append"}}, "select 1 id, 'a' || chr(0) v");
    CHECK(outcome.error_class == ErrorClass::data_quality);
}

TEST_CASE("items of a mapped load have rejects of their own", "[load][rejects][mapped]") {
    LoadFixture f;
    const Json params{{"to", "sales.t"}, {"key", "id"}, {"max_rejects", 1}};
    const std::vector<std::string> both{"a", "b"};
    REQUIRE_OK(f.load(0, params, "select 1 id union all select null", "a", both));
    REQUIRE_OK(f.load(0, params, "select 2 id union all select null", "b", both));
    CHECK(
        f.text("select right(slice, 2), column_name from _sluice.rejects order by 1") ==
        "#a,id #b,id"
    );
    REQUIRE_OK(f.load(0, params, "select 2 id", "b", {"b"}));
    CHECK(f.text("select count(*) from _sluice.rejects") == "0");
}

TEST_CASE("a trial in a copy of the schema refuses what the real table would", "[load][rejects]") {
    LoadFixture f;
    strict_table(f);
    f.sql().execute(
        "drop schema if exists sales__try cascade; create schema sales__try; create table "
        "sales__try.items (like sales.items including all); create table sales__try.place (like "
        "sales.place including all); insert into sales__try.place values (3)"
    );
    f.schema = "sales__try";
    REQUIRE_OK(f.load(
        0,
        {{"to", "sales.items"}, {"mode", "append"}, {"max_rejects", 2}},
        all({item("1", "'one'", "1", "3"), item("2", "'two'"), item("3", "null")})
    ));
    CHECK(
        f.text("select id, (select string_agg(reason, ',' order by row_number) from "
               "sales__try._sluice_rejects) from sales__try.items"
        ) == "1,foreign key items_place_fkey,not null"
    );
    CHECK(f.text("select to_regclass('_sluice.rejects')") == "-");
    f.sql().execute("drop schema sales__try cascade");
}
