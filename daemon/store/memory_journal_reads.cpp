// memory_journal_reads.cpp — what core asks of runs that it does not hold, versions of DAGs, and
// what templates read, out of memory.
#include <algorithm>
#include <set>

#include "store/memory_journal.hpp"
#include "store/past_run.hpp"

namespace sluice::store {

StoredRun MemoryJournal::stored(const DagRun& run) const {
    StoredRun found{run, {}};
    const TaskKey first{run.key, INT32_MIN, INT32_MIN};
    for (auto it = instances_.lower_bound(first);
         it != instances_.end() && it->first.run == run.key;
         ++it) {
        found.instances.push_back(it->second);
    }
    found.branches = branches(run.key);
    for (auto it = lengths_.lower_bound({run.key, 0, unmapped});
         it != lengths_.end() && it->first.run == run.key;
         ++it)
        found.map_lengths.push_back(it->second);
    if (const auto ranges = ranges_.find(run.key); ranges != ranges_.end())
        found.map_ranges = ranges->second;
    if (run.backfill) found.subset = backfills_.at(*run.backfill).tasks;
    return found;
}

std::vector<BranchChoice> MemoryJournal::branches(RunKey run) const {
    std::vector<BranchChoice> found;
    const TaskKey first{run, INT32_MIN, INT32_MIN};
    for (auto it = branches_.lower_bound(first); it != branches_.end() && it->first.run == run;
         ++it)
        found.push_back(it->second);
    return found;
}

std::optional<PastRun> MemoryJournal::previous_run(
    const std::string& dag_id, Instant before, bool scheduled_only
) {
    const DagRun* previous = nullptr;
    for (const auto& [key, run] : runs_) {
        if (run.dag_id != dag_id || !run.logical_date || *run.logical_date >= before) continue;
        if (scheduled_only && run.type == RunType::manual) continue;
        if (previous == nullptr || *previous->logical_date <= *run.logical_date) previous = &run;
    }
    if (previous == nullptr) return std::nullopt;
    return past_of(stored(*previous));
}

std::vector<VersionId> MemoryJournal::versions_before(const std::string& dag_id, Instant before) {
    std::set<VersionId> found;
    for (const auto& [key, run] : runs_)
        if (run.dag_id == dag_id && run.logical_date && *run.logical_date < before)
            found.insert(run.version);
    return {found.begin(), found.end()};
}

std::set<std::string> MemoryJournal::backfill_run_ids(const std::string& dag_id) {
    std::set<std::string> ids;
    for (auto it = run_ids_.lower_bound({dag_id, "backfill__"});
         it != run_ids_.end() && it->first.first == dag_id &&
         it->first.second.starts_with("backfill__");
         ++it)
        ids.insert(it->first.second);
    return ids;
}

std::optional<StoredRun> MemoryJournal::find_run(RunKey run) {
    const auto found = runs_.find(run);
    if (found == runs_.end()) return std::nullopt;
    return stored(found->second);
}

std::optional<RunKey> MemoryJournal::find_run_key(
    const std::string& dag_id, const std::string& run_id
) {
    const auto found = run_ids_.find({dag_id, run_id});
    if (found == run_ids_.end()) return std::nullopt;
    return found->second;
}

bool MemoryJournal::has_logical_date(const std::string& dag_id, Instant logical_date) {
    if (lost_reads_ && lost_reads_()) throw Away("lost by the test, in a read");
    return std::ranges::any_of(runs_, [&](const auto& entry) {
        return entry.second.dag_id == dag_id && entry.second.logical_date == logical_date;
    });
}

std::vector<StoredRun> MemoryJournal::runs_between(
    const std::string& dag_id, Instant from, Instant to
) {
    std::map<Instant, const DagRun*> latest;
    for (const auto& [key, run] : runs_) {
        if (run.dag_id != dag_id || !run.logical_date) continue;
        if (*run.logical_date < from || *run.logical_date > to) continue;
        latest[*run.logical_date] = &run;
    }
    std::vector<StoredRun> found;
    for (const auto& [date, run] : latest) found.push_back(stored(*run));
    return found;
}

std::vector<Journal::TaskPace> MemoryJournal::task_paces(const std::string& dag_id) {
    std::map<std::pair<VersionId, TaskNo>, TaskPace> sums;
    for (const auto& [key, row] : instances_) {
        const auto& run = runs_.at(key.run);
        if (run.dag_id != dag_id || row.state != TaskState::success) continue;
        if (!row.start_date || !row.end_date) continue;
        auto& sum = sums[{run.version, key.task}];
        sum.version = run.version;
        sum.task = key.task;
        sum.seconds += to_seconds(*row.end_date - *row.start_date);
        ++sum.attempts;
    }
    std::vector<TaskPace> paces;
    for (auto& [key, sum] : sums) {
        sum.seconds /= sum.attempts;
        paces.push_back(sum);
    }
    return paces;
}

std::vector<Journal::RunTime> MemoryJournal::run_times(
    const std::string& dag_id, RunKey but, int most, bool with_tasks
) {
    std::vector<RunTime> times;
    for (auto at = runs_.rbegin(); at != runs_.rend(); ++at) {
        const DagRun& run = at->second;
        if (static_cast<int>(times.size()) >= most) break;
        if (run.dag_id != dag_id || run.key == but || run.state != RunState::success) continue;
        if (!run.start_date || !run.end_date) continue;
        auto& time = times.emplace_back();
        time.version = run.version;
        time.took = *run.end_date - *run.start_date;
        if (!with_tasks) continue;
        for (const TaskInstance& row : stored(run).instances) {
            if (row.state != TaskState::success || !row.end_date) continue;
            const Duration took = *row.end_date - *run.start_date;
            auto [known, fresh] = time.tasks.emplace(row.key.task, took);
            if (!fresh) known->second = std::max(known->second, took);
        }
    }
    return times;
}

std::vector<Journal::StoredVersion> MemoryJournal::versions(const std::vector<VersionId>& ids) {
    std::vector<StoredVersion> found;
    for (const StoredVersion& version : versions_) {
        if (std::ranges::find(ids, version.id) != ids.end()) found.push_back(version);
    }
    for (const StoredVersion& form : forms_) {
        if (std::ranges::find(ids, form.id) != ids.end()) found.push_back(form);
    }
    return found;
}

Journal::StoredVersion MemoryJournal::put_version(const Dag& dag) {
    StoredVersion fresh{
        .dag_id = dag.dag_id,
        .number = 1,
        .format = 1,
        .hash = dag.hash,
        .fileloc = dag.fileloc,
        .source = dag.source,
        .files = dag.files
    };
    auto newest = versions_.end();
    for (auto it = versions_.begin(); it != versions_.end(); ++it) {
        if (it->dag_id == dag.dag_id) newest = it;
    }
    if (newest != versions_.end()) {
        if (newest->hash == dag.hash) {
            newest->fileloc = dag.fileloc;
            return *newest;
        }
        const auto is_run = [&](const StoredVersion& version) {
            return version.dag_id == dag.dag_id && version.number == newest->number &&
                   std::ranges::any_of(runs_, [&](const auto& entry) {
                       return entry.second.version == version.id;
                   });
        };
        const bool was_run = is_run(*newest) || std::ranges::any_of(forms_, is_run);
        fresh.number = newest->number + (was_run ? 1 : 0);
        if (!was_run) versions_.erase(newest);
    }
    fresh.id = VersionId{++last_version_};
    versions_.push_back(fresh);
    return fresh;
}

Journal::StoredVersion MemoryJournal::put_form(const Dag& dag) {
    for (const StoredVersion& form : forms_)
        if (form.dag_id == dag.dag_id && form.hash == dag.hash) return form;
    StoredVersion fresh{
        .id = VersionId{++last_version_},
        .dag_id = dag.dag_id,
        .number = dag.version_number,
        .format = 1,
        .hash = dag.hash,
        .fileloc = dag.fileloc,
        .source = dag.source,
        .files = dag.files
    };
    forms_.push_back(fresh);
    return fresh;
}

std::optional<std::string> MemoryJournal::xcom(const TaskKey& task, const std::string& key) const {
    const auto found = xcoms_.find({task, key});
    if (found == xcoms_.end()) return std::nullopt;
    return found->second;
}

std::map<std::string, std::string> MemoryJournal::xcoms(const TaskKey& task) const {
    std::map<std::string, std::string> values;
    for (auto it = xcoms_.lower_bound({task, ""}); it != xcoms_.end() && it->first.first == task;
         ++it)
        values.emplace(it->first.second, it->second);
    return values;
}

std::map<std::string, std::string> MemoryJournal::xcom_lists(
    RunKey run, TaskNo task, const std::vector<MapIndex>* of
) const {
    std::map<std::string, std::string> lists;
    const auto add = [&](const std::string& key, const std::string& value) {
        if (value == "null") return;
        auto& list = lists[key];
        list += (list.empty() ? "[" : ",") + value;
    };
    if (of != nullptr)
        for (const MapIndex index : *of)
            for (const auto& [key, value] : xcoms({run, task, index})) add(key, value);
    for (auto it = xcoms_.lower_bound({TaskKey{run, task, INT32_MIN}, ""});
         of == nullptr && it != xcoms_.end() && it->first.first.run == run &&
         it->first.first.task == task;
         ++it)
        add(it->first.second, it->second);
    for (auto& [key, list] : lists) list += ']';
    return lists;
}

std::optional<MapLength> MemoryJournal::map_length(RunKey run, MapNo map, MapIndex outer) const {
    const auto found = lengths_.find({run, map, outer});
    if (found == lengths_.end()) return std::nullopt;
    return found->second;
}

std::vector<MapLength> MemoryJournal::map_lengths(RunKey run, MapNo map) const {
    std::vector<MapLength> found;
    for (auto at = lengths_.lower_bound({run, map, unmapped});
         at != lengths_.end() && at->first.run == run && at->first.task == map;
         ++at)
        found.push_back(at->second);
    return found;
}

std::optional<TaskState> MemoryJournal::state_of(const TaskKey& task) const {
    if (const auto row = instances_.find(task); row != instances_.end()) return row->second.state;
    const auto ranges = ranges_.find(task.run);
    if (ranges == ranges_.end()) return std::nullopt;
    std::optional<TaskState> state;
    for (const MapRange& range : ranges->second)
        if (range.task == task.task && range.lo <= task.map_index && task.map_index <= range.hi)
            state = range.state;
    return state;
}

std::string MemoryJournal::map_name(const TaskKey& task) const {
    const auto found = map_names_.find(task);
    return found == map_names_.end() ? "" : found->second;
}

std::optional<std::string> MemoryJournal::rendered(const AttemptKey& attempt) const {
    const auto found = rendered_.find(attempt);
    if (found == rendered_.end()) return std::nullopt;
    return found->second;
}

}  // namespace sluice::store
