#include "operators/validate/validate.hpp"

#include <catch2/catch.hpp>

#include "model/json_schema.hpp"
#include "operators/binding/lake_fixture.hpp"
#include "operators/validate/compare.hpp"
#include "operators/validate/rules.hpp"

using namespace sluice;
using nlohmann::json;
using Lines = std::vector<std::string>;

namespace {

const task::Operator& op() {
    static const task::Operator made = ops::validate_operator();
    return made;
}

struct Validate : binding::LakeFixture {
    Outcome run_checks(const std::string& checks, json more = json::object()) {
        json params{
            {"from", "raw.x"},
            {"to", "processed.x"},
            {"checks", json::parse(checks)},
            {"max_bad", "100%"}
        };
        params.update(more);
        const auto checked = check(op(), params);
        for (const Problem& problem : checked.problems) UNSCOPED_INFO(format(problem));
        REQUIRE(checked.problems.empty());
        const Outcome outcome = run(op(), params);
        UNSCOPED_INFO(outcome.message);
        return outcome;
    }
    Lines good(const std::string& columns) {
        return rows({"processed.x"}, "select " + columns + " from processed.x order by all");
    }
    Lines aside(const std::string& columns) {
        return rows(
            {"raw.x_quarantine"},
            "select " + columns +
                ", array_to_string(_reasons, '; ') from raw.x_quarantine order by all"
        );
    }
    Outcome gate(const std::string& from, const std::string& checks) {
        const json params{{"from", from}, {"checks", json::parse(checks)}};
        const auto checked = check(op(), params);
        for (const Problem& problem : checked.problems) UNSCOPED_INFO(format(problem));
        REQUIRE(checked.problems.empty());
        return run(op(), params);
    }
};

}  // namespace

TEST_CASE("the schema of validate is sound", "[validate]") {
    CHECK(schema_faults(json::parse(op().schema)).empty());
    const json good = json::parse(R"j({"from": "raw.orders", "to": "processed.orders", "checks": [
        {"expr": "lower(trim(status)) in ('completed', 'shipped')"}, {"range": "discount_bp", "min": 0, "max": 10000},
        {"foreign_key": "dest", "references": "processed.airports(faa)", "on_fail": "warn"}, {"unique": ["a", "b"]},
        {"accepted_values": "origin", "values": ["EWR", "JFK"]}, {"range": "birth_date", "min": "1900-01-01"}]})j"
    );
    for (const Problem& problem : check_against(good, json::parse(op().schema)))
        FAIL(format(problem));
    CHECK_FALSE(check_against(
                    json::parse(R"j({"from": "a.b", "checks": [{"rnge": "x"}]})j"),
                    json::parse(op().schema)
    )
                    .empty());
}

TEST_CASE("rows that break the contract are set aside as they came, with reasons", "[validate]") {
    Validate v;
    v.declare(
        "raw.x",
        R"j({"id": "bigint not null", "made": {"type": "timestamptz not null", "parse": ["iso", "%d/%m/%Y %H:%M", "epoch_ms"]},
                            "price": {"type": "bigint", "parse": "money"}, "name": "varchar @name"})j"
    );
    v.put(
        "raw.x",
        "select * from (values ('1', '2026-01-05T10:00:00Z', '$12.34', 'Ana', 'x'), ('2', "
        "'05/01/2026 14:03', '12,34', '', null), "
        "('3', '1767621780000', '1234', null, null), ('4', '2026-02-30', 'ten', 'Ben', null), "
        "('x', 'not-a-date', '5', 'Eve', null), "
        "('', null, null, 'Nil', null)) t(id, made, price, name, gift_note)"
    );
    const Outcome outcome = v.run_checks("[]");
    REQUIRE(outcome.kind == OutcomeKind::success);
    CHECK(
        v.good("id, epoch(made)::bigint, price, name") ==
        Lines{"1|1767607200|1234|Ana", "2|1767621780|1234|", "3|1767621780|1234|null"}
    );
    CHECK(
        v.aside("id, made, gift_note") ==
        Lines{
            "null|null|not_null: id; not_null: made",
            "4|2026-02-30|null|cast: price; date_format: made",
            "x|not-a-date|null|cast: id; date_format: made",
        }
    );
    CHECK(v.xcom.at("rows_in") == 6);
    CHECK(v.xcom.at("rows_out") == 3);
    CHECK(v.xcom.at("rows_quarantined") == 3);
    CHECK(v.dataset("processed.x").columns.at(3).pii_class == "name");
    CHECK(v.dataset("processed.x").columns.at(3).origins == Lines{"raw.x.name"});
    CHECK(v.dataset("raw.x_quarantine").columns.back().name == "_reasons");
}

TEST_CASE("row rules set aside, drop, warn or fail", "[validate]") {
    Validate v;
    v.declare(
        "raw.x",
        R"j({"id": "bigint", "qty": "integer", "status": "varchar", "mail": "varchar", "day": "date"})j"
    );
    v.declare("processed.orders", R"j({"order_id": "bigint"})j");
    v.put("processed.orders", "select unnest([1, 2, 3, 4]::bigint[]) as order_id");
    v.put(
        "raw.x",
        "select * from (values ('1', '1', ' Shipped', 'a@b', '2026-01-01'), ('2', '-1', 'shipped', "
        "'a@b', '2026-01-01'), "
        "('3', '2', 'lost', null, '1899-01-01'), ('4', '3', 'completed', 'nope', '2026-01-01'), "
        "('9', '3', 'completed', 'a@b', '2026-01-01'), ('1', '1', 'shipped', 'a@b', null)) t(id, "
        "qty, status, mail, day)"
    );
    const std::string checks =
        R"j([{"range": "qty", "min": 1, "max": 1000}, {"expr": "lower(trim(status)) in ('completed', 'shipped')", "id": "status"},
        {"regex": "mail", "pattern": "[^@]+@[^@]+", "on_fail": "warn"}, {"range": "day", "min": "1900-01-01"},
        {"foreign_key": "id", "references": "processed.orders(order_id)"}, {"unique": "id", "on_fail": "drop"},
        {"not_null": "mail", "where": "qty > 5"}, {"length": "status", "min": 3}, {"accepted_values": "qty", "values": [-1, 1, 2, 3]},
        {"castable": "status", "as": "varchar"}])j";
    const Outcome outcome = v.run_checks(checks);
    REQUIRE(outcome.kind == OutcomeKind::success);
    CHECK(v.good("id, qty") == Lines{"1|1", "4|3"});
    CHECK(v.aside("id") == Lines{"2|range: qty", "3|range: day; status", "9|fk: id"});
    CHECK(v.xcom.at("rows_quarantined") == 3);
    CHECK(v.xcom.at("rows_out") == 2);
    bool warned = false;
    for (const auto& [level, line] : v.logs)
        warned |= line.find("regex: mail: 1 rows") != std::string::npos;
    CHECK(warned);

    CHECK(
        v.run_checks(R"j([{"range": "qty", "min": 1, "on_fail": "fail"}])j").error_class ==
        ErrorClass::data_quality
    );
    CHECK(
        v.run_checks(R"j([{"range": "qty", "min": 1, "max_bad": 1}])j").kind == OutcomeKind::success
    );
    CHECK(
        v.run_checks(R"j([{"range": "qty", "min": 2, "max_bad": "40%"}])j").kind ==
        OutcomeKind::failed
    );
    const Outcome many = v.run_checks(R"j([{"range": "qty", "min": 2}])j", {{"max_bad", 2}});
    CHECK(many.kind == OutcomeKind::failed);
    CHECK(many.message.find("3 of 6 rows are bad") != std::string::npos);
}

TEST_CASE("which of two equal keys stays does not depend on the order of rows", "[validate]") {
    Lines before;
    for (const char* order : {"desc", "asc"}) {
        Validate v;
        v.declare("raw.x", R"j({"id": "bigint", "n": "bigint"})j");
        v.put(
            "raw.x",
            std::string("select 1::bigint as id, i::bigint as n from range(50) t(i) order by i ") +
                order
        );
        REQUIRE(v.run_checks(R"j([{"unique": "id"}])j").kind == OutcomeKind::success);
        const Lines now = v.good("id, n");
        CHECK(now.size() == 1);
        if (!before.empty()) CHECK(now == before);
        before = now;
    }
}

TEST_CASE("a column that is missing fails, one that is not declared stays behind", "[validate]") {
    Validate v;
    v.declare("raw.x", R"j({"id": "bigint", "lost": "varchar"})j");
    v.put("raw.x", "select 1::bigint as id");
    const Outcome outcome = v.run_checks("[]");
    CHECK(outcome.error_class == ErrorClass::schema);
    CHECK(outcome.message.find("lost") != std::string::npos);
    v.put("raw.x", "select 1::bigint as id, 'x' as lost, 'y' as extra");
    REQUIRE(v.run_checks("[]").kind == OutcomeKind::success);
    CHECK(v.good("columns(c -> c not like '\\_%' escape '\\')") == Lines{"1|x"});
}

TEST_CASE("a gate over the lake holds or fails, and changes nothing", "[validate]") {
    Validate v;
    v.declare(
        "processed.a",
        R"j({"k": "bigint", "n": "bigint", "begins": "date", "ends": "date", "seen": "timestamptz"})j"
    );
    v.declare("raw.b", R"j({"k": "bigint", "n": "bigint"})j");
    v.put(
        "processed.a",
        "select * from (values (1::bigint, 10::bigint, date '2026-01-01', date '2026-01-03', "
        "timestamptz '2026-01-05 12:00:00+00'), (1, 20, '2026-01-03', '2026-01-09', null)) t(k, n, "
        "begins, ends, seen)"
    );
    v.put("raw.b", "select * from (values ('1', '10'), ('1', '20')) t(k, n)");
    const auto holds = [&](const std::string& checks) {
        return v.gate("processed.a", checks).kind == OutcomeKind::success;
    };
    CHECK(holds(
        R"j([{"row_count": {"min": 2, "max": 2}}, {"compare": "raw.b", "aggregates": ["count(*)", "sum(n)"]}])j"
    ));
    CHECK(holds(
        R"j([{"compare": "raw.b", "aggregates": {"avg(n)": "sum(n) / count(n)"}, "group_by": "k", "tolerance": 0.001}])j"
    ));
    CHECK(holds(
        R"j([{"no_overlap": ["begins", "ends"], "by": "k"}, {"unique": ["k", "n"]}, {"range": "n", "min": 10}, {"schema": "exact"}, {"freshness": "seen", "max_age": "1d"}])j"
    ));
    CHECK_FALSE(holds(R"j([{"row_count": {"min": 3}}])j"));
    CHECK_FALSE(holds(R"j([{"unique": "k"}])j"));
    CHECK_FALSE(holds(R"j([{"freshness": "seen", "max_age": "1h"}])j"));
    CHECK(holds(R"j([{"row_count": {"min": 3}, "on_fail": "warn"}])j"));
    v.put("raw.b", "select * from (values ('1', '10')) t(k, n)");
    const Outcome different =
        v.gate("processed.a", R"j([{"compare": "raw.b", "aggregates": ["count(*)", "sum(n)"]}])j");
    CHECK(different.kind == OutcomeKind::failed);
    CHECK(different.message.find("sum(n) is 30, in raw.b it is 10") != std::string::npos);
    v.put(
        "processed.a",
        "select 1::bigint as k, 1::bigint as n, date '2026-01-01' as begins, date '2026-01-05' as "
        "ends, null::timestamptz as seen union all select 1, 2, '2026-01-04', '2026-01-06', null"
    );
    CHECK_FALSE(holds(R"j([{"no_overlap": ["begins", "ends"], "by": "k"}])j"));
}

TEST_CASE("checks that make no sense are refused at load", "[validate]") {
    Validate v;
    v.declare("raw.x", R"j({"id": "bigint", "name": "varchar"})j");
    const auto codes = [&](const json& params) {
        Lines out;
        for (const Problem& problem : v.check(op(), params).problems)
            out.push_back(problem.code + " " + problem.pointer);
        return out;
    };
    const auto with = [](const std::string& checks) {
        return json{{"from", "raw.x"}, {"to", "processed.x"}, {"checks", json::parse(checks)}};
    };
    CHECK(codes(with(R"j([{"range": "idd", "min": 1}])j")) == Lines{"E-COLUMN /checks/0"});
    CHECK(codes(with(R"j([{"expr": "id >> 1"}])j")) == Lines{"E-EXPR /checks/0/expr"});
    CHECK(codes(with(R"j([{"range": "id", "unique": "id"}])j")) == Lines{"E-CHECK /checks/0"});
    CHECK(codes(with(R"j([{"monotonic": "a"}])j")) == Lines{"E-COLUMN /checks/0"});
    CHECK(
        codes(with(R"j([{"row_count": {"min": 1}, "on_fail": "drop"}])j")) ==
        Lines{"E-CHECK /checks/0/on_fail"}
    );
    CHECK(
        codes(with(R"j([{"foreign_key": "id", "references": "processed.none"}])j")) ==
        Lines{"E-DATASET /checks/0"}
    );
    CHECK(codes({{"from", "raw.x"}}) == Lines{"E-VALIDATE "});
    CHECK(codes({{"from", "raw.none"}, {"to", "processed.x"}}) == Lines{"E-DATASET /from"});
}

TEST_CASE("two answers are equal by what they mean", "[validate]") {
    using validate::same_value;
    CHECK(same_value("12.50", "12.5"));
    CHECK(same_value("9007199254740993", "9007199254740993"));
    CHECK_FALSE(same_value("9007199254740993", "9007199254740992"));
    CHECK(same_value("1.0001", "1.0002", {0.001, 0}));
    CHECK_FALSE(same_value("1.0001", "1.0002"));
    CHECK(same_value("1000", "1001", {0, 0.001}));
    CHECK_FALSE(same_value("1000", "1002", {0, 0.001}));
    CHECK(same_value(std::nullopt, std::nullopt));
    CHECK_FALSE(same_value("0", std::nullopt));
    CHECK(same_value("1e3", "1000"));
}
