// executor.hpp — the Executor seam: carries out attempts and reports how they ended.
// `start` and `cancel` are called by the runtime loop and return at once.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "model/attempt.hpp"
#include "model/turn.hpp"

namespace sluice::executor {

/// How many instances an ExpandOrder found, or why it could not.
struct ExpandAnswer {
    std::optional<std::int32_t> length;
    std::string shape{"{}"};
    std::string error;
    ErrorClass error_class{ErrorClass::permanent};
};

class Executor {
public:
    /// Called from any thread, each attempt in exactly one call; the runtime posts them to its
    /// queue.
    using Report = std::function<void(std::vector<AttemptResult>)>;

    Executor() = default;
    Executor(const Executor&) = delete;
    Executor& operator=(const Executor&) = delete;
    virtual ~Executor() = default;

    /// How the attempt would end if it were started now and there is nothing to do for it; none for
    /// all others. Whoever counts it as ended by that does not `start` it.
    [[nodiscard]] virtual std::optional<AttemptResult> ends_at_once(const AttemptOrder&) const {
        return std::nullopt;
    }
    /// Starts attempts, all of one turn in one push. Those that have nothing to do are reported
    /// before it returns.
    virtual void start(std::vector<AttemptOrder> orders) = 0;
    /// Finds out how many instances a mapping has; `done` is called from any thread, once, unless
    /// the executor stops first.
    virtual void expand(ExpandOrder order, std::function<void(ExpandAnswer)> done) = 0;
    /// Ends a running attempt; its report says `failed` (timeout), or what it became before.
    virtual void cancel(const CancelOrder& order) = 0;
    /// Attempts that were started and whose report was not yet acknowledged by `acknowledge`.
    [[nodiscard]] virtual std::vector<AttemptKey> alive() const = 0;
    /// The loop has committed the attempt's end (or dropped it): forget its result.
    virtual void acknowledge(const AttemptKey& key) = 0;
    /// Reports again every ended, unacknowledged attempt (after a reload).
    virtual void repost() = 0;
    /// The run state is another daemon's now: ends everything, reports nothing of it and forgets
    /// it. Returns when no child process is left; new attempts may be started afterwards.
    virtual void abandon() {}
    /// Ends everything: attempts are reported lost. Returns when no child process is left.
    virtual void stop() = 0;
};

}  // namespace sluice::executor
