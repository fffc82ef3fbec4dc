#include <catch2/catch.hpp>

#include "operators/transform/transform_fixture.hpp"

using namespace sluice;
using namespace sluice::transform_test;

TEST_CASE("dedup keeps one row by its order, whatever order they come in", "[transform]") {
    for (const char* order : {"", " order by v desc"}) {
        Transform t;
        t.given(
            R"j({"id": "bigint", "v": "integer", "at": "timestamp"})j",
            std::string("select * from (values (1::bigint, 10, timestamp '2026-01-01'), (1, 20, "
                        "'2026-01-02'), "
                        "(2, 5, null), (2, 6, null), (3, 1, '2026-01-01'), (3, 1, '2026-01-01')) "
                        "x(id, v, \"at\")"
            ) + order
        );
        const auto got = t.steps(
            R"j([{"dedup": {"key": "id", "order_by": "\"at\" desc, v"}}])j",
            "select id, v from processed.out order by 1"
        );
        CHECK(got == Lines{"1|20", "2|5", "3|1"});
        CHECK(t.xcom.at("rows_deduplicated") == 3);
        CHECK(t.xcom.at("rows_in") == 6);
        CHECK(t.xcom.at("rows_out") == 3);
        CHECK(
            t.steps(R"j([{"dedup": {"key": "*"}}])j", "select count(*) from processed.out") ==
            Lines{"5"}
        );
    }
}

TEST_CASE("dedup of few rows among many keeps what numbering all rows keeps", "[transform]") {
    binding::LakeFixture lake;
    lake.declare(
        "processed.x", R"j({"Id": "bigint", "part": "varchar", "v": "integer", "at": "timestamp"})j"
    );
    // Keys with NULLs, equal times, rows that are there twice, one key that the filter leaves
    // alone.
    const std::string given =
        "select r // 2 as \"Id\", case r % 2 when 0 then 'a' end as part, r::integer as v, "
        "timestamp '2026-01-01' as \"at\" from range(1000) t(r) union all values "
        "(7::bigint, 'a', -1, timestamp '2026-01-02'), (7, null, -2, null), (7, null, -2, null), "
        "(null, null, 5, null), (null, null, 6, null), (3, 'a', -3, timestamp '2026-01-01'), "
        "(9, 'a', 0, timestamp '2027-01-01')";
    lake.put("processed.x", given);
    const auto run = [&](const std::string& steps) {
        const Json params{
            {"from", "processed.x"}, {"to", "processed.out"}, {"steps", Json::parse(steps)}
        };
        REQUIRE(lake.check(op(), params).problems.empty());
        const Outcome outcome = lake.run(op(), params);
        UNSCOPED_INFO(outcome.message);
        REQUIRE(outcome.kind == OutcomeKind::success);
        return lake.rows(
            {"processed.out"},
            "select * exclude (_sluice_run_id, _sluice_task, _sluice_interval, "
            "_sluice_source, _sluice_row_hash, _sluice_loaded_at) from "
            "processed.out order by all"
        );
    };
    const std::string dedup =
        R"j({"dedup": {"key": ["id", "part"], "order_by": "\"at\" desc, v"}})j";
    const auto few = run(R"j([{"filter": "v <> 0"}, )j" + dedup + "]");
    CHECK(lake.xcom.at("rows_deduplicated") == 5);
    CHECK(few.size() == 1000);
    // A union is no step that makes a row of a row: there all rows are numbered.
    lake.declare(
        "processed.none",
        R"j({"Id": "bigint", "part": "varchar", "v": "integer", "at": "timestamp"})j"
    );
    lake.put("processed.none", "select * from (" + given + ") where false");
    CHECK(run(R"j([{"filter": "v <> 0"}, {"union": "processed.none"}, )j" + dedup + "]") == few);
    CHECK(lake.xcom.at("rows_deduplicated") == 5);
    CHECK(
        run(R"j([{"dedup": {"key": ["id", "part"]}}, {"dedup": {"key": "id"}}, )j"
            R"j({"select": {"n": "1"}}, {"dedup": {"key": "*"}}])j")
            .size() == 1
    );
    // Nothing to drop, and a key that is named twice.
    CHECK(run(R"j([{"dedup": {"key": ["v", "id", "at", "part"]}}])j").size() == 1006);
    CHECK(run(R"j([{"dedup": {"key": ["v", "V"]}}])j").size() == 1003);
}
