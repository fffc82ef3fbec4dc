// check.hpp — the data-plane check of a DAG version: every operator's `check`, in the order in
// which data sets are written, so that each sees the columns derived before it. Pure, but an
// operator may open its engine: the daemon runs it in a `sluice worker --check` process.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/error.hpp"
#include "model/dag.hpp"
#include "task/operator.hpp"

namespace sluice::task {

/// What the check of one task found. Pointers of problems are those of the DAG file.
struct TaskCheck {
    std::string task_id;
    std::vector<Problem> problems;
    std::vector<std::string> reads;     // data sets, also those found by binding SQL
    std::vector<DatasetSpec> writes;    // with derived columns
    std::vector<std::string> compiled;  // SQL, for `sluice dags show`
};

struct CheckReport {
    std::vector<TaskCheck> tasks;  // in the order of the file; only those with something to say
    std::vector<DatasetSpec> datasets;  // all of the DAG, with declared or derived columns
};

/// `operators` is sorted by name; tasks of others are passed over.
CheckReport check_dag(const Dag& dag, const std::vector<Operator>& operators);

nlohmann::json to_json(const CheckReport& report);
CheckReport report_of(const nlohmann::json& json);

/// The parts of a DAG that a check may look at.
nlohmann::json checkable_json(const Dag& dag);
/// Throws Error(invalid).
Dag checkable_of(const nlohmann::json& json);

}  // namespace sluice::task
