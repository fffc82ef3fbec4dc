// transform.hpp — the operator `transform`: declarative steps or SQL, into the lake or inside the
// warehouse.
#pragma once

#include "task/operator.hpp"

namespace sluice::ops {

task::Operator transform_operator();

}  // namespace sluice::ops
