// Steps that change columns: rename, select, drop, normalize, fill_null, cast.
#include <catch2/catch.hpp>

#include "operators/transform/steps.hpp"
#include "operators/transform/transform_fixture.hpp"

using namespace sluice;
using namespace sluice::transform_test;

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
