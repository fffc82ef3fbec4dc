// asset_rows.hpp — reading what migrations/0011_assets.sql keeps. Included by .cpp files of this
// folder only.
#pragma once

#include "model/turn.hpp"
#include "store/pq.hpp"

namespace sluice::store {

#define SLUICE_ASSET_EVENT_COLUMNS                                                       \
    "e.id, e.asset, e.at, e.extra, e.source_dag_id, e.source_run_id, e.source_task_id, " \
    "coalesce(e.source_map_index, -1), e.interval_start, e.interval_end, e.created_by"

AssetEvent read_asset_event(const Result& result, int row);

/// Marks, the events that some DAG has not seen, and the last event's id.
void read_assets(Connection& connection, Snapshot& snapshot);

}  // namespace sluice::store
