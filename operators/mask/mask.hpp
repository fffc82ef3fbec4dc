// mask.hpp — the operator `mask`: from processed to curated, by the policy.
#pragma once

#include "task/operator.hpp"

namespace sluice::ops {

task::Operator mask_operator();

}  // namespace sluice::ops
