#include "model/layout.hpp"

#include <catch2/catch.hpp>

namespace sluice {
namespace {

using Ids = std::vector<std::string>;

struct Line {
    std::string id;
    Ids upstream{};
};

Dag dag_of(const std::string& hash, const std::vector<Line>& lines) {
    Dag dag;
    dag.dag_id = "dag";
    dag.hash = hash;
    for (const auto& line : lines) {
        Task task;
        task.id = line.id;
        task.operator_name = "empty";
        dag.tasks.push_back(task);
    }
    for (std::size_t i = 0; i < lines.size(); ++i)
        for (const auto& up : lines[i].upstream)
            dag.tasks[i].upstream.push_back(find_task(dag, up));
    REQUIRE(link_tasks(dag).empty());
    return dag;
}

Ids ids_of(const Dag& dag) {
    Ids ids;
    for (const auto& task : dag.tasks) ids.push_back((task.gone ? "-" : "") + task.id);
    return ids;
}

Ids upstreams(const Dag& dag, const std::string& id) {
    Ids ids;
    for (const TaskNo up : dag.tasks[static_cast<std::size_t>(find_task(dag, id))].upstream)
        ids.push_back(dag.tasks[static_cast<std::size_t>(up)].id);
    return ids;
}

TEST_CASE("a version that only adds tasks behind is its own form", "[layout]") {
    const Dag before = dag_of("1", {{"a"}, {"b", {"a"}}});
    const Dag latest = dag_of("2", {{"a"}, {"b", {"a"}}, {"c", {"b"}}});
    CHECK(form_of(latest, before).hash == "2");
}

TEST_CASE("a form keeps the run's numbers; what is gone keeps its name without edges", "[layout]") {
    const Dag before = dag_of("1", {{"a"}, {"b", {"a"}}, {"c", {"b"}}});
    const Dag latest = dag_of("2", {{"new"}, {"c", {"a", "new"}}, {"a"}});
    const Dag form = form_of(latest, before);
    CHECK(ids_of(form) == Ids{"a", "-b", "c", "new"});
    CHECK(upstreams(form, "c") == Ids{"a", "new"});
    CHECK(upstreams(form, "b").empty());
    CHECK(form.hash != latest.hash);
    CHECK(is_of(form, latest));
    CHECK_FALSE(is_of(before, latest));
    // Made again from what is stored of it.
    const Dag again = with_layout(latest, form.files.at(layout_file));
    CHECK(ids_of(again) == ids_of(form));
    CHECK(again.tasks[2].upstream == form.tasks[2].upstream);
    CHECK(again.tasks[3].downstream == std::vector<TaskNo>{2});
}

TEST_CASE("a form of a later version follows the form before it", "[layout]") {
    const Dag first = dag_of("1", {{"a"}, {"b"}});
    const Dag second = form_of(dag_of("2", {{"b"}, {"c"}}), first);
    const Dag third = form_of(dag_of("3", {{"a"}, {"c"}}), second);
    CHECK(ids_of(second) == Ids{"-a", "b", "c"});
    CHECK(ids_of(third) == Ids{"a", "-b", "c"});
}

TEST_CASE("mappings keep their numbers while they map the same", "[layout]") {
    const auto map = [](Dag dag, const std::string& task, const std::string& expand) {
        Mapping mapping;
        mapping.owner = task;
        mapping.expand = expand;
        mapping.tasks = {find_task(dag, task)};
        dag.tasks[static_cast<std::size_t>(mapping.tasks.front())].mapping =
            static_cast<MapNo>(dag.mappings.size());
        dag.mappings.push_back(mapping);
        return dag;
    };
    const Dag before = map(map(dag_of("1", {{"a"}, {"b"}}), "a", "[1]"), "b", "[2]");
    const Dag latest = map(map(dag_of("2", {{"b"}, {"a"}}), "b", "[2]"), "a", "[3]");
    const Dag form = form_of(latest, before);
    REQUIRE(form.mappings.size() == 3);
    CHECK(form.mappings[0].tasks.empty());
    CHECK(form.mappings[1].tasks == std::vector<TaskNo>{1});
    CHECK(form.mappings[2].expand == "[3]");
    CHECK(form.tasks[0].mapping == 2);
    CHECK(form.tasks[1].mapping == 1);
}

}  // namespace
}  // namespace sluice
