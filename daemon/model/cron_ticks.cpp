#include "model/cron_ticks.hpp"

#include <algorithm>

namespace sluice {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;

constexpr seconds horizon = std::chrono::days{50 * 366};

LocalTime local(sys_seconds at, seconds offset) {
    return LocalTime{at.time_since_epoch() + offset};
}
sys_seconds utc(LocalTime at, seconds offset) {
    return sys_seconds{at.time_since_epoch() - offset};
}

/// A stretch of constant offset as a cron sees it: wall-clock times that fire in it as they stand,
/// and those of the gap before it, which fire as much later as the gap is long.
struct Window {
    Zone::Stretch stretch;
    sys_seconds plain_end;    // earlier than stretch.end if wall-clock times repeat after it
    sys_seconds shifted_end;  // = stretch.begin if there is no gap
    seconds shifted_offset;   // of the stretch before
};

Window window_at(const Cron& cron, const Zone& zone, sys_seconds at) {
    const auto stretch = zone.stretch(at);
    Window window{stretch, stretch.end, stretch.begin, stretch.offset};
    if (cron.covers_every_hour()) return window;
    const seconds after = zone.stretch(stretch.end).offset;
    if (after < stretch.offset) window.plain_end -= stretch.offset - after;
    const seconds before = zone.stretch(stretch.begin - seconds{1}).offset;
    if (before < stretch.offset) {
        window.shifted_offset = before;
        window.shifted_end = std::min(stretch.begin + (stretch.offset - before), stretch.end);
    }
    return window;
}

using Found = std::optional<sys_seconds>;

Found first_in(const Cron& cron, sys_seconds from, sys_seconds end, seconds offset) {
    if (end <= from) return std::nullopt;
    const auto found = cron.first_in(local(from, offset), local(end, offset));
    return found ? Found{utc(*found, offset)} : std::nullopt;
}

Found last_in(const Cron& cron, sys_seconds from, sys_seconds end, seconds offset) {
    if (end <= from) return std::nullopt;
    const auto found = cron.last_in(local(from, offset), local(end, offset));
    return found ? Found{utc(*found, offset)} : std::nullopt;
}

}  // namespace

std::optional<Instant> next_tick(const Cron& cron, const Zone& zone, Instant after) {
    sys_seconds from = std::chrono::floor<seconds>(after) + seconds{1};
    const sys_seconds limit = from + horizon;
    while (from < limit) {
        const Window window = window_at(cron, zone, from);
        if (from >= window.stretch.end) return std::nullopt;  // the end of the calendar
        const sys_seconds plain_end = std::min(window.plain_end, limit);
        const Found plain = first_in(cron, from, plain_end, window.stretch.offset);
        const Found shifted = first_in(cron, from, window.shifted_end, window.shifted_offset);
        if (plain && shifted) return std::min(*plain, *shifted);
        if (plain) return *plain;
        if (shifted) return *shifted;
        from = window.stretch.end;
    }
    return std::nullopt;
}

std::optional<Instant> previous_tick(const Cron& cron, const Zone& zone, Instant before) {
    sys_seconds end = std::chrono::ceil<seconds>(before);
    const sys_seconds limit = end - horizon;
    while (end > limit) {
        const Window window = window_at(cron, zone, end - seconds{1});
        const sys_seconds begin = std::max(window.stretch.begin, limit);
        if (end <= begin) return std::nullopt;
        const Found plain =
            last_in(cron, begin, std::min(window.plain_end, end), window.stretch.offset);
        const Found shifted =
            last_in(cron, begin, std::min(window.shifted_end, end), window.shifted_offset);
        if (plain && shifted) return std::max(*plain, *shifted);
        if (plain) return *plain;
        if (shifted) return *shifted;
        end = begin;
    }
    return std::nullopt;
}

}  // namespace sluice
