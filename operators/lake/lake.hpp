// lake.hpp — the operator `lake`: keeps the lake in order. Retention, compaction, verification,
// rollback, erasure of a subject, and the lifecycle rules of an object store.
#pragma once

#include "task/operator.hpp"

namespace sluice::ops {

task::Operator lake_operator();

}  // namespace sluice::ops
