// why_date.cpp — why dates of a schedule have no run: by the timetable that makes the runs.
#include <algorithm>

#include <fmt/format.h>

#include "base/error.hpp"
#include "core/impl.hpp"

namespace sluice::core {
namespace {

constexpr std::size_t most_dates = 2'000;
constexpr std::size_t most_told = 5;

/// The runs of the schedule in the range; none if there are too many to tell.
std::optional<std::vector<RunTimes>> dates_of(const Timetable& timetable, const Interval& asked) {
    try {
        return timetable.ticks_between(asked.start, asked.end, most_dates);
    } catch (const Error&) {
        return std::nullopt;
    }
}

bool calendar_closes(const Dag& version, const Interval& asked) {
    if (version.schedule.calendar.is_empty()) return false;
    Dag open;
    open.dag_id = version.dag_id;
    open.schedule = version.schedule;
    open.schedule.calendar = {};
    open.timezone = version.timezone;
    open.start_date = version.start_date;
    open.end_date = version.end_date;
    const auto dates = dates_of(Timetable(open), asked);
    return dates && !dates->empty();
}

std::string or_never(const std::optional<Instant>& at) { return at ? format_z(*at) : "no time"; }

}  // namespace

/// Of a date that the schedule has: what keeps, or kept, its run from being made.
void Scheduler::Impl::why_run_of(const DagEntry& dag, const RunTimes& run, Reasons& reasons) const {
    const Dag& version = *dag.current->dag;
    const auto add = [&](std::string condition, std::string text) -> Reason& {
        return reasons.emplace_back(Reason{
            std::move(condition),
            fmt::format("{}: {}", format_z(run.logical_date), text),
            dag.state.dag_id,
            {},
            {}
        });
    };
    // The bounds count for what the kind calls the date of a run.
    const Instant date = dag.timetable->is_interval() ? run.interval.start : run.interval.end;
    if (version.start_date && date < *version.start_date) {
        add("start_date", "it lies before the start_date " + format_z(*version.start_date));
        return;
    }
    if (version.end_date && date > *version.end_date) {
        add("end_date", "it lies behind the end_date " + format_z(*version.end_date));
        return;
    }
    if (run.run_after > now_) {
        add("run_after", "its run is due at " + format_z(run.run_after)).until = run.run_after;
        return;
    }
    const auto& last = dag.state.last_automated;
    const bool passed = last && run.interval.end <= last->end;
    const auto missed = version.catchup ? Timetable::Missed::run : Timetable::Missed::skip;
    const auto next = dag.timetable->next_run(last, missed, now_);
    if (passed || !next || next->interval.end > run.interval.end) {
        add("passed_over",
            fmt::format(
                "later dates were due when the scheduler came to it ({}), or its run was deleted: "
                "a backfill makes it",
                version.catchup ? "what fell due in a pause may be left out, see on_unpause"
                                : "catchup is off"
            ));
        return;
    }
    if (next->interval.end < run.interval.end)
        add("order", "earlier dates come first, the next is " + format_z(next->logical_date));
    for (auto& reason : why_dag(dag)) reasons.push_back(std::move(reason));
}

Reasons Scheduler::Impl::why_no_run(
    const DagEntry& dag, const Interval& asked, const std::vector<Instant>& made
) const {
    if (dag.current == nullptr || !dag.timetable->is_periodic()) {
        auto reasons = why_dag(dag);
        if (reasons.empty())
            reasons.push_back(
                {"no_dates", "its schedule has no dates of its own", dag.state.dag_id, {}, {}}
            );
        return reasons;
    }
    Reasons reasons;
    const auto add = [&](std::string condition, std::string text) {
        reasons.push_back({std::move(condition), std::move(text), dag.state.dag_id, {}, {}});
    };
    const auto dates = dates_of(*dag.timetable, asked);
    if (!dates) {
        add("too_many_dates",
            fmt::format("the schedule has more than {} dates there: name one of them", most_dates));
        return reasons;
    }
    const Dag& version = *dag.current->dag;
    if (dates->empty() && calendar_closes(version, asked))
        add("calendar",
            version.schedule.calendar.rule == ClosedRule::skip
                ? "the calendar closes that day: it has no run"
                : "the calendar closes that day: its run is that of the next open day");
    else if (dates->empty())
        add("no_date",
            fmt::format(
                "the schedule has no date there; it fires at {} before and at {} after",
                or_never(dag.timetable->previous_tick(asked.start)),
                or_never(dag.timetable->next_tick(asked.end))
            ));
    std::size_t told = 0;
    std::size_t more = 0;
    for (const auto& run : *dates) {
        if (std::ranges::binary_search(made, run.logical_date)) continue;
        if (told == most_told) {
            ++more;
            continue;
        }
        ++told;
        why_run_of(dag, run, reasons);
    }
    if (more > 0) add("more_dates", fmt::format("{} more dates have no run", more));
    return reasons;
}

std::optional<Reasons> Scheduler::Impl::why(
    const std::string& dag_id, const Interval& asked, const std::vector<Instant>& made
) const {
    const auto at = dag_numbers_.find(dag_id);
    if (at == dag_numbers_.end()) return std::nullopt;
    return why_no_run(*dags_[static_cast<std::size_t>(at->second)], asked, made);
}

}  // namespace sluice::core
