// deadline_rows.hpp — reading what migrations/0013_deadlines_slices.sql keeps, and how long past
// runs took. Included by .cpp files of this folder only.
#pragma once

#include <string>
#include <vector>

#include "model/turn.hpp"
#include "store/journal.hpp"
#include "store/pq.hpp"

namespace sluice::store {

void read_deadlines(Connection& connection, Snapshot& snapshot);
/// By task and number.
std::vector<DeadlineRow> read_deadlines_of(Connection& connection, RunKey run);
std::vector<Journal::RunTime> read_run_times(
    Connection& connection, const std::string& dag_id, RunKey but, int most, bool with_tasks
);

}  // namespace sluice::store
