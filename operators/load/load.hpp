// load.hpp — the operator `load`: from the lake to a table of a warehouse.
#pragma once

#include "task/operator.hpp"

namespace sluice::ops {

task::Operator load_operator();

}  // namespace sluice::ops
