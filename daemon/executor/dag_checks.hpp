// dag_checks.hpp — the data-plane checks of DAG versions, each made once in a worker process and
// kept by the version's hash. Thread-safe; two callers for one version wait for one check.
#pragma once

#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "model/dag.hpp"
#include "task/check.hpp"
#include "task/operator.hpp"
#include "task/process.hpp"

namespace sluice::executor {

class DagChecks {
public:
    /// `operators` must outlive this; `program` is the binary with the verb `worker`.
    DagChecks(const std::vector<task::Operator>& operators, std::string program);

    /// Without a process if no task of the DAG has a check. Throws Error: the check itself failed
    /// (then the next call tries again).
    std::shared_ptr<const task::CheckReport> report(const Dag& dag);
    /// The DAG's data sets with declared or derived columns: Services::datasets.
    std::shared_ptr<const std::vector<DatasetSpec>> datasets(const DagPtr& dag);

private:
    using Pending = std::shared_future<std::shared_ptr<const task::CheckReport>>;
    [[nodiscard]] bool needs_check(const Dag& dag) const;

    const std::vector<task::Operator>& operators_;
    const std::string program_;
    task::Spawner spawner_;
    std::mutex mutex_;  // guards reports_
    std::map<std::string, Pending> reports_;
};

}  // namespace sluice::executor
