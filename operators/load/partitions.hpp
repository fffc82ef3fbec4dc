// partitions.hpp — `partition_by` of a table: ranges of a date or time, made as rows come.
#pragma once

#include <string>
#include <vector>

#include "operators/load/target.hpp"
#include "task/operator.hpp"

namespace sluice::load {

/// E-LOAD-PARTITION: what cannot be cut, seen when the DAG is loaded.
void check_partition(task::CheckResult& result, const Plan& plan, const DatasetSpec& source);

/// SQL that is true of a row that has no place in any range.
std::string without_range(const Ranges& ranges);

/// The target made or widened (Warehouse::make), in ranges if the plan says so, with a range for
/// each row of the stage. True if it was made. Throws Failure(data_quality) if a row has no range,
/// Failure(schema) if the table is there and has none.
bool make_target(
    task::TaskContext& context,
    Warehouse& warehouse,
    const Plan& plan,
    const Stage& stage,
    const std::vector<PgColumn>& columns,
    const std::string& constraints
);

}  // namespace sluice::load
