#include "task/operator.hpp"

#include <utility>

namespace sluice::task {

Outcome success() { return {}; }

Outcome unchanged() {
    Outcome outcome;
    outcome.unchanged = true;
    return outcome;
}

Outcome branch(std::vector<std::string> chosen) {
    Outcome outcome;
    outcome.branch.emplace().chosen = std::move(chosen);
    return outcome;
}

Outcome skip_all_below() {
    Outcome outcome;
    outcome.branch.emplace().skip_all_below = true;
    return outcome;
}

Outcome skip(std::string reason) {
    Outcome outcome;
    outcome.kind = OutcomeKind::skipped;
    outcome.message = std::move(reason);
    return outcome;
}

Outcome fail(ErrorClass error_class, std::string message) {
    Outcome outcome;
    outcome.kind = OutcomeKind::failed;
    outcome.error_class = error_class;
    outcome.message = std::move(message);
    return outcome;
}

Outcome rate_limited(std::string message, std::optional<Duration> retry_after) {
    Outcome outcome = fail(ErrorClass::rate_limited, std::move(message));
    outcome.retry_after = retry_after;
    return outcome;
}

Outcome wait(WaitOrder order) {
    Outcome outcome;
    outcome.kind = OutcomeKind::waiting;
    outcome.wait = std::move(order);
    return outcome;
}

}  // namespace sluice::task
