// timetable.hpp — when a DAG's automated runs are due and which data interval a run covers.
// A Timetable is immutable: safe to use from any thread. Nothing throws once it is made.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/dag.hpp"
#include "model/ticks.hpp"
#include "model/zone.hpp"

namespace sluice {

/// The dates of one automated run.
struct RunTimes {
    Instant logical_date;
    Interval interval;
    Instant run_after;
    friend bool operator==(const RunTimes&, const RunTimes&) = default;
};

/// What is wrong with the crons or the zone of a schedule, as a sentence; none if nothing is.
std::optional<std::string> schedule_problem(const Schedule& schedule, std::string_view timezone);

class Timetable {
public:
    /// Throws Error (invalid) where `schedule_problem` has something to say.
    explicit Timetable(const Dag& dag);

    [[nodiscard]] ScheduleKind kind() const { return schedule_.kind; }
    [[nodiscard]] const Zone& zone() const { return zone_; }
    /// Has ticks (cron and delta kinds, events), so that a range of dates can be backfilled.
    [[nodiscard]] bool is_periodic() const;
    /// cron_interval or delta_interval.
    [[nodiscard]] bool is_interval() const;

    enum class Missed { run, skip };  // catchup or not
    /// The next automated run, due or not; `last` is the interval of the last automated one.
    /// None = there will be none.
    [[nodiscard]] std::optional<RunTimes> next_run(
        const std::optional<Interval>& last, Missed missed, Instant now
    ) const;
    /// The interval of the latest run that is due at `now` (jitter does not count): given as
    /// `last`, it makes `next_run` begin after it. None without ticks.
    [[nodiscard]] std::optional<Interval> latest_due(Instant now) const;
    /// When the run of an interval that ends at `end` is due, jitter included and not.
    [[nodiscard]] Instant run_after(Instant end) const {
        return nominal_run_after(end) + jitter(end);
    }
    [[nodiscard]] Instant nominal_run_after(Instant end) const;

    /// The data interval of a manual run (semantics 2).
    [[nodiscard]] Interval infer_interval(Instant run_after) const;

    /// The runs whose logical dates lie in [from, to], oldest first; what a backfill considers.
    /// Throws Error (limit) if there are more than `most`.
    [[nodiscard]] std::vector<RunTimes> ticks_between(Instant from, Instant to, std::size_t most)
        const;

    /// The first tick later than `after`, the last one earlier than `before`.
    [[nodiscard]] std::optional<Instant> next_tick(Instant after) const {
        return ticks_.next(after);
    }
    [[nodiscard]] std::optional<Instant> previous_tick(Instant before) const {
        return ticks_.previous(before);
    }

private:
    [[nodiscard]] Duration jitter(Instant tick) const;
    [[nodiscard]] std::optional<Instant> at_or_after(Instant at) const;
    [[nodiscard]] std::optional<Instant> at_or_before(Instant at) const;
    [[nodiscard]] std::optional<RunTimes> next_interval(
        const std::optional<Interval>& last, Missed missed, Instant now
    ) const;
    [[nodiscard]] std::optional<RunTimes> next_trigger(
        const std::optional<Interval>& last, Missed missed, Instant now
    ) const;
    [[nodiscard]] std::optional<RunTimes> next_continuous(
        const std::optional<Interval>& last, Instant now
    ) const;
    [[nodiscard]] std::optional<Instant> first_run(Instant now) const;
    [[nodiscard]] RunTimes triggered_at(Instant tick) const;
    [[nodiscard]] std::optional<RunTimes> interval_from(Instant start) const;

    std::string dag_id_;
    Schedule schedule_;
    Zone zone_;
    Ticks ticks_;
    std::optional<Instant> start_;
    std::optional<Instant> end_;
};

/// The label of the partition that `at` lies in, by wall clock: "2026-01-05" (day),
/// "2026-01-05T07" (hour), "2026-01" (month), "2026Q1" (quarter), "2026" (year), "" (none).
std::string partition_key(Instant at, std::string_view partition, const Zone& zone);

}  // namespace sluice
