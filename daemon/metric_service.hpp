// metric_service.hpp — joins what running tasks measure with where it is kept.
#pragma once

#include "executor/services.hpp"
#include "store/task_metrics.hpp"

namespace sluice {

/// Fills `put_metrics` and `metric_history`. `metrics` outlives the executor.
void serve_metrics(executor::Services& services, store::TaskMetrics& metrics);

}  // namespace sluice
