// run_requests.hpp — runs that tasks ask for: made once, whatever becomes of the attempt.
#pragma once

#include <string>

#include "model/attempt.hpp"
#include "model/run_facts.hpp"

namespace sluice {

namespace runtime {
class Runtime;
}

/// Makes the run that a task of `order` wants. That it is there already is no fault if the same
/// task made it (its daemon was killed), or if it may be reset. Returns its id. Throws Error.
std::string trigger_run(runtime::Runtime& runtime, const AttemptOrder& order, const RunWish& wish);

}  // namespace sluice
