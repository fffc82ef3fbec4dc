#include "task/check.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "base/error.hpp"

using namespace sluice;
using namespace sluice::task;
using Json = nlohmann::json;

namespace {

ColumnSpec column(const std::string& name, const std::string& type) {
    ColumnSpec out;
    out.name = name;
    out.type = type;
    return out;
}

/// Copies the columns of `from` to `to`, and adds one.
CheckResult copy(const CheckInput& input) {
    CheckResult result;
    const std::string from = input.params.value("from", "");
    DatasetSpec to;
    to.name = input.params.at("to");
    if (!from.empty()) {
        const DatasetSpec* read = input.dataset(from);
        if (read == nullptr) {
            Problem problem;
            problem.code = "E-DATASET";
            problem.pointer = "/from";
            problem.message = "nobody writes " + from;
            result.problems.push_back(problem);
            return result;
        }
        to.columns = read->columns;
        result.reads = {from};
    }
    to.columns.push_back(column("c" + std::to_string(to.columns.size()), "bigint"));
    result.writes = {to};
    result.compiled = {"copy " + from};
    return result;
}

std::vector<Operator> table() {
    std::vector<Operator> out(2);
    out[0].name = "copy";
    out[0].schema =
        R"({"type":"object","properties":{"from":{"type":"string"},"to":{"type":"string"}}})";
    out[0].check = copy;
    out[1].name = "throws";
    out[1].schema = "{}";
    out[1].check = [](const CheckInput&) -> CheckResult {
        throw Error(ErrorCode::internal, "engine is away");
    };
    return out;
}

/// Tasks {id, operator, from, to}; no edges: the check finds the order by itself.
Dag dag_of(const std::vector<std::array<std::string, 4>>& rows) {
    Dag dag;
    dag.dag_id = "d";
    dag.fileloc = "d.json";
    Json tasks = Json::array();
    for (const auto& [id, name, from, to] : rows) {
        Task task;
        task.id = "g." + id;
        task.operator_name = name;
        Json with = Json::object();
        if (!from.empty()) with["from"] = from;
        if (!to.empty()) {
            with["to"] = to;
            DatasetSpec dataset;
            dataset.name = to;
            dataset.writer = static_cast<TaskNo>(dag.tasks.size());
            dag.datasets.push_back(dataset);
        }
        task.with = with.dump();
        dag.tasks.push_back(task);
        tasks.push_back({{"task_id", id}, {"with", with}});
    }
    dag.source = Json{{"tasks", {{{"group_id", "g"}, {"tasks", tasks}}}}}.dump();
    return dag;
}

}  // namespace

TEST_CASE("a check derives columns through a chain written backwards", "[check]") {
    const Dag dag = dag_of(
        {{"third", "copy", "processed.b", "curated.c"},
         {"second", "copy", "raw.a", "processed.b"},
         {"first", "copy", "", "raw.a"}}
    );
    const CheckReport report = check_dag(dag, table());
    REQUIRE(report.tasks.size() == 3);
    REQUIRE(report.tasks[0].task_id == "g.third");
    REQUIRE(report.tasks[0].writes.at(0).columns.size() == 3);
    REQUIRE(report.tasks[0].compiled.at(0) == "copy processed.b");
    REQUIRE(report.datasets.size() == 3);
    for (const auto& dataset : report.datasets)
        REQUIRE(
            dataset.columns.size() == 1 +
                                          static_cast<std::size_t>(std::ranges::count(
                                              std::array{"processed.b", "curated.c"}, dataset.name
                                          )) +
                                          (dataset.name == "curated.c" ? 1 : 0)
        );
}

TEST_CASE("problems have the file and the pointer of the task", "[check]") {
    const Dag dag = dag_of({{"a", "throws", "", ""}, {"b", "copy", "raw.nothing", "raw.b"}});
    const CheckReport report = check_dag(dag, table());
    REQUIRE(report.tasks.at(0).problems.at(0).message == "engine is away");
    REQUIRE(report.tasks.at(0).problems.at(0).pointer == "/tasks/0/tasks/0/with");
    REQUIRE(report.tasks.at(1).problems.at(0).pointer == "/tasks/0/tasks/1/with/from");
    REQUIRE(report.tasks.at(1).problems.at(0).file == "d.json");
}

TEST_CASE("declared columns of a data set that is written are a contract", "[check]") {
    Dag dag = dag_of({{"a", "copy", "", "processed.a"}});
    dag.datasets[0].declared = true;
    dag.datasets[0].columns = {column("c0", "varchar"), column("x", "date")};
    const CheckReport report = check_dag(dag, table());
    REQUIRE(report.tasks.at(0).problems.size() == 2);
    REQUIRE(report.tasks.at(0).problems[0].code == "E-SCHEMA-CONTRACT");
    REQUIRE_THAT(
        report.tasks.at(0).problems[0].message, Catch::Contains("bigint, declared as varchar")
    );
    REQUIRE(report.datasets.at(0).columns.size() == 2);
}

TEST_CASE("data sets that read each other do not check for ever", "[check]") {
    const Dag dag = dag_of({{"a", "copy", "raw.b", "raw.a"}, {"b", "copy", "raw.a", "raw.b"}});
    REQUIRE(check_dag(dag, table()).tasks.size() == 2);
}

TEST_CASE("a check's question and answer survive JSON", "[check]") {
    const Dag dag = dag_of({{"a", "copy", "raw.nothing", "raw.a"}, {"b", "copy", "", "raw.b"}});
    const Json question = checkable_json(dag);
    REQUIRE(checkable_json(checkable_of(question)) == question);
    const Json answer = to_json(check_dag(dag, table()));
    REQUIRE(to_json(report_of(answer)) == answer);
    REQUIRE_THROWS_AS(report_of(Json::object()), Error);
}
