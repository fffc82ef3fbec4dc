#include <cstdlib>

#include <catch2/catch.hpp>

#include "operators/extract/extract_fixture.hpp"

using namespace sluice;
using namespace sluice::extract_test;

TEST_CASE(
    "a CSV with a BOM, CRLF and broken lines: good rows in raw, bad lines in rejects",
    "[extract][csv]"
) {
    const Home home;
    home.put(
        "x.csv",
        "\xEF\xBB\xBF"
        "a,b\r\n1,one\r\n2\r\n3,\"open\r\n4,\"q\"x\r\n5,five\r\n6,six,more\r\n"
    );
    Extract extract(home);
    Json params = from("x.csv");
    params["max_rejects"] = 4;
    const Outcome outcome = extract.run(params);
    CHECK(outcome.message.empty());
    REQUIRE(outcome.kind == OutcomeKind::success);
    CHECK(extract.xcom["rows_in"] == 6);
    CHECK(extract.xcom["rows_out"] == 2);
    CHECK(extract.xcom["rows_rejected"] == 4);
    CHECK(extract.text("select string_agg(a || b, ' ' order by a) from x") == "1one 5five");
    CHECK(extract.text("select typeof(a) from x limit 1") == "VARCHAR");
    CHECK(extract.text("select _sluice_source from x limit 1") == "x.csv");
    CHECK(
        extract.text("select string_agg(line_no || ' ' || reason, '; ' order by line_no) from r") ==
        "3 expected 2 fields, found 1; 4 text after a closing quote; 5 text after a closing quote; "
        "7 expected 2 fields, found 3"
    );
    CHECK(extract.text("select line from r where line_no = 4") == "3,\"open");
}

TEST_CASE(
    "unquoted words that stand for nothing are NULL in a CSV, text columns included",
    "[extract][csv]"
) {
    const Home home;
    home.put("x.csv", "a,b\n1,NA\n2,\n3,\"NA\"\n4,\\N\n5,none\n6,\"\"\n");
    Extract extract(home);
    REQUIRE(extract.run(from("x.csv")).kind == OutcomeKind::success);
    const std::string all =
        "select string_agg(a || '=' || coalesce(b, 'null'), ' ' order by a) from x";
    CHECK(extract.text(all) == "1=null 2=null 3=NA 4=null 5=none 6=");
    Json params = from("x.csv");
    params["from"]["null_tokens"] = Json::array({"none"});
    REQUIRE(extract.run(params).kind == OutcomeKind::success);
    CHECK(extract.text(all) == "1=NA 2= 3=NA 4=\\N 5=null 6=");
}

TEST_CASE("more bad lines than max_rejects fail the task and publish nothing", "[extract][csv]") {
    const Home home;
    home.put("x.csv", "a,b\n1,one\n2\n");
    Extract extract(home);
    const Outcome outcome = extract.run(from("x.csv"));
    CHECK(outcome.kind == OutcomeKind::failed);
    CHECK(outcome.error_class == ErrorClass::data_quality);
    CHECK_THAT(outcome.message, Catch::Contains("x.csv:3: expected 2 fields, found 1"));
    Json params = from("x.csv");
    params["max_rejects"] = "40%";
    CHECK(extract.run(params).kind == OutcomeKind::failed);
    params["max_rejects"] = "50%";
    CHECK(extract.run(params).kind == OutcomeKind::success);
}

TEST_CASE("a missing source file is a clear error, or no rows if that is allowed", "[extract]") {
    const Home home;
    Extract extract(home);
    const Outcome outcome = extract.run(from("not/there.csv"));
    CHECK(outcome.kind == OutcomeKind::failed);
    CHECK(outcome.error_class == ErrorClass::transient);
    CHECK_THAT(
        outcome.message,
        Catch::Contains("source file \"not/there.csv\" is missing in connection \"landing\"")
    );
    Json params = from("not/there.csv");
    params["from"]["on_missing"] = "empty";
    CHECK(extract.run(params).kind == OutcomeKind::success);
    CHECK(extract.xcom["rows_out"] == 0);
    CHECK(extract.text("select count(*) from x") == "0");
}

TEST_CASE("a path cannot leave the connection's folder", "[extract]") {
    const Home home;
    Extract extract(home);
    CHECK(extract.run(from("../secret.csv")).kind == OutcomeKind::failed);
    CHECK(extract.run(from("/etc/passwd")).kind == OutcomeKind::failed);
}

TEST_CASE("undeclared columns fail, are added or are dropped", "[extract]") {
    const Home home;
    home.put("x.csv", "a,b,extra\n1,2,3\n");
    Extract extract(home);
    Json params = from("x.csv");
    const Outcome outcome = extract.run(params);
    CHECK(outcome.error_class == ErrorClass::schema);
    CHECK_THAT(outcome.message, Catch::Contains("\"extra\""));
    params["on_schema_change"] = "evolve";
    REQUIRE(extract.run(params).kind == OutcomeKind::success);
    CHECK(extract.text("select extra from x") == "3");
    params["on_schema_change"] = "ignore";
    REQUIRE(extract.run(params).kind == OutcomeKind::success);
    CHECK(
        extract.text("select count(*) from (describe select * from x) "
                     "where column_name = 'extra'") == "0"
    );
    home.put("x.csv", "b\n1\n");
    const Outcome missing = extract.run(params);
    CHECK_THAT(missing.message, Catch::Contains("does not have: \"a\""));
}

TEST_CASE("JSON lines keep text and nested values, bad lines are rejected", "[extract][json]") {
    const Home home;
    home.put(
        "x.jsonl",
        "{\"a\": 1, \"b\": \"caf\xC3\xA9\"}\n{\"a\": 2, \"b\": null}\n{broken\n[1,2]\n"
        "{\"a\": 12345678901234567890, \"b\": {\"c\": [1]}}\r\n\n"
    );
    Extract extract(home);
    Json params = from("x.jsonl");
    params["max_rejects"] = 2;
    const Outcome outcome = extract.run(params);
    CHECK(outcome.message.empty());
    REQUIRE(outcome.kind == OutcomeKind::success);
    CHECK(extract.xcom["rows_out"] == 3);
    CHECK(extract.text("select b from x where a = '1'") == "caf\xC3\xA9");
    CHECK(extract.text("select count(*) from x where b is null") == "1");
    CHECK(extract.text("select b from x where a = '12345678901234567890'") == "{\"c\":[1]}");
    CHECK(
        extract.text("select string_agg(line_no || ' ' || reason, '; ' order by line_no) from r") ==
        "3 not valid JSON; 4 not a JSON object"
    );
}

TEST_CASE("nested objects become columns when flattened", "[extract][json]") {
    const Home home;
    home.put(
        "x.jsonl",
        "{\"a\": 1, \"b\": {\"c\": 1.25, \"d\": {\"e f\": \"x\"}, \"list\": [{\"y\": 1}]}}\n"
        "{\"a\": 2, \"b\": null, \"b_c\": \"own\", \"none\": null, \"open\": {}}\n"
        "{\"a\": 3, \"b\": \"text\", \"q\\\"\\\\\": {\"z\": true}}\n"
    );
    Extract extract(home);
    Json params = from("x.jsonl");
    params["from"]["nested"] = "flatten";
    const Outcome outcome = extract.run(params, "{}");
    CHECK(outcome.message.empty());
    CHECK(
        extract.text("select string_agg(column_name, ',' order by column_name) from (describe x) "
                     "where column_name not like '$_sluice%' escape '$'"
        ) == R"(a,b,b_c,b_c_2,b_d_e f,b_list,none,open,q"\_z)"
    );
    CHECK(
        extract.text(
            "select concat_ws('|', b is null, b_c, b_c_2, \"b_d_e f\", b_list) from x where "
            "a = '1'"
        ) == R"(true|1.25|x|[{"y":1}])"
    );
    CHECK(
        extract.text("select concat_ws('|', b, b_c, b_c_2, open, none) from x where a = '2'") ==
        "own|{}"
    );
    CHECK(extract.text(R"(select b || "q""\_z" from x where a = '3')") == "texttrue");
    // Kept, they are text.
    params["from"]["nested"] = "json";
    REQUIRE(extract.run(params, "{}").message.empty());
    CHECK(extract.text("select b->>'$.d.\"e f\"' from x where a = '1'") == "x");

    std::string wide = "{";
    for (int i = 0; i < 5001; ++i) wide += (i > 0 ? ",\"" : "\"") + std::to_string(i) + "\":1";
    home.put("wide.jsonl", "{\"w\": " + wide + "}}");
    params["from"]["path"] = "wide.jsonl";
    params["from"]["nested"] = "flatten";
    const Outcome keys = extract.run(params, "{}");
    CHECK(keys.error_class == ErrorClass::data_quality);
    CHECK_THAT(keys.message, Catch::Contains("their keys are data"));
}

TEST_CASE("a JSON document gives its records", "[extract][json]") {
    const Home home;
    home.put("x.json", R"({"data": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]})");
    Extract extract(home);
    Json params = from("x.json");
    params["from"]["records"] = "$.data[*]";
    REQUIRE(extract.run(params).kind == OutcomeKind::success);
    CHECK(extract.text("select string_agg(a || b, ' ' order by a) from x") == "1x 2y");
    home.put("x.json", R"([{"a": 1, "b": "x"}])");
    REQUIRE(extract.run(from("x.json")).kind == OutcomeKind::success);
    CHECK(extract.text("select b from x") == "x");
}

TEST_CASE("gzip, zstd and zip files are read as what is in them", "[extract]") {
    const Home home;
    home.put("x.csv", "a,b\n1,packed\n");
    const std::string in = home.path + "/in";
    REQUIRE(std::system(("gzip -k " + in + "/x.csv").c_str()) == 0);
    const std::string zip = "python3 -c \"import zipfile; zipfile.ZipFile('" + in +
                            "/x.csv.zip', 'w').write('" + in + "/x.csv', 'x.csv')\"";
    REQUIRE(std::system(zip.c_str()) == 0);
    Extract extract(home);
    for (const char* name : {"x.csv.gz", "x.csv.zip"}) {
        const Outcome outcome = extract.run(from(name));
        CHECK(outcome.message.empty());
        REQUIRE(outcome.kind == OutcomeKind::success);
        CHECK(extract.text("select b from x") == "packed");
    }
    home.put("y.csv.gz", "this is not gzip");
    CHECK(extract.run(from("y.csv.gz")).kind == OutcomeKind::failed);
}

TEST_CASE("an interval takes the rows of its time, in the column's formats", "[extract]") {
    const Home home;
    home.put(
        "x.csv",
        "a,b\n2026-01-04T23:59:59Z,before\n2026-01-05T00:00:00Z,first\n"
        "2026-01-05T23:59:59.5+00:00,last\n2026-01-06T00:00:00Z,after\n2026-01-05 12:00:00,naive\n"
        "never,bad\n,null\n"
    );
    Extract extract(home);
    Json params = from("x.csv");
    params["incremental"] = "a";
    params["max_rejects"] = 2;
    const Outcome outcome = extract.run(params, R"({"a":"timestamptz","b":"varchar"})");
    CHECK(outcome.message.empty());
    REQUIRE(outcome.kind == OutcomeKind::success);
    CHECK(extract.text("select string_agg(b, ' ' order by b) from x") == "first last naive");
    CHECK(extract.text("select reason from r where line like '%never%'") == "\"a\" is not a time");
}

TEST_CASE("several files are united by column names", "[extract]") {
    const Home home;
    home.put("1.csv", "a,b\n1,x\n");
    home.put("2.csv", "b,a\ny,2\n");
    Extract extract(home);
    REQUIRE(extract.run(from("*.csv")).kind == OutcomeKind::success);
    CHECK(extract.text("select string_agg(a || b, ' ' order by a) from x") == "1x 2y");
    CHECK(extract.text("select count(distinct _sluice_source) from x") == "2");
}

TEST_CASE("Parquet keeps its types", "[extract]") {
    const Home home;
    {
        engine::Database db{engine::DatabaseOptions{}};
        db.execute(
            "copy (select 1::bigint a, 'x' b union all select 2, 'y') to '" + home.path +
            "/in/x.parquet' (format parquet)"
        );
    }
    Extract extract(home);
    const Outcome outcome = extract.run(from("x.parquet"));
    CHECK(outcome.message.empty());
    REQUIRE(outcome.kind == OutcomeKind::success);
    CHECK(extract.text("select typeof(a) || sum(a) from x group by typeof(a)") == "BIGINT3");
    CHECK(extract.text("select any_value(_sluice_source) from x") == "x.parquet");
}

TEST_CASE("a re-run of an interval replaces exactly its own rows", "[extract]") {
    const Home home;
    Extract extract(home);
    home.put("x.csv", "a,b\n1,x\n2,y\n");
    REQUIRE(extract.run(from("x.csv")).kind == OutcomeKind::success);
    home.put("x.csv", "a,b\n3,z\n");
    REQUIRE(extract.run(from("x.csv")).kind == OutcomeKind::success);
    CHECK(extract.text("select string_agg(a, ' ') from x") == "3");
}
