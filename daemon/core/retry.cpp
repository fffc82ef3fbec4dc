#include "core/retry.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/check.hpp"
#include "base/hash.hpp"

namespace sluice::core {
namespace {

using std::chrono::seconds;

constexpr seconds longest = std::chrono::days{1};

/// SHA-1 of the text, read as one big number, modulo `divisor` (at most 86,400).
std::int64_t sha1_modulo(std::string_view text, std::int64_t divisor) {
    std::int64_t rest = 0;
    for (const std::uint8_t byte : sha1(text)) rest = (rest * 256 + byte) % divisor;
    return rest;
}

}  // namespace

bool is_retryable(ErrorClass error_class) {
    switch (error_class) {
        case ErrorClass::none:
        case ErrorClass::transient:
        case ErrorClass::rate_limited:
        case ErrorClass::resource:
            return true;
        case ErrorClass::auth:
        case ErrorClass::schema:
        case ErrorClass::data_quality:
        case ErrorClass::permanent:
            return false;
    }
    unreachable();
}

namespace {

const RetryRule* rule_for(const Task& task, ErrorClass error_class) {
    const auto found =
        std::ranges::find(task.retry_policy, name(error_class), &RetryRule::error_class);
    return found == task.retry_policy.end() ? nullptr : &*found;
}

}  // namespace

bool is_retried(const Task& task, ErrorClass error_class) {
    const RetryRule* rule = rule_for(task, error_class);
    return rule != nullptr ? rule->retry : is_retryable(error_class);
}

Duration retry_delay(
    const Task& task, int attempts, const RetrySeed& seed, const Outcome& outcome
) {
    if (outcome.retry_after)
        return std::clamp<Duration>(*outcome.retry_after, Duration::zero(), longest);
    if (const auto* rule = rule_for(task, outcome.error_class); rule != nullptr && rule->delay)
        return std::min<Duration>(*rule->delay, longest);
    Duration delay = task.retry_delay;
    if (task.retry_multiplier > 1) {
        const double factor = std::pow(task.retry_multiplier, std::max(attempts, 1) - 1);
        const double wanted = std::ceil(to_seconds(task.retry_delay) * factor);
        const auto base =
            static_cast<std::int64_t>(std::clamp(wanted, 1.0, static_cast<double>(longest.count()))
            );
        const auto text = fmt::format(
            "{}#{}#{}#{}",
            seed.dag_id,
            seed.task_id,
            format_offset(seed.logical_date),
            seed.try_number
        );
        delay = seconds{base + sha1_modulo(text, base)};
    }
    delay = std::min<Duration>(delay, longest);
    // The cap belongs to the back-off: a plain retry_delay is what the file says.
    if (task.retry_multiplier > 1 && task.max_retry_delay)
        delay = std::min(delay, *task.max_retry_delay);
    return delay;
}

}  // namespace sluice::core
