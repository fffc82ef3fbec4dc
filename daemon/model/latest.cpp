#include "model/latest.hpp"

#include "model/timetable.hpp"

namespace sluice {

bool is_latest_run(const Dag& dag, const DagRun& run, Instant now) {
    if (run.type == RunType::manual) return true;
    if (schedule_problem(dag.schedule, dag.timezone)) return true;
    const Instant date = run.logical_date.value_or(run.run_after);
    const Interval interval = run.data_interval.value_or(Interval{date, date});
    const auto next = Timetable(dag).next_run(interval, Timetable::Missed::run, now);
    if (!next || next->interval.end == interval.end) return true;
    // A delay postpones the run, not the interval.
    const Instant at = now - dag.schedule.delay;
    return interval.end <= at && at <= next->interval.end;
}

}  // namespace sluice
