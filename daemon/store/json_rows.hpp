// json_rows.hpp — the rarer rows of a turn as one JSON text, read by commit_turn's `extra`.
#pragma once

#include <string>

#include "model/turn.hpp"

namespace sluice::store {

/// "" if the turn has none of them. Values that are JSON already are put in as they are: the
/// server refuses what is not JSON. `tell`: with a note for the standbys.
std::string extra_rows(const Turn& turn, bool tell);

}  // namespace sluice::store
