// calendar.hpp — the days on which a schedule does not fire: holidays, and weekends if it says so.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// What becomes of a tick on a closed day.
enum class ClosedRule {
    skip,               // it does not fire
    next_business_day,  // it fires on the next open day, at the same wall-clock time
};

struct Calendar {
    using Day = std::chrono::local_days;
    struct Range {
        Day first;
        Day last;  // inclusive
        friend bool operator==(const Range&, const Range&) = default;
    };

    std::vector<Range> closed;  // sorted, apart from each other; made by `normalize`
    bool weekends{false};       // Saturday and Sunday are closed too
    ClosedRule rule{ClosedRule::skip};

    [[nodiscard]] bool is_empty() const { return closed.empty() && !weekends; }
    [[nodiscard]] bool is_closed(Day day) const;
    /// `day` itself if it is open, else the nearest open day after or before it.
    [[nodiscard]] Day open_from(Day day) const;
    [[nodiscard]] Day open_until(Day day) const;
    /// Sorts the ranges and joins those that touch.
    void normalize();
    friend bool operator==(const Calendar&, const Calendar&) = default;

private:
    [[nodiscard]] const Range* range_of(Day day) const;
};

/// "2026-12-25" or "2026-12-24/2026-12-26" (both days included); none if it is neither.
std::optional<Calendar::Range> parse_closed_days(std::string_view text);

}  // namespace sluice
