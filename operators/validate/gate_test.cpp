#include <catch2/catch.hpp>

#include "operators/binding/warehouse_fixture.hpp"
#include "operators/validate/validate.hpp"

using namespace sluice;
using nlohmann::json;

TEST_CASE("a gate over warehouse tables compares them with the lake", "[validate]") {
    binding::WarehouseFixture w;
    const task::Operator op = ops::validate_operator();
    // The fixture's interval is the day 2026-01-05.
    w.sql.execute(
        "create table sales.fact (id bigint, cents bigint, kind text, _sluice_interval text); "
        "insert into sales.fact values (1, 10, 'a', "
        "'2026-01-05T00:00:00+00:00/2026-01-06T00:00:00+00:00'), "
        "(2, 20, 'b', '2026-01-05T00:00:00+00:00/2026-01-06T00:00:00+00:00'), (3, 999, 'b', "
        "'another')"
    );
    w.sql.execute(
        "create table sales.kinds (kind text); insert into sales.kinds values ('a'), ('b')"
    );
    w.declare("sales.fact", R"j({"id": "bigint", "cents": "bigint", "kind": "varchar"})j");
    w.declare("sales.kinds", R"j({"kind": "varchar"})j");
    w.declare("processed.sales", R"j({"id": "bigint", "cents": "bigint"})j");
    w.put(
        "processed.sales", "select * from (values (1::bigint, 10::bigint), (2, 20)) t(id, cents)"
    );
    const auto gate = [&](const std::string& checks) {
        return w.run(op, {{"from", {"sales.fact"}}, {"checks", json::parse(checks)}});
    };
    const Outcome holds = gate(
        R"j([{"compare": "processed.sales", "aggregates": ["count(*)", "count(distinct id)", "sum(cents)", "avg(cents)"]},
             {"unique": "id"}, {"foreign_key": "kind", "references": "sales.kinds"}, {"regex": "kind", "pattern": "a|b"},
             {"range": "cents", "min": 0, "max": 1000}, {"not_null": "id"}, {"expr": "cents / 2 < 500"},
             {"accepted_values": "kind", "values": ["a", "b"]}, {"length": "kind", "max": 1}, {"schema": "exact"},
             {"row_count": {"min": 3}}])j"
    );
    INFO(holds.message);
    CHECK(holds.kind == OutcomeKind::success);
    CHECK(
        gate(R"j([{"compare": "processed.sales", "aggregates": "count(*)", "scope": "all"}])j")
            .message.find("count(*) is 3, in processed.sales it is 2") != std::string::npos
    );
    CHECK(gate(R"j([{"range": "cents", "max": 100}])j").kind == OutcomeKind::failed);
    CHECK(
        gate(R"j([{"range": "cents", "max": 100, "on_fail": "warn"}])j").kind ==
        OutcomeKind::success
    );
    CHECK(
        gate(R"j([{"foreign_key": "id", "references": "processed.sales"}])j")
            .message.find("different places") != std::string::npos
    );
}

TEST_CASE("versions of a dimension that are not right are found", "[validate]") {
    binding::WarehouseFixture w;
    const task::Operator op = ops::validate_operator();
    w.sql.execute(
        "create table sales.dim (k bigint, valid_from timestamptz, valid_to timestamptz, "
        "is_current boolean)"
    );
    w.declare("sales.dim", R"j({"k": "bigint"})j");
    const auto scd2 = [&](const std::string& rows) {
        w.sql.execute("delete from sales.dim");
        w.sql.execute("insert into sales.dim values " + rows);
        return w.run(
                    op, {{"from", "sales.dim"}, {"checks", {{{"scd2", true}, {"key", "k"}}}}}
               ).kind == OutcomeKind::success;
    };
    CHECK(
        scd2("(1, '1900-01-01', '2026-01-02', false), (1, '2026-01-02', 'infinity', true), (null, "
             "'1900-01-01', 'infinity', true)")
    );
    CHECK_FALSE(scd2("(1, '1900-01-01', '2026-01-03', false), (1, '2026-01-02', 'infinity', true)")
    );
    CHECK_FALSE(scd2("(1, '2026-01-02', '2026-01-02', false)"));
    CHECK_FALSE(scd2("(1, '1900-01-01', '2026-01-02', true)"));
}

TEST_CASE("a gate finds personal data in a warehouse, and classes that are small", "[validate]") {
    binding::WarehouseFixture w;
    const task::Operator op = ops::validate_operator();
    w.sql.execute(
        "create table sales.people as select i as id, 'person' || i || '@example.com' as contact, "
        "'p***@example.com' as masked, md5(i::text) as key, 'S' || (i % 2) as state, i % 3 as ill, "
        "now() as _sluice_loaded_at from generate_series(1, 1000) i"
    );
    w.declare(
        "sales.people",
        R"j({"id": "bigint", "contact": "varchar", "masked": "varchar", "key": "varchar", "state": "varchar", "ill": "bigint"})j"
    );
    const auto gate = [&](const std::string& checks) {
        const json params{{"from", {"sales.people"}}, {"checks", json::parse(checks)}};
        const auto checked = w.check(op, params);
        for (const Problem& problem : checked.problems) FAIL(format(problem));
        return w.run(op, params);
    };
    const Outcome found = gate(R"j([{"pii_scan": true}])j");
    CHECK(found.error_class == ErrorClass::data_quality);
    CHECK(found.message.find("contact: email (100% of 1000 values)") != std::string::npos);
    CHECK(found.message.find("person") == std::string::npos);
    CHECK(found.message.find("masked") == std::string::npos);
    CHECK(gate(R"j([{"pii_scan": ["masked", "key", "state"]}])j").kind == OutcomeKind::success);
    CHECK(gate(R"j([{"k_anonymity": ["state"], "k": 400}])j").kind == OutcomeKind::success);
    CHECK(
        gate(R"j([{"k_anonymity": ["state", "id"], "k": 5}])j")
            .message.find("1000 classes of state, id with 1000 of 1000 rows (100.00%) are too small"
            ) != std::string::npos
    );
    CHECK(
        gate(R"j([{"l_diversity": ["state"], "sensitive": "ill", "l": 3}])j").kind ==
        OutcomeKind::success
    );
    CHECK(
        gate(R"j([{"l_diversity": ["state"], "sensitive": "ill", "l": 4}])j").kind ==
        OutcomeKind::failed
    );
}
