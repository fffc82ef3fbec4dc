// control.hpp — operators that only shape the graph.
#pragma once

#include "task/operator.hpp"

namespace sluice::ops {

/// Does nothing: a place to join or fan out. A task like any other.
task::Operator empty_operator();

}  // namespace sluice::ops
