// report.hpp — the operator `report`: queries over the warehouse or the lake, as pages and files.
#pragma once

#include "task/operator.hpp"

namespace sluice::ops {

task::Operator report_operator();

}  // namespace sluice::ops
