// unsettled.hpp — instances whose upstreams changed in this turn, upstreams first: what became of
// all upstreams of a task in one turn is seen together, so that its fate does not depend on the
// order in which they were looked at.
#pragma once

#include <queue>
#include <tuple>
#include <vector>

#include "base/ids.hpp"
#include "core/run_state.hpp"

namespace sluice::core {

class Unsettled {
public:
    struct Entry {
        std::int32_t rank{};  // of the task among its DAG's, every task after its upstreams
        TaskKey key;
        Run* run{nullptr};
    };

    void push(Run& run, const TaskKey& key) {
        entries_.push({run.plan->tasks[static_cast<std::size_t>(key.task)].rank, key, &run});
    }
    Entry pop() {
        const Entry first = entries_.top();
        entries_.pop();
        return first;
    }
    [[nodiscard]] bool empty() const { return entries_.empty(); }

private:
    struct Later {
        bool operator()(const Entry& a, const Entry& b) const {
            return std::tie(a.rank, a.key) > std::tie(b.rank, b.key);
        }
    };
    std::priority_queue<Entry, std::vector<Entry>, Later> entries_;
};

}  // namespace sluice::core
