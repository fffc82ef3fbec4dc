#include "operators/extract/pg_scan.hpp"

#include <chrono>
#include <thread>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "operators/extract/table_fixture.hpp"

using namespace sluice;
using namespace sluice::extract;
using Json = nlohmann::json;

namespace {

constexpr const char* many_rows =
    "create table t as select g as n, case when g % 3 = 0 then null else 'text ' || g end as v, "
    "(g / 7.0)::numeric(12,3) as d, timestamptz '2026-01-05' + g * interval '1 second' as seen, "
    "array[g, null, g + 1] as l from generate_series(1, 30000) g";

/// The rows as the server has them and as the lake has them, added up.
std::string at_server(Shop& shop) {
    return shop.sql
        ->value(
            "select concat_ws(' ', count(*), count(distinct n), count(v), sum(length(v)), "
            "sum(d), sum(extract(epoch from seen)::bigint), sum(l[3])) from t"
        )
        .value_or("");
}
std::string in_lake(Shop& shop) {
    return shop.text(
        "select concat_ws(' ', count(*), count(distinct n), count(v), sum(length(v)), "
        "sum(d), sum(epoch(seen)::bigint), sum(l[3])) from x"
    );
}

}  // namespace

TEST_CASE("a table is read by several threads", "[extract][postgres]") {
    Shop shop;
    shop.threads = GENERATE(1, 3);
    shop.sql->execute(many_rows);
    SECTION("every row once") {
        REQUIRE(shop.run(from({{"table", "t"}})).message.empty());
        CHECK(shop.xcom["rows_in"] == 30000);
        CHECK(shop.xcom["rows_out"] == 30000);
        CHECK(in_lake(shop) == at_server(shop));
    }
    SECTION("a query keeps its order") {
        REQUIRE(shop.run(from({{"query", "select * from t order by n desc"}})).message.empty());
        CHECK(
            shop.text("select count(*) from (select n, lag(n) over () as before from x) "
                      "where before <> n + 1") == "0"
        );
    }
    SECTION("a value that the engine has not, far behind the first rows") {
        shop.sql->execute("update t set d = 'NaN' where n = 20000");
        const Outcome outcome = shop.run(from({{"query", "select * from t order by n"}}));
        CHECK(outcome.error_class == ErrorClass::data_quality);
        CHECK_THAT(
            outcome.message,
            Catch::StartsWith("connection \"shop\"") &&
                Catch::Contains("row 20000, column \"d\" (numeric(12,3)): NaN")
        );
        CHECK(shop.run(from({{"table", "t"}})).error_class == ErrorClass::data_quality);
    }
    SECTION("rows larger than what is read ahead") {
        shop.sql->execute("update t set v = repeat(n::text, 1500000) where n in (1, 2, 15000)");
        REQUIRE(shop.run(from({{"table", "t"}})).message.empty());
        CHECK(in_lake(shop) == at_server(shop));
    }
    SECTION("no rows") {
        shop.sql->execute("truncate t");
        REQUIRE(shop.run(from({{"table", "t"}})).message.empty());
        CHECK(shop.text("select count(*) from x") == "0");
    }
}

TEST_CASE("a reader that stops says why, and leaves no statement behind", "[extract][postgres]") {
    Shop shop;
    shop.threads = 2;
    shop.memory_bytes = std::int64_t{96} << 20;
    shop.temp_bytes = std::int64_t{1} << 20;
    shop.sql->execute(
        "create table t as select g as n, (select string_agg(md5((g * i)::text), '') from "
        "generate_series(1, 600) i) as v from generate_series(1, 9000) g"
    );
    const Outcome outcome = shop.run(from({{"table", "t"}}));
    INFO(outcome.message);
    CHECK(outcome.error_class == ErrorClass::resource);
    CHECK_THAT(outcome.message, Catch::Contains("memory"));
    CHECK(
        shop.sql->value(
            "select count(*) from pg_stat_activity where query like 'copy%' and state = "
            "'active'"
        ) == "0"
    );
}

TEST_CASE("a scan ends while its server still works", "[extract][postgres]") {
    Shop shop;
    task::FakeLedger ledger;
    task::FakeContext fake(ledger);
    const auto scan = [&](const std::string& query) {
        return std::make_unique<PgScan>(
            std::make_shared<connect::Postgres>(shop.shop, "scan"),
            "copy (" + query + ") to stdout (format binary)",
            std::vector<PgColumn>{pg_column("n", "bigint")},
            TableProgress(fake.context(), 0)
        );
    };
    SECTION("that has sent nothing") { scan("select 1::bigint from pg_sleep(600)")->begin(); }
    SECTION("that has sent more than is wanted") {
        scan("select g from generate_series(1::bigint, 1000000000) g")->begin();
    }
    SECTION("that was asked for nothing") { CHECK(scan("select 1::bigint")->rows() == 0); }
    // The sessions go with their scans.
    for (int i = 0; i < 100; ++i)
        if (shop.sql->value("select count(*) from pg_stat_activity where application_name = "
                            "'scan' and state = 'active'") == "0")
            break;
    CHECK(
        shop.sql->value("select count(*) from pg_stat_activity where application_name = 'scan' and "
                        "state = 'active'") == "0"
    );
}

TEST_CASE("the rows of a scan are there once", "[extract][postgres]") {
    Shop shop;
    task::FakeLedger ledger;
    task::FakeContext fake(ledger);
    PgScan scan(
        std::make_shared<connect::Postgres>(shop.shop, "scan"),
        "copy (select 1::bigint) to stdout (format binary)",
        {pg_column("n", "bigint")},
        TableProgress(fake.context(), 0)
    );
    scan.begin();
    CHECK_THROWS_WITH(scan.begin(), Catch::Contains("there once"));
}

TEST_CASE("a bad value is told though the server has sent everything", "[extract][postgres]") {
    Shop shop;
    task::FakeLedger ledger;
    task::FakeContext fake(ledger);
    PgScan scan(
        std::make_shared<connect::Postgres>(shop.shop, "scan"),
        "copy (select 1::numeric(3,1) union all select 'NaN') to stdout (format binary)",
        {pg_column("n", "numeric(3,1)")},
        TableProgress(fake.context(), 0)
    );
    engine::Database database(engine::DatabaseOptions{});
    database.execute("create table t (n decimal(3,1))");
    engine::RowAppender rows = database.append_rows("t");
    scan.begin();
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{30};
    while (scan.rows() < 2 && std::chrono::steady_clock::now() < deadline)
        std::this_thread::yield();
    CHECK_THROWS_WITH(scan.next(rows), Catch::Contains("row 2, column \"n\""));
    CHECK_THROWS_WITH(scan.check(), Catch::Contains("row 2, column \"n\""));
}
