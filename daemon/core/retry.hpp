// retry.hpp — whether a failed attempt is tried again, and when (semantics 9). Pure functions.
#pragma once

#include <string_view>

#include "model/attempt.hpp"
#include "model/dag.hpp"
#include "model/run.hpp"

namespace sluice::core {

/// transient, rate_limited and resource are worth another try; so is a plain failure (none).
bool is_retryable(ErrorClass error_class);

/// Whether this failure is tried again by the task's `retry_policy`, else by its class.
bool is_retried(const Task& task, ErrorClass error_class);

/// Who failed, for a jitter that is the same whenever it is computed again.
struct RetrySeed {
    std::string_view dag_id;
    std::string_view task_id;
    Instant logical_date;  // run_after where there is none
    int try_number{1};
};

/// How long to wait before the next attempt. `attempts` counts those since the last clear.
/// Without back-off it is retry_delay; with it b = ceil(delay * m^(attempts-1)) seconds, plus a
/// jitter in [0, b), at most one day and max_retry_delay. A server's `retry_after` wins.
Duration retry_delay(const Task& task, int attempts, const RetrySeed& seed, const Outcome& outcome);

}  // namespace sluice::core
