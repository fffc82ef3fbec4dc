// dispatching.cpp — which tasks may start, in which order, and starting them.
#include <algorithm>

#include "base/check.hpp"
#include "core/impl.hpp"

namespace sluice::core {

/// Follows the changes of this turn downstream, without recursion: a chain may be very long.
void Scheduler::Impl::settle() {
    while (!unsettled_.empty()) {
        const auto next = unsettled_.pop();
        evaluate(*next.run, next.key);
    }
}

void Scheduler::Impl::hold_over(Run& run, const TaskKey& key) {
    run.held = turn_no_;
    held_over_.push_back(key);
    again_ = true;
}

void Scheduler::Impl::make_ready(Run& run, const TaskKey& key) {
    // Looked at again when the run is cleared; pokes go on.
    if (run.clearing && !is_poked(run.state(key))) return;
    auto& family = run.family(key.task);
    if (!family.set_ready(key.map_index, true)) return;
    if (auto* instance = family.find_live(key.map_index)) instance->ready_since = now_;
    if (!is_waiting(run.state(key))) ++run.waiting;
    ++ready_;
    if (key.map_index == unmapped)
        family.one.ticket = queue_up(run, key);
    else
        queue_family(run, family);
}

/// A number that no other entry ever has, as long as the process lives: whatever becomes of the run
/// (it ends, is cleared and read again, moves to another version), an entry of before stays void.
Ticket Scheduler::Impl::queue_up(Run& run, const TaskKey& key) {
    ReadyTask task;
    const auto& plan = run.plan->tasks[static_cast<std::size_t>(key.task)];
    task.weight = plan.weight;
    task.dag = run.dag->no;
    task.run_after = run.row.run_after;
    task.run = run.row.key;
    task.task = key.task;
    task.map_index = key.map_index;
    task.ticket = ++last_ticket_;
    task.lane = run.row.type == RunType::backfill ? plan.backfill_lane : plan.lane;
    task.since = now_;
    queue_.push(task);
    return task.ticket;
}

/// One entry stands for all ready instances of a mapped task: whoever takes it starts the first.
void Scheduler::Impl::queue_family(Run& run, Family& family) {
    if (family.queued || family.ready_count() == 0) return;
    family.queued = true;
    family.ticket = queue_up(run, run.key(family.one.row.key.task, family.next_ready(0)));
}

void Scheduler::Impl::unready(Run& run, const TaskKey& key) {
    if (!run.family(key.task).set_ready(key.map_index, false)) return;
    if (!is_waiting(run.state(key))) --run.waiting;
    --ready_;
    check_later(run);
}

/// The instance that the entry stands for; none if it is void.
std::optional<TaskKey> Scheduler::Impl::find_ready(const ReadyTask& task) {
    Run* run = find_run(task.run);
    if (run == nullptr || run->row.state != RunState::running) return std::nullopt;
    auto& family = run->family(task.task);
    if (task.map_index == unmapped) {
        const bool valid = family.one.ready && family.one.ticket == task.ticket;
        return valid ? std::optional{task.key()} : std::nullopt;
    }
    if (family.ticket != task.ticket || !family.queued) return std::nullopt;
    // One that changed in this turn starts in the next; others need not wait for it.
    const MapIndex first = family.next_ready(0);
    for (MapIndex i = first; i != unmapped; i = family.next_ready(i + 1))
        if (const auto* live = family.find_live(i); live == nullptr || live->touched != turn_no_)
            return run->key(task.task, i);
    if (first == unmapped) family.queued = false;
    return first == unmapped ? std::nullopt : std::optional{run->key(task.task, first)};
}

/// A task that its gate let go does not start: the next one of that gate gets the place.
void Scheduler::Impl::pass_on(const ReadyTask& task) {
    Run* run = find_run(task.run);
    switch (task.origin) {
        case Origin::ready:
            return;
        case Origin::dag_gate:
            queue_.release(*task.dag_gate, task.lane);
            return;
        case Origin::run_gate:
            if (run != nullptr) queue_.release(run->gate, task.lane);
            return;
        case Origin::run_task_gate:
            if (run == nullptr) return;
            // The run that is there now may be on a version without that limit.
            if (const auto gate = run->task_gates.find(task.task); gate != run->task_gates.end())
                queue_.release(gate->second, task.lane);
            return;
    }
}

/// The limits that an attempt of the task counts in; null = it has no such limit.
std::array<Gate*, 4> Scheduler::Impl::gates_of(Run& run, TaskNo task) {
    const auto& plan = run.plan->tasks[static_cast<std::size_t>(task)];
    Gate* per_run = plan.per_run_gate ? &run.task_gates.at(task) : nullptr;
    return {per_run, plan.dag_gate, &run.gate, &run.dag->tasks_gate};
}

Gate* Scheduler::Impl::full_gate(Run& run, TaskNo task) {
    for (Gate* gate : gates_of(run, task))
        if (gate != nullptr && gate->is_full()) return gate;
    return nullptr;
}

void Scheduler::Impl::dispatch_ready() {
    queue_.open_lanes();
    reserved_.clear();
    while (has_room()) {
        const ReadyTask* best = queue_.best();
        if (best == nullptr) return;
        const auto key = find_ready(*best);
        if (!key) {
            pass_on(queue_.pop_best());
            continue;
        }
        Run& run = *find_run(best->run);
        auto& family = run.family(key->task);
        if (const auto* live = family.find_live(key->map_index);
            live != nullptr && live->touched == turn_no_) {
            start_later_.push_back(queue_.pop_best());
            again_ = true;
            continue;
        }
        if (Gate* gate = full_gate(run, best->task)) {
            const ReadyTask held = queue_.pop_best();
            ReadyQueue::hold(*gate, held);
            const bool same =
                held.origin == gate->kind && (held.dag_gate == nullptr || held.dag_gate == gate);
            if (!same) pass_on(held);
            continue;
        }
        const Demand& demand = queue_.demand(best->lane);
        if (is_reserved(demand)) {
            queue_.close_lane(best->lane);
            continue;
        }
        if (!pools_.fits(demand)) {
            if (now_ - best->since >= settings_.reserve_after) reserve(demand);
            queue_.close_lane(best->lane);
            continue;
        }
        (void)queue_.pop_best(FairHeap::Popped::started);
        auto& instance = run.at(*key);
        if (key->map_index != unmapped) {
            if (instance.ready_since == Instant{}) instance.ready_since = ready_since(run, *key);
            family.queued = false;
        }
        if (is_poked(instance.row.state))
            start_poke(run, instance);
        else
            start_attempt(run, instance);
        queue_family(run, family);
    }
}

/// Of an instance of which nothing is in memory but that it may start.
Instant Scheduler::Impl::ready_since(const Run& run, const TaskKey& key) const {
    Instant since = run.family(key.task).ready_since;
    for (const TaskNo up : run.task(key.task).upstream) {
        const Kin reach = reach_of(run, up, key.task);
        const bool one = reach == Kin::same || reach == Kin::outer;
        if (!one || !run.family(up).is_expanded()) continue;
        const MapIndex index =
            reach == Kin::outer ? run.family(key.task).outer_of(key.map_index) : key.map_index;
        since = std::max(since, run.family(up).end(index).value_or(since));
    }
    return since == Instant{} ? now_ : since;
}

bool Scheduler::Impl::is_reserved(const Demand& demand) const {
    if (reserved_.empty()) return false;
    for (std::size_t i = 0; i < static_cast<std::size_t>(demand.size); ++i)
        if (reserved_.contains(demand.parts[i].pool)) return true;
    return false;
}

/// Tasks of lower order leave the pools alone until this one fits: many small ones would starve it.
void Scheduler::Impl::reserve(const Demand& demand) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(demand.size); ++i) {
        const auto& [pool, amount] = demand.parts[i];
        // What can never fit must not close the pool for all others.
        const auto slots = pools_.all()[static_cast<std::size_t>(pool)].pool.slots;
        if (slots != -1 && amount > slots) return;
    }
    for (std::size_t i = 0; i < static_cast<std::size_t>(demand.size); ++i)
        reserved_.insert(demand.parts[i].pool);
}

void Scheduler::Impl::start_attempt(Run& run, Instance& instance) {
    auto& row = instance.row;
    if (row.start_date) put_record(instance, TaskState::failed, false);
    if (row.starts > 0) turn_->xcoms_cleared.push_back(row.key);
    ++row.try_number;
    ++row.starts;
    ++row.attempts_since_clear;
    row.scheduled_at = instance.ready_since;
    row.queued_at = now_;
    row.start_date = now_;
    row.end_date.reset();
    row.next_try_at.reset();
    row.error_class = ErrorClass::none;
    row.error.clear();
    row.note.clear();
    instance.timed_out = false;
    change(run, instance, TaskState::running, {"dispatch"});

    const auto& order = put_order(run, instance);
    if (!order.deadline) return;
    timers_.add({*order.deadline, Timer::Kind::deadline, 0, row.key, row.starts});
}

/// What the executor is told, of an attempt or of a later poke of it.
AttemptOrder& Scheduler::Impl::put_order(Run& run, const Instance& instance) {
    const auto& row = instance.row;
    auto& order = turn_->starts.emplace_back();
    order.key = {row.key, row.starts};
    order.dag = run.plan->dag;
    if (!run.shared) run.shared = std::make_shared<const DagRun>(run.row);
    order.run = run.shared;
    order.try_number = row.try_number;
    order.max_tries = row.max_tries;
    order.start_date = now_;
    if (const Nest* nest = run.family(row.key.task).nest) {
        const auto place = nest->place(row.key.map_index);
        order.outer = place.outer;
        order.inner = place.inner;
    }
    if (const auto& timeout = run.task(row.key.task).execution_timeout)
        order.deadline = now_ + *timeout;
    if (waits_.empty()) return order;
    if (const auto at = waits_.find(row.key); at != waits_.end())
        order.poke = PokeInfo{at->second.row.first_at, at->second.pokes, at->second.row.resume};
    return order;
}

void Scheduler::Impl::occupy(Run& run, const Instance& instance) {
    const TaskNo no = instance.row.key.task;
    const auto& plan = run.plan->tasks[static_cast<std::size_t>(no)];
    pools_.take(queue_.demand(plan.lane));
    ++running_;
    ++run.active;
    ++run.gate.active;
    ++run.dag->tasks_gate.active;
    if (plan.dag_gate != nullptr) ++plan.dag_gate->active;
    if (plan.per_run_gate) ++run.task_gates.at(no).active;
}

void Scheduler::Impl::vacate(Run& run, const Instance& instance) {
    const TaskNo no = instance.row.key.task;
    const auto& plan = run.plan->tasks[static_cast<std::size_t>(no)];
    pools_.give(queue_.demand(plan.lane));
    --running_;
    --run.active;
    const auto leave = [this](Gate& gate) {
        --gate.active;
        SLUICE_CHECK(gate.active >= 0);
        queue_.release(gate);
    };
    leave(run.gate);
    leave(run.dag->tasks_gate);
    if (plan.dag_gate != nullptr) leave(*plan.dag_gate);
    if (plan.per_run_gate) leave(run.task_gates.at(no));
}

}  // namespace sluice::core
