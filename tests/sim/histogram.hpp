// histogram.hpp — how often each thing was met, over all worlds: decisions, transitions, generated
// features, faults. What every long enough list of worlds must meet stands in it from the
// beginning, with 0.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/event.hpp"
#include "model/dag.hpp"
#include "model/run.hpp"

namespace sluice::sim {

using Histogram = std::map<std::pair<std::string, std::string>, std::int64_t>;

Histogram everything_wanted();
/// What stands at 0: the worlds are too narrow, or the list is too wide.
std::vector<std::string> never_met(const Histogram& histogram);

void count_run_start(const Dag& dag, const DagRun& run, Histogram& histogram);
void count_task_start(const Task& task, Histogram& histogram);

std::string name_of(const core::Event& event);
std::string name_of(OutcomeKind kind);

}  // namespace sluice::sim
