// instant.hpp — UTC instants and durations in microseconds, and their text forms.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

using Duration = std::chrono::microseconds;
using Instant = std::chrono::sys_time<Duration>;

/// A half-open data interval [start, end).
struct Interval {
    Instant start;
    Instant end;
    friend auto operator<=>(const Interval&, const Interval&) = default;
};

/// RFC 3339 in UTC with `Z`, six decimals or none: "2026-11-21T09:22:00.595146Z" (Airflow's API
/// form).
std::string format_z(Instant at);
/// ISO 8601 with `+00:00`, six decimals or none: "2018-01-01T00:00:00+00:00" (Airflow's `ts`, run
/// ids).
std::string format_offset(Instant at);
/// "2026-01-05" in UTC.
std::string format_date(Instant at);

/// Reads ISO 8601: date, or date and time (`T` or a space), optional fraction, with `Z`, an offset
/// or neither (`has_offset` tells; then the value is the naive local time read as if it were UTC).
struct ParsedTime {
    Instant at;
    bool has_offset{};
    bool date_only{};
};
std::optional<ParsedTime> parse_time(std::string_view text);

/// Reads "90s", "5m", "2h", "7d", "1h30m", "250ms" or ISO 8601 ("PT5M", "P1DT2H"); a leading '-' is
/// allowed. A bare number is not a duration.
std::optional<Duration> parse_duration(std::string_view text);
/// The shortest form that `parse_duration` reads back: "90s", "5m", "2h", "7d".
std::string format_duration(Duration duration);

/// Microseconds since 1970, for the database and the wire.
inline std::int64_t to_micros(Instant at) { return at.time_since_epoch().count(); }
inline Instant from_micros(std::int64_t micros) { return Instant{Duration{micros}}; }
inline double to_seconds(Duration duration) { return static_cast<double>(duration.count()) / 1e6; }

}  // namespace sluice
