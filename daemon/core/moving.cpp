// moving.cpp — a run goes on with another version of its DAG (semantics 13). The version comes in
// the run's own task numbers (model/layout), so rows keep their keys and one changed row of the run
// is the move. Instances of tasks that are gone become `removed`; those of a task that is mapped in
// another way begin anew; new tasks are there without a state. What remains is judged in the next
// turn: an instance changes once a turn.
#include <algorithm>

#include "base/check.hpp"
#include "core/impl.hpp"

namespace sluice::core {
namespace {

const Task& task_of(const Plan& plan, const Family& family) {
    return plan.dag->tasks[static_cast<std::size_t>(family.one.row.key.task)];
}

/// The instances that the mapping makes, as the run knows it; -1 = not known.
std::int32_t length_in(const Run& run, MapNo map) {
    if (map == no_map || static_cast<std::size_t>(map) >= run.expansions.size()) return -1;
    return run.expansions[static_cast<std::size_t>(map)].length;
}

}  // namespace

/// Tasks that the run has not, or has no more.
bool Scheduler::Impl::brings_tasks(const Run& run, const Plan& plan) {
    for (std::size_t i = 0; i < plan.dag->tasks.size(); ++i) {
        const auto task = static_cast<TaskNo>(i);
        if (plan.dag->tasks[i].gone || plan.is_outside(task)) continue;
        if (i >= run.tasks.size() || run.task(task).gone) return true;
    }
    return false;
}

void Scheduler::Impl::move_onto(Run& run, Plan& plan, const Cause& cause) {
    run.moved = turn_no_;
    const DagPtr before = run.plan->dag;
    drop_ending(run);
    const auto ready = leave_queue(run);
    remove_rest(run, plan, cause);
    hold_places(run, false);
    take_plan(run, plan);
    take_families(run);
    recount(run);
    run.active = 0;
    hold_places(run, true);
    read_choices(run);
    past_changed(run, no_task);  // the next runs' tasks may be among the new ones, or gone
    if (is_finished(run.row.state)) return;
    move_deadlines(run, *before);
    if (run.row.state != RunState::running) return;
    weigh(plan, *run.dag);
    run.past.asked = false;
    run.past.question = 0;
    run.past.known = false;
    ask_past(run);
    if (const auto& timeout = plan.dag->dagrun_timeout)
        timers_.add({*run.row.start_date + *timeout, Timer::Kind::run_timeout, 0, {run.row.key}, 0}
        );
    for (const TaskKey& key : ready)
        if (run.has(key) && is_waiting(run.state(key))) make_ready(run, key);
    for (const auto& family : run.tasks) hold_over(run, family.one.row.key);
    check_later(run);
}

/// Nothing of the run waits for a slot. Returns what must do so again whatever the version: pokes,
/// retries, attempts that were lost.
std::vector<TaskKey> Scheduler::Impl::leave_queue(Run& run) {
    std::vector<TaskKey> again;
    const auto leave = [&](const TaskKey& key) {
        if (is_waiting(run.state(key))) again.push_back(key);
        unready(run, key);
    };
    for (auto& family : run.tasks) {
        const TaskNo task = family.one.row.key.task;
        if (family.one.ready) leave(run.key(task));
        for (MapIndex i = family.next_ready(0); i != unmapped; i = family.next_ready(i + 1))
            leave(run.key(task, i));
        family.queued = false;
    }
    return again;
}

/// By the old plan: what the new one has no place for.
void Scheduler::Impl::remove_rest(Run& run, const Plan& plan, const Cause& cause) {
    for (auto& family : run.tasks) {
        const Task& before = run.task(family.one.row.key.task);
        const Task& after = task_of(plan, family);
        const auto length = length_in(run, after.mapping);
        if (after.gone && !before.gone)
            remove_task(run, family, cause);
        else if (before.gone && !after.gone)
            return_task(run, family, length, after.retries);
        else if (before.mapping != after.mapping)
            remap_task(run, family, length, cause);
    }
}

/// What has no row of its own begins anew, and is gone with its place.
void Scheduler::Impl::drop_ranges(Run& run, Family& family, const Cause& cause) {
    if (!family.is_expanded()) return;
    const TaskNo task = family.one.row.key.task;
    MapIndex lo = 0;
    while (lo < family.length()) {
        const TaskState state = family.state(lo);
        MapIndex end = lo;
        while (end < family.length() && !family.has_row(end) && family.state(end) == state) ++end;
        if (end > lo && state != TaskState::none) {
            MapRange range;
            range.run = run.row.key;
            range.task = task;
            range.lo = lo;
            range.hi = end - 1;
            range.state = state;
            change_range(run, range, TaskState::none, cause, "");
        }
        lo = std::max(end, lo + 1);
    }
}

void Scheduler::Impl::remove_instance(Run& run, Instance& instance, const Cause& cause) {
    auto& row = instance.row;
    if (holds_slots(row.state))
        turn_->cancels.push_back({{row.key, row.starts}, CancelReason::user});
    change(run, instance, TaskState::removed, cause);
}

/// Its rows stay as they are but for the state.
void Scheduler::Impl::remove_task(Run& run, Family& family, const Cause& cause) {
    const TaskNo task = family.one.row.key.task;
    const auto remove = [&](Instance& instance) {
        auto& row = instance.row;
        if (!is_finished(row.state) || !row.end_date) row.end_date = now_;
        row.next_try_at.reset();
        remove_instance(run, instance, cause);
    };
    remove(family.one);
    drop_ranges(run, family, cause);
    for (MapIndex i = 0; i < family.end_of_rows(); ++i)
        if (family.has_row(i) && family.state(i) != TaskState::removed)
            remove(run.at(run.key(task, i)));
}

/// A task that a version before the last one had is there again.
void Scheduler::Impl::return_task(Run& run, Family& family, std::int32_t length, int retries) {
    const Cause cause{"clear"};
    const auto begin_anew = [&](Instance& instance) {
        if (instance.row.state != TaskState::removed) return;
        wipe(run, instance);
        instance.row.max_tries = instance.row.try_number + retries;
        change(run, instance, TaskState::none, cause);
    };
    begin_anew(family.one);
    for (MapIndex i = 0; i < std::min<MapIndex>(length, family.end_of_rows()); ++i)
        if (family.has_row(i)) begin_anew(run.at(run.key(family.one.row.key.task, i)));
}

/// The task is mapped in another way: its instances begin anew, those beyond the number that is
/// known are removed.
void Scheduler::Impl::remap_task(
    Run& run, Family& family, std::int32_t length, const Cause& cause
) {
    const TaskNo task = family.one.row.key.task;
    if (!family.is_expanded()) clear_instance(run, family.one, cause);
    drop_ranges(run, family, cause);
    for (MapIndex i = 0; i < family.end_of_rows(); ++i) {
        const TaskState state = family.state(i);
        if (!family.has_row(i) || (state == TaskState::removed && i >= length)) continue;
        auto& instance = run.at(run.key(task, i));
        if (i < length) {
            clear_instance(run, instance, cause);
        } else {
            if (state != TaskState::none) wipe(run, instance);
            remove_instance(run, instance, cause);
        }
    }
}

/// Slots and places in pools are counted by the plan: given back by the old one, taken by the new.
void Scheduler::Impl::hold_places(Run& run, bool held) {
    run.each_live([&](const Instance& instance) {
        const auto& row = instance.row;
        const auto wait = waits_.find(row.key);
        const bool pokes = wait != waits_.end() && wait->second.poke != 0;
        if (wait != waits_.end() && wait->second.in_pool) {
            const auto& planned = run.plan->tasks[static_cast<std::size_t>(row.key.task)];
            pools_.defer(queue_.demand(planned.lane), held ? 1 : -1);
        }
        if (!holds_slots(row.state) && !pokes) return;
        if (held)
            occupy(run, instance);
        else
            vacate(run, instance);
    });
}

void Scheduler::Impl::take_plan(Run& run, Plan& plan) {
    Plan* before = run.plan;
    if (!before->past_tasks.empty()) --run.dag->past_runs;
    if (!plan.past_tasks.empty()) ++run.dag->past_runs;
    run.plan = &plan;
    ++plan.open_runs;
    --before->open_runs;
    forget_plan(before, *run.dag);
    run.row.version = plan.whole->version;
    touch_row(run);
    run.gate.most = plan.dag->max_active_tasks_per_run;
    // Those of before stay where they are: entries of the queue know their numbers.
    for (auto& [task, gate] : run.task_gates) gate.most.reset();
    for (std::size_t i = 0; i < plan.dag->tasks.size(); ++i) {
        const auto& most = plan.dag->tasks[i].max_active_tis_per_dagrun;
        if (!most) continue;
        auto& gate = run.task_gates[static_cast<TaskNo>(i)];
        gate.kind = Origin::run_task_gate;
        gate.most = most;
    }
}

void Scheduler::Impl::take_families(Run& run) {
    const Dag& dag = *run.plan->dag;
    const auto is_used = [&](std::size_t map) {
        bool used = false;
        each_mapped(dag, static_cast<MapNo>(map), [&](TaskNo) { used = true; });
        return used;
    };
    std::vector<MapNo> closed;
    for (std::size_t map = 0; map < run.expansions.size(); ++map) {
        auto& known = run.expansions[map];
        known.asked_by = no_task;
        if (known.nest)
            for (auto& part : known.nest->parts) part.asked_by = no_task;
        if (is_used(map) || known.length < 0) continue;
        if (known.nest) {
            closed.push_back(static_cast<MapNo>(map));
            continue;
        }
        known.length = -1;
        turn_->map_lengths.push_back({run.row.key, static_cast<MapNo>(map), -1, 0, "{}"});
    }
    run.expansions.resize(dag.mappings.size());
    run.tasks.resize(dag.tasks.size());
    for (std::size_t i = 0; i < dag.tasks.size(); ++i) {
        auto& family = run.tasks[i];
        const Task& task = dag.tasks[i];
        const bool differs = task.gone || task.mapping != family.mapping;
        if (family.is_expanded() && differs) family.fold();
        family.mapping = task.mapping;
        family.retries = task.retries;
        family.seen.reset();
        auto& one = family.one;
        one.row.key = {run.row.key, static_cast<TaskNo>(i), unmapped};
        if (!one.has_row) one.row.max_tries = task.retries;
        const auto length = length_in(run, task.mapping);
        if (length <= 0 || family.is_expanded() || one.row.state != TaskState::none) continue;
        family.nest = run.expansions[static_cast<std::size_t>(task.mapping)].nest.get();
        family.expand(length);
    }
    for (const MapNo map : closed) close_nest(run, map);
}

/// What branches chose, in the tasks of the new version; a choice that it does not offer is
/// forgotten.
void Scheduler::Impl::read_choices(Run& run) {
    std::vector<TaskKey> unknown;
    for (auto& [key, choice] : run.choices) {
        const bool gone = run.task(key.task).gone;
        auto skips = gone ? std::nullopt : skipped_by(*run.plan->whole, key.task, choice.branch);
        if (skips)
            choice.skips = std::move(*skips);
        else
            unknown.push_back(key);
    }
    for (const TaskKey& key : unknown) forget_choice(run, key);
}

}  // namespace sluice::core
