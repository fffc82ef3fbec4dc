// schedules.cpp — DAGs as they are loaded, paused and gone, and their automated runs.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/error.hpp"
#include "core/impl.hpp"

namespace sluice::core {
namespace {

Timetable::Missed missed(const Dag& dag) {
    return dag.catchup ? Timetable::Missed::run : Timetable::Missed::skip;
}

/// What un-pausing does about the runs that fell due during the pause.
OnUnpause policy(const Dag& dag, const Timetable& timetable) {
    if (dag.on_unpause) return *dag.on_unpause;
    if (dag.catchup) return OnUnpause::all;
    // A trigger kind waits for its next tick; an interval kind loads the latest interval.
    const bool trigger = timetable.is_periodic() && !timetable.is_interval();
    return trigger ? OnUnpause::none : OnUnpause::latest;
}

}  // namespace

DagEntry& Scheduler::Impl::dag_entry(const std::string& dag_id) {
    const auto [at, added] = dag_numbers_.try_emplace(dag_id, static_cast<DagNo>(dags_.size()));
    if (added) {
        auto& entry = *dags_.emplace_back(std::make_unique<DagEntry>());
        entry.no = at->second;
        entry.state.dag_id = dag_id;
    }
    return *dags_[static_cast<std::size_t>(at->second)];
}

void Scheduler::Impl::set_current(DagEntry& dag, const DagPtr& version) {
    Plan* before = dag.current;
    dag.current = &plan_of(version, dag);
    if (before != nullptr && before != dag.current) forget_plan(before, dag);
    try {
        dag.timetable.emplace(*version);
    } catch (const Error&) {
        // A stored version whose zone the system no longer knows: it can still be triggered.
        Dag bare;
        bare.dag_id = version->dag_id;
        dag.timetable.emplace(bare);
    }
    dag.tasks_gate.most = version->max_active_tasks_per_dag;
    set_limits(dag);
    // A limit may have been raised: everybody who waits for one asks again.
    const auto ask_again = [this](Gate& gate) {
        while (!gate.waiting.empty()) queue_.release(gate);
    };
    ask_again(dag.tasks_gate);
    for (auto& [task_id, gate] : dag.task_gates) ask_again(gate);
}

/// Run ids are made of run_after, which delay and jitter put later than the interval's end. When
/// such a schedule is replaced, the time of the last run counts as the end of its interval: else
/// the new schedule could come upon the same time, and the same id, again.
void Scheduler::Impl::note_old_run_after(DagEntry& dag, const Dag& next) {
    auto& last = dag.state.last_automated;
    if (dag.current == nullptr || !last) return;
    const Dag& old = *dag.current->dag;
    const bool same = old.schedule == next.schedule && old.timezone == next.timezone &&
                      old.start_date == next.start_date;  // where a delta's steps begin
    if (same) return;
    const Instant end = std::min(dag.timetable->run_after(last->end), now_);
    if (end <= last->end) return;
    last->end = end;
    touch_dag_row(dag);
}

Taken Scheduler::Impl::on(const DagLoaded& event) {
    // Its version goes with the rest of the deleted DAG: the file is read again after that.
    if (is_being_removed(event.dag->dag_id)) return Taken::yes;
    const bool fresh = !dag_numbers_.contains(event.dag->dag_id);
    auto& dag = dag_entry(event.dag->dag_id);
    if (fresh)
        dag.state.is_paused = event.dag->is_paused_upon_creation.value_or(event.paused_at_creation);
    note_old_run_after(dag, *event.dag);
    set_current(dag, event.dag);
    subscribe(dag);
    if (fresh || dag.state.is_stale || dag.state.current != event.dag->version) {
        dag.state.current = event.dag->version;
        dag.state.is_stale = false;
        touch_dag_row(dag);
    }
    if (fresh && !dag.state.is_paused) resume_schedule(dag);
    mark_dirty(dag);
    return Taken::yes;
}

Taken Scheduler::Impl::on(const DagGone& event) {
    const auto at = dag_numbers_.find(event.dag_id);
    if (at == dag_numbers_.end()) return Taken::yes;
    auto& dag = *dags_[static_cast<std::size_t>(at->second)];
    if (dag.state.is_stale) return Taken::yes;
    dag.state.is_stale = true;
    touch_dag_row(dag);
    mark_dirty(dag);
    return Taken::yes;
}

Taken Scheduler::Impl::on(const PauseDag& event) {
    const auto at = dag_numbers_.find(event.dag_id);
    if (at == dag_numbers_.end()) {
        refuse(event.request, ErrorCode::not_found, "no DAG \"" + event.dag_id + "\"");
        return Taken::yes;
    }
    auto& dag = *dags_[static_cast<std::size_t>(at->second)];
    if (dag.state.is_paused != event.paused) {
        dag.state.is_paused = event.paused;
        touch_dag_row(dag);
        if (!event.paused) resume_schedule(dag);
        mark_dirty(dag);
    }
    audit(event.actor, event.paused ? "pause" : "unpause", {event.dag_id});
    (void)answer(event.request);
    return Taken::yes;
}

/// Decides what becomes of the runs that fell due while the DAG was paused, by moving the end of
/// the last automated interval: the next run is always computed from there.
void Scheduler::Impl::resume_schedule(DagEntry& dag) {
    if (dag.current == nullptr || dag.state.is_stale) return;
    const Dag& version = *dag.current->dag;
    const Timetable& timetable = *dag.timetable;
    auto& last = dag.state.last_automated;
    const auto move_to = [&](const std::optional<Interval>& done) {
        if (!done || (last && last->end >= done->end)) return;
        last = done;
        touch_dag_row(dag);
    };
    switch (policy(version, timetable)) {
        case OnUnpause::none:
            move_to(timetable.latest_due(now_));
            return;
        case OnUnpause::latest: {
            if (!version.catchup || !timetable.is_periodic()) return;
            const auto run = timetable.next_run(last, Timetable::Missed::skip, now_);
            if (!run || timetable.nominal_run_after(run->interval.end) > now_) return;
            const Instant end =
                timetable.is_interval()
                    ? run->interval.start
                    : timetable.previous_tick(run->interval.end).value_or(Instant{});
            move_to(Interval{end, end});
            return;
        }
        case OnUnpause::all:
            // With catchup this is how the schedule works anyway.
            if (version.catchup || !timetable.is_periodic()) return;
            while (create_next(dag, Timetable::Missed::run)) {
            }
            return;
    }
}

/// Creates the next automated run if it is due. False = it is not, or there is none.
bool Scheduler::Impl::create_next(DagEntry& dag, Timetable::Missed missed_runs) {
    const auto next = dag.timetable->next_run(dag.state.last_automated, missed_runs, now_);
    if (!next || next->run_after > now_) return false;
    DagRun row;
    row.type = RunType::scheduled;
    row.triggered_by = TriggeredBy::timetable;
    row.run_id = "scheduled__" + format_offset(next->run_after);
    row.logical_date = next->logical_date;
    row.data_interval = next->interval;
    row.run_after = next->run_after;
    create_run(std::move(row), dag);
    dag.state.last_automated = next->interval;
    touch_dag_row(dag);
    return true;
}

int Scheduler::Impl::most_automated(const DagEntry& dag) {
    const bool one = dag.timetable->kind() == ScheduleKind::continuous;
    return one ? 1 : dag.current->dag->max_active_runs;
}

/// Runs that are due are created up to max_active_runs open ones: a long catch-up or a slow DAG
/// does not fill the queue; each end of a run makes room for the next.
void Scheduler::Impl::advance(DagEntry& dag) {
    if (dag.current == nullptr) return;
    const Dag& version = *dag.current->dag;
    const bool active = !dag.state.is_paused && !dag.state.is_stale;
    if (active) {
        while (has_room_for_automated(dag) && create_next(dag, missed(version))) {
        }
        make_asset_runs(dag);
    }
    std::optional<RunTimes> next;
    if (!dag.state.is_stale)
        next = dag.timetable->next_run(dag.state.last_automated, missed(version), now_);
    show_next(dag, next);
    // Without room for another one, the end of a run asks again.
    if (next && active && has_room_for_automated(dag)) wake_dag(dag, next->run_after);
}

void Scheduler::Impl::wake_dag(DagEntry& dag, Instant at) {
    if (at <= now_ || (dag.timer_at && *dag.timer_at <= at)) return;
    dag.timer_at = at;
    timers_.add({at, Timer::Kind::dag, dag.no, {}, 0});
}

void Scheduler::Impl::show_next(DagEntry& dag, const std::optional<RunTimes>& next) {
    auto& state = dag.state;
    // A continuous DAG's next run begins when the last one ends: there is nothing to show.
    const bool show = next && dag.timetable->kind() != ScheduleKind::continuous;
    const auto run_after = show ? std::optional{next->run_after} : std::nullopt;
    const auto interval = show ? std::optional{next->interval} : std::nullopt;
    if (state.next_run_after == run_after && state.next_interval == interval) return;
    state.next_run_after = run_after;
    state.next_interval = interval;
    state.next_logical_date = show ? std::optional{next->logical_date} : std::nullopt;
    touch_dag_row(dag);
}

void Scheduler::Impl::look_at_dirty_dags() {
    while (!dirty_dags_.empty()) {
        DagEntry& dag = *dirty_dags_.back();
        dirty_dags_.pop_back();
        dag.dirty = false;
        // First what is queued, then room for new automated runs, then these.
        start_runs(dag);
        advance(dag);
        start_runs(dag);
        look_at_backfills(dag);
    }
}

}  // namespace sluice::core
