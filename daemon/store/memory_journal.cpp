#include "store/memory_journal.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "base/check.hpp"
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
    for (const DeletedDag& dag : turn.dags_removed) deleted_dags_.erase(dag.dag_id);
    for (const DeletedDag& dag : turn.dags_deleted) {
        deleted_dags_[dag.dag_id] = dag.number;
        dags_.erase(dag.dag_id);
        failures_.erase(dag.dag_id);
    }
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

/// What was left of a deleted DAG.
void MemoryJournal::forget(const std::string& dag_id) {
    std::vector<RunKey> gone;
    for (const auto& [key, run] : runs_)
        if (run.dag_id == dag_id) gone.push_back(key);
    for (const RunKey run : gone) forget(run);
    std::erase_if(dates_, [&](const BackfillDate& row) {
        return backfills_.at(row.backfill).dag_id == dag_id;
    });
    std::erase_if(backfills_, [&](const auto& entry) { return entry.second.dag_id == dag_id; });
    const auto of_dag = [&](const StoredVersion& version) { return version.dag_id == dag_id; };
    std::erase_if(versions_, of_dag);
    std::erase_if(forms_, of_dag);
}

void MemoryJournal::write(const Turn& turn, Fault fault) {
    const bool after_a_failure = !sent_.empty() && sent_.back() != nullptr;
    if (fault == Fault::refused) throw Refused("refused by the test");
    if (fault == Fault::deposed) throw Deposed("deposed by the test");
    if (fault == Fault::lost) throw Away("lost by the test");
    if (fault == Fault::none && after_a_failure) std::rethrow_exception(sent_.back());
    // As in a database it is gone before, whatever becomes of the turn: a DAG that comes again with
    // it may use the ids of the runs.
    for (const DeletedDag& dag : turn.dags_removed) forget(dag.dag_id);
    check(turn);
    apply(turn);
    ++written_;
    if (fault == Fault::lost_after) throw Away("lost by the test, after the commit");
}

void MemoryJournal::send(const Turn& turn) {
    std::exception_ptr failure;
    try {
        write(turn, faults_ ? faults_(++commits_) : Fault::none);
    } catch (...) {
        failure = std::current_exception();
    }
    sent_.push_back(failure);
}

void MemoryJournal::settle() {
    SLUICE_CHECK(!sent_.empty());
    const auto failure = sent_.front();
    if (failure == nullptr) {
        sent_.pop_front();
        --written_;
        return;
    }
    commits_happened_ = std::exchange(written_, 0);
    sent_.clear();
    std::rethrow_exception(failure);
}

Snapshot MemoryJournal::load() {
    Snapshot snapshot;
    snapshot.last_seq = last_seq_;
    snapshot.last_run = last_run_;
    snapshot.last_backfill = last_backfill_;
    snapshot.now = last_now_;
    for (const auto& [id, dag] : dags_) snapshot.dags.push_back(dag);
    for (const auto& [id, number] : deleted_dags_) snapshot.deleted_dags.push_back({id, number});
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

}  // namespace sluice::store
