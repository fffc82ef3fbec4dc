// target_check.hpp — `verify: hash` of a load into an outside system: what was sent, and what is
// there.
#pragma once

#include <string>
#include <vector>

#include "operators/engine/database.hpp"
#include "operators/lake/generation_file.hpp"

namespace sluice::extract {

/// Rows and content hash of a query of the engine that has these columns.
lake::Content content_of_query(
    engine::Database& database,
    const std::string& query,
    const std::vector<engine::ColumnInfo>& columns
);

/// Throws Failure(data_quality) if they differ. `what`: "the rows of orders"; `where`: what the
/// message says behind the figures.
void check_content(
    const std::string& what,
    const lake::Content& sent,
    const lake::Content& held,
    const std::string& where
);

}  // namespace sluice::extract
