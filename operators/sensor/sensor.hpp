// sensor.hpp — waits until something is so. One frame (timeouts, intervals, what a failure means)
// around a look at one thing. A sensor holds no thread between two looks.
#pragma once

#include "task/operator.hpp"

namespace sluice::ops {

task::Operator sensor_operator();

}  // namespace sluice::ops
