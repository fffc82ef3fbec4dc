#include "base/json_text.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace {

using nlohmann::json;
using sluice::Problem;
using sluice::TextDocument;

constexpr sluice::TextLimits limits{.bytes = 4U << 20, .depth = 64};

TextDocument read(std::string_view text) { return sluice::read_json(text, "x.json", limits); }
TextDocument yaml(std::string_view text) { return sluice::read_yaml(text, "x.yaml", limits); }

Problem only(const TextDocument& document) {
    REQUIRE(document.value == nullptr);
    REQUIRE(document.problems.size() == 1);
    return document.problems.front();
}

}  // namespace

TEST_CASE("JSON text becomes the value and the place of every part", "[base][json]") {
    const auto document =
        read("{\n  \"a\": [1, -2.5e1, \"\\u00e9\\ud83d\\ude00\\n\"],\n  \"b/c\": true}");
    REQUIRE(document.problems.empty());
    REQUIRE(*document.value == json{{"a", {1, -25.0, "\u00e9\U0001F600\n"}}, {"b/c", true}});
    REQUIRE(document.map->value("/a/1").line == 2);
    REQUIRE(document.map->value("/a/1").column == 12);
    REQUIRE(document.map->key("/b~1c").line == 3);
    REQUIRE(document.map->key("/b~1c").column == 3);
    REQUIRE(document.map->value("/b~1c").column == 10);
    // A place that does not exist is shown at its nearest ancestor.
    REQUIRE(document.map->value("/a/1/deeper/still").column == 12);
}

TEST_CASE("bad JSON text is a problem with line and column", "[base][json]") {
    struct Case {
        std::string_view text;
        std::string_view code;
        int line;
        int column;
    };
    const auto bad = GENERATE(
        Case{"", "E-FILE-EMPTY", 1, 1},
        Case{" \n\t", "E-FILE-EMPTY", 1, 1},
        Case{"\xEF\xBB\xBF{}", "E-FILE-BOM", 1, 1},
        Case{"{\"a\": \"\xff\"}", "E-FILE-UTF8", 1, 8},
        Case{"{\"a\": \"\xC0\x80\"}", "E-FILE-UTF8", 1, 8},
        Case{"{} {}", "E-JSON", 1, 4},
        Case{"{\n\"a\": 1,\n}", "E-JSON", 3, 1},
        Case{"[1,]", "E-JSON", 1, 4},
        Case{"{\"a\": 01}", "E-JSON", 1, 8},
        Case{"{\"a\": nul}", "E-JSON", 1, 7},
        Case{"// no\n{}", "E-JSON", 1, 1},
        Case{"{\"a\": \"x\ny\"}", "E-JSON", 1, 9},
        Case{"{\"a\": \"\\ud800\"}", "E-JSON", 1, 14},
        Case{"{\"a\": 99999999999999999999}", "E-JSON", 1, 27},
        Case{"{\"a\": 1e999}", "E-JSON", 1, 12},
        Case{"{\"a\": 1, \"a\": 2}", "E-DUPLICATE-KEY", 1, 10},
        Case{"{\"a\"", "E-JSON", 1, 5}
    );
    CAPTURE(bad.text);
    const auto problem = only(read(bad.text));
    CHECK(problem.code == bad.code);
    CHECK(problem.line == bad.line);
    CHECK(problem.column == bad.column);
}

TEST_CASE("all duplicate keys are told, not the first", "[base][json]") {
    const auto document = read("{\"a\": 1, \"a\": 2, \"b\": {\"c\": 1, \"c\": 1}}");
    REQUIRE(document.value == nullptr);
    REQUIRE(document.problems.size() == 2);
    REQUIRE(document.problems[1].pointer == "/b/c");
}

TEST_CASE("deeply nested text is refused at the limit, in JSON and YAML", "[base][json]") {
    const std::string deep = std::string(65, '[') + std::string(65, ']');
    REQUIRE(only(read(deep)).code == "E-DEPTH");
    REQUIRE(only(yaml(deep)).code == "E-DEPTH");
    REQUIRE(only(read(std::string(100'000, '['))).code == "E-DEPTH");
    REQUIRE(read(std::string(64, '[') + std::string(64, ']')).problems.empty());
    REQUIRE(yaml(std::string(64, '[') + std::string(64, ']')).problems.empty());
}

TEST_CASE("text over the limit is refused before it is read", "[base][json]") {
    REQUIRE(only(sluice::read_json("[1, 2]", "x", {.bytes = 5, .depth = 9})).code == "E-FILE-SIZE");
}

TEST_CASE("YAML gives the same value and places as JSON", "[base][yaml]") {
    const auto document = yaml(
        "dag_id: hello\nstart_date: 2026-01-01\ntags: [a, \"no\", '010']\nn: 3\nx: 1.5\nz: ~\n"
        "text: |\n  one\n  two\ntrue: false\n"
    );
    REQUIRE(document.value == nullptr);
    REQUIRE(document.problems.at(0).code == "E-YAML-TRAP");
    const auto good = yaml(
        "dag_id: hello\nstart_date: 2026-01-01\ntags: [a, \"no\", '010']\nn: 3\nx: 1.5\nz: ~\n"
        "text: |\n  one\n  two\nflag: false\n"
    );
    REQUIRE(good.problems.empty());
    REQUIRE(
        *good.value ==
        json{
            {"dag_id", "hello"},
            {"start_date", "2026-01-01"},
            {"tags", {"a", "no", "010"}},
            {"n", 3},
            {"x", 1.5},
            {"z", nullptr},
            {"text", "one\ntwo\n"},
            {"flag", false}
        }
    );
    REQUIRE(good.map->value("/tags/1").line == 3);
    REQUIRE(good.map->value("/tags/1").column == 11);
    REQUIRE(good.map->key("/x").line == 5);
}

TEST_CASE("escapes of YAML become UTF-8, in keys and values", "[base][yaml]") {
    const auto document = yaml(R"("k\_\N": "é\_x\N\xe9\u20ac")");
    REQUIRE(document.problems.empty());
    REQUIRE(document.value->dump() == "{\"k\u00a0\u0085\":\"é\u00a0x\u0085é€\"}");
}

TEST_CASE("YAML traps are refused, not guessed", "[base][yaml]") {
    const auto text = GENERATE(
        as<std::string>{},
        "a: no",
        "a: Yes",
        "a: on",
        "a: 010",
        "a: 0x1F",
        "a: 12:30",
        "a: 1_000",
        "a: .nan",
        "no: 1",
        "null: 1",
        "a: off"
    );
    CAPTURE(text);
    REQUIRE(only(yaml(text)).code == "E-YAML-TRAP");
}

TEST_CASE("YAML with duplicate keys, tags, aliases or two documents is refused", "[base][yaml]") {
    REQUIRE(only(yaml("a: 1\na: 2\n")).code == "E-DUPLICATE-KEY");
    REQUIRE(only(yaml("a: 1\na: 2\n")).line == 2);
    REQUIRE(only(yaml("a: !!str 1\n")).code == "E-YAML-TAG");
    REQUIRE(only(yaml("a: &x 1\nb: *x\n")).code == "E-YAML-ALIAS");
    REQUIRE(only(yaml("a: 1\n---\nb: 2\n")).code == "E-YAML");
    REQUIRE(only(yaml("<<: {a: 1}\n")).code == "E-YAML-ALIAS");
    REQUIRE(only(yaml("a: [1, 2\n")).code == "E-YAML");
    REQUIRE(only(yaml("? [a, b]\n: 1\n")).code == "E-YAML");
}

TEST_CASE("canonical JSON is the same for equal values", "[base][json]") {
    const auto canonical = [](std::string_view text) {
        return sluice::canonical_json(*read(text).value);
    };
    REQUIRE(canonical("{\"b\": 1.0, \"a\": [1e2, 0.5, -0.0]}") == R"({"a":[100,0.5,0],"b":1})");
    REQUIRE(
        canonical("{ \"a\":[100,5e-1,0] , \"b\":1}") ==
        canonical("{\"b\": 1.0, \"a\": [1e2, 0.5, -0.0]}")
    );
}
