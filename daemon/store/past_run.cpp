#include "store/past_run.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace sluice::store {
namespace {

bool is_good(TaskState state) { return state == TaskState::success || state == TaskState::skipped; }

void add(PastRun::TaskEnd& end, TaskState state) {
    if (state == TaskState::removed) return;
    ++(is_good(state) ? end.good : end.other);
    if (!is_good(state)) end.worst = std::max(end.worst, state);
}

}  // namespace

PastRun past_of(const StoredRun& stored) {
    std::map<TaskNo, PastRun::TaskEnd> ends;
    std::set<TaskNo> whole;  // ended before they were expanded, or not mapped at all
    std::set<TaskKey> with_rows;
    for (const TaskInstance& row : stored.instances) {
        with_rows.insert(row.key);
        if (row.key.map_index == unmapped && row.state != TaskState::none)
            whole.insert(row.key.task);
    }
    for (const TaskInstance& row : stored.instances) {
        auto& end = ends[row.key.task];
        end.task = row.key.task;
        const bool counts = whole.contains(row.key.task) == (row.key.map_index == unmapped);
        if (counts) add(end, row.state);
    }
    std::map<TaskKey, TaskState> by_range;  // a later one counts
    // What was cleared of a longer mapping before is no part of the run.
    MapIndex length = 0;
    for (const MapLength& known : stored.map_lengths) length = std::max(length, known.length);
    for (const MapRange& range : stored.map_ranges)
        for (MapIndex i = range.lo; i <= std::min(range.hi, length - 1); ++i)
            by_range[{stored.run.key, range.task, i}] = range.state;
    for (const auto& [key, state] : by_range) {
        if (whole.contains(key.task) || with_rows.contains(key)) continue;
        auto& end = ends[key.task];
        end.task = key.task;
        add(end, state);
    }
    PastRun past;
    past.run = stored.run;
    for (auto& [task, end] : ends) {
        if (end.good + end.other == 0) end.other = 1;  // cleared, and never run again
        past.tasks.push_back(end);
    }
    return past;
}

}  // namespace sluice::store
