#include "operators/expression/expression.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "operators/engine/database.hpp"
#include "operators/expression/functions.hpp"

using namespace sluice;
using engine::Dialect;
using expression::parse;

namespace {

std::string sql(std::string_view text) {
    const auto parsed = parse(text);
    for (const Problem& problem : parsed.problems) INFO(problem.message);
    REQUIRE(parsed.value);
    return parsed.value->sql(Dialect::duckdb);
}

Problem problem(std::string_view text) {
    const auto parsed = parse(text);
    REQUIRE_FALSE(parsed.value);
    REQUIRE(parsed.problems.size() == 1);
    return parsed.problems.front();
}

std::vector<std::string> names(const std::vector<expression::ColumnName>& columns) {
    std::vector<std::string> out;
    for (const auto& column : columns) out.push_back(column.name);
    return out;
}

}  // namespace

TEST_CASE("every function gives its expected value in the engine", "[expression]") {
    engine::Database database(engine::DatabaseOptions{});
    database.execute("create table t as select unnest([1, 2, 4, null]) as x");
    for (const auto& function : expression::functions()) {
        CAPTURE(function.name, function.example);
        const std::string from = function.scope == expression::Scope::aggregate ? " from t" : "";
        CHECK(
            database.text("select cast(" + sql(function.example) + " as varchar)" + from) ==
            function.value
        );
    }
}

TEST_CASE("operators bind as SQL's do", "[expression]") {
    engine::Database database(engine::DatabaseOptions{});
    const auto value = [&](std::string_view text) {
        return database.text("select cast(" + sql(text) + " as varchar)");
    };
    CHECK(value("1 + 2 * 3") == "7");
    CHECK(value("(1 + 2) * 3") == "9");
    CHECK(value("1 - 2 - 3") == "-4");
    CHECK(value("7 / 2") == "3.5");
    CHECK(value("true or false and false") == "true");
    CHECK(value("not 1 = 2 and 2 in (1, 2)") == "true");
    CHECK(value("3 not between 1 and 2") == "true");
    CHECK(value("'abc' like 'a%' and 'abc' not ilike 'B%'") == "true");
    CHECK(value("null is distinct from 1") == "true");
    CHECK(value("'it''s' || ' ' || 5") == "it's 5");
    CHECK(value("case 3 when 1 then 'a' when 3 then 'c' end") == "c");
    CHECK(value("case when null then 1 else 2 end") == "2");
    CHECK(value("try_cast('x' as integer) is null") == "true");
    CHECK(value("'12'::integer + 1") == "13");
    CHECK(value("- - 3 -- a remark") == "3");
}

TEST_CASE("the expressions of the example pipelines are read", "[expression]") {
    engine::Database database(engine::DatabaseOptions{});
    database.execute(
        "create table t as select 3::integer as qty, 1250::bigint as unit_price_cents, "
        "250::integer as discount_bp, timestamptz '2013-01-01 05:00:00+00' as time_hour, "
        "15::integer as minute, null::integer as dep_time, ' Completed ' as status"
    );
    const auto value = [&](std::string_view text) {
        return database.text("select cast(" + sql(text) + " as varchar) from t");
    };
    CHECK(
        value(
            "cast(round_even(qty * unit_price_cents * (10000 - discount_bp) / 10000, 0) as bigint)"
        ) == "3656"
    );
    CHECK(value("time_hour + to_minutes(minute)") == "2013-01-01 05:15:00+00");
    CHECK(value("dep_time is null") == "true");
    CHECK(
        value("lower(trim(status)) in ('completed', 'shipped', 'cancelled', 'returned')") == "true"
    );
}

TEST_CASE("columns are found, and which of them can be seen in the result", "[expression]") {
    const auto expr = parse("case when state = 'NY' then lower(email) else \"Other\" end").value;
    REQUIRE(expr);
    CHECK(names(expr->columns()) == std::vector<std::string>{"state", "email", "Other"});
    CHECK(names(expr->visible_columns()) == std::vector<std::string>{"email", "Other"});
    CHECK(parse("email is null").value->visible_columns().empty());
    CHECK(parse("count(distinct email)").value->visible_columns().empty());
    CHECK(parse("sum(x) / count(*)").value->aggregates());
    CHECK_FALSE(parse("x + 1").value->aggregates());
    CHECK(parse("l.a = r.b").value->columns()[1].qualifier == "r");
    CHECK(parse(" a ").value->only_column()->name == "a");
}

TEST_CASE("what is wrong is said with its place", "[expression]") {
    CHECK(problem("qty * ").message.find("ends too early") != std::string::npos);
    CHECK(problem("qty ** 2").column == 6);
    CHECK(problem("lowr(x)").suggestion.find("lower") != std::string::npos);
    CHECK(problem("lowr(x)").code == "E-EXPR-FUNCTION");
    CHECK(problem("lower(x, y)").code == "E-EXPR-FUNCTION");
    CHECK(problem("cast(x as number)").code == "E-EXPR-TYPE");
    CHECK(problem("'open").column == 1);
    CHECK(problem("x; drop table y").column == 2);
    CHECK(problem("t.x").code == "E-EXPR-COLUMN");
    CHECK(problem("").message.find("ends too early") != std::string::npos);
    CHECK(problem(std::string(1000, '(')).message.find("too deeply") != std::string::npos);
    CHECK(problem("sum(sum(x))").code == "E-EXPR");
}

TEST_CASE("a rendered template is a value, never text of the statement", "[expression]") {
    const nlohmann::json rendered{
        {"text", "name = $1 and at >= $2 and n = $3"},
        {"values", {"x' or true --", {{"timestamptz", "2026-01-05T00:00:00+00:00"}}, 7}}
    };
    const auto source = expression::source_of(rendered);
    const auto parsed = parse(source);
    REQUIRE(parsed.value);
    engine::Database database(engine::DatabaseOptions{});
    CHECK(
        database.integer(
            "select count(*) from (select 'y' as name, timestamptz '2026-01-06' as at, 7 as n) "
            "where " +
            parsed.value->sql(Dialect::duckdb)
        ) == 0
    );
    CHECK(
        expression::with_literals({"select $1, '$1', $2", R"(["it's", [1, 2]])", false}) ==
        "select 'it''s', '$1', (1, 2)"
    );
}

TEST_CASE("an order puts nulls last unless it says otherwise", "[expression]") {
    const auto order = expression::parse_order({"updated_at desc, id nulls first", "[]", false});
    REQUIRE(order.value);
    CHECK(
        expression::sql(*order.value, Dialect::duckdb) ==
        "\"updated_at\" desc nulls last, \"id\" asc nulls first"
    );
    CHECK_FALSE(expression::parse_order({"updated_at down", "[]", false}).value);
}

TEST_CASE("the warehouse's dialect divides and rounds alike", "[expression]") {
    const auto postgres = [](std::string_view text) {
        return parse(text).value->sql(Dialect::postgres);
    };
    CHECK(
        postgres("a / b") == "((\"a\")::double precision / nullif((\"b\")::double precision, 0))"
    );
    CHECK(postgres("to_minutes(m)") == "make_interval(mins => (\"m\")::integer)");
    CHECK(postgres("round(x)") == "round((\"x\")::numeric)");
    CHECK(postgres("round(x, 2)") == "round((\"x\")::numeric, 2)");
    CHECK(postgres("count(distinct a)") == "count(distinct \"a\")");
}
