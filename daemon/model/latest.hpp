// latest.hpp — whether a run is the newest that its schedule has due (semantics 17).
#pragma once

#include "model/dag.hpp"
#include "model/run.hpp"

namespace sluice {

/// A manual run always is, and so is one that no other run follows.
bool is_latest_run(const Dag& dag, const DagRun& run, Instant now);

}  // namespace sluice
