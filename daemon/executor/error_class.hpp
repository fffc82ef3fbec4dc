// error_class.hpp — what an exception that an operator lets go means for retries; and the
// parameters as the operator gets them.
#pragma once

#include <functional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "base/error.hpp"
#include "model/attempt.hpp"
#include "task/job.hpp"

namespace sluice::executor {

ErrorClass class_of(ErrorCode code);
/// Runs it; an exception becomes a failed outcome.
Outcome outcome_of_run(const std::function<Outcome()>& run);
/// `job.params` with the secrets in their places: made where the operator runs, right before it.
nlohmann::json revealed_params(const task::Job& job);

}  // namespace sluice::executor
