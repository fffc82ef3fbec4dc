// validate.hpp — the operator `validate`: rows that keep the contract on, the others aside; or a
// gate that lets nothing pass a table that is not right.
#pragma once

#include "task/operator.hpp"

namespace sluice::ops {

task::Operator validate_operator();

}  // namespace sluice::ops
