// Anomalies, samples, one pass, sets of keys, and the way out of quarantine.
#include <chrono>
#include <thread>

#include <catch2/catch.hpp>

#include "operators/binding/warehouse_fixture.hpp"
#include "operators/validate/anomaly.hpp"
#include "operators/validate/row_check.hpp"
#include "operators/validate/samples.hpp"
#include "operators/validate/scan.hpp"
#include "operators/validate/validate.hpp"

using namespace sluice;
using nlohmann::json;
using Lines = std::vector<std::string>;

namespace {

const task::Operator& validate_op() {
    static const task::Operator made = ops::validate_operator();
    return made;
}

Instant day(const std::string& text) { return parse_time(text)->at; }

std::size_t times(const std::string& text, const std::string& word) {
    std::size_t count = 0;
    for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++count;
    return count;
}

/// Everything that a task said: its end, its log, what it pushed.
std::string said(const binding::LakeFixture& fixture, const Outcome& outcome) {
    std::string all = outcome.message + "\n" + fixture.found_by_checks.dump() + "\n";
    for (const auto& [level, line] : fixture.logs) all += line + "\n";
    return all;
}

Outcome run_checked(binding::LakeFixture& fixture, const json& params) {
    const auto checked = fixture.check(validate_op(), params);
    for (const Problem& problem : checked.problems) FAIL(format(problem));
    Outcome outcome = fixture.run(validate_op(), params);
    UNSCOPED_INFO(outcome.message);
    return outcome;
}

}  // namespace

TEST_CASE("a metric is judged by its interval's predecessors", "[validate]") {
    using validate::Anomaly;
    using validate::Verdict;
    const Interval now{day("2026-03-02"), day("2026-03-03")};  // a Monday
    std::vector<validate::Point> history;
    for (int i = 1; i <= 28; ++i) {
        const Instant start = now.start - std::chrono::hours{24 * i};
        history.push_back({start, i % 7 == 0 ? 1000.0 + i : 100.0 + i % 3});
    }
    const auto verdict = [&](Anomaly::Method method, double value, std::int64_t least = 4) {
        Anomaly anomaly{.metric = "row_count", .column = "", .method = method};
        if (method == Anomaly::Method::relative) anomaly.k = 0.5;
        anomaly.min_history = least;
        return validate::judge(anomaly, value, now, "UTC", history);
    };
    // Among Mondays a thousand is usual, a hundred is not; among all days it is the other way
    // round.
    CHECK(verdict(Anomaly::Method::seasonal, 1015).is == Verdict::Is::usual);
    CHECK(verdict(Anomaly::Method::seasonal, 101).is == Verdict::Is::anomaly);
    CHECK(verdict(Anomaly::Method::seasonal, 101).points == 4);
    CHECK(verdict(Anomaly::Method::relative, 120).is == Verdict::Is::usual);
    CHECK(verdict(Anomaly::Method::relative, 160).is == Verdict::Is::anomaly);
    CHECK(verdict(Anomaly::Method::sigma, 101).is == Verdict::Is::usual);
    CHECK(verdict(Anomaly::Method::sigma, 9000).is == Verdict::Is::anomaly);
    const Verdict few = verdict(Anomaly::Method::seasonal, 101, 7);
    CHECK(few.is == Verdict::Is::unknown);
    CHECK(few.told == "there are 4 earlier intervals of its season, 7 are needed to judge");
    // A later interval says nothing of an earlier one: a backfill judges as the first run did.
    for (validate::Point& point : history) point.start += std::chrono::hours{24 * 100};
    CHECK(verdict(Anomaly::Method::sigma, 101).points == 0);
}

TEST_CASE("an interval unlike those before it is found, with too few it is said", "[validate]") {
    binding::LakeFixture v;
    v.declare("raw.x", R"j({"id": "bigint not null", "n": "bigint", "mail": "varchar @email"})j");
    const auto run = [&](int number, int rows, const json& anomalies) {
        const Instant start = day("2026-01-05") + std::chrono::hours{24 * number};
        v.interval = Interval{start, start + std::chrono::hours{24}};
        v.put(
            "raw.x",
            "select i as id, i % 10 as n, case when i % 4 = 0 then 'a@b' end as mail from range(" +
                std::to_string(rows) + ") t(i)"
        );
        return run_checked(v, {{"from", "raw.x"}, {"to", "processed.x"}, {"anomalies", anomalies}});
    };
    const json anomalies = json::parse(
        R"j([{"metric": "row_count", "min_history": 4, "on_fail": "fail"}, {"metric": "null_share", "column": "mail", "min_history": 4},
             {"metric": "avg", "column": "n", "method": "relative", "min_history": 4}])j"
    );
    for (int i = 0; i < 4; ++i) {
        REQUIRE(run(i, 100 + i, anomalies).kind == OutcomeKind::success);
        CHECK(said(v, {}).find("row_count is not judged: there are") != std::string::npos);
    }
    REQUIRE(run(4, 102, anomalies).kind == OutcomeKind::success);
    CHECK(said(v, {}).find("row_count: 102 is within") != std::string::npos);
    const Outcome odd = run(5, 12, anomalies);
    CHECK(odd.error_class == ErrorClass::data_quality);
    CHECK(odd.message.find("anomaly: row_count: 12 is outside of") != std::string::npos);
    // Of a classified column nothing is kept that gives a value away.
    const auto refused = v.check(
        validate_op(),
        json::parse(
            R"j({"from": "raw.x", "to": "processed.x", "anomalies": [{"metric": "max", "column": "mail"},
            {"metric": "sum", "column": "nope"}, {"metric": "row_count", "column": "id"}]})j"
        )
    );
    Lines codes;
    for (const Problem& problem : refused.problems)
        codes.push_back(problem.code + " " + problem.pointer);
    CHECK(
        codes ==
        Lines{"E-CHECK /anomalies/2", "E-CHECK /anomalies/0", "E-COLUMN /anomalies/1/column"}
    );
}

TEST_CASE("values that rise, by key and in an order", "[validate]") {
    binding::WarehouseFixture w;
    w.declare("raw.x", R"j({"k": "varchar", "seen": "timestamp", "n": "bigint"})j");
    w.put(
        "raw.x",
        "select * from (values ('a', timestamp '2026-01-01', 1), ('b', timestamp '2026-01-09', 9), "
        "('a', timestamp '2026-01-02', 0), ('a', null, 5), ('b', timestamp '2026-01-09', 8)) t(k, "
        "seen, n)"
    );
    const auto gate = [&](const char* from, const char* check) {
        return run_checked(w, {{"from", from}, {"checks", json::array({json::parse(check)})}});
    };
    CHECK(gate("raw.x", R"j({"monotonic": "seen", "by": "k"})j").kind == OutcomeKind::success);
    CHECK(
        gate("raw.x", R"j({"monotonic": "seen"})j").message.find("1 rows have less than the row") !=
        std::string::npos
    );
    CHECK(gate("raw.x", R"j({"monotonic": "n", "by": "k"})j").kind == OutcomeKind::failed);
    w.sql.execute(
        "create table sales.t as select i as id, i * 2 as n from generate_series(1, 100) i order "
        "by random()"
    );
    w.declare("sales.t", R"j({"id": "integer", "n": "integer"})j");
    CHECK(
        gate("sales.t", R"j({"monotonic": "n", "order_by": "id"})j").kind == OutcomeKind::success
    );
    w.sql.execute("update sales.t set n = 0 where id = 50");
    CHECK(gate("sales.t", R"j({"monotonic": "n", "order_by": "id"})j").kind == OutcomeKind::failed);
    const auto checked = w.check(
        validate_op(), json::parse(R"j({"from": "sales.t", "checks": [{"monotonic": "n"}]})j")
    );
    REQUIRE(checked.problems.size() == 1);
    CHECK(checked.problems[0].message.find("needs `order_by`") != std::string::npos);
}

TEST_CASE("all column checks of a data set are one pass over its rows", "[validate]") {
    binding::WarehouseFixture w;
    const char* checks =
        R"j([{"not_null": "id"}, {"unique": "id"}, {"unique": ["id", "kind"]}, {"range": "cents", "min": 0}, {"regex": "kind", "pattern": "[ab]"},
            {"foreign_key": "kind", "references": "KINDS(name)"}, {"foreign_key": "kind", "references": "KINDS(name)", "where": "cents > 5"},
            {"length": "kind", "max": 1}, {"accepted_values": "kind", "values": ["a", "b"]}, {"expr": "cents < 5000"},
            {"freshness": "seen", "max_age": "30d"}, {"row_count": {"min": 1}}])j";
    const auto for_schema = [&](const std::string& kinds) {
        std::string text = checks;
        for (auto at = text.find("KINDS"); at != std::string::npos; at = text.find("KINDS"))
            text.replace(at, 5, kinds);
        return json::parse(text);
    };
    const std::string columns =
        R"j({"id": "bigint", "cents": "bigint", "kind": "varchar", "seen": "timestamptz"})j";
    const json anomalies = json::parse(
        R"j([{"metric": "row_count"}, {"metric": "sum", "column": "cents"}, {"metric": "distinct_count", "column": "kind"}])j"
    );

    SECTION("in a warehouse, where the server counts its scans") {
        w.sql.execute(
            "create table sales.fact as select i::bigint as id, (i % 100)::bigint as cents, "
            "chr(97 + i % 2) as kind, timestamptz '2026-01-05' as seen from generate_series(1, "
            "1000) i; create table sales.kinds as select unnest(array['a', 'b']) as name"
        );
        w.declare("sales.fact", columns);
        w.declare("sales.kinds", R"j({"name": "varchar"})j");
        const auto scans = [&] {
            w.sql.query("select pg_stat_clear_snapshot()");
            return w.sql.integer(
                "select coalesce(seq_scan, 0) from pg_stat_user_tables where relid = "
                "'sales.fact'::regclass"
            );
        };
        const auto before = scans();
        REQUIRE(
            run_checked(
                w,
                {{"from", "sales.fact"},
                 {"checks", for_schema("sales.kinds")},
                 {"anomalies", anomalies}}
            ).kind == OutcomeKind::success
        );
        // A session tells what it did when it ends.
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{20};
        while (scans() == before && std::chrono::steady_clock::now() < deadline)
            std::this_thread::sleep_for(std::chrono::milliseconds{20});
        CHECK(scans() - before == 1);
    }
    SECTION("in the lake, where the engine shows its plan") {
        w.declare("raw.x", columns);
        w.declare("processed.kinds", R"j({"name": "varchar"})j");
        w.put("processed.kinds", "select unnest(['a', 'b']) as name");
        w.put(
            "raw.x",
            "select i::bigint as id, i % 100 as cents, chr((97 + i % 2)::integer) as kind, "
            "timestamptz '2026-01-05' as seen from range(1000) t(i)"
        );
        std::string plan;
        std::string pass;
        const task::Operator look{
            .name = "look",
            .summary = {},
            .schema = "{}",
            .traits = {},
            .check = {},
            .run =
                [&](task::TaskContext& context, const json&) {
                    std::vector<Problem> problems;
                    const auto rules = validate::read_rules(
                        {{"checks", for_schema("processed.kinds")}}, true, problems
                    );
                    const auto database = engine::open_database(context);
                    const auto explain = [&](const std::string& sql) {
                        std::string text;
                        for (const auto& row : database->query("explain " + sql).rows)
                            text += engine::to_text(row.back());
                        return text;
                    };
                    validate::Sides sides(context, *database);
                    const auto side = sides.open("raw.x");
                    validate::Scan scan(*side);
                    for (const auto& rule : rules.rules)
                        if (validate::of_rows(rule.kind)) scan.add(rule);
                    scan.run();
                    CHECK(scan.rows() == 1000);
                    plan = explain(scan.sql());
                    binding::RunInputs inputs(context, *database);
                    const auto input = inputs.open(json("raw.x"));
                    const auto result = validate::check_rows(inputs, input, rules, {});
                    CHECK(result.rows_bad == 0);
                    pass = explain(result.pass);
                    return task::success();
                }
        };
        REQUIRE(w.run(look, json::object()).kind == OutcomeKind::success);
        // Two foreign keys read the other data set; the rows themselves are read once.
        INFO(plan);
        CHECK(times(plan, "Function:") == 3);
        INFO(pass);
        CHECK(times(pass, "_checked") == 1);
    }
}

TEST_CASE("a failing row is shown without what is classified", "[validate]") {
    binding::LakeFixture v;
    v.declare(
        "raw.x",
        R"j({"id": "bigint not null", "qty": "integer", "mail": "varchar @email", "born": "date @dob", "note": "varchar @personal"})j"
    );
    v.put(
        "raw.x",
        "select * from (values ('1', '-5', 'zq1canary@example.com', '1999-02-30', 'zq1canary'), "
        "('2', '7', 'zq2canary', '1980-01-01', 'zq2canary'), (null, '8', 'zq3canary@example.com', "
        "'zq3canary', 'zq3canary')) t(id, qty, mail, born, note)"
    );
    const json checks = json::parse(
        R"j([{"range": "qty", "min": 1}, {"regex": "mail", "pattern": ".+@.+"}, {"length": "note", "max": 3},
             {"accepted_values": "note", "values": ["ok"], "on_fail": "warn"}])j"
    );
    Outcome outcome = run_checked(
        v, {{"from", "raw.x"}, {"to", "processed.x"}, {"checks", checks}, {"max_bad", "100%"}}
    );
    REQUIRE(outcome.kind == OutcomeKind::success);
    std::string all = said(v, outcome);
    CHECK(times(all, "canary") == 0);
    CHECK(all.find(R"j({"qty":"-5"})j") != std::string::npos);
    CHECK(all.find(R"j({"mail":"***"})j") != std::string::npos);
    CHECK(all.find("1999") == std::string::npos);

    // A gate that fails, and one whose expression cannot be computed.
    v.declare(
        "processed.y", R"j({"id": "bigint", "qty": "integer", "note": "varchar @personal"})j"
    );
    v.put("processed.y", "select 1::bigint as id, 5 as qty, 'zq4canary' as note");
    outcome = run_checked(
        v,
        {{"from", "processed.y"},
         {"checks", json::parse(R"j([{"length": "note", "max": 3}, {"range": "qty", "max": 1}])j")}}
    );
    CHECK(outcome.kind == OutcomeKind::failed);
    all = said(v, outcome);
    CHECK(all.find(R"j({"qty":"5"})j") != std::string::npos);
    CHECK(times(all, "canary") == 0);
    outcome = run_checked(
        v,
        {{"from", "processed.y"},
         {"checks", json::parse(R"j([{"expr": "cast(note as integer) > 1"}])j")}}
    );
    CHECK(outcome.kind == OutcomeKind::failed);
    all = said(v, outcome);
    CHECK(times(all, "canary") == 0);
    CHECK(all.find("***") != std::string::npos);
    // Nor does a comparison.
    v.declare("raw.y", R"j({"id": "bigint", "note": "varchar @personal"})j");
    v.put("raw.y", "select '1' as id, 'zq5canary' as note");
    outcome = run_checked(
        v,
        {{"from", "processed.y"},
         {"checks",
          json::parse(
              R"j([{"compare": "raw.y", "aggregates": ["min(note)", "count(*)"], "group_by": "note"}, {"compare": "raw.y", "key": "note"}])j"
          )}}
    );
    CHECK(outcome.kind == OutcomeKind::failed);
    all = said(v, outcome);
    CHECK(all.find("min(note) of a group is another one in raw.y") != std::string::npos);
    CHECK(times(all, "canary") == 0);
}

TEST_CASE("two data sets have the same keys, wherever they are", "[validate]") {
    binding::WarehouseFixture w;
    w.declare("raw.x", R"j({"id": "bigint", "kind": "varchar"})j");
    w.put("raw.x", "select i::varchar as id, 'k|' || i as kind from range(1000) t(i)");
    w.sql.execute(
        "create table sales.t as select i::bigint as order_id, 'k|' || i as kind from "
        "generate_series(0, 999) i"
    );
    w.declare("sales.t", R"j({"order_id": "bigint", "kind": "varchar"})j");
    const auto compared = [&](const char* keys) {
        json check = json::parse(keys);
        check["compare"] = "raw.x";
        check["scope"] = "all";
        return run_checked(w, {{"from", "sales.t"}, {"checks", json::array({check})}});
    };
    const char* both = R"j({"key": {"order_id": "id", "kind": "kind"}})j";
    CHECK(compared(both).kind == OutcomeKind::success);
    w.sql.execute(
        "delete from sales.t where order_id in (7, 8); insert into sales.t values (5000, 'x')"
    );
    CHECK(
        compared(both).message.find(
            "of the keys (kind, order_id) 1 are not in raw.x, and 2 of it are not here"
        ) != std::string::npos
    );
    CHECK(
        compared(R"j({"aggregates": "count(*)", "tolerance": "0.1%"})j").kind ==
        OutcomeKind::success
    );
    CHECK(compared(R"j({"aggregates": "count(*)"})j").kind == OutcomeKind::failed);
}

TEST_CASE("rows leave the quarantine when the rules are mended, once, with a trace", "[validate]") {
    binding::LakeFixture v;
    v.declare("raw.x", R"j({"id": "bigint not null", "status": "varchar"})j");
    // Row 3 comes twice: one of them stays aside whatever the rules about status.
    v.put(
        "raw.x",
        "select * from (values ('1', 'ok'), ('2', 'lost'), ('3', 'lost'), ('3', 'lost'), ('x', "
        "'ok')) t(id, status)"
    );
    const auto run = [&](const char* values) {
        const Outcome outcome = run_checked(
            v,
            {{"from", "raw.x"},
             {"to", "processed.x"},
             {"max_bad", "100%"},
             {"checks",
              json::array(
                  {{{"accepted_values", "status"}, {"values", json::parse(values)}},
                   {{"unique", "id"}}}
              )}}
        );
        REQUIRE(outcome.kind == OutcomeKind::success);
    };
    const auto good = [&] {
        return v.rows({"processed.x"}, "select id, status from processed.x order by all");
    };
    const auto aside = [&] {
        return v.rows(
            {"raw.x_quarantine"},
            "select id, array_to_string(_reasons, '; ') from raw.x_quarantine order by all"
        );
    };
    const auto traces = [&] {
        return v.rows(
            {"raw.x_quarantine_released"},
            "select id, array_to_string(_reasons, '; '), _released_by from "
            "raw.x_quarantine_released order by all"
        );
    };
    run(R"j(["ok"])j");
    CHECK(good() == Lines{"1|ok"});
    const Lines first{
        "2|accepted_values: status",
        "3|accepted_values: status",
        "3|accepted_values: status; unique: id",
        "x|cast: id"
    };
    CHECK(aside() == first);
    CHECK_FALSE(v.xcom.contains("rows_released"));
    run(R"j(["ok"])j");  // nothing changed: nothing changes
    CHECK(aside() == first);
    CHECK_FALSE(v.xcom.contains("rows_released"));

    run(R"j(["ok", "lost"])j");
    CHECK(good() == Lines{"1|ok", "2|lost", "3|lost"});
    CHECK(v.xcom.at("rows_released") == 2);
    CHECK(v.xcom.at("rows_quarantined") == 2);
    CHECK(aside() == Lines{"3|unique: id", "x|cast: id"});
    v.declare("raw.x_quarantine_released", "{}");
    const Lines traced = traces();
    REQUIRE(traced.size() == 2);
    CHECK(traced[0] == "2|accepted_values: status|manual__2026-01-05#1");
    CHECK(traced[1].starts_with("3|accepted_values: status"));
    run(R"j(["ok", "lost"])j");  // again: every row is in once, the traces stay
    CHECK(good() == Lines{"1|ok", "2|lost", "3|lost"});
    CHECK(traces() == traced);
    CHECK_FALSE(v.xcom.contains("rows_released"));
}

TEST_CASE("what an engine says of a value is said without it", "[validate]") {
    binding::Columns columns(1);
    columns[0].name = "qty";
    const auto hidden = [&](const char* text) { return validate::without_values(text, columns); };
    CHECK(
        hidden("Conversion Error: Could not convert string 'O'Hara' to INT32") ==
        "Conversion Error: Could not convert string '***' to INT32"
    );
    CHECK(
        hidden("invalid input syntax for type integer: \"ana\"\nLINE 1: ana") ==
        "invalid input syntax for type integer: \"***\""
    );
    CHECK(
        hidden("Conversion Error: Type INT32 with value 300 can't be cast") ==
        "Conversion Error: Type INT32 with value *** can't be cast"
    );
    CHECK(hidden("IO Error: no file 'x'") == "IO Error: no file 'x'");
    CHECK(hidden("value out of range in \"qty\"") == "value out of range in \"qty\"");
}
