#include "model/json_schema.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace {

using nlohmann::json;
using sluice::Problem;
using sluice::Templates;

const json schema = json::parse(R"({
    "type": "object",
    "required": ["to"],
    "properties": {
        "to": {"type": "string", "pattern": "^[a-z.]+$"},
        "mode": {"enum": ["merge", "append"], "default": "merge"},
        "count": {"type": "integer", "minimum": 1},
        "wait": {"type": "string", "format": "duration"},
        "steps": {"type": "array", "items": {"oneOf": [
            {"type": "object", "required": ["drop"], "properties": {"drop": {"$ref": "#/definitions/names"}}},
            {"type": "object", "required": ["filter"], "properties": {"filter": {"$ref": "#/definitions/sql"}}}]}},
        "sql": {"$ref": "#/definitions/sql"}, "sql_file": {"type": "string"}
    },
    "oneOf": [{"required": ["steps"]}, {"required": ["sql"]}, {"required": ["sql_file"]}],
    "definitions": {
        "names": {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
        "sql": {"x-template": "sql", "oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
    }
})");

std::vector<Problem> check(const char* text, Templates templates = Templates::refuse) {
    return sluice::check_against(json::parse(text), schema, "/with", templates);
}

}  // namespace

TEST_CASE("a value that keeps the schema has no problems", "[model][schema]") {
    REQUIRE(sluice::schema_faults(schema).empty());
    REQUIRE(check(R"({"to": "a.b", "steps": [{"drop": ["x"]}, {"filter": "a > 1"}]})").empty());
    REQUIRE(check(R"({"to": "a.b", "sql": ["select", "1"], "count": 3, "wait": "5m"})").empty());
}

TEST_CASE("every break of the schema is told with pointer and suggestion", "[model][schema]") {
    struct Case {
        const char* text;
        const char* code;
        const char* pointer;
        const char* suggestion;
    };
    const auto bad = GENERATE(
        Case{R"({"sql": "x"})", "E-REQUIRED", "/with", ""},
        Case{R"({"to": "A", "sql": "x"})", "E-VALUE", "/with/to", "it must match ^[a-z.]+$"},
        Case{
            R"({"to": "a", "sql": "x", "mod": "merge"})",
            "E-UNKNOWN-KEY",
            "/with/mod",
            "did you mean \"mode\"?"
        },
        Case{
            R"({"to": "a", "sql": "x", "mode": "merg"})",
            "E-ENUM",
            "/with/mode",
            "did you mean \"merge\"?"
        },
        Case{R"({"to": "a", "sql": "x", "count": 0})", "E-VALUE", "/with/count", ""},
        Case{R"({"to": "a", "sql": "x", "count": "3"})", "E-TYPE", "/with/count", ""},
        Case{
            R"({"to": "a", "sql": "x", "wait": 30})",
            "E-TYPE",
            "/with/wait",
            "write the unit: \"30s\""
        },
        Case{R"({"to": "a"})", "E-REQUIRED", "/with", ""},
        Case{R"({"to": "a", "sql": "x", "sql_file": "y"})", "E-VALUE", "/with", ""},
        Case{R"({"to": "a", "sql": 3})", "E-TYPE", "/with/sql", ""},
        Case{R"({"to": "a", "steps": [{"drop": 3}]})", "E-TYPE", "/with/steps/0/drop", ""}
    );
    CAPTURE(bad.text);
    const auto problems = check(bad.text);
    REQUIRE(problems.size() == 1);
    CHECK(problems[0].code == bad.code);
    CHECK(problems[0].pointer == bad.pointer);
    CHECK(problems[0].suggestion == bad.suggestion);
}

TEST_CASE("a misspelt step is shown in the form it was meant to have", "[model][schema]") {
    const auto problems = check(R"({"to": "a", "steps": [{"fitler": "a > 1"}]})");
    REQUIRE(problems.size() == 2);
    CHECK(problems[1].pointer == "/with/steps/0/fitler");
    CHECK(problems[1].suggestion == "did you mean \"filter\"?");
}

TEST_CASE("templates wait for their values, unless they are refused", "[model][schema]") {
    const char* text =
        R"({"to": "{{ params.to }}", "sql": "x", "count": "{{ params.n }}", "wait": "{{ params.n }}s"})";
    REQUIRE(check(text, Templates::allow).empty());
    REQUIRE(check(text).size() == 3);
    REQUIRE(check(R"({"to": "a", "sql": "x", "count": "1{{ 2 }}"})", Templates::allow).size() == 1);
}

TEST_CASE("defaults are filled in and the walk knows what each part is", "[model][schema]") {
    json value = json::parse(R"({"to": "a", "steps": [{"filter": "x"}]})");
    sluice::fill_defaults(value, schema);
    REQUIRE(value["mode"] == "merge");
    std::vector<std::string> sql;
    sluice::walk_schema(
        value,
        schema,
        "",
        [&](const json&, const json& here, const std::string& at) {
            if (here.value("x-template", "") == "sql") sql.push_back(at);
            return true;
        }
    );
    REQUIRE(sql == std::vector<std::string>{"/steps/0/filter"});
}

TEST_CASE("a schema with a slip in it is found out", "[model][schema]") {
    const auto faults = sluice::schema_faults(json::parse(
        R"({"type": "object", "properties": {"a": {"typo": 1}, "b": {"$ref": "#/definitions/none"}, "c": {"pattern": "("}}})"
    ));
    REQUIRE(faults.size() == 3);
}
