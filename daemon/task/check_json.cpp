// check_json.cpp — a check's question and answer as JSON, for the worker that runs it.
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "task/check.hpp"
#include "task/job.hpp"
#include "task/members.hpp"

namespace sluice::task {
namespace {

using Json = nlohmann::json;

/// All but the severity.
constexpr Members problem_members{
    Member{"code", &Problem::code},
    Member{"file", &Problem::file},
    Member{"pointer", &Problem::pointer},
    Member{"line", &Problem::line},
    Member{"column", &Problem::column},
    Member{"message", &Problem::message},
    Member{"suggestion", &Problem::suggestion}
};

Json problem_json(const Problem& problem) {
    Json out = problem_members.json(problem);
    out["warning"] = problem.severity == Severity::warning;
    return out;
}

Problem problem_of(const Json& json) {
    Problem problem = problem_members.read(json);
    problem.severity = json.at("warning").get<bool>() ? Severity::warning : Severity::error;
    return problem;
}

Json datasets_json(const std::vector<DatasetSpec>& datasets) {
    Json out = Json::array();
    for (const DatasetSpec& dataset : datasets) out.push_back(to_json(dataset));
    return out;
}

std::vector<DatasetSpec> datasets_of(const Json& json) {
    std::vector<DatasetSpec> out;
    for (const Json& dataset : json) out.push_back(dataset_of(dataset));
    return out;
}

constexpr Members task_members{
    Member{"id", &Task::id},
    Member{"mapping", &Task::mapping},
    Member{"group", &Task::group},
    Member{"operator", &Task::operator_name},
    Member{"with", &Task::with},
    Member{"upstream", &Task::upstream},
    Member{"on_empty", &Task::on_empty},
    Member{"reuse", &Task::reuse},
    Member{"params", &Task::params},
    Member{"inlets", &Task::inlets},
    Member{"outlets", &Task::outlets},
    Member{"attest", &Task::attest}
};

/// All but data sets and tasks.
constexpr Members dag_members{
    Member{"dag_id", &Dag::dag_id},
    Member{"timezone", &Dag::timezone},
    Member{"params", &Dag::params},
    Member{"schemas", &Dag::schemas},
    Member{"lake", &Dag::lake},
    Member{"policy", &Dag::policy},
    Member{"fileloc", &Dag::fileloc},
    Member{"source", &Dag::source},
    Member{"hash", &Dag::hash},
    Member{"files", &Dag::files}
};

}  // namespace

Json to_json(const CheckReport& report) {
    Json tasks = Json::array();
    for (const TaskCheck& task : report.tasks) {
        Json problems = Json::array();
        for (const Problem& problem : task.problems) problems.push_back(problem_json(problem));
        tasks.push_back(
            {{"task_id", task.task_id},
             {"problems", std::move(problems)},
             {"reads", task.reads},
             {"writes", datasets_json(task.writes)},
             {"compiled", task.compiled}}
        );
    }
    return {{"tasks", std::move(tasks)}, {"datasets", datasets_json(report.datasets)}};
}

CheckReport report_of(const Json& json) {
    try {
        CheckReport report;
        for (const Json& item : json.at("tasks")) {
            TaskCheck task;
            item.at("task_id").get_to(task.task_id);
            for (const Json& problem : item.at("problems"))
                task.problems.push_back(problem_of(problem));
            item.at("reads").get_to(task.reads);
            task.writes = datasets_of(item.at("writes"));
            item.at("compiled").get_to(task.compiled);
            report.tasks.push_back(std::move(task));
        }
        report.datasets = datasets_of(json.at("datasets"));
        return report;
    } catch (const Json::exception& error) {
        throw Error(ErrorCode::invalid, std::string("check report: ") + error.what());
    }
}

Json checkable_json(const Dag& dag) {
    Json out = dag_members.json(dag);
    out["datasets"] = datasets_json(dag.datasets);
    Json& tasks = out["tasks"] = Json::array();
    for (const Task& task : dag.tasks) {
        tasks.push_back(task_members.json(task));
        if (task.max_active_tis_per_dag)
            tasks.back()["max_active_tis_per_dag"] = *task.max_active_tis_per_dag;
    }
    return out;
}

Dag checkable_of(const Json& json) {
    try {
        Dag dag = dag_members.read(json);
        dag.datasets = datasets_of(json.at("datasets"));
        for (const Json& task : json.at("tasks")) {
            dag.tasks.push_back(task_members.read(task));
            if (const auto limit = task.find("max_active_tis_per_dag"); limit != task.end())
                dag.tasks.back().max_active_tis_per_dag = limit->get<int>();
        }
        link_tasks(dag);
        return dag;
    } catch (const Json::exception& error) {
        throw Error(ErrorCode::invalid, std::string("check request: ") + error.what());
    }
}

}  // namespace sluice::task
