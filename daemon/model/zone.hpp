// zone.hpp — a time zone of the system's tzdata: between UTC instants and wall-clock time.
// Values are cheap to copy and safe to use from any thread. Nothing here throws at a DST switch.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/instant.hpp"

namespace date {
class time_zone;
}

namespace sluice {

/// Wall-clock time without a zone.
using LocalTime = std::chrono::local_time<std::chrono::seconds>;

class Zone {
public:
    /// By IANA name; none if the system does not know it.
    static std::optional<Zone> find(std::string_view name);
    static Zone utc();

    [[nodiscard]] std::string_view name() const;

    /// A stretch of time in which the offset is constant: [begin, end).
    struct Stretch {
        std::chrono::sys_seconds begin;
        std::chrono::sys_seconds end;
        std::chrono::seconds offset;  // local = UTC + offset
    };
    /// The stretch that `at` lies in; begin and end are kept within the years 1 to 9999.
    [[nodiscard]] Stretch stretch(std::chrono::sys_seconds at) const;

    /// Wall-clock time at `at`, fractions of a second cut off.
    [[nodiscard]] LocalTime to_local(Instant at) const;
    /// A repeated wall-clock time is its second occurrence; a missing one is shifted forward by
    /// the gap.
    [[nodiscard]] Instant to_instant(LocalTime local) const;

private:
    explicit Zone(const date::time_zone* zone) : zone_(zone) {}
    const date::time_zone* zone_;  // null = UTC
};

/// Every name the system knows, to guess from which one was meant.
std::vector<std::string> zone_names();

/// Why `name` is no time zone, as a sentence; none if it is one.
std::optional<std::string> zone_problem(std::string_view name);

/// Reads a naive time of a file (`parse_time` without offset) in the zone; one with an offset is
/// taken as it is.
Instant resolve(const ParsedTime& time, const Zone& zone);

}  // namespace sluice
