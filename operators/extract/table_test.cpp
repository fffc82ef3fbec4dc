#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "operators/extract/table_fixture.hpp"

using namespace sluice;
using namespace sluice::extract;
using Json = nlohmann::json;

TEST_CASE("tables of PostgreSQL are extracted with their types", "[extract][postgres]") {
    Shop shop;
    SECTION("every type, NULLs, quotes and line breaks") {
        shop.sql->execute(
            "create table t as select 1::smallint s, 2 i, 3::bigint b, 1.50::numeric(10,2) n, "
            "1.1::numeric nn, 0.1::float8 d, 'a,\"b\"' || chr(10) || E'\\\\N' v, ''::text empty, "
            "E'\\\\N'::text backslash, null::text nul, date '2026-01-05' da, timestamptz "
            "'2026-01-05 07:00+01' tz, timestamp '2026-01-05 07:00' ts, true bo, "
            "'{\"a\": [1]}'::jsonb j, '\\xAB00'::bytea bt, "
            "'00112233-4455-6677-8899-aabbccddeeff'::uuid u, interval '1 month 2 days 03:04:05' "
            "iv, "
            "array[1,2,null] arr, array['a\"b', '{']::varchar(9)[] texts, '{}'::date[] none, "
            "array[1.5]::numeric(3,1)[] decimals, timestamp(3) '2026-01-05 07:00:00.123' ts3, "
            "'abc'::char(5) padded, '10.0.0.1'::inet ip, "
            "99999999999999999999999999999999999.999::numeric(38,3) big, -0.05::numeric(4,2) low, "
            "120000::numeric(10,0) round"
        );
        const Outcome outcome = shop.run(from({{"table", "t"}}));
        INFO(outcome.message);
        REQUIRE(outcome.kind == OutcomeKind::success);
        CHECK(
            shop.text("select concat_ws(',', typeof(s), typeof(i), typeof(b), typeof(n), "
                      "typeof(nn), typeof(d), typeof(da), typeof(tz), typeof(ts), typeof(bo), "
                      "typeof(j), typeof(bt), typeof(u), typeof(iv), typeof(arr), typeof(texts), "
                      "typeof(none), typeof(decimals), typeof(ts3), typeof(ip)) from x") ==
            "SMALLINT,INTEGER,BIGINT,DECIMAL(10,2),VARCHAR,DOUBLE,DATE,TIMESTAMP WITH TIME ZONE,"
            "TIMESTAMP,BOOLEAN,JSON,BLOB,UUID,INTERVAL,INTEGER[],VARCHAR[],DATE[],DECIMAL(3,1)[],"
            "TIMESTAMP,VARCHAR"
        );
        CHECK(shop.text("select v = 'a,\"b\"' || chr(10) || '\\N' from x") == "true");
        CHECK(
            shop.text("select empty = '' and backslash = '\\N' and nul is null from x") == "true"
        );
        CHECK(
            shop.text("select hex(bt) || n || d || (j->>'$.a[0]') || u || iv from x") ==
            "AB001.500.1100112233-4455-6677-8899-aabbccddeeff1 month 2 days 03:04:05"
        );
        CHECK(
            shop.text("select concat_ws('|', arr::varchar, texts::varchar, none::varchar, "
                      "decimals::varchar, ts3, padded, ip, big, low, round) from x") ==
            "[1, 2, NULL]|['a\"b', '{']|[]|[1.5]|2026-01-05 07:00:00.123|abc  |10.0.0.1|"
            "99999999999999999999999999999999999.999|-0.05|120000"
        );
        CHECK(shop.text("select tz from x") == "2026-01-05T06:00:00.000000Z");
    }
    SECTION("an interval takes its own rows") {
        shop.sql->execute(
            "create table t as select g as n, timestamptz '2026-01-04 22:00+00' + g * interval '1 "
            "hour' as recorded_at, (timestamptz '2026-01-04 22:00+00' + g * interval '1 hour') at "
            "time zone 'UTC' as naive from generate_series(0, 30) g"
        );
        Json params = from({{"table", "t"}});
        params["incremental"] = "recorded_at";
        REQUIRE(shop.run(params).kind == OutcomeKind::success);
        CHECK(shop.xcom["rows_out"] == 24);
        CHECK(shop.text("select min(n) || '-' || max(n) from x") == "2-25");
        params["incremental"] = "naive";
        REQUIRE(shop.run(params).kind == OutcomeKind::success);
        CHECK(shop.text("select min(n) || '-' || max(n) from x") == "2-25");
        params["incremental"] = "nothing";
        CHECK(shop.run(params).error_class == ErrorClass::schema);

        // By cursor: only what is new leaves the server, whatever the column's type.
        for (const char* column : {"recorded_at", "naive", "n"}) {
            task::FakeLedger fresh;
            shop.sql->execute("delete from t where n > 30");
            params["incremental"] = {{"cursor", column}, {"key", "n"}};
            CHECK(shop.run(params, 5, fresh).message.empty());
            CHECK(shop.xcom["rows_out"] == 31);
            shop.sql->execute(
                "insert into t select n + 100, recorded_at + interval '1.5 microseconds', naive "
                "from t where n = 30"
            );
            CHECK(shop.run(params, 6, fresh).message.empty());
            CHECK(shop.xcom["rows_out"] == 1);
            CHECK(shop.xcom["rows_in"] == 2);
            CHECK(shop.run(params, 5, fresh).message.empty());
            CHECK(shop.xcom["rows_out"] == 31);
        }
    }
    SECTION("a query with values, a condition, columns") {
        shop.sql->execute("create table t as select g as n, 'x' || g v from generate_series(1, 9) g"
        );
        Json query = from({{"query", {{"text", "select n from t where n > $1"}, {"values", {6}}}}});
        REQUIRE(shop.run(query).kind == OutcomeKind::success);
        CHECK(shop.text("select sum(n)::int from x") == "24");
        Json table = from({{"table", "public.t"}, {"columns", {"v"}}, {"where", "n = 3"}});
        REQUIRE(shop.run(table).kind == OutcomeKind::success);
        CHECK(shop.text("select v from x") == "x3");
    }
    SECTION("infinite and far times are kept") {
        shop.sql->execute(
            "create table t as select date 'infinity' a, date '-infinity' b, timestamptz "
            "'infinity' c, timestamp '-infinity' d, date '4713-01-01 BC' e, timestamp "
            "'9999-12-31 23:59:59.999999' f, null::timestamptz g"
        );
        const Outcome outcome = shop.run(from({{"table", "t"}}));
        INFO(outcome.message);
        REQUIRE(outcome.kind == OutcomeKind::success);
        CHECK(
            shop.text("select concat_ws(' ', a, b, c, d, e, f) from x") ==
            "infinity -infinity infinity -infinity 4713-01-01 (BC) 9999-12-31 23:59:59.999999"
        );
    }
    SECTION("what the engine has no value for fails with row and column, never with the value") {
        const auto refused = [&](const std::string& type, const std::string& value) {
            shop.sql->execute(
                "drop table if exists t; create table t (n int, v " + type + "); insert into t " +
                "values (1, null), (2, '" + value + "')"
            );
            const Outcome outcome = shop.run(from({{"table", "t"}}));
            CHECK(outcome.error_class == ErrorClass::data_quality);
            const std::string begin = "connection \"shop\", t: row 2, column \"v\" (";
            return outcome.message.starts_with(begin) ? outcome.message.substr(begin.size())
                                                      : "?" + outcome.message;
        };
        CHECK_THAT(refused("numeric(5,1)", "NaN"), Catch::StartsWith("numeric(5,1)): NaN"));
        CHECK_THAT(refused("int[]", "{{1,2},{3,4}}"), Catch::Contains("an array of 2 dimensions"));
        CHECK_THAT(refused("interval", "-1 day"), Catch::Contains("an interval below zero"));
        CHECK_THAT(
            refused("timestamp", "294270-01-01"), Catch::Contains("beyond what TIMESTAMP holds")
        );
    }
    SECTION("bytes that are not UTF-8") {
        shop.sql->execute(
            "create database bytes encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C' template "
            "template0"
        );
        const std::string url = shop.shop.schema;
        shop.shop.schema = shop.url("bytes");
        connect::Postgres(shop.shop, "test").execute("create table t as select 1 n, E'caf\\351' v");
        const Outcome outcome = shop.run(from({{"table", "t"}}));
        CHECK(outcome.error_class == ErrorClass::data_quality);
        CHECK_THAT(outcome.message, Catch::Contains("t: after row 0: invalid byte sequence"));
        shop.shop.schema = url;
    }
    SECTION("a server that fails on its way says after which row") {
        shop.sql->execute("create table t as select g as n from generate_series(1, 9) g");
        const Outcome outcome = shop.run(from({{"query", "select 1 / (n - 5) as one from t"}}));
        CHECK(outcome.error_class == ErrorClass::data_quality);
        CHECK_THAT(
            outcome.message,
            Catch::Contains("connection \"shop\"") &&
                Catch::Contains("after row 4: division by zero")
        );
    }
    SECTION("a table or server that is not there") {
        const Outcome vanished = shop.run(from({{"table", "nothing"}}));
        CHECK(vanished.error_class == ErrorClass::schema);
        CHECK_THAT(
            vanished.message,
            Catch::Contains("connection \"shop\", nothing: relation \"nothing\" does not exist")
        );
        shop.shop.schema = "dbname=shop host=/nonexistent";
        const Outcome outcome = shop.run(from({{"table", "t"}}));
        CHECK(outcome.error_class == ErrorClass::transient);
        CHECK_THAT(outcome.message, Catch::Contains("connection \"shop\""));
    }
}
