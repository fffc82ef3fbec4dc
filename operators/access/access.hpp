// access.hpp — the operator `access`: roles of a warehouse, what each may read, and the row-level
// security policies behind it, from one file of rules.
#pragma once

#include "task/operator.hpp"

namespace sluice::ops {

task::Operator access_operator();

}  // namespace sluice::ops
