// verify: hash of what a load writes into a file.
#include "operators/load/outside.hpp"

#include <catch2/catch.hpp>

#include "operators/binding/lake_fixture.hpp"
#include "operators/extract/source.hpp"
#include "operators/extract/target_check.hpp"
#include "operators/load/load.hpp"

using namespace sluice;
using Json = nlohmann::json;

namespace {

Json to_file(const std::string& path) {
    return {
        {"from", "curated.rows"},
        {"to", {{"conn_id", "lake"}, {"path", path}}},
        {"mode", "replace"},
        {"verify", "hash"}
    };
}

constexpr const char* all_types =
    "select * from (values "
    "(true, 7::smallint, (-9223372036854775808)::bigint, 12345.6700::decimal(12,4), "
    "12345678901234567890123456789.123456789::decimal(38,9), 0.1::double, 1.5::float, "
    "'a,b\"c\nd', '', date '2026-01-05', time '07:08:09.5', "
    "timestamp '1999-12-31 23:59:59.999999', timestamptz '2026-01-05 07:00:00+01', "
    "uuid '00112233-4455-6677-8899-aabbccddeeff', '\\xAB\\x00'::blob, "
    "[1, null]::bigint[], interval '1 month 2 days 3 hours'), "
    "(false, null, null, null, -99999999999999999999999999999.999999999, 1e-300, null, null, "
    "'NULL', date '0044-03-15 (BC)', null, null, timestamptz 'infinity', null, ''::blob, [], "
    "null), "
    "(null, 0, 0, -0.05, 0, -0.0, 0, '\\N', ' x ', null, time '00:00:00', timestamp '2026-01-05', "
    "null, null, null, null, null)) t(b, si, bi, d, big, dp, r, v, e, da, t, ts, tz, u, bl, l, iv)";

}  // namespace

TEST_CASE("a new file says what was sent, in every format", "[load][verify]") {
    binding::LakeFixture lake;
    const task::Operator op = ops::load_operator();
    lake.put("curated.rows", all_types);
    for (const char* name : {"out/x.csv", "out/x.tsv.gz", "out/x.csv.zst", "out/x.parquet"}) {
        CAPTURE(name);
        const Outcome outcome = lake.run(op, to_file(name));
        INFO(outcome.message);
        CHECK(outcome.kind == OutcomeKind::success);
        CHECK(lake.xcom.at("rows_out") == 3);
        CHECK(std::filesystem::exists(lake.path() + "/" + name));
    }
    Json headless = to_file("out/y.csv");
    headless["to"]["header"] = false;
    for (const char* rows :
         {"select null::varchar v union all select '' union all select 'x'",
          "select repeat('x', 3000000) v, 1 as n",
          "select 1 v where false"}) {
        lake.put("curated.rows", rows);
        for (const Json& params : {headless, to_file("out/y.parquet")}) {
            CAPTURE(rows, params.dump());
            const Outcome outcome = lake.run(op, params);
            INFO(outcome.message);
            CHECK(outcome.kind == OutcomeKind::success);
        }
    }
}

TEST_CASE("a file that is not what was sent never gets its name", "[load][verify]") {
    binding::LakeFixture lake;
    for (const char* name : {"x.csv", "x.parquet"}) {
        const task::Operator op{
            .name = "write",
            .summary = {},
            .schema = "{}",
            .traits = {},
            .check = {},
            .run =
                [&](task::TaskContext& context, const Json&) {
                    const auto database = engine::open_database(context);
                    extract::WriteRequest request;
                    request.to = {{"conn_id", "lake"}, {"path", name}};
                    request.query = "select 1::bigint a, 'x' b";
                    request.columns = database->describe(request.query);
                    request.rows = 1;
                    request.content_hash =
                        extract::content_of_query(
                            *database, "select 1::bigint a, 'y' b", request.columns
                        )
                            .hash;
                    request.claim = [](std::int64_t at_least) { return at_least; };
                    return engine::guarded([&] {
                        extract::write_file(context, *database, request);
                        return task::success();
                    });
                }
        };
        const Outcome outcome = lake.run(op, Json::object());
        CAPTURE(name, outcome.message);
        CHECK(outcome.error_class == ErrorClass::data_quality);
        CHECK(
            outcome.message.find("the rows of the new file are not what was sent: 1 rows, hash ") !=
            std::string::npos
        );
        CHECK(outcome.message.find("E-LOAD-VERIFY") != std::string::npos);
        CHECK_FALSE(std::filesystem::exists(lake.path() + "/" + name));
    }
}

TEST_CASE("what has no hash outside is said before and while it is loaded", "[load][verify]") {
    binding::LakeFixture lake;
    const task::Operator op = ops::load_operator();
    lake.put("curated.rows", "select 1 id, '{\"a\": 1}'::json j");
    CHECK(lake.run(op, to_file("x.csv")).kind == OutcomeKind::success);
    const Outcome outcome = lake.run(op, to_file("x.jsonl"));
    CHECK(outcome.error_class == ErrorClass::permanent);
    CHECK(outcome.message.find("use counts, or write CSV or Parquet") != std::string::npos);
    const auto json = lake.check(op, to_file("x.json.gz")).problems;
    REQUIRE(json.size() == 1);
    CHECK(json.front().code == "E-LOAD-TARGET");
    CHECK(json.front().pointer == "/verify");
    lake.declare("curated.rows", R"j({"id": "bigint", "d": "double", "j": "json"})j");
    CHECK(lake.check(op, to_file("x.csv")).problems.empty());
    Json table = to_file("");
    table["to"] = {{"conn_id", "shop"}, {"table", "rows"}};
    const auto problems = lake.check(op, table).problems;
    REQUIRE(problems.size() == 2);
    CHECK(problems.front().code == "E-LOAD-VERIFY");
    table["max_rejects"] = 1;
    const auto refused = lake.check(op, table).problems;
    REQUIRE(refused.size() == 1);
    CHECK(refused.front().code == "E-LOAD-TARGET");
    CHECK(refused.front().pointer == "/max_rejects");
}
