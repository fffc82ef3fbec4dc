#include "operators/transform/transform.hpp"

#include <catch2/catch.hpp>

#include "model/json_schema.hpp"
#include "operators/binding/lake_fixture.hpp"
#include "operators/transform/steps.hpp"

using namespace sluice;
using nlohmann::json;
using Lines = std::vector<std::string>;

namespace {

const task::Operator& op() {
    static const task::Operator made = ops::transform_operator();
    return made;
}

/// Checks, runs, and answers the rows of processed.out.
struct Transform : binding::LakeFixture {
    Lines steps(const std::string& text, const std::string& query) {
        return run_params(
            {{"from", "processed.x"}, {"to", "processed.out"}, {"steps", json::parse(text)}}, query
        );
    }
    Lines run_params(const json& params, const std::string& query) {
        const auto checked = check(op(), params);
        for (const Problem& problem : checked.problems) UNSCOPED_INFO(format(problem));
        REQUIRE(checked.problems.empty());
        const Outcome outcome = run(op(), params);
        UNSCOPED_INFO(outcome.message);
        REQUIRE(outcome.kind == OutcomeKind::success);
        return rows({"processed.out"}, query);
    }
    Problem problem(const std::string& text) {
        const auto checked = check(
            op(), {{"from", "processed.x"}, {"to", "processed.out"}, {"steps", json::parse(text)}}
        );
        REQUIRE(checked.problems.size() == 1);
        return checked.problems.front();
    }
    void given(const std::string& columns, const std::string& query) {
        declare("processed.x", columns);
        put("processed.x", query);
    }
    std::string column(const std::string& name) {
        for (const ColumnSpec& one : dataset("processed.out").columns)
            if (one.name == name) return one.type + " @" + one.pii_class;
        return "none";
    }
};

}  // namespace

TEST_CASE("the schema of transform is sound", "[transform]") {
    CHECK(schema_faults(json::parse(op().schema)).empty());
    const json good = json::parse(R"j({"from": "processed.x", "to": "processed.y", "steps": [
        {"rename": "snake_case"}, {"normalize": {"a": ["trim", "nfc"]}}, {"cast": {"p": "varchar(10)"
}
},
        {"fill_null": {"s": "unknown", "m": false}}, {"dedup": {"key": ["a", "b"], "order_by": "c desc"}},
        {"join": {"dataset": "processed.z", "using": "id", "how": "left", "select": {"m": "n"}}},
        {"filter": "s <> 'x'"}, {"derive": {"g": "a * b"}}]
})j");
    for (const Problem& problem : check_against(good, json::parse(op().schema)))
        FAIL(format(problem));
    CHECK_FALSE(
        check_against(json::parse(R"j({"to": "a.b", "stepz": []})j"), json::parse(op().schema))
            .empty()
    );
}

TEST_CASE("columns are renamed, selected, dropped, normalized and filled", "[transform]") {
    Transform t;
    t.given(
        R"j({"Order ID": "bigint", "Straße": "varchar", "customerName": "varchar @name", "city": "varchar"})j",
        R"(select 1::bigint as "Order ID", 'x' as "Straße", '  Ana  ' as "customerName", 'new  york' as city union all select 2, null, null, null)"
    );
    CHECK(
        t.steps(
            R"j([{"rename": "snake_case"}, {"normalize": {"customer_name": ["trim", "upper"], "city": ["squeeze", "title"]}},
                {"fill_null": {"city": "unknown", "strae": {"expr": "customer_name || '?'"}}}])j",
            "select order_id, strae, customer_name, city from processed.out order by 1"
        ) == Lines{"1|x|ANA|New York", "2|null|null|unknown"}
    );
    CHECK(t.column("customer_name") == "varchar @name");
    CHECK(
        t.steps(
            R"j([{"select": {"n": "\"Order ID\" * 2", "who": "lower(customerName)"
}
}])j",
            "select n, who from processed.out order by 1"
        ) == Lines{"2|  ana  ", "4|null"}
    );
    CHECK(t.column("who") == "varchar @name");
    CHECK(t.column("n") == "bigint @");
    CHECK(
        t.steps(
            R"j([{"drop": ["city", "Straße"]}, {"drop_null": "customerName"}])j",
            "select * exclude (_sluice_run_id, _sluice_task, _sluice_interval, _sluice_source, "
            "_sluice_row_hash, _sluice_loaded_at) from processed.out"
        ) == Lines{"1|  Ana  "}
    );
}

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

TEST_CASE("casts follow the contract or the step, and fail on what cannot be cast", "[transform]") {
    Transform t;
    t.declare(
        "processed.x",
        R"j({"id": "bigint", "made": {"type": "timestamptz", "parse": ["iso", "epoch_ms"]}, "price": "varchar"})j"
    );
    t.put(
        "processed.x",
        "select '1' as id, '2026-01-05T10:00:00Z' as made, '12,5' as price union all select '2', "
        "'1767621780000', ''"
    );
    CHECK(
        t.steps(
            R"j([{"cast": "declared"}, {"cast": {"price": {"type": "decimal(10,2)", "parse": "decimal_comma"
}
}
}])j",
            "select id + 1, epoch(made)::bigint, price from processed.out order by 1"
        ) == Lines{"2|1767607200|12.50", "3|1767621780|null"}
    );
    CHECK(t.column("price") == "decimal(10,2) @");
    t.put("processed.x", "select 'one' as id, null as made, null as price");
    const Outcome outcome = t.run(
        op(),
        {{"from", "processed.x"}, {"to", "processed.out"}, {"steps", {{{"cast", "declared"}}}}}
    );
    CHECK(outcome.kind == OutcomeKind::failed);
    CHECK(outcome.message.find("column id cannot be cast to bigint: one") != std::string::npos);
}

TEST_CASE("numbers out of range and dates that do not exist fail a cast", "[transform][bad]") {
    Transform t;
    t.declare("processed.x", R"j({"v": "varchar", "s": "varchar @ssn"})j");
    const auto cast = [&](const std::string& value, const std::string& type) {
        t.put("processed.x", "select " + value + " as v, 'x' as s");
        const Outcome outcome = t.run(
            op(),
            {{"from", "processed.x"},
             {"to", "processed.out"},
             {"steps", {{{"cast", {{"v", type}}}}}}}
        );
        CAPTURE(value, type, outcome.message);
        CHECK(outcome.error_class == ErrorClass::data_quality);
        CHECK_THAT(
            outcome.message,
            Catch::Contains("processed.out: ") &&
                Catch::Contains("column v cannot be cast to " + type)
        );
    };
    for (const auto& [value, type] : std::vector<std::pair<std::string, std::string>>{
             {"'99999999999999999999'", "bigint"},
             {"'32768'", "smallint"},
             {"'12345678901.5'", "decimal(10,2)"},
             {"'NaN'", "decimal(10,2)"},
             {"'Infinity'", "double"},
             {"'1e999'", "double"},
             {"'2026-02-30'", "date"},
             {"'0000-00-00'", "date"},
             {"'2026-02-30T00:00:00Z'", "timestamptz"},
             {"'2026-01-01T25:00:00Z'", "timestamptz"},
             {"'25:00:00'", "time"},
             {"'maybe'", "boolean"},
             {"'12345678901234567890'::uhugeint", "bigint"},
             {"'nan'::double", "bigint"},
             {"'x'", "uuid"},
             {"'{a'", "json"}
         })
        cast(value, type);
    // A classified value is not told.
    t.put("processed.x", "select '1' as v, '12-Secret-34' as s");
    const Outcome outcome = t.run(
        op(),
        {{"from", "processed.x"}, {"to", "processed.out"}, {"steps", {{{"cast", {{"s", "date"}}}}}}}
    );
    CHECK(outcome.error_class == ErrorClass::data_quality);
    CHECK_THAT(
        outcome.message,
        Catch::Contains("column s cannot be cast to date: 99-aaaaaa-99") &&
            !Catch::Contains("Secret")
    );
}

TEST_CASE("joins bring new columns, and their cardinality is checked", "[transform]") {
    Transform t;
    t.given(
        R"j({"id": "bigint", "k": "bigint"})j",
        "select * from (values (1::bigint, 10::bigint), (2, 20), (3, null)) x(id, k)"
    );
    t.declare("processed.y", R"j({"key": "bigint", "id": "varchar", "label": "varchar @email"})j");
    t.put(
        "processed.y",
        "select * from (values (10::bigint, 'a', 'ten'), (20, 'b', 'twenty'), (30, 'c', 'thirty')) "
        "y(key, id, label)"
    );
    const std::string out = "select id, label from processed.out order by 1";
    CHECK(
        t.steps(R"j([{"join": {"dataset": "processed.y", "using": {"key": "k"}}}])j", out) ==
        Lines{"1|ten", "2|twenty"}
    );
    CHECK(t.column("label") == "varchar @email");
    CHECK(
        t.steps(
            R"j([{"join": {"dataset": "processed.y", "using": {"key": "k"}, "how": "left"}}])j", out
        ) == Lines{"1|ten", "2|twenty", "3|null"}
    );
    CHECK(
        t.steps(
            R"j([{"join": {"dataset": "processed.y", "condition": "l.k < r.key", "cardinality": "many_to_many", "select": ["label"]}}])j",
            out
        ) == Lines{"1|twenty", "1|thirty", "2|thirty"}
    );
    CHECK(
        t.steps(
            R"j([{"join": {"dataset": "processed.y", "using": {"key": "k"}, "how": "anti"}}])j",
            "select id from processed.out"
        ) == Lines{"3"}
    );
    CHECK(
        t.steps(
            R"j([{"join": {"dataset": "processed.y", "condition": "l.k >= r.key", "how": "asof", "select": {"text": "label"}}}])j",
            "select id, text from processed.out order by 1"
        ) == Lines{"1|ten", "2|twenty", "3|null"}
    );
    t.put(
        "processed.y",
        "select * from (values (10::bigint, 'a', 'ten'), (10, 'b', 'TEN')) y(key, id, label)"
    );
    const Outcome twice = t.run(
        op(),
        {{"from", "processed.x"},
         {"to", "processed.out"},
         {"steps", {{{"join", {{"dataset", "processed.y"}, {"using", {{"key", "k"}}}}}}}}}
    );
    CHECK(twice.kind == OutcomeKind::failed);
    CHECK(twice.error_class == ErrorClass::data_quality);
    CHECK(twice.message.find("1 keys") != std::string::npos);
}

TEST_CASE("rows are filtered, united, aggregated, pivoted and unpivoted", "[transform]") {
    Transform t;
    t.given(
        R"j({"shop": "varchar", "kind": "varchar", "n": "integer", "who": "varchar @name"})j",
        "select * from (values ('a', 'X y', 1, 'p'), ('a', 'z', 2, 'q'), ('b', 'z', 5, 'p')) "
        "x(shop, kind, n, who)"
    );
    CHECK(
        t.steps(R"j([{"filter": "n between 2 and 4"}])j", "select n from processed.out") ==
        Lines{"2"}
    );
    CHECK(
        t.steps(R"j([{"union": "processed.x"}])j", "select count(*), sum(n) from processed.out") ==
        Lines{"6|16"}
    );
    CHECK(
        t.steps(
            R"j([{"aggregate": {"group_by": "shop", "measures": {"total": "sum(n)", "people": "count(distinct who)", "first_one": "min(who)"
}
}
}])j",
            "select shop, total, people, first_one from processed.out order by 1"
        ) == Lines{"a|3|2|p", "b|5|1|p"}
    );
    CHECK(t.column("first_one") == "varchar @name");
    CHECK(t.column("people") == "bigint @");
    CHECK(
        t.steps(
            R"j([{"drop": "who"}, {"pivot": {"column": "kind", "values": ["X y", "z"], "measure": "sum(n)"
    }
    }])j",
            "select shop, x_y, z from processed.out order by 1"
        ) == Lines{"a|1|2", "b|null|5"}
    );
    CHECK(
        t.steps(
            R"j([{"select": ["shop", "kind"]}, {"unpivot": {"columns": ["shop", "kind"], "name": "what", "value": "text"}}])j",
            "select what, text, count(*) from processed.out group by all order by 1, 2"
        ) == Lines{"kind|X y|1", "kind|z|2", "shop|a|2", "shop|b|1"}
    );
    CHECK(
        t.steps(
            R"j([{"drop": "who"}, {"sql": "select shop, n, n * 2 as n2 from input where n > 1"}, {"derive": {"n3": "n2 + n"}}])j",
            "select n3 from processed.out order by 1"
        ) == Lines{"6", "15"}
    );
}

TEST_CASE("SQL beside classified inputs keeps names or needs attest", "[transform]") {
    Transform t;
    t.given(
        R"j({"id": "bigint", "who": "varchar @name"})j", "select 1::bigint as id, 'Ana' as who"
    );
    const json params{
        {"to", "processed.out"},
        {"sql", {"select id, upper(who) as who, id + 1 as next_id", "from processed.x"}}
    };
    const auto refused = t.check(op(), params);
    REQUIRE(refused.problems.size() == 1);
    CHECK(refused.problems[0].code == "E-ATTEST");
    CHECK(refused.reads == Lines{"processed.x"});
    const auto attested = t.check(op(), params, "next_id is a number of orders");
    CHECK(attested.problems.empty());
    CHECK(t.column("who") == "varchar @name");
    CHECK(t.column("next_id") == "bigint @");
    CHECK(t.run(op(), params).kind == OutcomeKind::success);
    CHECK(t.rows({"processed.out"}, "select who, next_id from processed.out") == Lines{"ANA|2"});
    CHECK(t.dataset("processed.out").columns[1].origins == Lines{"processed.x.who"});
}

TEST_CASE("the example's net amount rounds halves to even", "[transform]") {
    Transform t;
    t.given(
        R"j({"qty": "integer", "unit_price_cents": "bigint", "discount_bp": "integer"})j",
        "select * from (values (1, 25::bigint, 1000), (1, 35, 1000), (3, 1999, 0)) x(qty, "
        "unit_price_cents, discount_bp)"
    );
    CHECK(
        t.steps(
            R"j([{"derive": {"net_cents": "cast(round_even(qty * unit_price_cents * (10000 - discount_bp) / 10000, 0) as bigint)"
    }
    }])j",
            "select net_cents from processed.out order by unit_price_cents"
        ) == Lines{"22", "32", "5997"}
    );
    CHECK(t.column("net_cents") == "bigint @");
}

TEST_CASE("what is wrong with a step is said with its place", "[transform]") {
    Transform t;
    t.declare("processed.x", R"j({"id": "bigint", "name": "varchar"})j");
    CHECK(t.problem(R"j([{"drop": "nme"}])j").suggestion.find("name") != std::string::npos);
    CHECK(t.problem(R"j([{"drop": "name"}, {"filter": "name = 'x'"}])j").pointer == "/steps/1");
    CHECK(t.problem(R"j([{"normalize": {"id": "trim"}}])j").code == "E-STEP");
    CHECK(t.problem(R"j([{"filter": "name > date '2026-01-01' + name"}])j").code == "E-STEP-BIND");
    CHECK(
        t.problem(R"j([{"derive": {"x": "sum(id)"
    }
    }])j")
            .code == "E-STEP"
    );
    CHECK(t.problem(R"j([{"cast": {"id": "number"}}])j").code == "E-TYPE");
    const auto unknown = t.check(
        op(), {{"from", "processed.none"}, {"to", "processed.out"}, {"steps", {{{"drop", "x"}}}}}
    );
    REQUIRE(unknown.problems.size() == 1);
    CHECK(unknown.problems[0].message.find("processed.none") != std::string::npos);
}

TEST_CASE("warehouse SQL is bound for its names and types, or warned about", "[transform]") {
    Transform t;
    t.schemas = {{"sales", "warehouse"}};
    t.declare("sales.fact", R"j({"day": "date", "cents": "bigint"})j");
    const auto view = t.check(
        op(),
        {{"to", "sales.v"},
         {"materialized", "view"},
         {"sql", "select day, sum(cents) / 100.0 as amount from sales.fact group by 1"}}
    );
    CHECK(view.problems.empty());
    CHECK(view.reads == Lines{"sales.fact"});
    CHECK(view.writes.at(0).columns.at(0).type == "date");
    const auto foreign = t.check(
        op(),
        {{"to", "sales.w"},
         {"sql", "select day, cents::money from sales.fact where daterange(day, null) @> now()"}}
    );
    REQUIRE(foreign.problems.size() == 1);
    CHECK(foreign.problems[0].code == "W-SQL-BIND");
    CHECK(foreign.problems[0].severity == Severity::warning);
}

TEST_CASE("a table that SQL makes is not cut into partitions", "[transform]") {
    DatasetSpec table;
    table.name = "sales.v";
    table.partition_by = "month(day)";
    const nlohmann::json params{{"to", table.name}, {"sql", "select date '2026-01-01' as day"}};
    const auto refused =
        op().check({Dag{}, sluice::Task{}, params, [&](const std::string&) { return &table; }});
    REQUIRE(refused.problems.size() == 1);
    CHECK_THAT(
        refused.problems[0].message, Catch::Contains("partition_by is for tables of a load")
    );
}

TEST_CASE("names become snake case", "[transform]") {
    CHECK(transform::snake_case("Order ID") == "order_id");
    CHECK(transform::snake_case("customerName") == "customer_name");
    CHECK(transform::snake_case("HTTPServer") == "http_server");
    CHECK(
        transform::snake_case("Gr\xC3\xB6\xC3\x9F"
                              "e (cm)") == "groe_cm"
    );
    CHECK(transform::snake_case("2nd") == "c_2nd");
    CHECK(transform::snake_case("__") == "column");
}

namespace {

struct Masking : Transform {
    Masking() {
        policy = "p.yaml";
        of_the_dag = true;
        files[policy] =
            "key: master\nallow: {curated: []}\nclasses:\n"
            "  email: {method: hmac, normalize: [trim, lower]}\n  dob: year\n";
        secrets["master"] =
            Secret("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
        secrets["salt"] = Secret("s3cret");
        given(
            R"j({"id": "bigint", "email": "varchar @email", "card": "varchar @card", "born": "date @dob"})j",
            "select 1::bigint as id, 'Ana.Silva@example.com' as email, '4111-1111-1111-1111' as "
            "card, date '1980-02-03' as born union all select 2, null, null, null"
        );
    }
    Lines codes(const std::string& sql) {
        Lines out;
        for (const Problem& one : check(op(), {{"to", "curated.out"}, {"sql", sql}}).problems)
            out.push_back(one.code);
        return out;
    }
};

}  // namespace

TEST_CASE(
    "masking functions inside SQL give what rules give, and clear the class", "[transform][mask]"
) {
    Masking m;
    const Lines got = m.run_params(
        {{"to", "processed.out"},
         {"sql",
          "select id, mask(email, 'email') as email, mask_hmac(lower(email), 'email') as same, "
          "mask_partial(card, 4) as card, mask_email(email, 'keep') as shown, "
          "mask_sha256(lower(email), 'salt') as salted, "
          "mask_shift_date(born, id, 10, 'dob') as moved, mask_year(born) as born from "
          "processed.x"}},
        "select email = same, length(email), card, shown, salted, moved between date '1980-01-24' "
        "and date '1980-02-13', born from processed.out order by id"
    );
    CHECK(
        got ==
        Lines{
            "true|64|****-****-****-1111|A***@example.com|"
            "e589a3a52fc2d2f7ddc4d7ddab4edd8fc79a9b0589f58c998e84e2c6aed09556|true|1980",
            "null|null|null|null|null|null|null"
        }
    );
    for (const char* name : {"email", "same", "card", "shown", "salted", "moved", "born"}) {
        CAPTURE(name);
        CHECK(m.column(name).ends_with(" @"));
    }
    const Lines steps = m.steps(
        R"j([{"sql": "select id, mask_ff1(card, 'card') as card from input"}])j",
        "select card from processed.out where id = 1"
    );
    CHECK(steps.at(0).size() == 19);
    CHECK(steps.at(0) != "4111-1111-1111-1111");
    CHECK(m.column("card") == "varchar @");
}

TEST_CASE("what is not masked, or too weakly, keeps its class", "[transform][mask]") {
    Masking m;
    const std::string from = " from processed.x";
    CHECK(m.codes("select mask_hmac(email, 'email') as e" + from).empty());
    CHECK(m.codes("select md5(email) as e" + from) == Lines{"E-ATTEST"});
    CHECK(m.codes("select mask_partial(card, 10) as c" + from) == Lines{"E-ATTEST"});
    CHECK(m.codes("select mask_nothing(card) as c" + from) == Lines{"E-SQL"});
    const json unknown{
        {"to", "processed.out"}, {"sql", "select mask(card, 'pets') as card from processed.x"}
    };
    const Outcome outcome = m.run(op(), unknown);
    CHECK(outcome.message.find("the policy has no rule \"pets\"") != std::string::npos);
    CHECK(outcome.message.find("4111") == std::string::npos);
}
