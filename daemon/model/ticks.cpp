#include "model/ticks.hpp"

#include <algorithm>

#include "model/cron_ticks.hpp"

namespace sluice {
namespace {

using std::chrono::days;
using std::chrono::microseconds;
using std::chrono::seconds;
using std::chrono::sys_seconds;

constexpr Duration farthest = days{50 * 366};
constexpr Duration instant_before{1};  // instants are microseconds
constexpr seconds widest_offset = std::chrono::hours{16};

void lower(std::optional<Instant>& least, std::optional<Instant> candidate) {
    if (candidate && (!least || *candidate < *least)) least = candidate;
}

sys_seconds as_utc(Calendar::Day day) { return sys_seconds{day.time_since_epoch()}; }

}  // namespace

Ticks::Ticks(const Schedule& schedule, const Zone& zone, Instant anchor)
    : delta_(schedule.delta),
      anchor_(anchor),
      events_(schedule.events),
      calendar_(schedule.calendar),
      zone_(zone) {
    for (const auto& cron : schedule.crons) crons_.push_back(Cron::parse(cron));
}

std::optional<Instant> Ticks::next(Instant after) const {
    return calendar_.is_empty() ? next_plain(after) : next_open(after);
}

std::optional<Instant> Ticks::previous(Instant before) const {
    return calendar_.is_empty() ? previous_plain(before) : previous_open(before);
}

// ------------------------------------------------------------------------ without the calendar

Instant Ticks::delta_after(Instant after) const {
    Instant tick = anchor_ + ((after - anchor_) / delta_) * delta_;
    while (tick > after) tick -= delta_;
    while (tick <= after) tick += delta_;
    return tick;
}

std::optional<Instant> Ticks::next_plain(Instant after) const {
    std::optional<Instant> first;
    for (const auto& cron : crons_) lower(first, next_tick(cron, zone_, after));
    if (crons_.empty() && delta_ > Duration::zero()) return delta_after(after);
    if (const auto event = std::ranges::upper_bound(events_, after); event != events_.end())
        lower(first, *event);
    return first;
}

std::optional<Instant> Ticks::previous_plain(Instant before) const {
    std::optional<Instant> last;
    for (const auto& cron : crons_) raise(last, previous_tick(cron, zone_, before));
    if (crons_.empty() && delta_ > Duration::zero())
        return delta_after(before - instant_before) - delta_;
    if (const auto event = std::ranges::lower_bound(events_, before); event != events_.begin())
        raise(last, *std::prev(event));
    return last;
}

// ----------------------------------------------------------------------------- days of the zone

Ticks::Day Ticks::day_of(Instant at) const { return std::chrono::floor<days>(zone_.to_local(at)); }

/// No instant of the day lies before it (where wall clocks are put back over midnight, others may
/// lie after it).
Instant Ticks::begin_of(Day day) const {
    const auto around = as_utc(day);
    seconds most = zone_.stretch(around - widest_offset).offset;
    for (auto at = zone_.stretch(around - widest_offset).end; at <= around + widest_offset;) {
        const auto stretch = zone_.stretch(at);
        most = std::max(most, stretch.offset);
        if (stretch.end <= at) break;  // the end of the calendar
        at = stretch.end;
    }
    return around - most;
}

Instant Ticks::end_of(Day day) const {
    const auto around = as_utc(day + days{1});
    seconds least = zone_.stretch(around - widest_offset).offset;
    for (auto at = zone_.stretch(around - widest_offset).end; at <= around + widest_offset;) {
        const auto stretch = zone_.stretch(at);
        least = std::min(least, stretch.offset);
        if (stretch.end <= at) break;
        at = stretch.end;
    }
    return around - least;
}

/// No clock is put forward or back in it or around it.
bool Ticks::is_smooth(Day day) const {
    const auto around = as_utc(day);
    const auto stretch = zone_.stretch(around - widest_offset);
    return stretch.end > around + days{1} + widest_offset;
}

/// The tick at the same wall-clock time of another day.
Instant Ticks::moved(Instant tick, Day to) const {
    const auto fraction = tick - std::chrono::floor<seconds>(tick);
    const LocalTime local = zone_.to_local(tick);
    return zone_.to_instant(to + (local - std::chrono::floor<days>(local))) + fraction;
}

// ------------------------------------------------------------------------- with the calendar

/// The first tick later than `after` that the closed days before `to` move there.
std::optional<Instant> Ticks::first_moved(Day to, Instant after) const {
    std::optional<Instant> best;
    const Instant begin = begin_of(to);
    for (Day day = calendar_.open_until(to - days{1}) + days{1}; day < to; day += days{1}) {
        // On days without a switch moving keeps the order, so that the first one will do.
        const bool smooth = is_smooth(day) && is_smooth(to);
        Instant from = begin_of(day) - instant_before;
        if (smooth && after > begin) from += after - begin + instant_before;
        const Instant end = end_of(day);
        for (auto tick = next_plain(from); tick && *tick < end; tick = next_plain(*tick)) {
            if (day_of(*tick) != day) continue;
            const Instant there = moved(*tick, to);
            if (there <= after) continue;
            lower(best, there);
            if (smooth) break;
        }
    }
    return best;
}

/// The last one earlier than `before`.
std::optional<Instant> Ticks::last_moved(Day to, Instant before) const {
    std::optional<Instant> best;
    const Instant begin = begin_of(to);
    for (Day day = calendar_.open_until(to - days{1}) + days{1}; day < to; day += days{1}) {
        const bool smooth = is_smooth(day) && is_smooth(to);
        const Instant first = begin_of(day);
        Instant until = end_of(day);
        if (smooth) until = std::min(until, first + (before - begin));
        for (auto tick = previous_plain(until); tick && *tick >= first;
             tick = previous_plain(*tick)) {
            if (day_of(*tick) != day) continue;
            const Instant there = moved(*tick, to);
            if (there >= before) continue;
            raise(best, there);
            if (smooth) break;
        }
    }
    return best;
}

std::optional<Instant> Ticks::next_open(Instant after) const {
    const bool moves = calendar_.rule == ClosedRule::next_business_day;
    std::optional<Instant> best;
    if (moves) best = first_moved(calendar_.open_from(day_of(after)), after);
    const Instant limit = after + farthest;
    auto tick = next_plain(after);
    while (tick && *tick <= limit && (!best || *tick < *best)) {
        const Day day = day_of(*tick);
        if (!calendar_.is_closed(day)) {
            lower(best, tick);
            break;
        }
        const Day open = calendar_.open_from(day);
        if (moves) lower(best, first_moved(open, after));
        tick = next_plain(std::max(*tick, begin_of(open) - instant_before));
    }
    return best;
}

std::optional<Instant> Ticks::previous_open(Instant before) const {
    const bool moves = calendar_.rule == ClosedRule::next_business_day;
    const Instant limit = before - farthest;
    auto tick = previous_plain(before);
    while (tick && *tick >= limit) {
        const Day day = day_of(*tick);
        std::optional<Instant> best;
        if (!calendar_.is_closed(day)) best = tick;
        if (moves) raise(best, last_moved(calendar_.open_from(day), before));
        if (best) return best;
        tick = previous_plain(std::min(*tick, end_of(calendar_.open_until(day))));
    }
    return std::nullopt;
}

}  // namespace sluice
