// Steps that change rows: join, filter, union, aggregate, pivot, unpivot.
#include <catch2/catch.hpp>

#include "operators/transform/transform_fixture.hpp"

using namespace sluice;
using namespace sluice::transform_test;

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
