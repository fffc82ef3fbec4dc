#include "model/timetable.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"
#include "model/cron.hpp"

namespace sluice {
namespace {

using std::chrono::microseconds;

/// A continuous DAG begins at most one run a second: empty runs must not become a busy loop.
constexpr Duration continuous_pause = std::chrono::seconds{1};

Zone zone_of(std::string_view name) {
    const auto zone = Zone::find(name);
    if (!zone) throw Error(ErrorCode::invalid, *zone_problem(name));
    return *zone;
}

const Schedule& checked(const Dag& dag) {
    if (const auto problem = schedule_problem(dag.schedule, dag.timezone))
        throw Error(ErrorCode::invalid, *problem);
    return dag.schedule;
}

}  // namespace

std::optional<std::string> schedule_problem(const Schedule& schedule, std::string_view timezone) {
    if (const auto problem = zone_problem(timezone)) return problem;
    for (const auto& cron : schedule.crons)
        if (const auto problem = cron_problem(cron)) return problem;
    switch (schedule.kind) {
        case ScheduleKind::cron_trigger:
        case ScheduleKind::cron_interval:
            if (schedule.crons.empty()) return "a cron schedule without a cron expression";
            break;
        case ScheduleKind::delta_trigger:
        case ScheduleKind::delta_interval:
            if (schedule.delta <= Duration::zero()) return "a delta must be longer than nothing";
            break;
        case ScheduleKind::events:
            if (!std::ranges::is_sorted(schedule.events)) return "events must be in order";
            break;
        case ScheduleKind::none:
        case ScheduleKind::once:
        case ScheduleKind::continuous:
            break;
    }
    return std::nullopt;
}

Timetable::Timetable(const Dag& dag)
    : dag_id_(dag.dag_id),
      schedule_(checked(dag)),
      zone_(zone_of(dag.timezone)),
      ticks_(schedule_, zone_, dag.start_date.value_or(Instant{})),
      start_(dag.start_date),
      end_(dag.end_date) {}

bool Timetable::is_periodic() const {
    switch (schedule_.kind) {
        case ScheduleKind::cron_trigger:
        case ScheduleKind::cron_interval:
        case ScheduleKind::delta_trigger:
        case ScheduleKind::delta_interval:
        case ScheduleKind::events:
            return true;
        case ScheduleKind::none:
        case ScheduleKind::once:
        case ScheduleKind::continuous:
            return false;
    }
    unreachable();
}

bool Timetable::is_interval() const {
    return schedule_.kind == ScheduleKind::cron_interval ||
           schedule_.kind == ScheduleKind::delta_interval;
}

// ------------------------------------------------------------------------------------- ticks

std::optional<Instant> Timetable::at_or_after(Instant at) const {
    return next_tick(at - microseconds{1});
}
std::optional<Instant> Timetable::at_or_before(Instant at) const {
    return previous_tick(at + microseconds{1});
}

// -------------------------------------------------------------------------- automated runs

std::optional<RunTimes> Timetable::next_run(
    const std::optional<Interval>& last, Missed missed, Instant now
) const {
    switch (schedule_.kind) {
        case ScheduleKind::none:
            return std::nullopt;
        case ScheduleKind::cron_trigger:
        case ScheduleKind::delta_trigger:
        case ScheduleKind::events:
            return next_trigger(last, missed, now);
        case ScheduleKind::cron_interval:
        case ScheduleKind::delta_interval:
            return next_interval(last, missed, now - schedule_.delay);
        case ScheduleKind::once: {
            if (last) return std::nullopt;
            const Instant at = start_.value_or(now);
            return RunTimes{at, {at, at}, at};
        }
        case ScheduleKind::continuous:
            return next_continuous(last, now);
    }
    unreachable();
}

std::optional<RunTimes> Timetable::next_interval(
    const std::optional<Interval>& last, Missed missed, Instant now
) const {
    std::optional<Instant> earliest;
    if (start_) earliest = at_or_after(*start_);
    if (missed == Missed::skip) {
        // The start of the latest interval that has ended.
        if (const auto ended = at_or_before(now)) raise(earliest, previous_tick(*ended));
    }
    auto start = earliest;
    if (last) {
        start = at_or_before(last->end);  // the schedule may have changed since
        raise(start, earliest);
    }
    if (!start || (end_ && *start > *end_)) return std::nullopt;
    return interval_from(*start);
}

std::optional<RunTimes> Timetable::interval_from(Instant start) const {
    const auto end = next_tick(start);
    if (!end) return std::nullopt;
    return RunTimes{start, {start, *end}, run_after(*end)};
}

std::optional<RunTimes> Timetable::next_trigger(
    const std::optional<Interval>& last, Missed missed, Instant now
) const {
    std::optional<Instant> tick;
    if (missed == Missed::run) {
        if (last)
            tick = next_tick(last->end);
        else
            tick = start_ ? at_or_after(*start_) : first_run(now);
    } else {
        tick = at_or_before(now);
        if (last)
            raise(tick, next_tick(last->end));
        else if (!start_)
            raise(tick, first_run(now));
        if (start_) raise(tick, at_or_after(*start_));
    }
    if (!tick || (end_ && *end_ < *tick)) return std::nullopt;
    if (last && *tick <= last->end) return std::nullopt;  // that was the last tick of all
    return triggered_at(*tick);
}

RunTimes Timetable::triggered_at(Instant tick) const {
    if (schedule_.previous_tick)
        return {tick, {previous_tick(tick).value_or(tick), tick}, run_after(tick)};
    const Instant start = tick - schedule_.window;
    return {start, {start, tick}, run_after(tick)};
}

Instant Timetable::nominal_run_after(Instant end) const {
    return is_interval() ? end + schedule_.delay : end;
}

/// Whole seconds, always the same for a DAG and tick, less than `jitter` and than the time to the
/// next tick: runs keep their order and no two are due together.
Duration Timetable::jitter(Instant tick) const {
    if (schedule_.jitter <= Duration::zero()) return Duration::zero();
    Duration bound = schedule_.jitter;
    if (const auto next = next_tick(tick)) bound = std::min(bound, *next - tick);
    const auto seconds = std::chrono::floor<std::chrono::seconds>(bound).count();
    if (seconds < 2) return Duration::zero();
    const auto digest = sha256(fmt::format("{}#{}", dag_id_, to_micros(tick)));
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < sizeof number; ++i) number = number << 8U | digest.at(i);
    const auto chosen = number % static_cast<std::uint64_t>(seconds);
    return std::chrono::seconds{static_cast<std::int64_t>(chosen)};
}

std::optional<Instant> Timetable::first_run(Instant now) const {
    const auto past = at_or_before(now);
    const auto next = next_tick(now);
    if (!past || !next || schedule_.run_immediately.value_or(false)) return past ? past : next;
    const Duration within = schedule_.run_immediately_within.value_or(
        std::max<Duration>((*next - *past) / 10, std::chrono::minutes{5})
    );
    return now - *past <= within ? past : next;
}

std::optional<RunTimes> Timetable::next_continuous(const std::optional<Interval>& last, Instant now)
    const {
    const Instant start = last ? last->end : start_.value_or(now);
    const Instant end = std::max(now, last ? start + continuous_pause : start);
    if (end_ && *end_ < end) return std::nullopt;
    return RunTimes{start, {start, end}, end};
}

std::optional<Interval> Timetable::latest_due(Instant now) const {
    const auto tick = at_or_before(is_interval() ? now - schedule_.delay : now);
    if (!tick) return std::nullopt;
    if (!is_interval()) return triggered_at(*tick).interval;
    return Interval{previous_tick(*tick).value_or(*tick), *tick};
}

// ----------------------------------------------------------------- manual runs and backfill

Interval Timetable::infer_interval(Instant run_after) const {
    switch (schedule_.kind) {
        case ScheduleKind::delta_interval:
            return {run_after - schedule_.delta, run_after};
        case ScheduleKind::delta_trigger:
            return {run_after - schedule_.window, run_after};
        case ScheduleKind::cron_trigger:
            if (!schedule_.previous_tick) return {run_after - schedule_.window, run_after};
            [[fallthrough]];
        case ScheduleKind::cron_interval:
            if (const auto end = at_or_before(run_after))
                return {previous_tick(*end).value_or(*end), *end};
            return {run_after, run_after};
        case ScheduleKind::events: {
            if (!schedule_.restrict_to_events) return {run_after, run_after};
            auto event = at_or_before(run_after);
            if (!event) event = next_tick(run_after);
            return {event.value_or(run_after), event.value_or(run_after)};
        }
        case ScheduleKind::none:
        case ScheduleKind::once:
        case ScheduleKind::continuous:
            return {run_after, run_after};
    }
    unreachable();
}

std::vector<RunTimes> Timetable::ticks_between(Instant from, Instant to, std::size_t most) const {
    std::vector<RunTimes> runs;
    const bool by_end = !is_interval() && !schedule_.previous_tick;
    auto tick = at_or_after(by_end ? from + schedule_.window : from);
    for (; tick; tick = next_tick(*tick)) {
        const auto run = is_interval() ? interval_from(*tick) : triggered_at(*tick);
        if (!run || run->logical_date > to) break;
        if (runs.size() == most)
            throw Error(ErrorCode::limit, fmt::format("the range has more than {} runs", most));
        runs.push_back(*run);
    }
    return runs;
}

// ------------------------------------------------------------------------------ partitions

std::string partition_key(Instant at, std::string_view partition, const Zone& zone) {
    if (partition == "none") return "";
    const LocalTime local = zone.to_local(at);
    const auto day = std::chrono::floor<std::chrono::days>(local);
    const std::chrono::year_month_day date{day};
    const int year = static_cast<int>(date.year());
    const auto month = static_cast<unsigned>(date.month());
    if (partition == "year") return fmt::format("{:04}", year);
    if (partition == "quarter") return fmt::format("{:04}Q{}", year, (month + 2) / 3);
    if (partition == "month") return fmt::format("{:04}-{:02}", year, month);
    auto text = fmt::format("{:04}-{:02}-{:02}", year, month, static_cast<unsigned>(date.day()));
    if (partition == "day") return text;
    SLUICE_CHECK(partition == "hour");
    return fmt::format(
        "{}T{:02}", text, std::chrono::floor<std::chrono::hours>(local - day).count()
    );
}

}  // namespace sluice
