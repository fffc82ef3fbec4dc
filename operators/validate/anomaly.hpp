// anomaly.hpp — metrics of an interval against those of earlier intervals. Reading and judging are
// pure; the numbers come from a scan, the history from the daemon.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/instant.hpp"
#include "operators/validate/rules.hpp"

namespace sluice::validate {

struct Anomaly {
    enum class Method : std::uint8_t { sigma, relative, seasonal };
    std::string metric;
    std::string column;  // "" for row_count
    Method method{Method::sigma};
    double k{3};
    std::int64_t min_history{7};
    OnFail on_fail{OnFail::warn};
    /// "row_count", "null_share: email": its name among the metrics.
    [[nodiscard]] std::string name() const;
};

std::vector<Anomaly> read_anomalies(const nlohmann::json& params, std::vector<Problem>& problems);
/// Columns are there, numbers where numbers are needed, and no value of a classified one is kept.
std::vector<Problem> check_anomalies(
    const std::vector<Anomaly>& anomalies, const binding::Columns& columns
);
/// The aggregate that measures it.
std::string metric_sql(const Anomaly& anomaly);

/// A metric of an earlier interval.
struct Point {
    Instant start;
    double value{};
};

struct Verdict {
    enum class Is : std::uint8_t { usual, anomaly, unknown } is{Is::usual};
    std::int64_t points{0};  // that were judged by
    double low{0};
    double high{0};
    std::string told;  // a sentence: what was found, or why nothing can be said
};

/// `history` has the interval's predecessors in any order.
Verdict judge(
    const Anomaly& anomaly,
    std::optional<double> value,
    const Interval& interval,
    const std::string& timezone,
    const std::vector<Point>& history
);

}  // namespace sluice::validate
