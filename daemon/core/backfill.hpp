// backfill.hpp — what a backfill would do about each date of its range (semantics 12). Pure: the
// plan that is shown before is the plan that is carried out.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "model/dag.hpp"
#include "model/run.hpp"

namespace sluice::core {

struct BackfillPlan {
    std::vector<BackfillDate> dates;  // in the order of their runs; `run` set where one exists
    std::optional<ErrorCode> error;   // it cannot be made: nothing but `message` counts
    std::string message;
};

/// `existing`: the DAG's latest run of each logical date in the range.
BackfillPlan plan_backfill(
    const Dag& dag, const Backfill& wanted, const std::vector<DagRun>& existing, Instant now
);

/// Adds what lies above and below the named tasks; all tasks of the DAG = an empty list. Returns
/// what is wrong, if a task is not of the DAG.
std::optional<std::string> resolve_subset(
    const Dag& dag, std::vector<std::string>& tasks, bool upstream, bool downstream
);

}  // namespace sluice::core
