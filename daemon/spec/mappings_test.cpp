#include <catch2/catch.hpp>

#include "spec/loader.hpp"
#include "spec/loader_fixture.hpp"

using namespace sluice;
using namespace sluice::spec::fixture;

namespace {

std::string mapped(const std::string& expand, const std::string& more = "") {
    return task("each", R"(, "expand": )" + expand + more);
}

}  // namespace

TEST_CASE("expand makes a mapping of a task or of a group", "[spec][expand]") {
    const Dag dag = good(tasks(
        task("list") + "," + mapped(R"({"a": [1, 2], "b": ["x"]})") + "," +
        R"({"group_id": "g", "expand": {"f": "{{ xcom.list }}"}, "tasks": [)" + task("in") + "," +
        task("out", R"(, "upstream": "g.in")") + "]}"
    ));
    REQUIRE(dag.mappings.size() == 2);
    CHECK(dag.mappings[0].owner == "each");
    CHECK(dag.mappings[0].length == 2);
    CHECK(dag.mappings[1].owner == "g");
    CHECK_FALSE(dag.mappings[1].length);
    CHECK(dag.mappings[1].tasks == std::vector<TaskNo>{2, 3});
    CHECK(dag.tasks[0].mapping == no_map);
    CHECK(dag.tasks[3].mapping == 1);
    // The task that gives the items comes first, for every task of the group.
    CHECK(dag.tasks[2].upstream == std::vector<TaskNo>{0});
    CHECK(dag.tasks[3].upstream == std::vector<TaskNo>{0, 2});
}

TEST_CASE("a mapped task may write the lake, and no warehouse table", "[spec][expand]") {
    const auto extract = [](const std::string& to) {
        return dag_with(
            R"("schemas": {"sales": "w"}, "tasks": [{"task_id": "a", "expand": {"x": [1, 2]}, )"
            R"("operator": "extract", "with": {"from": {"conn_id": "c"}, "to": ")" +
            to + R"("}}])"
        );
    };
    const Dag dag = good(extract("raw.things"));
    CHECK(dag.tasks[0].mapping == 0);
    REQUIRE_FALSE(dag.datasets.empty());
    CHECK(dag.datasets[0].writer == 0);
    CHECK(only(extract("sales.things")).code == "E-NOT-YET");
    good(tasks(mapped(R"({"a": [1, 2]})", R"(, "outlets": ["raw.seen"])")));
}

TEST_CASE("what an expand may not say", "[spec][expand]") {
    CHECK(only(tasks(mapped(R"({"a": []})"))).code == "E-EXPAND");
    CHECK(only(tasks(mapped(R"({"a": "no template"})"))).code == "E-EXPAND");
    CHECK(only(tasks(mapped(R"([1])"))).code == "E-EXPAND");
    CHECK(only(tasks(mapped(R"({"a": {"rang": 3}})"))).code == "E-EXPAND");
    CHECK(only(tasks(mapped(R"({"a": {"range": 100000000}})"))).code == "E-EXPAND");
    CHECK(only(tasks(mapped(R"({"a": "{{ nothing }}"})"))).code == "E-TEMPLATE");
    CHECK(only(tasks(mapped(R"({"a": "{{ map.b }}"})"))).code == "E-TEMPLATE");
    CHECK(
        only(tasks(
                 task("list") + "," +
                 mapped(R"({"a": "{{ xcom.list }}"})", R"(, "trigger_rule": "always")")
             ))
            .code == "E-EXPAND"
    );
    CHECK(only(tasks(task("a", R"(, "map_index_template": "x")"))).code == "E-EXPAND");
    CHECK(
        only(tasks(mapped(R"({"a": [1]})", R"(, "map_index_template": "{{ map.b }}")"))).code ==
        "E-TEMPLATE"
    );
    good(tasks(mapped(R"({"a": [1]})", R"(, "map_index_template": "{{ map.a }}")")));
}
