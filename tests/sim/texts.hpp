// texts.hpp — how a failure names what it is about.
#pragma once

#include <string>
#include <vector>

#include "core/why.hpp"
#include "model/dag.hpp"
#include "model/run.hpp"

namespace sluice::sim {

std::string text(const TaskKey& key);
/// The rule of the task, and what its upstreams are.
std::string rule_text(const Dag& dag, const std::vector<TaskInstance>& rows, TaskNo task);
std::string words(const core::Reasons& reasons);

}  // namespace sluice::sim
