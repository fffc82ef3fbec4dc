#include <catch2/catch.hpp>

#include "operators/binding/binder.hpp"
#include "operators/binding/cast.hpp"
#include "operators/binding/columns.hpp"
#include "operators/engine/sql.hpp"

using namespace sluice;
using binding::cast_sql;

namespace {

std::string cast(const std::string& text, const binding::CastTarget& target) {
    static engine::Database database(engine::DatabaseOptions{});
    const std::string sql = cast_sql("x", "VARCHAR", target);
    const engine::Value value = database.value(
        "select cast(" + sql + " as varchar) from (select $1::varchar as x)", {text}
    );
    return engine::is_null(value) ? "null" : engine::to_text(value);
}

}  // namespace

TEST_CASE("numbers are cast strictly", "[binding][cast]") {
    CHECK(cast("12", {"bigint", {}}) == "12");
    CHECK(cast(" 12 ", {"bigint", {}}) == "12");
    CHECK(cast("1.7", {"bigint", {}}) == "null");
    CHECK(cast("", {"integer", {}}) == "null");
    CHECK(cast("N/A", {"integer", {}}) == "null");
    CHECK(cast("99999999999", {"integer", {}}) == "null");
    CHECK(cast("+5", {"bigint", {}}) == "5");
    CHECK(cast("-9223372036854775808", {"bigint", {}}) == "-9223372036854775808");
    for (const char* no :
         {"9223372036854775808", "+-5", "--5", "+", "5x", "1_000", "0x1F", "1 2", "5\n"})
        CHECK(cast(no, {"bigint", {}}) == "null");
    CHECK(cast("32768", {"smallint", {}}) == "null");
    CHECK(cast("1.50", {"decimal(10,2)", {}}) == "1.50");
    CHECK(cast("1.5e3", {"double", {}}) == "1500.0");
    CHECK(cast("1.234,5", {"decimal(10,2)", {"decimal_comma"}}) == "1234.50");
    CHECK(cast("true", {"boolean", {}}) == "true");
    CHECK(cast("perhaps", {"boolean", {}}) == "null");
}

TEST_CASE(
    "a text is read without the spaces around it, and may stand for nothing", "[binding][cast]"
) {
    engine::Database database(engine::DatabaseOptions{});
    // Every character that Unicode calls a space separator, as the engine's trim() sees them.
    const std::string spaces =
        "(select string_agg(chr(c::int), '') from range(1, 55296) t(c) where trim(chr(c::int)) = "
        "'')";
    CHECK(database.integer("select length(" + spaces + ")") == 17);
    CHECK(database.text("select sluice_clean(" + spaces + " || 'a b' || " + spaces + ")") == "a b");
    CHECK(
        database.integer(
            "select count(*) from range(1, 55296) t(c) where coalesce(sluice_clean(chr(c::int) || "
            "'ä' || chr(c::int)), '') <> trim(chr(c::int) || 'ä' || chr(c::int))"
        ) == 0
    );
    for (const char* nothing : {"", " ", "NULL", " null ", "N/A", "NA", "-", "\\N"})
        CHECK(engine::is_null(database.value("select sluice_clean($1)", {nothing})));
    for (const char* word : {"Null", "n/a", "--", "NaN", "0"})
        CHECK(database.text("select sluice_clean($1)", {word}) == word);
}

TEST_CASE("money is minor units unless it has a sign or a decimal mark", "[binding][cast]") {
    const binding::CastTarget cents{"bigint", {"money"}};
    CHECK(cast("1234", cents) == "1234");
    CHECK(cast("$12.34", cents) == "1234");
    CHECK(cast("12,34", cents) == "1234");
    CHECK(cast("12.3", cents) == "1230");
    CHECK(cast("$5", cents) == "500");
    CHECK(cast("-$1,234.50", cents) == "-123450");
    CHECK(cast("1.234,50 \xE2\x82\xAC", cents) == "123450");
    CHECK(cast("1,234", cents) == "null");  // a thousand, or one and a bit: not guessed
    CHECK(cast("twelve", cents) == "null");
    CHECK(cast("99999999999999999999", cents) == "null");
    CHECK(cast("1234", {"decimal(38,2)", {"money"}}) == "1234.00");
}

TEST_CASE("times are read in the formats listed, in order", "[binding][cast]") {
    const binding::CastTarget orders{"timestamptz", {"iso", "%d/%m/%Y %H:%M", "epoch_ms"}};
    CHECK(cast("2026-01-05T14:03:00Z", orders) == "2026-01-05 14:03:00+00");
    CHECK(cast("2026-01-05T14:03:00+02:00", orders) == "2026-01-05 12:03:00+00");
    CHECK(cast("05/01/2026 14:03", orders) == "2026-01-05 14:03:00+00");
    CHECK(cast("1767621780000", orders) == "2026-01-05 14:03:00+00");
    CHECK(cast("2026-02-30", orders) == "null");
    CHECK(cast("not-a-date", orders) == "null");
    CHECK(cast("infinity", {"timestamptz", {}}) == "null");
    CHECK(cast("2026-01-05", {"date", {}}) == "2026-01-05");
    CHECK(cast("2026-01-05T10:00:00", {"date", {}}) == "null");
    CHECK(cast("1767621780", {"timestamptz", {"epoch_s"}}) == "2026-01-05 14:03:00+00");
}

TEST_CASE("a value that two formats read differently is told", "[binding][cast]") {
    const binding::CastTarget both{"date", {"%d/%m/%Y", "%m/%d/%Y"}};
    CHECK(cast("05/01/2026", both) == "2026-01-05");
    engine::Database database(engine::DatabaseOptions{});
    const std::string sql = binding::ambiguous_sql("x", "VARCHAR", both);
    CHECK(
        database.integer(
            "select count(*) from (values ('05/01/2026'), ('05/05/2026'), ('25/01/2026')) t(x) "
            "where " +
            sql
        ) == 1
    );
}

TEST_CASE("a varchar with a length holds no longer text", "[binding][cast]") {
    CHECK(cast("abc", {"varchar(3)", {}}) == "abc");
    CHECK(cast("abcd", {"varchar(3)", {}}) == "null");
    CHECK(cast("NA", {"varchar", {}}) == "NA");
}

TEST_CASE("names in a statement are found, and its types on empty tables", "[binding]") {
    binding::Binder binder;
    DatasetSpec orders;
    orders.name = "processed.orders";
    orders.columns.resize(2);
    orders.columns[0].name = "id";
    orders.columns[0].type = "bigint";
    orders.columns[1].name = "made";
    orders.columns[1].type = "timestamptz";
    binder.add(orders);
    const std::string sql =
        "with x as (select * from processed.orders) select id + 1 as following, max(made) as "
        "latest from x "
        "where id in (select order_id from sales.facts) group by 1";
    CHECK(*binder.names(sql).value == std::vector<std::string>{"processed.orders", "sales.facts"});
    const auto bound = binder.describe("select id + 1 as following, made from processed.orders");
    REQUIRE(bound.value);
    CHECK(bound.value->at(0) == engine::ColumnInfo{"following", "BIGINT"});
    CHECK(bound.value->at(1) == engine::ColumnInfo{"made", "TIMESTAMP WITH TIME ZONE"});
    CHECK_FALSE(binder.describe("select nothing from processed.orders").value);
    CHECK_FALSE(binder.names("drop table x").value);
}

TEST_CASE("a column made from others has their classes and origins", "[binding]") {
    ColumnSpec name;
    name.pii_class = "name";
    name.origins = {"raw.c.name"};
    ColumnSpec city;
    city.pii_class = "quasi";
    city.origins = {"raw.c.city"};
    const ColumnSpec both = binding::made_from("label", {&city, &name});
    CHECK(both.pii_class == "name");
    CHECK(both.origins == std::vector<std::string>{"raw.c.city", "raw.c.name"});
    ColumnSpec email;
    email.pii_class = "email";
    CHECK(binding::made_from("label", {&email, &name}).pii_class == "sensitive");
    CHECK(binding::in_lake("raw.x"));
    CHECK_FALSE(binding::in_lake("sales.x"));
}
