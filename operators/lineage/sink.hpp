// sink.hpp — no unmasked personal data where it may not be: what a task would write into curated or
// a warehouse, judged at load by the classes of its columns and what the policy allows there.
#pragma once

#include <string>
#include <vector>

#include "task/operator.hpp"

namespace sluice::lineage {

/// Adds E-PII with the way of the column for each of `written` that is too plain for `to`. Raw and
/// processed data may hold everything. A task that says why it is to be trusted (`attest`) is
/// judged by what the data set declares.
void check_sink(
    const task::CheckInput& input,
    const std::string& to,
    const std::vector<ColumnSpec>& written,
    task::CheckResult& result
);

}  // namespace sluice::lineage
