// runs.cpp — the life of a run: created, queued, started, ended.
#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "core/impl.hpp"

namespace sluice::core {

Run& Scheduler::Impl::add_run(DagRun row, Plan& plan, DagEntry& entry) {
    auto& slot = runs_[row.key];
    SLUICE_CHECK(!slot);
    slot = std::make_unique<Run>();
    Run& run = *slot;
    run.row = std::move(row);
    run.committed = run.row.state;
    run.plan = &plan;
    run.dag = &entry;
    run.gate.kind = Origin::run_gate;
    run.gate.most = plan.dag->max_active_tasks_per_run;
    ++plan.open_runs;
    if (!plan.past_tasks.empty()) ++entry.past_runs;
    for (const auto& task : plan.dag->tasks) {
        if (!task.max_active_tis_per_dagrun) continue;
        auto& gate = run.task_gates[static_cast<TaskNo>(&task - plan.dag->tasks.data())];
        gate.kind = Origin::run_task_gate;
        gate.most = task.max_active_tis_per_dagrun;
    }
    entry.open_run_ids.emplace(run.row.run_id, run.row.key);
    if (run.row.logical_date) entry.open_dates.emplace(*run.row.logical_date, run.row.key);
    return run;
}

/// A new run, queued. `row` has everything but key, dag, version, state and times.
Run& Scheduler::Impl::create_run(DagRun row, DagEntry& entry) {
    SLUICE_CHECK(entry.current != nullptr);
    row.key = {++last_run_.value};
    row.dag_id = entry.state.dag_id;
    row.version = entry.current->dag->version;
    row.state = RunState::queued;
    row.queued_at = now_;
    Plan& plan = row.backfill ? plan_of(entry.current->dag, entry, row) : *entry.current;
    Run& run = add_run(std::move(row), plan, entry);
    touch_row(run);
    put_transition(run, no_task, -1, static_cast<int>(RunState::queued), {"created"});
    turn_->transitions.back().actor = run.row.triggering_user;
    if (run.row.type == RunType::scheduled) ++entry.open_automated;
    if (run.row.type == RunType::asset_triggered) ++entry.open_asset_runs;
    enqueue(run);
    watch_deadlines(run);
    past_changed(run, no_task);
    return run;
}

BackfillEntry* Scheduler::Impl::backfill_of(const Run& run) {
    if (!run.row.backfill) return nullptr;
    const auto at = backfills_.find(*run.row.backfill);
    return at == backfills_.end() ? nullptr : &at->second;
}

void Scheduler::Impl::enqueue(Run& run) {
    if (auto* backfill = backfill_of(run))
        backfill->queued.emplace(run.row.backfill_ordinal, run.row.key);
    else
        run.dag->queued.emplace(run.row.run_after, run.row.key);
    mark_dirty(*run.dag);
}

void Scheduler::Impl::dequeue(Run& run) {
    if (auto* backfill = backfill_of(run))
        backfill->queued.erase({run.row.backfill_ordinal, run.row.key});
    else
        run.dag->queued.erase({run.row.run_after, run.row.key});
}

Run* Scheduler::Impl::find_run(RunKey key) {
    const auto at = runs_.find(key);
    return at == runs_.end() ? nullptr : at->second.get();
}

/// The open run, or the stored one taken into memory; none if it is not known.
Run* Scheduler::Impl::find_or_load(RunKey key, const std::optional<StoredRun>& stored) {
    if (Run* open = find_run(key)) return open;
    if (!stored || stored->run.key != key) return nullptr;
    const auto at = dag_numbers_.find(stored->run.dag_id);
    if (at == dag_numbers_.end()) return nullptr;
    auto& entry = *dags_[static_cast<std::size_t>(at->second)];
    DagPtr dag = stored->dag;
    if (!dag && entry.current != nullptr && entry.current->dag->version == stored->run.version)
        dag = entry.current->dag;
    if (!dag) return nullptr;
    if (!stored->subset.empty()) subsets_[*stored->run.backfill] = stored->subset;
    Run& run = add_run(stored->run, plan_of(dag, entry, stored->run), entry);
    run.has_row = true;
    make_instances(run);
    for (const auto& length : stored->map_lengths) restore_length(run, length);
    restore_nests(run);
    for (const auto& range : stored->map_ranges) restore_range(run, range);
    for (const auto& row : stored->instances) restore_instance(run, row);
    for (const auto& choice : stored->branches) restore_choice(run, choice);
    recount(run);
    list(run);  // forgotten again with this turn unless it is made open
    return &run;
}

bool Scheduler::Impl::has_room(const DagEntry& dag) {
    return dag.running_runs < dag.current->dag->max_active_runs;
}

void Scheduler::Impl::start_runs(DagEntry& dag) {
    if (dag.state.is_paused || dag.current == nullptr) return;
    for (auto at = dag.queued.begin(); at != dag.queued.end() && has_room(dag);) {
        Run& run = *find_run((at++)->second);
        if (!is_due(run)) {
            wake_dag(dag, run.row.run_after);
            break;
        }
        if (run.clearing) continue;
        if (run.cleared == turn_no_) {
            dirty_next_turn_.push_back(&dag);
            again_ = true;
            continue;
        }
        start_run(run);
    }
}

void Scheduler::Impl::start_run(Run& run) {
    dequeue(run);
    if (auto* backfill = backfill_of(run))
        ++backfill->running;
    else
        ++run.dag->running_runs;
    run.row.start_date = now_;
    run.row.end_date.reset();
    run.row.reason.clear();
    change_run(run, RunState::running, {"started"});
    weigh(*run.plan, *run.dag);
    if (run.tasks.empty()) make_instances(run);
    skip_outside(run);
    if (const auto& timeout = run.plan->dag->dagrun_timeout)
        timers_.add({now_ + *timeout, Timer::Kind::run_timeout, 0, {run.row.key}, 0});
    resume_instances(run);
}

/// Looks at every instance: at the start of a run and after a restart of the daemon.
void Scheduler::Impl::resume_instances(Run& run) {
    ask_past(run);
    for (auto& family : run.tasks) {
        family.seen.reset();
        unsettled_.push(run, family.one.row.key);
    }
    run.each_live([&](Instance& instance) {
        const auto& row = instance.row;
        if (row.state == TaskState::none)
            unsettled_.push(run, row.key);
        else if (row.state == TaskState::scheduled)
            make_ready(run, row.key);
        else if (is_poked(row.state))
            resume_wait(run, instance);
        else if (row.state == TaskState::up_for_retry)
            timers_.add({row.next_try_at.value_or(now_), Timer::Kind::retry, 0, row.key, row.starts}
            );
    });
    check_later(run);
}

void Scheduler::Impl::finish_run(Run& run, RunState state, std::string reason, const Cause& cause) {
    auto* backfill = backfill_of(run);
    switch (run.row.state) {
        case RunState::queued:
            dequeue(run);
            break;
        case RunState::running:
            if (backfill != nullptr)
                --backfill->running;
            else
                --run.dag->running_runs;
            break;
        case RunState::success:
        case RunState::failed:
            break;
    }
    if (!is_finished(run.row.state) && run.row.type == RunType::scheduled)
        --run.dag->open_automated;
    drop_ending(run);
    if (!is_finished(run.row.state) && run.row.type == RunType::asset_triggered)
        --run.dag->open_asset_runs;
    run.row.end_date = now_;
    run.row.reason = std::move(reason);
    count_failures(run, state, cause);
    change_run(run, state, cause);
}

/// Ends the runs whose last task has ended, and those in which nothing can ever move again.
void Scheduler::Impl::check_runs() {
    while (!checks_.empty()) {
        Run& run = *checks_.back();
        checks_.pop_back();
        run.check_queued = false;
        if (run.row.state != RunState::running || run.held == turn_no_ || run.clearing) continue;
        if (run.unfinished == 0)
            end_run(run);
        else if (run.active == 0 && run.waiting == 0 && !waits_for_past(run))
            finish_run(run, RunState::failed, "all_tasks_deadlocked", {"deadlock"});
    }
}

void Scheduler::Impl::run_timed_out(const Timer& timer) {
    Run* run = find_run(timer.key.run);
    if (run == nullptr || run->row.state != RunState::running || run->clearing) return;
    if (is_touched(*run)) {  // the last part of a clear
        timers_.add({now_ + std::chrono::milliseconds{1}, Timer::Kind::run_timeout, 0, timer.key, 0}
        );
        return;
    }
    const auto timeout = run->plan->dag->dagrun_timeout;
    if (!timeout || *run->row.start_date + *timeout > now_) return;  // it started anew since
    stop_unfinished(*run, TaskState::skipped, {"timeout"}, CancelReason::run_timeout);
    finish_run(*run, RunState::failed, "dagrun_timeout", {"timeout"});
}

void Scheduler::Impl::forget_run(RunKey key) {
    const auto at = runs_.find(key);
    Run& run = *at->second;
    hand_over_past(run);
    if (!run.plan->past_tasks.empty()) --run.dag->past_runs;
    run.dag->open_run_ids.erase(run.row.run_id);
    if (run.row.logical_date) {
        auto [date, end] = run.dag->open_dates.equal_range(*run.row.logical_date);
        while (date != end && date->second != key) ++date;
        SLUICE_CHECK(date != end);
        run.dag->open_dates.erase(date);
    }
    for (const auto& family : run.tasks)
        ready_ -= static_cast<std::size_t>(family.ready_count() + (family.one.ready ? 1 : 0));
    Plan* plan = run.plan;
    DagEntry& dag = *run.dag;
    runs_.erase(at);
    --plan->open_runs;
    forget_plan(plan, dag);
}

}  // namespace sluice::core
