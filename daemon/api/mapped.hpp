// mapped.hpp — the instances of mapped tasks as the API shows them: those with rows, those that
// changed in ranges, and those that have not begun.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "api/services.hpp"
#include "model/turn.hpp"

namespace sluice::api {

/// Instances by state.
using StateCounts = std::map<TaskState, std::int64_t>;

class MappedRun {
public:
    /// Asks the database only if the DAG has mapped tasks.
    MappedRun(Services& services, const DagRun& run, const Dag& dag);

    /// How many instances with a map index the task has; 0 = the one without.
    [[nodiscard]] std::int32_t length(TaskNo task) const;
    /// An instance without a row.
    [[nodiscard]] TaskInstance without_row(TaskNo task, MapIndex index) const;
    /// All instances of the chosen tasks, from `offset` on, in the order of tasks and map indexes.
    [[nodiscard]] std::vector<TaskInstance> page(
        const std::vector<TaskNo>& tasks, std::int64_t offset, std::int64_t limit
    ) const;
    [[nodiscard]] std::int64_t total(const std::vector<TaskNo>& tasks) const;
    /// The one instances of tasks that have no others.
    [[nodiscard]] std::vector<TaskInstance> unmapped_of(const std::vector<TaskNo>& tasks) const;
    /// One for each task: of a mapped one, one that has not ended, else a bad one.
    [[nodiscard]] std::vector<TaskInstance> one_each() const;
    /// Of every task that has instances with a map index.
    [[nodiscard]] std::map<TaskNo, StateCounts> counts() const;

private:
    [[nodiscard]] std::map<TaskNo, StateCounts> stored_counts() const;

    Services& services_;
    const DagRun& run_;
    const Dag& dag_;
    std::vector<std::int32_t> lengths_;  // by task
    std::vector<MapRange> ranges_;       // by seq
};

}  // namespace sluice::api
