// callbacks.hpp — what a turn must tell: a callback for each transition that has one, none without,
// and a deadline once.
#pragma once

#include <map>
#include <set>

#include "model/dag.hpp"
#include "model/turn.hpp"
#include "tests/sim/random.hpp"

namespace sluice::sim {

/// Gives the DAG callbacks and deadlines. `random` is its own: what else is random stays as it was.
void add_callbacks(Random& random, Dag& dag, Instant now);

using Versions = std::map<VersionId, DagPtr>;
/// `all` has every callback that was ever committed, those of the turn too. Throws Broken.
void check_callbacks(
    const Turn& turn,
    const std::map<RunKey, DagRun>& runs,
    const std::set<RunKey>& moved,
    const Versions& versions,
    const std::vector<CallbackDue>& all
);

}  // namespace sluice::sim
