// json_rows_parts.hpp — the rare rows that tasks make; for store/json_rows*.cpp only. Parts with a
// `has_...` are written only if it says so.
#pragma once

#include <vector>

#include "model/turn.hpp"
#include "store/json_writer.hpp"

namespace sluice::store {

void write_past(const Turn& turn, Writer& w);
void write_clearings(const std::vector<Clearing>& clearings, Writer& w);
void write_assets(const Turn& turn, Writer& w);
void write_mapped(const Turn& turn, Writer& w);
bool has_assets(const Turn& turn);
bool has_mapped(const Turn& turn);
bool has_past(const Turn& turn);
void write_waits(const std::vector<WaitRow>& waits, Writer& w);
void write_checkpoints_dropped(const std::vector<TaskKey>& keys, Writer& w);
void write_callbacks(const std::vector<CallbackDue>& callbacks, Writer& w);
bool has_deadlines(const Turn& turn);
void write_deadlines(const Turn& turn, Writer& w);
void write_slices(const std::vector<SlicesKept>& kept, Writer& w);

}  // namespace sluice::store
