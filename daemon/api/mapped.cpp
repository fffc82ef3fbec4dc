#include "api/mapped.hpp"

#include <algorithm>
#include <set>

namespace sluice::api {
namespace {

std::size_t at(std::int32_t number) { return static_cast<std::size_t>(number); }

}  // namespace

MappedRun::MappedRun(Services& services, const DagRun& run, const Dag& dag)
    : services_(services), run_(run), dag_(dag), lengths_(dag.tasks.size()) {
    if (dag.mappings.empty()) return;
    for (const MapLength& known : services.queries.map_lengths(run.key)) {
        if (known.outer != unmapped || known.length <= 0 || at(known.map) >= dag.mappings.size())
            continue;
        for (const TaskNo task : dag.mappings[at(known.map)].tasks)
            lengths_[at(task)] = known.length;
    }
    // One that ended before its length was known never got the instances.
    std::vector<TaskNo> mapped;
    for (TaskNo task = 0; task < static_cast<TaskNo>(lengths_.size()); ++task)
        if (length(task) > 0) mapped.push_back(task);
    for (const TaskNo task : services.queries.ended_whole(run.key, mapped)) lengths_[at(task)] = 0;
    ranges_ = services.queries.map_ranges(run.key);
}

std::int32_t MappedRun::length(TaskNo task) const { return lengths_[at(task)]; }

TaskInstance MappedRun::without_row(TaskNo task, MapIndex index) const {
    TaskInstance instance = unborn(run_.key, task, dag_.tasks[at(task)]);
    instance.key.map_index = index;
    if (index == unmapped) return instance;
    for (auto range = ranges_.rbegin(); range != ranges_.rend(); ++range) {
        if (range->task != task || index < range->lo || range->hi < index) continue;
        instance.state = range->state;
        if (!is_finished(range->state)) break;
        instance.end_date = range->at;
        instance.note = range->note;
        break;
    }
    return instance;
}

std::int64_t MappedRun::total(const std::vector<TaskNo>& tasks) const {
    std::int64_t total = 0;
    for (const TaskNo task : tasks) total += std::max(length(task), 1);
    return total;
}

std::vector<TaskInstance> MappedRun::page(
    const std::vector<TaskNo>& tasks, std::int64_t offset, std::int64_t limit
) const {
    std::vector<TaskInstance> page;
    std::int64_t before = 0;  // instances of the tasks so far
    for (const TaskNo task : tasks) {
        const std::int64_t size = std::max(length(task), 1);
        const auto from = std::clamp<std::int64_t>(offset - before, 0, size);
        const auto to = std::clamp<std::int64_t>(offset + limit - before, 0, size);
        before += size;
        if (from >= to) continue;
        const MapIndex shift = length(task) > 0 ? 0 : -1;
        const auto lo = static_cast<MapIndex>(from) + shift;
        const auto hi = static_cast<MapIndex>(to) - 1 + shift;
        std::map<MapIndex, TaskInstance> rows;
        for (auto& row : services_.queries.tasks_between(run_.key, task, lo, hi))
            rows.emplace(row.instance.key.map_index, std::move(row.instance));
        for (MapIndex i = lo; i <= hi; ++i) {
            const auto row = rows.find(i);
            page.push_back(row == rows.end() ? without_row(task, i) : std::move(row->second));
        }
    }
    return page;
}

std::vector<TaskInstance> MappedRun::unmapped_of(const std::vector<TaskNo>& tasks) const {
    std::map<TaskNo, TaskInstance> rows;
    for (auto& row : services_.queries.unmapped_of(run_.key, tasks))
        rows.emplace(row.instance.key.task, std::move(row.instance));
    std::vector<TaskInstance> found;
    for (const TaskNo task : tasks) {
        const auto row = rows.find(task);
        found.push_back(row == rows.end() ? without_row(task, unmapped) : std::move(row->second));
    }
    return found;
}

std::vector<TaskInstance> MappedRun::one_each() const {
    std::vector<TaskNo> tasks;
    for (TaskNo no = 0; no < static_cast<TaskNo>(lengths_.size()); ++no) tasks.push_back(no);
    auto all = unmapped_of(tasks);
    const auto rank = [](TaskState state) {
        if (!is_finished(state)) return 0;
        return is_failure(state) ? 1 : 2;
    };
    for (const auto& [task, states] : counts()) {
        auto& shown = all[at(task)].state;
        shown = states.begin()->first;
        for (const auto& [state, count] : states)
            if (rank(state) < rank(shown)) shown = state;
    }
    return all;
}

std::map<TaskNo, StateCounts> MappedRun::counts() const {
    std::map<TaskNo, StateCounts> counts;
    if (std::ranges::all_of(lengths_, [](std::int32_t length) { return length == 0; }))
        return counts;
    if (is_finished(run_.state)) return stored_counts();
    // Of an open run core knows them, without counting a million rows.
    bool open = false;
    services_.runtime.query([&](const core::Scheduler& scheduler) {
        open = scheduler.find_open_run(run_.key) != nullptr;
        for (const auto& [task, states] : scheduler.mapped_counts(run_.key))
            for (std::size_t state = 0; state < states.size(); ++state)
                if (states[state] > 0) counts[task][static_cast<TaskState>(state)] = states[state];
    });
    return open ? counts : stored_counts();
}

std::map<TaskNo, StateCounts> MappedRun::stored_counts() const {
    std::map<TaskNo, StateCounts> counts;
    std::map<TaskNo, std::int64_t> with_row;
    for (const auto& [task, state, count] : services_.queries.mapped_states(run_.key)) {
        if (at(task) >= lengths_.size() || length(task) == 0 || state == TaskState::removed)
            continue;
        counts[task][state] += count;
        with_row[task] += count;
    }
    for (TaskNo task = 0; task < static_cast<TaskNo>(lengths_.size()); ++task) {
        if (length(task) == 0) continue;
        std::int64_t left = length(task) - with_row[task];
        if (left == 0) continue;
        std::set<MapIndex> rows;
        for (const MapIndex index : services_.queries.map_indexes(run_.key, task))
            rows.insert(index);
        for (MapIndex i = 0; i < length(task) && left > 0; ++i) {
            if (rows.contains(i)) continue;
            ++counts[task][without_row(task, i).state];
            --left;
        }
    }
    return counts;
}

}  // namespace sluice::api
