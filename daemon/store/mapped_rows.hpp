// mapped_rows.hpp — reading what migrations/0006_mapped.sql keeps. Included by .cpp files of this
// folder only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/turn.hpp"
#include "store/pq.hpp"

namespace sluice::store {

/// A mapped instance that has ended without a word: it is read in a short form, and there may be a
/// million of them. 4 to 7 are success, failed, skipped and upstream_failed.
#define SLUICE_PLAIN_INSTANCE                                                         \
    "(t.map_index >= 0 and t.state between 4 and 7 and t.error = '' and t.note = '' " \
    "and t.error_class = 0 and t.lost_in_a_row = 0 and t.next_try_at is null "        \
    "and t.queued_at is not distinct from t.start_date)"

/// What `read_map_length` reads.
#define SLUICE_MAP_LENGTH "run_key, map_no, length, serial, shape, outer_index, blocks"
MapLength read_map_length(const Result& rows, int i);

/// Of the open runs: lengths, ranges, and the instances of the short form.
void read_mapped(Connection& connection, Snapshot& snapshot);
std::vector<MapLength> read_map_lengths(Connection& connection, std::span<const std::int64_t> runs);
std::vector<MapRange> read_map_ranges(Connection& connection, std::span<const std::int64_t> runs);

}  // namespace sluice::store
