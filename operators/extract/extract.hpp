// extract.hpp — the operator `extract`: from a table or files to a raw data set.
#pragma once

#include "task/operator.hpp"

namespace sluice::ops {

task::Operator extract_operator();

}  // namespace sluice::ops
