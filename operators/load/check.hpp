// check.hpp — what can be said of a load before it runs: its parameters' schema, problems, and the
// columns of its table. Pure.
#pragma once

#include "task/operator.hpp"

namespace sluice::load {

extern const char* const schema;
task::CheckResult check(const task::CheckInput& input);

}  // namespace sluice::load
