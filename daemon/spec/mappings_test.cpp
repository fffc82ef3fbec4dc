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

TEST_CASE("a mapped task may write the lake and a warehouse", "[spec][expand]") {
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
    CHECK(good(extract("sales.things")).datasets[0].writer == 0);
    // Which tables a DAG writes is known when it is loaded.
    CHECK(only(extract("sales.{{ map.x }}")).code == "E-DATASET-NAME");
    good(tasks(mapped(R"({"a": [1, 2]})", R"(, "outlets": ["raw.seen"])")));
}

TEST_CASE("a mapping inside a mapped group", "[spec][expand]") {
    const auto group = [](const std::string& inside, const std::string& more = "") {
        return tasks(
            R"({"group_id": "g", "expand": {"region": ["n", "s"]}, "tasks": [)" + task("list") +
            ", " + inside + "]}" + more
        );
    };
    const Dag dag = good(group(mapped(
        R"({"file": "{{ xcom['g.list'] }}"})",
        R"(, "map_index_template": "{{ map.region }} {{ map.file }}")"
    )));
    REQUIRE(dag.mappings.size() == 2);
    CHECK(dag.mappings[0].tasks == std::vector<TaskNo>{0});
    CHECK(dag.mappings[1].tasks == std::vector<TaskNo>{1});
    CHECK(dag.mappings[1].outer == 0);
    CHECK(dag.mappings[1].owner == "g.each");
    CHECK(dag.tasks[1].mapping == 1);
    CHECK(dag.tasks[1].upstream == std::vector<TaskNo>{0});
    // A group in it, and what `map` has of the group around.
    const auto inner = [](const std::string& expand, const std::string& member) {
        return R"({"group_id": "h", "expand": )" + expand + R"(, "tasks": [)" + member + "]}";
    };
    CHECK(good(group(inner(R"({"x": [1, 2]})", task("in")))).mappings[1].length == 2);
    good(group(mapped(R"({"file": "{{ map.region }}"})")));
    CHECK(only(group(mapped(R"({"file": "{{ map.other }}"})"))).code == "E-TEMPLATE");
    CHECK(only(group(mapped(R"({"region": [1]})"))).code == "E-EXPAND");
    CHECK(
        only(group(inner(R"({"x": [1, 2]})", mapped(R"({"y": [1]})")))).message.find("third") !=
        std::string::npos
    );
    CHECK(
        only(group(mapped(R"({"x": "{{ map.region }}"})", R"(, "trigger_rule": "always")"))).code ==
        "E-EXPAND"
    );
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
