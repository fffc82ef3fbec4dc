#include "executor/dag_checks.hpp"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/hash.hpp"
#include "executor/check_process.hpp"

namespace sluice::executor {
namespace {

/// Versions whose reports are kept; beyond, all are forgotten and made again when asked for.
constexpr std::size_t kept_reports = 1'000;

std::string key_of(const Dag& dag) {
    // A DAG that its loader has not hashed is known by what a check looks at.
    return dag.hash.empty() ? sha256_hex(task::checkable_json(dag).dump()) : dag.hash;
}

}  // namespace

DagChecks::DagChecks(const std::vector<task::Operator>& operators, std::string program)
    : operators_(operators),
      program_(std::move(program)),
      spawner_(task::Spawner::allowed_environment("")) {}

bool DagChecks::needs_check(const Dag& dag) const {
    return std::ranges::any_of(dag.tasks, [&](const Task& task) {
        const auto op =
            std::ranges::lower_bound(operators_, task.operator_name, {}, &task::Operator::name);
        if (op == operators_.end() || op->name != task.operator_name || !op->check) return false;
        // Most commands have nothing to do with data sets: they need no process for their check.
        return !op->traits.hands_over || !task.inlets.empty() || !task.outlets.empty();
    });
}

std::shared_ptr<const task::CheckReport> DagChecks::report(const Dag& dag) {
    if (!needs_check(dag)) {
        task::CheckReport plain;
        plain.datasets = dag.datasets;
        return std::make_shared<const task::CheckReport>(std::move(plain));
    }
    const std::string key = key_of(dag);
    std::promise<std::shared_ptr<const task::CheckReport>> promise;
    Pending pending;
    {
        const std::lock_guard lock(mutex_);
        if (const auto known = reports_.find(key); known != reports_.end()) {
            pending = known->second;
        } else {
            if (reports_.size() >= kept_reports) reports_.clear();
            reports_[key] = promise.get_future().share();
        }
    }
    if (pending.valid()) return pending.get();
    try {
        auto report =
            std::make_shared<const task::CheckReport>(check_in_worker(spawner_, program_, dag));
        promise.set_value(report);
        return report;
    } catch (...) {
        promise.set_exception(std::current_exception());
        const std::lock_guard lock(mutex_);
        reports_.erase(key);
        throw;
    }
}

std::shared_ptr<const std::vector<DatasetSpec>> DagChecks::datasets(const DagPtr& dag) {
    const auto made = report(*dag);
    return {made, &made->datasets};
}

}  // namespace sluice::executor
