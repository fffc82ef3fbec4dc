#include "operators/extract/mysql_cells.hpp"

#include <catch2/catch.hpp>

#include "operators/connect/mysql_fields.hpp"
#include "operators/connect/mysql_options.hpp"
#include "operators/engine/failure.hpp"
#include "task/context.hpp"

using namespace sluice;
using namespace sluice::extract;
using connect::MysqlField;
using connect::MysqlKind;

namespace {

/// What the engine has after one cell came.
std::string through(MysqlField field, std::string_view cell, const MysqlTypes& types = {}) {
    engine::Database database{engine::DatabaseOptions{}};
    field.name = "c";
    const std::vector<MysqlColumn> columns{mysql_column(field, types)};
    database.execute("create table t (c " + columns[0].engine_type + ")");
    engine::RowAppender rows = database.append_rows("t");
    MysqlRows reader(columns, types, rows);
    try {
        reader.row({std::nullopt});
        reader.row({cell});
    } catch (const engine::Failure& failure) {
        CHECK(failure.error_class() == ErrorClass::data_quality);
        return failure.what();
    }
    rows.close();
    CHECK(database.integer("select count(*) from t") == 2);
    return database.text(
        "select typeof(c) || ' ' || coalesce(c::varchar, 'NULL') from t limit 1 offset 1"
    );
}

MysqlField field(
    MysqlKind kind, int bytes = 0, bool is_unsigned = false, int width = 0, int scale = 0
) {
    return {"", kind, bytes, is_unsigned, width, scale};
}

}  // namespace

TEST_CASE("cells of MySQL keep their types and digits", "[extract][mysql]") {
    CHECK(
        through(field(MysqlKind::integer, 8, true), "18446744073709551615") ==
        "UBIGINT 18446744073709551615"
    );
    CHECK(
        through(field(MysqlKind::integer, 8), "-9223372036854775808") ==
        "BIGINT -9223372036854775808"
    );
    CHECK(through(field(MysqlKind::integer, 2, true), "65535") == "USMALLINT 65535");
    CHECK(
        through(
            field(MysqlKind::decimal, 0, false, 38, 2), "-999999999999999999999999999999999999.99"
        ) == "DECIMAL(38,2) -999999999999999999999999999999999999.99"
    );
    CHECK(through(field(MysqlKind::decimal, 0, false, 65, 30), "1.5") == "VARCHAR 1.5");
    CHECK(through(field(MysqlKind::decimal, 0, false, 5, 2), "-0.05") == "DECIMAL(5,2) -0.05");
    CHECK(through(field(MysqlKind::double_), "1e-300") == "DOUBLE 1e-300");
    CHECK(through(field(MysqlKind::real), "0.10000000149011612") == "FLOAT 0.1");
    CHECK(
        through(field(MysqlKind::datetime), "2026-01-05 07:08:09.500000") ==
        "TIMESTAMP 2026-01-05 07:08:09.5"
    );
    CHECK(
        through(field(MysqlKind::datetime), "0001-01-01 00:00:00") ==
        "TIMESTAMP 0001-01-01 00:00:00"
    );
    CHECK(
        through(field(MysqlKind::timestamp), "2026-01-05 07:08:09") ==
        "TIMESTAMP WITH TIME ZONE 2026-01-05 07:08:09+00"
    );
    CHECK(through(field(MysqlKind::date), "9999-12-31") == "DATE 9999-12-31");
    CHECK(through(field(MysqlKind::time), "23:59:59.000001") == "TIME 23:59:59.000001");
    CHECK(through(field(MysqlKind::bit, 0, true, 1), std::string_view("\1", 1)) == "BOOLEAN true");
    CHECK(
        through(field(MysqlKind::bit, 0, true, 16), std::string_view("\1\0", 2)) == "UBIGINT 256"
    );
    CHECK(through(field(MysqlKind::tiny1, 1), "1") == "BOOLEAN true");
    CHECK(through(field(MysqlKind::tiny1, 1), "7", {.tiny1_as_boolean = false}) == "TINYINT 7");
    CHECK(through(field(MysqlKind::year), "2026") == "SMALLINT 2026");
    CHECK(through(field(MysqlKind::blob), std::string_view("\xFF\0", 2)) == "BLOB \\xFF\\x00");
    CHECK(through(field(MysqlKind::json), "{\"a\": 1}") == "JSON {\"a\": 1}");
    CHECK(
        through(field(MysqlKind::uuid), "00112233-4455-6677-8899-aabbccddeeff") ==
        "UUID 00112233-4455-6677-8899-aabbccddeeff"
    );
}

TEST_CASE("what the engine has no value for names row and column", "[extract][mysql]") {
    const std::string where = "row 2, column \"c\" (";
    CHECK_THAT(
        through(field(MysqlKind::date), "0000-00-00"),
        Catch::StartsWith(where + "date): a date with zeros")
    );
    CHECK_THAT(
        through(field(MysqlKind::datetime), "2026-00-01 00:00:00"), Catch::Contains("zero_dates")
    );
    CHECK(through(field(MysqlKind::date), "0000-00-00", {.zero_dates_null = true}) == "DATE NULL");
    CHECK_THAT(
        through(field(MysqlKind::date), "2026-02-30"), Catch::Contains("a date that does not exist")
    );
    CHECK_THAT(through(field(MysqlKind::time), "-01:00:00"), Catch::Contains("below zero"));
    CHECK_THAT(through(field(MysqlKind::time), "838:59:59"), Catch::Contains("more than a day"));
    CHECK_THAT(through(field(MysqlKind::tiny1, 1), "2"), Catch::Contains("tinyint1_as_boolean"));
    CHECK_THAT(through(field(MysqlKind::text), "caf\xE9"), Catch::Contains("not UTF-8"));
}

TEST_CASE("a MySQL connection checks the server unless it says otherwise", "[extract][mysql]") {
    task::Connection connection;
    connection.id = "shop";
    connection.host = "db.example.org";
    const auto tls = [&](const std::string& extra) {
        connection.extra = extra;
        return connect::mysql_options(connection).tls;
    };
    CHECK(tls("{}") == connect::MysqlTls::verify);
    CHECK(tls(R"({"sslmode": "require"})") == connect::MysqlTls::encrypt);
    CHECK(tls(R"({"ssl_mode": "DISABLED"})") == connect::MysqlTls::off);
    CHECK_THROWS_WITH(
        tls(R"({"sslmode": "prefer"})"),
        Catch::Contains("connection \"shop\"") && Catch::Contains("\"prefer\"")
    );
    CHECK(tls(R"({"unix_socket": "/run/x.sock"})") == connect::MysqlTls::off);
    connection.extra = R"({"ssl": {"ca": "/a", "cert": "/b", "key": "/c"}})";
    CHECK(connect::mysql_options(connection).ca == "/a");
    CHECK(connect::mysql_options(connection).key == "/c");
    CHECK(connect::class_of_mysql(1045) == ErrorClass::auth);
    CHECK(connect::class_of_mysql(1146) == ErrorClass::schema);
    CHECK(connect::class_of_mysql(2013) == ErrorClass::transient);
    CHECK(connect::class_of_mysql(1064) == ErrorClass::permanent);
}
