// why.hpp — "why is it not running?": the conditions that are not met, told by the predicates that
// decide. Each names what blocks, since when, and until when if that is known.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/instant.hpp"

namespace sluice::core {

struct Reason {
    /// What kind of condition: "dag_paused", "run_after", "max_active_runs", "trigger_rule",
    /// "pool", "retry_delay", ...; stable, for programs.
    std::string condition;
    /// The condition in a sentence that names what blocks.
    std::string text;
    /// What blocks: a DAG, a run, "run.task" names, a pool; "" = the scheduler itself.
    std::string object;
    std::optional<Instant> since;
    std::optional<Instant> until;
};

using Reasons = std::vector<Reason>;

}  // namespace sluice::core
