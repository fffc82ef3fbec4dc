#include "store/memory_journal.hpp"

#include <algorithm>
#include <set>

#include "base/limits.hpp"
#include "store/past_run.hpp"

namespace sluice::store {
namespace {

using RunIds = std::map<std::pair<std::string, std::string>, RunKey>;

void check_runs(
    const std::vector<RunChange>& changes,
    const std::map<RunKey, DagRun>& runs,
    const RunIds& run_ids
) {
    for (const RunChange& change : changes) {
        const std::string name = change.run.dag_id + "/" + change.run.run_id;
        const auto found = runs.find(change.run.key);
        if (change.row == RowIs::fresh) {
            if (found != runs.end()) throw Refused("run exists already: " + name);
            const bool taken = run_ids.contains({change.run.dag_id, change.run.run_id});
            if (taken) throw Refused("run id is taken: " + name);
            continue;
        }
        if (found == runs.end() || !change.from || found->second.state != *change.from) {
            throw Refused("lost update: run " + name);
        }
        if (*change.from != change.run.state && !legal(*change.from, change.run.state)) {
            throw Refused("illegal transition of run " + name);
        }
    }
}

void check_tasks(
    const std::vector<TaskChange>& changes, const std::map<TaskKey, TaskInstance>& instances
) {
    std::set<TaskKey> seen;
    for (const TaskChange& change : changes) {
        const TaskKey& key = change.instance.key;
        const std::string name = "run " + std::to_string(key.run.value) + ", task " +
                                 std::to_string(key.task) + "[" + std::to_string(key.map_index) +
                                 "]";
        if (!seen.insert(key).second) throw Refused("two changes of one instance: " + name);
        const auto found = instances.find(key);
        TaskState from = TaskState::none;
        if (change.row == RowIs::fresh) {
            if (found != instances.end()) throw Refused("instance exists already: " + name);
        } else {
            from = change.from;
            if (found == instances.end() || found->second.state != from) {
                throw Refused("lost update: " + name);
            }
        }
        if (from != change.instance.state && !legal(from, change.instance.state)) {
            throw Refused("illegal transition of " + name);
        }
    }
}

}  // namespace

void MemoryJournal::check(const Turn& turn) const {
    check_runs(turn.runs, runs_, run_ids_);
    check_tasks(turn.tasks, instances_);
    Seq seq = last_seq_;
    for (const Transition& transition : turn.transitions) {
        if (transition.seq.value != ++seq.value) throw Refused("seq does not follow");
    }
    for (const XcomWrite& xcom : turn.xcoms) {
        if (xcom.value.value.size() > limits::inline_value_bytes) {
            throw Refused("XCom " + xcom.value.key + " is over the limit inline_value_bytes");
        }
    }
    if (turn.outputs.empty()) return;
    if (ledger_ == nullptr || !ledger_->may_commit(turn.outputs)) {
        throw Refused("an output's generation is not its slice's newest");
    }
}

void MemoryJournal::apply(const Turn& turn) {
    ++turn_;
    last_now_ = std::max(last_now_, turn.now);
    for (const RunChange& change : turn.runs) {
        runs_[change.run.key] = change.run;
        run_ids_[{change.run.dag_id, change.run.run_id}] = change.run.key;
        last_run_ = std::max(last_run_, change.run.key);
    }
    for (const TaskChange& change : turn.tasks) instances_[change.instance.key] = change.instance;
    for (const Transition& transition : turn.transitions) {
        transitions_.push_back(transition);
        last_seq_ = transition.seq;
    }
    attempts_.insert(attempts_.end(), turn.attempts.begin(), turn.attempts.end());
    for (const TaskKey& key : turn.xcoms_cleared) {
        std::erase_if(xcoms_, [&](const auto& entry) { return entry.first.first == key; });
    }
    for (const XcomWrite& xcom : turn.xcoms) xcoms_[{xcom.key, xcom.value.key}] = xcom.value.value;
    for (const RenderedWrite& rendered : turn.rendered) rendered_[rendered.key] = rendered.fields;
    for (const MapLength& length : turn.map_lengths)
        lengths_[{length.run, length.map, length.outer}] = length;
    for (const MapRange& range : turn.map_ranges) ranges_[range.run].push_back(range);
    for (const MapName& name : turn.map_names) map_names_[name.key] = name.name;
    if (ledger_ != nullptr) ledger_->commit(turn.outputs, turn.now);
    for (const SlicesKept& kept : turn.slices_kept)
        if (ledger_ != nullptr) ledger_->keep(kept);
    for (const Backfill& backfill : turn.backfills) {
        backfills_[backfill.id] = backfill;
        last_backfill_ = std::max(last_backfill_, backfill.id);
    }
    dates_.insert(dates_.end(), turn.backfill_dates.begin(), turn.backfill_dates.end());
    for (const DagState& dag : turn.dags) dags_[dag.dag_id] = dag;
    for (const Pool& pool : turn.pools) pools_[pool.name] = pool;
    for (const std::string& name : turn.pools_removed) pools_.erase(name);
    for (const WaitRow& wait : turn.waits) {
        if (wait.over && wait.kind != WaitKind::input)
            waits_.erase(wait.key);
        else
            waits_[wait.key] = wait;
    }
    callbacks_.insert(callbacks_.end(), turn.callbacks.begin(), turn.callbacks.end());
    audits_.insert(audits_.end(), turn.audits.begin(), turn.audits.end());
    for (const BranchChoice& row : turn.branches) {
        branches_.erase(row.key);
        if (!row.forgotten) branches_.emplace(row.key, row);
    }
    for (const RunEnding& row : turn.endings) {
        endings_.erase(row.run);
        if (!row.forgotten) endings_.emplace(row.run, row);
    }
    for (const Clearing& row : turn.clearings) {
        clearings_.erase(row.run);
        if (!row.over) clearings_.emplace(row.run, row);
    }
    for (const RunKey run : turn.runs_deleted) forget(run);
    for (const DagFailures& row : turn.failures) failures_[row.dag_id] = row;
    for (const AssetEvent& event : turn.asset_events) asset_events_[event.id] = event;
    for (const AssetMark& mark : turn.asset_marks) {
        asset_marks_.erase({mark.dag_id, mark.asset});
        if (!mark.forgotten) asset_marks_.emplace(std::pair{mark.dag_id, mark.asset}, mark);
    }
    for (const RunKey run : turn.deadlines_dropped)
        std::erase_if(deadlines_, [&](const auto& entry) { return entry.second.run == run; });
    for (const DeadlineRow& row : turn.deadlines)
        deadlines_[{{row.run, row.task, unmapped}, row.number}] = row;
    for (const AssetUse& use : turn.asset_uses) asset_uses_[use.run].push_back(use.event);
}

void MemoryJournal::forget(RunKey run) {
    const DagRun& gone = runs_.at(run);
    run_ids_.erase({gone.dag_id, gone.run_id});
    runs_.erase(run);
    const auto of_run = [&](const auto& entry) { return entry.first.run == run; };
    std::erase_if(instances_, of_run);
    std::erase_if(branches_, of_run);
    std::erase_if(waits_, of_run);
    std::erase_if(map_names_, of_run);
    std::erase_if(rendered_, [&](const auto& entry) { return entry.first.task.run == run; });
    std::erase_if(xcoms_, [&](const auto& entry) { return entry.first.first.run == run; });
    std::erase_if(lengths_, [&](const auto& entry) { return entry.first.run == run; });
    std::erase_if(attempts_, [&](const AttemptRecord& row) { return row.key.run == run; });
    std::erase_if(callbacks_, [&](const CallbackDue& row) { return row.key.run == run; });
    std::erase_if(transitions_, [&](const Transition& row) { return row.run == run; });
    std::erase_if(deadlines_, [&](const auto& entry) { return entry.second.run == run; });
    ranges_.erase(run);
    endings_.erase(run);
    clearings_.erase(run);
    asset_uses_.erase(run);
}

void MemoryJournal::commit(const Turn& turn) {
    const Fault fault = faults_ ? faults_(++commits_) : Fault::none;
    switch (fault) {
        case Fault::none:
        case Fault::lost_after:
            break;
        case Fault::refused:
            throw Refused("refused by the test");
        case Fault::lost:
            last_commit_happened_ = false;
            throw Away("lost by the test");
        case Fault::deposed:
            throw Deposed("deposed by the test");
    }
    check(turn);
    apply(turn);
    last_commit_happened_ = true;
    if (fault == Fault::lost_after) throw Away("lost by the test, after the commit");
}

Snapshot MemoryJournal::load() {
    Snapshot snapshot;
    snapshot.last_seq = last_seq_;
    snapshot.last_run = last_run_;
    snapshot.last_backfill = last_backfill_;
    snapshot.now = last_now_;
    for (const auto& [id, dag] : dags_) snapshot.dags.push_back(dag);
    for (const auto& [key, run] : runs_) {
        if (is_finished(run.state)) continue;
        StoredRun open = stored(run);
        if (!open.subset.empty())
            snapshot.subsets.push_back({*run.backfill, std::move(open.subset)});
        snapshot.open_runs.push_back(std::move(open.run));
        std::ranges::move(open.instances, std::back_inserter(snapshot.instances));
        std::ranges::move(open.branches, std::back_inserter(snapshot.branches));
        std::ranges::move(open.map_lengths, std::back_inserter(snapshot.map_lengths));
        std::ranges::move(open.map_ranges, std::back_inserter(snapshot.map_ranges));
    }
    for (const auto& [key, row] : deadlines_) {
        const auto run = runs_.find(row.run);
        if (run != runs_.end() && !is_finished(run->second.state))
            snapshot.deadlines.push_back(row);
    }
    for (const auto& [id, backfill] : backfills_) {
        if (backfill.completed_at) continue;
        snapshot.backfills.push_back(backfill);
        if (!backfill.tasks.empty()) snapshot.subsets.push_back({id, backfill.tasks});
    }
    for (const auto& [name, pool] : pools_) snapshot.pools.push_back(pool);
    for (const auto& [key, ending] : endings_) snapshot.endings.push_back(ending);
    for (const auto& [key, clearing] : clearings_) snapshot.clearings.push_back(clearing);
    for (const auto& [id, failures] : failures_) snapshot.failures.push_back(failures);
    for (const auto& [key, wait] : waits_) {
        const auto run = runs_.find(key.run);
        if (!wait.over && run != runs_.end() && !is_finished(run->second.state))
            snapshot.waits.push_back(wait);
    }
    for (const auto& [key, mark] : asset_marks_) snapshot.asset_marks.push_back(mark);
    for (const auto& [id, event] : asset_events_)
        if (std::ranges::any_of(snapshot.asset_marks, [&](const AssetMark& mark) {
                return mark.asset == event.asset && mark.seen < id;
            }))
            snapshot.asset_events.push_back(event);
    if (!asset_events_.empty()) snapshot.last_asset_event = asset_events_.rbegin()->first;
    return snapshot;
}

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
