// turn.cpp — the turn at work: what changed in it, and the rows that say so.
#include <utility>

#include "base/check.hpp"
#include "core/impl.hpp"

namespace sluice::core {

void Scheduler::Impl::begin_turn(Instant now, Turn& turn) {
    turn_ = &turn;
    now_ = std::max(now_, now);
    turn.now = now_;
    if (open_) return;
    open_ = true;
    again_ = false;
    ++turn_no_;
    clear_more();
    for (const auto& task : start_later_) queue_.push(task);
    start_later_.clear();
    for (DagEntry* dag : std::exchange(dirty_next_turn_, {})) mark_dirty(*dag);
    // Nothing of this turn is touched yet, so a busy run cannot put off its own timeouts.
    fire_timers();
    stopping_ = std::exchange(stop_later_, {});
    stop_failed_runs();
    for (const TaskKey& key : std::exchange(held_over_, {}))
        if (Run* run = find_run(key.run)) {
            evaluate(*run, key);
            check_later(*run);
        }
}

void Scheduler::Impl::fire_timers() {
    // Thousands of DAGs may be due in one minute: their runs come in several turns, so that the
    // first ones start while the others are written. `next_wakeup` is then due at once.
    constexpr int most_dags = 256;
    int dags = 0;
    while (dags < most_dags) {
        const auto timer = timers_.take_due(now_);
        if (!timer) break;
        switch (timer->kind) {
            case Timer::Kind::dag: {
                ++dags;
                auto& dag = *dags_[static_cast<std::size_t>(timer->dag)];
                if (dag.timer_at && *dag.timer_at <= now_) dag.timer_at.reset();
                mark_dirty(dag);
                break;
            }
            case Timer::Kind::run_timeout:
                run_timed_out(*timer);
                break;
            case Timer::Kind::retry:
                retry_due(*timer);
                break;
            case Timer::Kind::deadline:
                deadline_passed(*timer);
                break;
            case Timer::Kind::poke:
                poke_due(*timer);
                break;
            case Timer::Kind::late:
                late(*timer);
                break;
            case Timer::Kind::foresee:
                foresee(*timer);
                break;
        }
    }
}

void Scheduler::Impl::seal() {
    for (const TaskKey& key : live_)
        if (Run* run = find_run(key.run)) run->family(key.task).pack(key.map_index);
    live_.clear();
    for (Run* run : touched_runs_) {
        if (run->deleted) {
            std::erase_if(deadline_rows_, [&](const auto& entry) {
                return entry.second.run == run->row.key;
            });
            forget_run(run->row.key);
            continue;
        }
        if (std::exchange(run->ending_dirty, false)) {
            RunEnding gone;
            gone.run = run->row.key;
            gone.forgotten = true;
            turn_->endings.push_back(run->ending.value_or(gone));
        }
        if (run->row_dirty) {
            RunChange change;
            change.row = run->has_row ? RowIs::existing : RowIs::fresh;
            if (run->has_row) change.from = run->committed;
            change.run = run->row;
            turn_->runs.push_back(std::move(change));
            run->has_row = true;
            run->row_dirty = false;
            run->committed = run->row.state;
        }
        if (is_finished(run->row.state)) forget_run(run->row.key);
    }
    touched_runs_.clear();
    for (auto& [key, row] : std::exchange(list_rows_, {})) turn_->map_lengths.push_back(row);
    for (auto& [key, wait] : std::exchange(wait_rows_, {})) turn_->waits.push_back(std::move(wait));
    for (auto& [key, row] : std::exchange(deadline_rows_, {})) turn_->deadlines.push_back(row);
    for (DagEntry* dag : std::exchange(dag_rows_, {})) {
        dag->row_dirty = false;
        turn_->dags.push_back(dag->state);
    }
    for (DagEntry* dag : std::exchange(failure_rows_, {})) {
        dag->failures_dirty = false;
        turn_->failures.push_back({dag->state.dag_id, dag->failures});
    }
    for (auto at = backfills_.begin(); at != backfills_.end();) {
        auto& entry = at->second;
        if (std::exchange(entry.row_dirty, false)) turn_->backfills.push_back(entry.row);
        if (entry.row.completed_at) {
            dag_entry(entry.row.dag_id).backfills.erase(at->first);
            at = backfills_.erase(at);
        } else {
            ++at;
        }
    }
    for (auto& answer : turn_->answers) answer.seq = last_seq_;
    open_ = false;
    turn_ = nullptr;
}

void Scheduler::Impl::touch(Run& run) {
    run.touched = turn_no_;
    list(run);
}

void Scheduler::Impl::list(Run& run) {
    if (run.listed == turn_no_) return;
    run.listed = turn_no_;
    touched_runs_.push_back(&run);
}

void Scheduler::Impl::touch_row(Run& run) {
    touch(run);
    run.row_dirty = true;
    run.shared.reset();
}

void Scheduler::Impl::check_later(Run& run) {
    if (std::exchange(run.check_queued, true)) return;
    checks_.push_back(&run);
}

void Scheduler::Impl::mark_dirty(DagEntry& dag) {
    if (std::exchange(dag.dirty, true)) return;
    dirty_dags_.push_back(&dag);
}

void Scheduler::Impl::touch_dag_row(DagEntry& dag) {
    if (std::exchange(dag.row_dirty, true)) return;
    dag_rows_.push_back(&dag);
}

void Scheduler::Impl::put_transition(
    const Run& run, TaskNo task, int from, int to, const Cause& cause
) {
    auto& row = turn_->transitions.emplace_back();
    row.seq = {++last_seq_.value};
    row.run = run.row.key;
    row.task = task;
    row.from = from;
    row.to = to;
    row.at = now_;
    row.cause = cause.text;
    row.actor = cause.actor;
}

void Scheduler::Impl::change_run(Run& run, RunState to, const Cause& cause) {
    const RunState from = run.row.state;
    SLUICE_CHECK(legal(from, to));
    put_transition(run, no_task, static_cast<int>(from), static_cast<int>(to), cause);
    run.row.state = to;
    touch_row(run);
    check_later(run);
    mark_dirty(*run.dag);
    if (is_finished(to)) note_end(run);
    if (is_finished(to) && !run.plan->dag->callbacks.empty()) put_run_callbacks(run);
}

void Scheduler::Impl::change(Run& run, Instance& instance, TaskState to, const Cause& cause) {
    const TaskState from = instance.row.state;
    const TaskKey key = instance.row.key;
    SLUICE_CHECK(instance.touched != turn_no_);
    SLUICE_CHECK(legal(from, to));
    auto& family = run.family(key.task);
    if (!waits_.empty()) leave_wait(run, instance, to);
    unready(run, key);
    instance.touched = turn_no_;
    instance.row.state = to;
    family.note_state(key.map_index, from, to);
    // Rows beyond the length of a mapping are no part of the run.
    const bool counts =
        key.map_index == unmapped ? !family.is_expanded() : key.map_index < family.length();
    if (counts) count_change(run, instance, from, to);
    touch(run);
    put_transition(run, key.task, static_cast<int>(from), static_cast<int>(to), cause);
    auto& log = turn_->transitions.back();
    log.map_lo = log.map_hi = key.map_index;
    log.try_number = instance.row.try_number;
    if (is_finished(to)) note_end(run);
    keep_slices(run, key, to);
    auto& row = turn_->tasks.emplace_back();
    row.row = instance.has_row ? RowIs::existing : RowIs::fresh;
    row.from = from;
    row.instance = instance.row;
    instance.has_row = true;
    family.note_row(key.map_index);
    if (key.map_index != unmapped) live_.push_back(key);
    if (!run.task(key.task).callbacks.empty()) put_callbacks(run, instance, from, cause);
    const bool again = to == TaskState::up_for_retry || to == TaskState::none;
    if (again && !run.deadlines.empty()) foresee_later(run, now_);
}

/// What the run and the tasks downstream know of the instance.
void Scheduler::Impl::count_change(
    Run& run, const Instance& instance, TaskState from, TaskState to
) {
    const TaskKey& key = instance.row.key;
    run.waiting += static_cast<int>(is_waiting(to)) - static_cast<int>(is_waiting(from));
    run.unfinished += static_cast<int>(is_finished(from)) - static_cast<int>(is_finished(to));
    if (holds_slots(from) && !holds_slots(to)) vacate(run, instance);
    if (!holds_slots(from) && holds_slots(to)) occupy(run, instance);
    if (!is_finished(from) && !is_finished(to)) return;
    for (const TaskNo down : run.task(key.task).downstream) {
        const bool mapped = run.family(down).mapping != no_map;
        const Kin reach = mapped ? reach_of(run, key.task, down) : Kin::none;
        if (reach != Kin::none) {
            if (reach != Kin::part || changes_part(run, key, from, to))
                look_at_kin(run, key, down, reach);
            continue;
        }
        run.family(down).up.move(from, to, 1, run.family(key.task).nest != nullptr);
        unsettled_.push(run, run.key(down));
    }
    look_beyond(run, key.task);
    check_later(run);
}

/// Who looks at the task without being directly downstream of it: work in a setup's scope, and the
/// runs after this one.
void Scheduler::Impl::look_beyond(Run& run, TaskNo task) {
    for (const TaskNo work : run.plan->tasks[static_cast<std::size_t>(task)].setup_of)
        unsettle(run, work);
    past_changed(run, task);
}

}  // namespace sluice::core
