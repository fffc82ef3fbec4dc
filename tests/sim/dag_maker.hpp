// dag_maker.hpp — random DAGs: every trigger rule, schedule kind and limit that core knows.
#pragma once

#include <string>

#include "model/dag.hpp"
#include "tests/sim/random.hpp"

namespace sluice::sim {

/// Tasks always fit into the pools of `standard_pools`, so that everything can end.
Dag make_dag(Random& random, const std::string& dag_id, Instant now);

}  // namespace sluice::sim
