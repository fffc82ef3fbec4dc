// check_json.cpp — a check's question and answer as JSON, for the worker that runs it.
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "task/check.hpp"
#include "task/job.hpp"

namespace sluice::task {
namespace {

using Json = nlohmann::json;

Json problem_json(const Problem& problem) {
    return {
        {"code", problem.code},
        {"warning", problem.severity == Severity::warning},
        {"file", problem.file},
        {"pointer", problem.pointer},
        {"line", problem.line},
        {"column", problem.column},
        {"message", problem.message},
        {"suggestion", problem.suggestion}
    };
}

Problem problem_of(const Json& json) {
    Problem problem;
    json.at("code").get_to(problem.code);
    problem.severity = json.at("warning").get<bool>() ? Severity::warning : Severity::error;
    json.at("file").get_to(problem.file);
    json.at("pointer").get_to(problem.pointer);
    json.at("line").get_to(problem.line);
    json.at("column").get_to(problem.column);
    json.at("message").get_to(problem.message);
    json.at("suggestion").get_to(problem.suggestion);
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

Json task_json(const Task& task) {
    return {
        {"id", task.id},
        {"group", task.group},
        {"operator", task.operator_name},
        {"with", task.with},
        {"upstream", task.upstream},
        {"on_empty", task.on_empty},
        {"reuse", task.reuse},
        {"params", task.params},
        {"attest", task.attest}
    };
}

Task task_of(const Json& json) {
    Task task;
    json.at("id").get_to(task.id);
    json.at("group").get_to(task.group);
    json.at("operator").get_to(task.operator_name);
    json.at("with").get_to(task.with);
    json.at("upstream").get_to(task.upstream);
    json.at("on_empty").get_to(task.on_empty);
    json.at("reuse").get_to(task.reuse);
    json.at("params").get_to(task.params);
    json.at("attest").get_to(task.attest);
    return task;
}

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
    Json tasks = Json::array();
    for (const Task& task : dag.tasks) tasks.push_back(task_json(task));
    return {
        {"dag_id", dag.dag_id},
        {"timezone", dag.timezone},
        {"params", dag.params},
        {"schemas", dag.schemas},
        {"lake", dag.lake},
        {"policy", dag.policy},
        {"datasets", datasets_json(dag.datasets)},
        {"tasks", std::move(tasks)},
        {"fileloc", dag.fileloc},
        {"source", dag.source},
        {"hash", dag.hash},
        {"files", dag.files}
    };
}

Dag checkable_of(const Json& json) {
    try {
        Dag dag;
        json.at("dag_id").get_to(dag.dag_id);
        json.at("timezone").get_to(dag.timezone);
        json.at("params").get_to(dag.params);
        json.at("schemas").get_to(dag.schemas);
        json.at("lake").get_to(dag.lake);
        json.at("policy").get_to(dag.policy);
        dag.datasets = datasets_of(json.at("datasets"));
        for (const Json& task : json.at("tasks")) dag.tasks.push_back(task_of(task));
        json.at("fileloc").get_to(dag.fileloc);
        json.at("source").get_to(dag.source);
        json.at("hash").get_to(dag.hash);
        json.at("files").get_to(dag.files);
        link_tasks(dag);
        return dag;
    } catch (const Json::exception& error) {
        throw Error(ErrorCode::invalid, std::string("check request: ") + error.what());
    }
}

}  // namespace sluice::task
