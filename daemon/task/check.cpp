#include "task/check.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "model/json_schema.hpp"

namespace sluice::task {
namespace {

using Json = nlohmann::json;

/// Full task id -> pointer of the task in the DAG file.
void find_pointers(
    const Json& tasks,
    const std::string& pointer,
    const std::string& prefix,
    std::map<std::string, std::string>& out
) {
    if (!tasks.is_array()) return;
    for (std::size_t i = 0; i < tasks.size(); ++i) {
        const Json& task = tasks[i];
        if (!task.is_object()) continue;
        const std::string here = pointer + '/' + std::to_string(i);
        if (task.contains("task_id") && task.at("task_id").is_string())
            out[prefix + task.at("task_id").get<std::string>()] = here;
        if (task.contains("group_id") && task.at("group_id").is_string())
            find_pointers(
                task.value("tasks", Json()),
                here + "/tasks",
                prefix + task.at("group_id").get<std::string>() + '.',
                out
            );
    }
}

class Checker {
public:
    Checker(const Dag& dag, const std::vector<Operator>& operators)
        : dag_(dag), operators_(operators), results_(dag.tasks.size()), state_(dag.tasks.size()) {
        for (const DatasetSpec& dataset : dag.datasets) datasets_[dataset.name] = dataset;
        const Json source = Json::parse(dag.source, nullptr, false);
        if (source.is_object())
            find_pointers(source.value("tasks", Json()), "/tasks", "", pointers_);
    }

    CheckReport run() {
        for (const TaskNo task : topological_order(dag_)) check(task);
        CheckReport report;
        for (TaskCheck& result : results_)
            if (!result.task_id.empty()) report.tasks.push_back(std::move(result));
        for (auto& [name, dataset] : datasets_) report.datasets.push_back(std::move(dataset));
        return report;
    }

private:
    enum class Progress { untouched, under_way, done };

    /// Edges that a check finds in SQL are not in the graph yet: a task that asks for a data set
    /// makes its writer go first.
    const DatasetSpec* find(const std::string& dataset_name) {
        const auto found = datasets_.find(dataset_name);
        if (found == datasets_.end()) return nullptr;
        const TaskNo writer = found->second.writer;
        if (writer != no_task) check(writer);
        return &datasets_.at(dataset_name);
    }

    void check(TaskNo number) {
        const auto index = static_cast<std::size_t>(number);
        if (state_[index] != Progress::untouched) return;
        state_[index] = Progress::under_way;
        const Task& task = dag_.tasks[index];
        const auto op =
            std::ranges::lower_bound(operators_, task.operator_name, {}, &Operator::name);
        if (op != operators_.end() && op->name == task.operator_name && op->check)
            keep(task, results_[index], run_check(*op, task));
        state_[index] = Progress::done;
    }

    CheckResult run_check(const Operator& op, const Task& task) {
        try {
            Json params = Json::parse(task.with);
            fill_defaults(params, Json::parse(op.schema));
            return op.check({dag_, task, params, [this](const std::string& name) {
                                 return find(name);
                             }});
        } catch (const std::exception& error) {
            CheckResult failed;
            Problem problem;
            problem.code = "E-CHECK";
            problem.message = error.what();
            failed.problems.push_back(std::move(problem));
            return failed;
        }
    }

    void keep(const Task& task, TaskCheck& into, CheckResult result) {
        into.task_id = task.id;
        into.reads = std::move(result.reads);
        into.compiled = std::move(result.compiled);
        into.problems = std::move(result.problems);
        for (DatasetSpec& written : result.writes) {
            const auto known = datasets_.find(written.name);
            if (known != datasets_.end() && known->second.declared) {
                compare(known->second, written, into.problems);
                inherit(task, written, known->second);
            } else {
                if (known != datasets_.end()) written.readers = known->second.readers;
                written.writer = find_task(dag_, task.id);
                datasets_[written.name] = written;
            }
            into.writes.push_back(std::move(written));
        }
        const auto pointer = pointers_.find(task.id);
        for (Problem& problem : into.problems) {
            problem.file = dag_.fileloc;
            if (pointer != pointers_.end())
                problem.pointer = pointer->second + "/with" + problem.pointer;
        }
    }

    /// Declared columns of a data set that is not raw are a contract on the derived ones.
    void compare(
        const DatasetSpec& declared, const DatasetSpec& derived, std::vector<Problem>& problems
    ) const {
        if (declared.name.starts_with("raw.") || derived.columns.empty()) return;
        for (const ColumnSpec& column : declared.columns) {
            const auto found = std::ranges::find(derived.columns, column.name, &ColumnSpec::name);
            std::string wrong;
            if (found == derived.columns.end()) {
                wrong = "is not written";
            } else if (!found->type.empty() && found->type != column.type) {
                wrong = "is written as " + found->type + ", declared as " + column.type;
            } else {
                continue;
            }
            Problem problem;
            problem.code = "E-SCHEMA-CONTRACT";
            problem.pointer = "/to";
            problem.message = "column " + declared.name + '.' + column.name + ' ' + wrong;
            problems.push_back(std::move(problem));
        }
    }

    /// A declaration says types; what a column shows it cannot take away: only a task that gives
    /// the reason (`attest`) may declare a column without the class that its values have.
    static void inherit(const Task& task, const DatasetSpec& derived, DatasetSpec& declared) {
        if (declared.name.starts_with("raw.")) return;
        for (ColumnSpec& column : declared.columns) {
            const auto found = std::ranges::find(derived.columns, column.name, &ColumnSpec::name);
            if (found == derived.columns.end()) continue;
            column.origins = found->origins;
            if (column.pii_class.empty() && task.attest.empty())
                column.pii_class = found->pii_class;
        }
    }

    const Dag& dag_;
    const std::vector<Operator>& operators_;
    std::map<std::string, DatasetSpec> datasets_;  // pointers into it stay
    std::map<std::string, std::string> pointers_;
    std::vector<TaskCheck> results_;
    std::vector<Progress> state_;
};

}  // namespace

CheckReport check_dag(const Dag& dag, const std::vector<Operator>& operators) {
    return Checker(dag, operators).run();
}

}  // namespace sluice::task
