// inputs.hpp — what a load reads, whatever it writes to.
#pragma once

#include "operators/engine/database.hpp"
#include "operators/lake/slice.hpp"
#include "operators/load/plan.hpp"
#include "task/context.hpp"

namespace sluice::load {

/// The rows of the plan: a date spine, or those of `from` that its `where` takes.
lake::Source read_source(task::TaskContext& context, engine::Database& database, const Plan& plan);

}  // namespace sluice::load
