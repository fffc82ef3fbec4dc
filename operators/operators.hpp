// operators.hpp — the table of all operators: one line each in operators.cpp.
#pragma once

#include <vector>

#include "task/operator.hpp"

namespace sluice::ops {

/// Sorted by name.
const std::vector<task::Operator>& all_operators();

}  // namespace sluice::ops
