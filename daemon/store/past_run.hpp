// past_run.hpp — a stored run as the next one of its DAG sees it.
#pragma once

#include "model/turn.hpp"

namespace sluice::store {

/// What the instances of each task ended as. Of a mapped task those count that were part of the run
/// in the end: not what a shorter mapping removed, and none if it ended before it was expanded.
PastRun past_of(const StoredRun& stored);

}  // namespace sluice::store
