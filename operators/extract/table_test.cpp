#include <cstdlib>
#include <filesystem>
#include <memory>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "operators/connect/postgres.hpp"
#include "operators/extract/extract.hpp"
#include "operators/lake/slice.hpp"
#include "store/cluster.hpp"
#include "task/fake_context.hpp"

using namespace sluice;
using Json = nlohmann::json;

namespace {

std::string temporary_folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "table-XXXXXX").string();
    return mkdtemp(pattern.data());
}

class Shop {
public:
    Shop() : home_(temporary_folder()), cluster_(home_) {
        cluster_.start();
        shop.id = "shop";
        shop.type = "postgres";
        shop.schema = cluster_.url("shop");
        sql = std::make_unique<connect::Postgres>(shop, "test");
    }
    ~Shop() {
        sql.reset();
        cluster_.stop();
        std::filesystem::remove_all(home_);
    }

    Outcome run(const Json& params, int day = 5) { return run(params, day, ledger); }
    Outcome run(const Json& params, int day, task::FakeLedger& in) {
        task::FakeContext fake(in);
        prepare(fake, day);
        const Outcome outcome = fake.run(ops::extract_operator(), params);
        xcom = fake.xcom();
        return outcome;
    }
    std::string text(const std::string& query, int day = 5) {
        task::FakeContext fake(ledger);
        prepare(fake, day);
        const auto db = engine::open_database(fake.context());
        const auto source = lake::read(fake.context(), *db, lake::query_of("raw.x"));
        db->execute("create view x as select * from " + source.relation);
        return db->text(query);
    }

    task::Connection shop;
    std::unique_ptr<connect::Postgres> sql;
    task::FakeLedger ledger;
    Json xcom;
    std::string timezone{"UTC"};

private:
    void prepare(task::FakeContext& fake, int day) {
        fake.folder("lake", home_ + "/lake");
        fake.connect(shop);
        const Instant start = parse_time("2026-01-01")->at + std::chrono::hours{24 * (day - 1)};
        fake.interval(start, start + std::chrono::hours{24});
        fake.job.info.timezone = timezone;
        DatasetSpec spec;
        spec.name = "raw.x";
        fake.datasets({spec});
    }
    std::string home_;
    store::Cluster cluster_;
};

Json from(Json source) {
    source["conn_id"] = "shop";
    return {{"from", std::move(source)}, {"to", "raw.x"}};
}

}  // namespace

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
            "array[1,2] arr"
        );
        const Outcome outcome = shop.run(from({{"table", "t"}}));
        INFO(outcome.message);
        REQUIRE(outcome.kind == OutcomeKind::success);
        CHECK(
            shop.text("select concat_ws(',', typeof(s), typeof(i), typeof(b), typeof(n), "
                      "typeof(nn), typeof(d), typeof(da), typeof(tz), typeof(ts), typeof(bo), "
                      "typeof(j), typeof(bt), typeof(u)) from x") ==
            "SMALLINT,INTEGER,BIGINT,DECIMAL(10,2),VARCHAR,DOUBLE,DATE,TIMESTAMP WITH TIME ZONE,"
            "TIMESTAMP,BOOLEAN,JSON,BLOB,UUID"
        );
        CHECK(shop.text("select v = 'a,\"b\"' || chr(10) || '\\N' from x") == "true");
        CHECK(
            shop.text("select empty = '' and backslash = '\\N' and nul is null from x") == "true"
        );
        CHECK(
            shop.text("select hex(bt) || n || d || (j->>'$.a[0]') || arr from x") ==
            "AB001.500.11{1,2}"
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
