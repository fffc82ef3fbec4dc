#include "model/calendar.hpp"

#include <algorithm>
#include <charconv>

namespace sluice {
namespace {

using std::chrono::days;

std::optional<Calendar::Day> parse_day(std::string_view text) {
    if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
    const auto number = [&](std::size_t at, std::size_t size) -> std::optional<int> {
        int value = 0;
        const char* end = text.data() + at + size;
        const auto [stop, error] = std::from_chars(text.data() + at, end, value);
        if (error != std::errc{} || stop != end || value < 0) return std::nullopt;
        return value;
    };
    const auto year = number(0, 4);
    const auto month = number(5, 2);
    const auto day = number(8, 2);
    if (!year || !month || !day) return std::nullopt;
    const std::chrono::year_month_day date{
        std::chrono::year{*year},
        std::chrono::month{static_cast<unsigned>(*month)},
        std::chrono::day{static_cast<unsigned>(*day)}
    };
    if (!date.ok()) return std::nullopt;
    return Calendar::Day{date};
}

bool is_weekend(Calendar::Day day) {
    const std::chrono::weekday weekday{day};
    return weekday == std::chrono::Saturday || weekday == std::chrono::Sunday;
}

}  // namespace

const Calendar::Range* Calendar::range_of(Day day) const {
    const auto after = std::ranges::upper_bound(closed, day, {}, &Range::first);
    if (after == closed.begin()) return nullptr;
    const auto& range = *std::prev(after);
    return day <= range.last ? &range : nullptr;
}

bool Calendar::is_closed(Day day) const {
    return range_of(day) != nullptr || (weekends && is_weekend(day));
}

Calendar::Day Calendar::open_from(Day day) const {
    for (;;) {
        if (const Range* range = range_of(day))
            day = range->last + days{1};
        else if (weekends && is_weekend(day))
            day += days{1};
        else
            return day;
    }
}

Calendar::Day Calendar::open_until(Day day) const {
    for (;;) {
        if (const Range* range = range_of(day))
            day = range->first - days{1};
        else if (weekends && is_weekend(day))
            day -= days{1};
        else
            return day;
    }
}

void Calendar::normalize() {
    std::ranges::sort(closed, {}, &Range::first);
    std::vector<Range> joined;
    for (const Range& range : closed) {
        if (!joined.empty() && range.first <= joined.back().last + days{1})
            joined.back().last = std::max(joined.back().last, range.last);
        else
            joined.push_back(range);
    }
    closed = std::move(joined);
}

std::optional<Calendar::Range> parse_closed_days(std::string_view text) {
    const auto slash = text.find('/');
    const auto first = parse_day(text.substr(0, slash));
    const auto last = slash == std::string_view::npos ? first : parse_day(text.substr(slash + 1));
    if (!first || !last || *last < *first) return std::nullopt;
    return Calendar::Range{*first, *last};
}

}  // namespace sluice
