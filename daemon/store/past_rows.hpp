// past_rows.hpp — reading what migrations/0007_past.sql keeps, and what a run's predecessor ended
// as. Included by .cpp files of this folder only.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/turn.hpp"
#include "store/pq.hpp"

namespace sluice::store {

/// Of the open runs: branches and endings; and the failures of all DAGs.
void read_past(Connection& connection, Snapshot& snapshot);
std::vector<BranchChoice> read_branches(Connection& connection, std::span<const std::int64_t> runs);
/// Its row, if there is one.
Result read_previous_run(
    Connection& connection, const std::string& dag_id, Instant before, bool scheduled_only
);
std::vector<VersionId> read_versions_before(
    Connection& connection, const std::string& dag_id, Instant before
);

}  // namespace sluice::store
