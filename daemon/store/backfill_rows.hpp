// backfill_rows.hpp — reading what migrations/0008_backfill_plan.sql keeps, and ids that backfills
// have used. Included by .cpp files of this folder only.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "model/turn.hpp"
#include "store/pq.hpp"

namespace sluice::store {

/// The subsets of open backfills and of backfills with open runs; and the rest of the plans of
/// `snapshot.backfills`.
void read_subsets(Connection& connection, Snapshot& snapshot);
/// `subset` of each run.
void fill_subsets(Connection& connection, std::vector<StoredRun>& runs);
/// `tasks` and `run_time` of each.
void fill_plans(Connection& connection, const std::vector<Backfill*>& backfills);
std::set<std::string> read_backfill_run_ids(Connection& connection, const std::string& dag_id);

}  // namespace sluice::store
