// pace.hpp — how long tasks take, and what of it lies before each: the weight rule critical_path.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "model/dag.hpp"

namespace sluice::core {

/// A mean in which the last twenty attempts count most. An unknown task takes a second.
class Pace {
public:
    Pace() = default;
    Pace(double seconds, int attempts) : seconds_(seconds), attempts_(attempts) {}
    void add(double seconds);
    [[nodiscard]] double seconds() const { return seconds_; }

private:
    double seconds_{1};
    int attempts_{0};
};
using Paces = std::unordered_map<std::string, Pace>;  // by task id

/// It matters how long its tasks take: for the weight rule critical_path, or for a deadline.
bool needs_paces(const Dag& dag);
bool has_deadlines(const Dag& dag);

/// By task: seconds of the longest way from its start to the end of the DAG, rounded up. Pure.
std::vector<std::int64_t> seconds_to_end(const Dag& dag, const Paces& paces);

/// By task: seconds from its start to the end of `target` (no_task: of the DAG), as far as tasks
/// are known; -1 = it is not on the way there. Pure.
std::vector<double> seconds_to(const Dag& dag, const Paces& paces, TaskNo target);

}  // namespace sluice::core
