// dag_maker.hpp — random DAGs: every trigger rule, schedule kind and limit that core knows.
#pragma once

#include <optional>
#include <string>

#include "model/attempt.hpp"
#include "model/dag.hpp"
#include "tests/sim/random.hpp"

namespace sluice::sim {

/// A way for a task of this kind to take: of a branch any of the ids below it, of a short circuit
/// all or nothing. None for other tasks.
std::optional<Branch> make_way(Random& random, const Dag& dag, TaskNo task);

/// Tasks always fit into the pools of `standard_pools`, so that everything can end.
Dag make_dag(Random& random, const std::string& dag_id, Instant now);

}  // namespace sluice::sim
