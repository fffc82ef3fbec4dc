// increment.hpp — `incremental`: which of a source's rows are this run's.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "operators/extract/source.hpp"

namespace sluice::extract {

/// Puts into the request what the source itself can make use of. Throws Failure.
void set_increment(task::TaskContext& context, const nlohmann::json& params, Request& request);

/// SQL: the rows of the run, of those that the source gave; rows whose time cannot be read are set
/// aside like unreadable lines.
std::string narrowed(
    task::TaskContext& context,
    engine::Database& database,
    const Request& request,
    const Extracted& extracted,
    const std::vector<engine::ColumnInfo>& found
);

/// JSON for the ledger: what this slice has of the source; "" if nobody will ask. `rows` as
/// `narrowed` gave them, "" = there are none.
std::string read_now(
    engine::Database& database,
    const Request& request,
    const Extracted& extracted,
    const std::string& rows
);

}  // namespace sluice::extract
