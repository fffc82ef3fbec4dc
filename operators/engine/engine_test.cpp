#include <atomic>
#include <thread>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "operators/engine/chunk.hpp"
#include "operators/engine/content_hash.hpp"
#include "operators/engine/database.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"

using namespace sluice;
using namespace sluice::engine;

namespace {

DatabaseOptions small() {
    DatabaseOptions options;
    options.memory_bytes = std::int64_t{256} << 20;
    return options;
}

/// content_hash_pieces in plain SQL.
constexpr const char* pieces_by_text =
    "coalesce(sum(('0x' || substr(_sluice_row_hash, 1, 8))::bigint), 0)::hugeint::varchar as h0, "
    "coalesce(sum(('0x' || substr(_sluice_row_hash, 9, 8))::bigint), 0)::hugeint::varchar as h1, "
    "coalesce(sum(('0x' || substr(_sluice_row_hash, 17, 8))::bigint), 0)::hugeint::varchar as h2, "
    "coalesce(sum(('0x' || substr(_sluice_row_hash, 25, 8))::bigint), 0)::hugeint::varchar as h3";

}  // namespace

TEST_CASE("a query gives typed cells", "[engine]") {
    Database db(small());
    const Rows rows = db.query(
        "select true, 7::smallint, 12.5::double, 'x', null, 12.50::decimal(10,2), "
        "date '2026-01-05', timestamptz '2026-01-05 07:00:00+01', (-5)::hugeint, "
        "uuid '00112233-4455-6677-8899-aabbccddeeff', '\\xAB'::blob, -0.05::decimal(4,2)"
    );
    REQUIRE(rows.rows.size() == 1);
    const auto& row = rows.rows.front();
    CHECK(row[0] == Value{true});
    CHECK(row[1] == Value{std::int64_t{7}});
    CHECK(row[2] == Value{12.5});
    CHECK(row[3] == Value{std::string("x")});
    CHECK(is_null(row[4]));
    CHECK(to_text(row[5]) == "12.50");
    CHECK(to_text(row[6]) == "2026-01-05");
    CHECK(to_text(row[7]) == "2026-01-05T06:00:00.000000Z");
    CHECK(to_text(row[8]) == "-5");
    CHECK(to_text(row[9]) == "00112233-4455-6677-8899-aabbccddeeff");
    CHECK(to_text(row[10]) == "ab");
    CHECK(to_text(row[11]) == "-0.05");
    CHECK(rows.columns[5].type == "DECIMAL(10,2)");
    CHECK(rows.columns[7].type == "TIMESTAMP WITH TIME ZONE");
}

TEST_CASE("parameters are bound, not pasted", "[engine]") {
    Database db(small());
    const std::vector<Value> parameters{
        std::string("it's \"x\""), std::int64_t{3}, Value{}, 0.5, true
    };
    const Rows rows = db.query("select $1, $2 + 1, $3 is null, $4 * 2, not $5", parameters);
    CHECK(to_text(rows.rows[0][0]) == "it's \"x\"");
    CHECK(rows.rows[0][1] == Value{std::int64_t{4}});
    CHECK(rows.rows[0][2] == Value{true});
    CHECK(rows.rows[0][3] == Value{1.0});
    CHECK(rows.rows[0][4] == Value{false});
    CHECK_THROWS_AS(db.query("select $1"), Error);
}

TEST_CASE("an appender and a stream carry many rows", "[engine]") {
    Database db(small());
    db.execute("create table t (n bigint, s varchar)");
    Appender appender = db.append("t");
    for (std::int64_t i = 0; i < 10'000; ++i) {
        appender.integer(i);
        if (i % 3 == 0) {
            appender.null();
        } else {
            appender.text("a text that is longer than twelve bytes " + std::to_string(i));
        }
        appender.end_row();
    }
    appender.close();
    CHECK(db.integer("select count(*) from t") == 10'000);
    CHECK(db.integer("select count(*) from t where s is null") == 3'334);
    std::int64_t sum = 0;
    std::size_t rows = 0;
    db.stream("select n, s from t order by n", [&](const Chunk& chunk) {
        for (std::size_t row = 0; row < chunk.rows(); ++row) {
            const std::int64_t n = chunk.column(0).integer(row);
            sum += n;
            ++rows;
            const bool null = chunk.column(1).is_null(row);
            REQUIRE(null == (n % 3 == 0));
            if (!null) {
                REQUIRE(chunk.column(1).text(row).substr(40) == std::to_string(n));
            }
        }
    });
    CHECK(rows == 10'000);
    CHECK(sum == 49'995'000);
}

TEST_CASE("C++ functions run in queries and their exceptions fail them", "[engine]") {
    Database db(small());
    ScalarFunction shout;
    shout.name = "shout";
    shout.arguments = {FunctionType::text, FunctionType::integer};
    shout.body = [](const Arguments& in, Results& out) {
        for (std::size_t row = 0; row < in.rows(); ++row) {
            if (in.is_null(0, row) || in.is_null(1, row)) {
                out.null(row);
                continue;
            }
            if (in.integer(1, row) < 0) throw Error(ErrorCode::invalid, "less than nothing");
            out.text(
                row,
                std::string(in.text(0, row)) +
                    std::string(static_cast<std::size_t>(in.integer(1, row)), '!')
            );
        }
    };
    db.add_function(shout);
    CHECK(db.text("select shout('hi', 3)") == "hi!!!");
    CHECK(is_null(db.value("select shout(null, 3)")));
    CHECK(
        db.integer("select count(*) from (select shout('x' || i, i % 5) s from range(9999) t(i)) "
                   "where s not like 'x%'") == 0
    );
    CHECK_THROWS_WITH(db.query("select shout('x', -1)"), Catch::Contains("less than nothing"));
}

TEST_CASE("errors carry their class", "[engine]") {
    Database db(small());
    const auto class_of = [&](const std::string& sql) {
        try {
            db.query(sql);
        } catch (const Failure& failure) {
            return failure.error_class();
        }
        return ErrorClass::none;
    };
    CHECK(class_of("select nothing_like_this from range(3)") == ErrorClass::schema);
    CHECK(class_of("select 'x'::integer from range(3)") == ErrorClass::data_quality);
    CHECK(class_of("selec") == ErrorClass::permanent);
    CHECK(
        class_of("select list(a || range::varchar) from range(90000000), (select repeat('x', 99) a)"
        ) == ErrorClass::resource
    );
}

TEST_CASE("interrupt ends a running query and leaves the connection usable", "[engine]") {
    Database db(small());
    std::atomic<bool> done{false};
    std::thread stopper([&] {
        while (!done) {
            db.interrupt();
            std::this_thread::yield();
        }
    });
    CHECK_THROWS_AS(
        db.query("select count(*) from range(1000000000) a, range(1000000) b where a.range + "
                 "b.range = -1"),
        Failure
    );
    done = true;
    stopper.join();
    CHECK(db.integer("select 1") == 1);
}

TEST_CASE("threads that share a connection wait for each other", "[engine]") {
    Database db(small());
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&] {
            for (int n = 0; n < 50; ++n) try {
                    if (db.integer("select count(*) from range(200000)") != 200000) ++wrong;
                } catch (const Error&) {
                    ++wrong;
                }
        });
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
}

TEST_CASE("a statement ends what its connection streams, with an error", "[engine]") {
    Database db(small());
    const auto other = db.beside();
    std::int64_t rows = 0;
    const auto stream = [&](Database& asked) {
        rows = 0;
        db.stream("select range from range(1000000)", [&](const Chunk& chunk) {
            rows += static_cast<std::int64_t>(chunk.rows());
            asked.execute("create or replace table t as select 1");
        });
    };
    CHECK_THROWS_AS(stream(db), Failure);
    CHECK(rows < 1'000'000);
    CHECK(db.integer("select count(*) from t") == 1);
    stream(*other);
    CHECK(rows == 1'000'000);
}

TEST_CASE("row hashes tell NULL from empty and boundaries apart", "[engine][hash]") {
    Database db(small());
    const std::vector<ColumnInfo> columns{{"a", "VARCHAR"}, {"b", "VARCHAR"}};
    const auto hash = [&](const std::string& a, const std::string& b) {
        return db.text("select " + row_hash(columns) + " from (select " + a + " a, " + b + " b)");
    };
    CHECK(hash("'a'", "'b'") == db.text("select sha256('v1:av1:b')"));
    CHECK(hash("null", "''") == db.text("select sha256('nv0:')"));
    CHECK(hash("'a|'", "'b'") != hash("'a'", "'|b'"));
    CHECK(hash("'é'", "null") == db.text("select sha256('v2:én')"));
}

TEST_CASE("a row hash is that of the text, by SQL's own means", "[engine][hash]") {
    Database db(small());
    const std::vector<ColumnInfo> columns{
        {"i", "BIGINT"}, {"b", "BOOLEAN"}, {"d", "DECIMAL(10,2)"}, {"t", "VARCHAR"}
    };
    std::string parts;
    for (const ColumnInfo& column : columns) {
        const std::string text = canonical_text(quote(column.name), column.type);
        parts += (parts.empty() ? "" : " || ") +
                 ("case when " + quote(column.name) + " is null then 'n' else 'v' || strlen(" +
                  text + ") || ':' || " + text + " end");
    }
    // Three chunks and a piece, NULLs at different places in each column.
    const std::string rows =
        "(select case when r % 7 <> 0 then r end as i, case when r % 5 <> 0 then r % 2 = 0 end as "
        "b, "
        "case when r % 3 <> 0 then r::decimal(10,2) / 4 end as d, case when r % 11 <> 0 then "
        "repeat('é', (r % 40)::int) end as t from range(7000) x(r))";
    CHECK(
        db.integer(
            "select count(*) from " + rows + " where " + row_hash(columns) +
            " is distinct from sha256(" + parts + ")"
        ) == 0
    );
}

TEST_CASE("a row hash of every type is that of its canonical text", "[engine][hash]") {
    Database db(small());
    const std::vector<std::pair<std::string, std::string>> values{
        {"TINYINT", "-128, 0, 127"},
        {"SMALLINT", "-32768, 7"},
        {"INTEGER", "-2147483648, 2147483647"},
        {"BIGINT", "-9223372036854775808, 9223372036854775807"},
        {"UTINYINT", "255"},
        {"USMALLINT", "65535"},
        {"UINTEGER", "4294967295"},
        {"UBIGINT", "18446744073709551615"},
        {"HUGEINT", "-170141183460469231731687303715884105728, 1"},
        {"BOOLEAN", "true, false"},
        {"DECIMAL(4,2)", "0, 0.05, -0.05, 12.50, -99.99, 10"},
        {"DECIMAL(2,2)", "0, 0.5, -0.05, 0.99"},
        {"DECIMAL(1,1)", "0, -0.5"},
        {"DECIMAL(9,0)", "0, 100, -999999999"},
        {"DECIMAL(18,3)", "999999999999999.999, -1, 0.001, 1000"},
        {"DECIMAL(38,0)", "-99999999999999999999999999999999999999, 0"},
        {"DECIMAL(38,10)", "1234567890123456789012345678.9012345678, -0.0000000001, 100"},
        {"DECIMAL(38,38)", "0, 0.00000000000000000000000000000000000001"},
        {"FLOAT", "0.1, 1, -3.5e20"},
        {"DOUBLE", "'0.1', '1', 'nan', '-infinity'"},
        {"VARCHAR", "'', 'x', 'ein langer Text mit Umlauten: äöü'"},
        {"JSON", "'{\"a\": 1}', '[]'"},
        {"BLOB", "'', '\\x00\\xFF'"},
        {"DATE", "'1969-12-31', '0044-03-15 (BC)', 'infinity', '20000-01-01'"},
        {"TIME", "'23:59:59.999999', '00:00:00'"},
        {"TIMESTAMP", "'1969-12-31 23:59:59.9', 'infinity', '-infinity'"},
        {"TIMESTAMP WITH TIME ZONE", "'2026-01-05 00:00:00+01', 'infinity', '-infinity'"},
        {"INTERVAL", "'1 month 2 days 3 seconds'"},
        {"DECIMAL(10,2)[]", "[1.50, null]"},
        {"VARCHAR[]", "['a', null], []"},
        {"UUID", "'00112233-4455-6677-8899-aabbccddeeff'"},
    };
    for (const auto& [type, list] : values) {
        const std::string text = canonical_text("c", type);
        const std::string wrong = db.text(
            "select string_agg(" + text + ", ' | ') from (select unnest([" + list +
            ", null])::" + type + " as c) where " + row_hash({{"c", type}}) +
            " is distinct from sha256(case when c is null then 'n' else 'v' || strlen(" + text +
            ") || ':' || " + text + " end)"
        );
        INFO(type);
        CHECK(wrong.empty());
    }
}

TEST_CASE("a row hash of whole numbers of every length", "[engine][hash]") {
    Database db(small());
    // Each power of ten, what is beside it, and the same below zero.
    const std::string rows =
        "(select (sign * (10::hugeint ** e)::hugeint + beside)::bigint as c from range(19) a(e), "
        "(select unnest([-1, 0, 1]) as beside), (select unnest([-1, 0, 1]) as sign))";
    CHECK(
        db.integer(
            "select count(*) from " + rows + " where " + row_hash({{"c", "BIGINT"}}) +
            " is distinct from sha256('v' || strlen(c::varchar) || ':' || c::varchar)"
        ) == 0
    );
    CHECK(
        db.integer(
            "select count(*) from (select try_cast(c as ubigint) as c from " + rows +
            ") where c is not null and " + row_hash({{"c", "UBIGINT"}}) +
            " is distinct from sha256('v' || strlen(c::varchar) || ':' || c::varchar)"
        ) == 0
    );
}

TEST_CASE("hashes added up while they are made are those that are read", "[engine][hash]") {
    Database db(small());
    const std::string rows = " from (select r as a, r::varchar as b from range(5000) x(r))";
    const std::vector<ColumnInfo> columns{{"a", "BIGINT"}, {"b", "VARCHAR"}};
    const ContentSum sum;
    db.execute("create table t as select " + sum.row_hash(columns) + " as _sluice_row_hash" + rows);
    CHECK(sum.rows() == 5000);
    const auto read = db.query("select " + std::string(content_hash_pieces) + " from t").rows.at(0);
    CHECK(
        sum.hash() ==
        content_hash({to_text(read[0]), to_text(read[1]), to_text(read[2]), to_text(read[3])})
    );
    const ContentSum constants;
    db.execute(
        "create table c as select " + constants.row_hash({{"a", "INTEGER"}}) +
        " as h from (select 1 as a, r from range(3) x(r))"
    );
    CHECK(constants.rows() == 3);
    CHECK_THROWS_AS(db.query("select sluice_row_hash_sum(0, 'a')"), Failure);
}

TEST_CASE("the pieces of a content hash are those of its text", "[engine][hash]") {
    Database db(small());
    const std::string rows =
        " from (select sha256(r::varchar) as _sluice_row_hash from range(5000) x(r))";
    const auto native = db.query("select " + std::string(content_hash_pieces) + rows).rows.at(0);
    const auto text = db.query("select " + std::string(pieces_by_text) + rows).rows.at(0);
    CHECK(native == text);
    CHECK_THROWS_AS(db.query("select sluice_hash_piece('short', 0)"), Failure);
    CHECK(is_null(db.value("select sluice_hash_piece(null::varchar, 0)")));
}

TEST_CASE("canonical text does not depend on scale, zone or session", "[engine][hash]") {
    Database db(small());
    const auto text = [&](const std::string& expression, const std::string& type) {
        return db.text("select " + canonical_text("(" + expression + ")", type));
    };
    CHECK(text("12.50::decimal(10,2)", "DECIMAL(10,2)") == "12.5");
    CHECK(text("100.00::decimal(10,2)", "DECIMAL(10,2)") == "100");
    CHECK(text("100::decimal(10,0)", "DECIMAL(10,0)") == "100");
    CHECK(text("true", "BOOLEAN") == "t");
    CHECK(text("1.0::double", "DOUBLE") == "1");
    CHECK(text("0.1::double", "DOUBLE") == "0.1");
    CHECK(text("timestamptz '1970-01-01 01:00:01+01'", "TIMESTAMP WITH TIME ZONE") == "1000000");
}

TEST_CASE("the content hash does not depend on order", "[engine][hash]") {
    Database db(small());
    const auto hash = [&](const std::string& order) {
        const auto row =
            db.query(
                  "select " + std::string(pieces_by_text) +
                  " from (select sha256(range::varchar) as _sluice_row_hash from range(1000) "
                  "order by range " +
                  order + ")"
            )
                .rows.at(0);
        return content_hash({to_text(row[0]), to_text(row[1]), to_text(row[2]), to_text(row[3])});
    };
    CHECK(hash("asc") == hash("desc"));
    CHECK(hash("asc").size() == 32);
    CHECK(content_hash({"0", "0", "0", "4294967296"}) == "00000000000000000000000100000000");
}

TEST_CASE("type names map between the language and both engines", "[engine][types]") {
    CHECK(type_name(Dialect::duckdb, "decimal(10, 2)") == "DECIMAL(10,2)");
    CHECK(type_name(Dialect::postgres, "decimal(10,2)") == "numeric(10,2)");
    CHECK(type_name(Dialect::postgres, "varchar(10)") == "varchar(10)");
    CHECK(type_name(Dialect::postgres, "bigint[]") == "bigint[]");
    CHECK(type_name(Dialect::duckdb, "timestamptz") == "TIMESTAMP WITH TIME ZONE");
    CHECK_FALSE(is_language_type("number"));
    CHECK_FALSE(is_language_type("bigint(3)"));
    CHECK(language_type("DECIMAL(10,2)") == "decimal(10,2)");
    CHECK(language_type("VARCHAR[]") == "varchar[]");
    CHECK_FALSE(language_type("STRUCT(a INTEGER)").has_value());
    CHECK(postgres_type("HUGEINT") == "numeric(38,0)");
    CHECK(duckdb_type_of_postgres("numeric(12,3)") == "DECIMAL(12,3)");
    CHECK(duckdb_type_of_postgres("character varying(20)") == "VARCHAR");
    CHECK(quote("a\"b") == "\"a\"\"b\"");
    CHECK(literal("it's") == "'it''s'");
}

TEST_CASE("rendered SQL is written out with literals", "[engine][sql]") {
    const nlohmann::json sql{
        {"text", "select '$1', \"$1\" -- $1\n, $1, $2, $3, $4"},
        {"values", {"it's", 5, {{"timestamptz", "2026-01-05T00:00:00+00:00"}}, {1, 2}}}
    };
    CHECK(
        with_literals(sql) ==
        "select '$1', \"$1\" -- $1\n, ('it''s'), (5), "
        "(timestamp with time zone '2026-01-05T00:00:00+00:00'), (array[1, 2])"
    );
    CHECK(with_literals("select 1") == "select 1");
    CHECK_THROWS_AS(with_literals(nlohmann::json{{"text", "$2"}, {"values", {1}}}), Error);
}

TEST_CASE(
    "long texts are handed on before a batch is full, lists and NULLs with them", "[engine]"
) {
    Database db(small());
    db.execute("create table t (a varchar, b bigint[], c bigint)");
    RowAppender rows = db.append_rows("t");
    const std::string text(std::size_t{3} << 20, 'x');
    for (int i = 0; i < 20; ++i) {
        rows.text(text);
        rows.begin_list(2);
        rows.integer(i);
        rows.null();
        rows.end_list();
        if (i % 7 == 0)
            rows.null();
        else
            rows.integer(i);
        rows.end_row();
    }
    rows.close();
    CHECK(
        db.text("select concat_ws(' ', count(*), sum(length(a)), sum(b[1]), count(b[2]), count(c), "
                "sum(c)) from t") == "20 62914560 190 0 17 169"
    );
}

TEST_CASE("a row hash of thousands of columns", "[engine]") {
    Database db(small());
    std::string columns;
    for (int i = 0; i < 3000; ++i)
        columns += (i > 0 ? ", " : "") + std::string("1 as c") + std::to_string(i);
    const std::string query = "select " + columns;
    CHECK(db.text("select " + row_hash(db.describe(query)) + " from (" + query + ")").size() == 64);
    // The same, however it is put together.
    CHECK(
        db.text(
            "select " + row_hash({{"a", "BIGINT"}, {"b", "VARCHAR"}}) +
            " from (select 12::bigint a, null::varchar b)"
        ) == db.text("select sha256('v2:12n')")
    );
}

TEST_CASE(
    "a full disk or memory is of class resource, without advice for another program", "[engine]"
) {
    DatabaseOptions options = small();
    options.memory_bytes = std::int64_t{32} << 20;
    Database db(options);
    try {
        db.execute("create table t as select range::varchar || repeat('x', 100) from range(3000000)"
        );
        FAIL("it fitted");
    } catch (const Failure& failure) {
        CHECK(failure.error_class() == ErrorClass::resource);
        CHECK_THAT(failure.what(), Catch::Contains("resources.") && !Catch::Contains("SET "));
    }
}
