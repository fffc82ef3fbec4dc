// operators.hpp — operators that run something Sluice does not look into: a command, a script.
// Inline, for they wait for a child process; in a worker if their task hands over data sets of the
// lake.
#pragma once

#include "task/operator.hpp"

namespace sluice::ops {

task::Operator shell_operator();
task::Operator python_operator();

}  // namespace sluice::ops
