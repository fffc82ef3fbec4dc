// trigger_rules.hpp — whether a task may run, given the states of its direct upstreams
// (semantics 7). A pure function over counts.
#pragma once

#include <cstdint>
#include <optional>

#include "base/ids.hpp"
#include "model/dag.hpp"
#include "model/states.hpp"

namespace sluice::core {

/// How many direct upstreams there are, and how many have ended as what.
struct UpstreamCounts {
    std::int32_t total{};
    std::int32_t success{};
    std::int32_t skipped{};
    std::int32_t failed{};
    std::int32_t upstream_failed{};
    std::int32_t removed{};
    // Of the setups among them; what a teardown wants to know.
    std::int32_t setups{};
    std::int32_t setups_success{};
    std::int32_t setups_skipped{};

    [[nodiscard]] std::int32_t done() const {
        return success + skipped + failed + upstream_failed + removed;
    }
    /// `by` = +1 when an upstream ends in `state`, -1 when it leaves it. Unfinished states count
    /// for nothing.
    void add(TaskState state, std::int32_t by);
    /// The same for an upstream that is a setup, after `add`.
    void add_setup(TaskState state, std::int32_t by);
    void add(const UpstreamCounts& other);
    /// `by` instances of one task have gone from one state to another. What a list of a nested
    /// mapping no longer has is `removed`, and nobody's upstream.
    void move(TaskState from, TaskState to, std::int32_t by, bool nested);
    /// While it stays the same, no verdict changes, also not one with further upstreams beside
    /// these: which kinds there are, and whether all have ended.
    [[nodiscard]] std::uint32_t signature() const;
    friend bool operator==(const UpstreamCounts&, const UpstreamCounts&) = default;
};

struct Verdict {
    enum class Kind { wait, run, mark } kind{Kind::wait};
    TaskState state{TaskState::none};  // mark: what the task becomes without running
    bool branch{false};                // mark: a branch went another way
    friend bool operator==(const Verdict&, const Verdict&) = default;
};

/// `map_index`: of the instance that is judged, -1 when it is not mapped.
Verdict judge(TriggerRule rule, const UpstreamCounts& up, MapIndex map_index = unmapped);

}  // namespace sluice::core
