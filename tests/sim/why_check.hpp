// why_check.hpp — "why is it not running?" put to the test: in a copy of the world everything that
// the scheduler names is removed, and nothing else; then what waited must go on in the next step.
#pragma once

#include <functional>
#include <vector>

#include "core/scheduler.hpp"
#include "tests/sim/histogram.hpp"

namespace sluice::sim {

/// A world in which nothing is due, ready to be copied.
struct Standing {
    Snapshot snapshot;
    core::Settings settings;
    Instant now;
    std::vector<AttemptKey> alive;
    std::function<core::PastFacts(const PastQuestion&)> past;
};

/// Throws Broken unless the instance, which waits, goes on without `reasons`. `rows` are all of its
/// run's.
void check_why(
    Standing world,
    const DagRun& run,
    const std::vector<TaskInstance>& rows,
    const TaskInstance& instance,
    const core::Reasons& reasons,
    Histogram& histogram
);

/// The same for a run that is queued.
void check_why(
    Standing world, const DagRun& run, const core::Reasons& reasons, Histogram& histogram
);

}  // namespace sluice::sim
