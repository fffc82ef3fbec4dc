// timers.hpp — what is due when: a heap of instants. Entries are never removed early; whoever
// takes one checks whether it still matters.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "base/ids.hpp"
#include "base/instant.hpp"

namespace sluice::core {

struct Timer {
    enum class Kind { dag, run_timeout, retry, deadline, poke, late, foresee };
    Instant at;
    Kind kind{Kind::dag};
    std::int32_t dag{};  // dag: its number
    TaskKey key;         // else: the run, and of retry and deadline the instance
    // deadline, poke: of which attempt; retry: after which; late: which deadline
    std::int32_t start{};
};

class Timers {
public:
    void add(const Timer& timer) {
        heap_.push_back(timer);
        std::ranges::push_heap(heap_, later);
    }
    /// The next one that is due at `now`.
    std::optional<Timer> take_due(Instant now) {
        if (heap_.empty() || heap_.front().at > now) return std::nullopt;
        std::ranges::pop_heap(heap_, later);
        const Timer timer = heap_.back();
        heap_.pop_back();
        return timer;
    }
    [[nodiscard]] std::optional<Instant> next() const {
        if (heap_.empty()) return std::nullopt;
        return heap_.front().at;
    }

private:
    static bool later(const Timer& a, const Timer& b) { return a.at > b.at; }
    std::vector<Timer> heap_;
};

}  // namespace sluice::core
