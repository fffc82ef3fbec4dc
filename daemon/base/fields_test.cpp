#include "base/fields.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using nlohmann::json;
using sluice::Fields;
using sluice::Problems;

TEST_CASE("fields are read with their types and every problem is noted", "[base][fields]") {
    const json value = json::parse(
        R"({"name": "x", "count": 3, "wait": "5m", "ids": "one", "colour": "gren", "nmae": 1,
            "bad": "soon", "size": "1.5GiB", "flag": "yes"})"
    );
    Problems problems("x.json");
    Fields fields(value, "/at", problems);
    CHECK(fields.required_string("name") == "x");
    CHECK(fields.integer("count", 1) == 3);
    CHECK(fields.duration("wait") == std::chrono::minutes(5));
    CHECK(fields.names("ids") == std::vector<std::string>{"one"});
    CHECK(fields.size("size") == 1610612736);
    CHECK_FALSE(fields.choice("colour", {"red", "green"}));
    CHECK_FALSE(fields.duration("bad"));
    CHECK_FALSE(fields.boolean("flag"));
    CHECK(fields.required("gone") == nullptr);
    fields.done();

    const auto all = problems.take();
    REQUIRE(all.size() == 5);
    CHECK(all[0].code == "E-ENUM");
    CHECK(all[0].pointer == "/at/colour");
    CHECK(all[0].suggestion == "did you mean \"green\"?");
    CHECK(all[1].code == "E-VALUE");
    CHECK(all[2].code == "E-TYPE");
    CHECK(all[3].code == "E-REQUIRED");
    CHECK(all[4].code == "E-UNKNOWN-KEY");
    CHECK(all[4].suggestion == "did you mean \"name\"?");
}

TEST_CASE("problems stand at their place in the file, once", "[base][fields]") {
    const auto document = sluice::read_json("{\n \"a\": {\n  \"b\": 1}}", "x.json", {100, 9});
    Problems problems("x.json", document.map);
    problems.error("E-TYPE", "/a/b", "wrong");
    problems.error("E-TYPE", "/a/b", "wrong again");
    problems.key_error("E-UNKNOWN-KEY", "/a/b", "unknown");
    problems.warning("W-X", "/a", "odd");
    REQUIRE(problems.errors() == 2);
    const auto all = problems.take();
    REQUIRE(all.size() == 3);
    CHECK(format(all[1]).find("x.json:3:3") != std::string::npos);
    CHECK(all[2].column == 8);
}

TEST_CASE("did you mean knows what other orchestrators call a key", "[base]") {
    const std::vector<std::string> known{"task_id", "depends_on_past", "upstream", "operator"};
    CHECK(sluice::did_you_mean("depends_on", known) == "did you mean \"upstream\"?");
    CHECK(sluice::did_you_mean("Type", known) == "did you mean \"operator\"?");
    CHECK(sluice::did_you_mean("id", {"dag_id", "tags"}) == "did you mean \"dag_id\"?");
    CHECK(
        sluice::did_you_mean("depends_on", {"depends_on_past"}).find("past") != std::string::npos
    );
}

TEST_CASE("did you mean knows transpositions and stays silent when nothing is near", "[base]") {
    CHECK(
        sluice::did_you_mean("upstraem", {"upstream", "operator"}) == "did you mean \"upstream\"?"
    );
    CHECK(
        sluice::did_you_mean("command", {"argv", "bash_command"}) ==
        "did you mean \"bash_command\"?"
    );
    CHECK(sluice::did_you_mean("zzz", {"upstream", "operator"}).empty());
}
