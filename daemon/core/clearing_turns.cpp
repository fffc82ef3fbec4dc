// clearing_turns.cpp — a clear of very many instances, so many in a turn that others are served
// between. What is still to be cleared is a row of its own (model/turn, Clearing): a daemon that
// comes back goes on with it. Until it is over nothing of the run is judged, started or ended, so
// nobody acts on a run that is half cleared.
#include <algorithm>

#include "core/impl.hpp"

namespace sluice::core {
namespace {

bool is_meant(const Clearing& clearing, TaskState state) {
    if (state == TaskState::none || state == TaskState::removed) return false;
    if (clearing.only_failed && !is_failure(state)) return false;
    return !clearing.only_running || holds_slots(state);
}

/// Adds a part, or makes the last one longer where nothing between them is meant: so the rest of a
/// clear of the failed ones is short, however they are scattered.
void add_part(const Run& run, Clearing& clearing, const Clearing::Part& part) {
    auto& rest = clearing.rest;
    bool joined = !rest.empty() && rest.back().task == part.task && part.lo != unmapped;
    for (MapIndex i = joined ? rest.back().hi + 1 : part.lo; joined && i < part.lo; ++i)
        joined = !is_meant(clearing, run.family(part.task).state(i));
    if (joined)
        rest.back().hi = part.hi;
    else
        rest.push_back(part);
}

}  // namespace

void Scheduler::Impl::clear_many(
    Run& run, const std::vector<Indexes>& chosen, const Scope& scope, const Cause& cause
) {
    // Those without a row change together, in one.
    std::int64_t count = 0;
    for (const auto& which : chosen)
        for (MapIndex i = which.lo; i <= which.hi; ++i)
            if (run.family(which.task).has_row(i)) ++count;
    if (count <= settings_.clear_at_once) {
        // Their order: what becomes of the mappings is decided when all are cleared.
        for (const auto& which : chosen) clear(run, which, cause);
        return;
    }
    for (const TaskKey& key : leave_queue(run))
        if (is_poked(run.state(key))) make_ready(run, key);
    auto& clearing = run.clearing.emplace();
    clearing.run = run.row.key;
    clearing.only_failed = scope.only_failed;
    clearing.only_running = scope.only_running;
    clearing.actor = cause.actor;
    for (const auto& which : chosen) {
        add_part(run, clearing, {which.task, which.lo, which.hi});
        if (clearing.tasks.empty() || clearing.tasks.back() != which.task)
            clearing.tasks.push_back(which.task);
    }
    clear_part(run);
}

/// First thing in a turn: nothing of it has changed yet.
void Scheduler::Impl::clear_more() {
    for (const RunKey key : std::exchange(clearing_, {}))
        if (Run* run = find_run(key); run != nullptr && run->clearing) clear_part(*run);
}

void Scheduler::Impl::clear_part(Run& run) {
    auto& rest = run.clearing->rest;
    const std::string actor = run.clearing->actor;
    const Cause cause{"clear", actor};
    int left = settings_.clear_at_once;
    auto part = rest.begin();
    while (part != rest.end() && left > 0) {
        const Family& family = run.family(part->task);
        // A run that moved may have no such instances any more, and after a restart no place for
        // them.
        const auto meant = [&](MapIndex i) {
            return family.has(i) && is_meant(*run.clearing, family.state(i));
        };
        const auto cost = [&](MapIndex i) { return family.has_row(i) ? 1 : 0; };
        // From the first that is meant to the last before one that is not.
        MapIndex lo = part->lo;
        while (lo < part->hi && !meant(lo)) ++lo;
        MapIndex hi = lo;
        left -= 1;
        while (hi < part->hi && meant(hi + 1) && left >= cost(hi + 1)) left -= cost(++hi);
        if (meant(lo)) clear_rows(run, {part->task, lo, hi}, cause);
        part->lo = hi + 1;
        if (hi >= part->hi) ++part;
    }
    rest.erase(rest.begin(), part);
    touch(run);
    if (rest.empty()) return end_clearing(run);
    put_clearing(run);
    clearing_.push_back(run.row.key);
    again_ = true;
}

void Scheduler::Impl::put_clearing(Run& run) {
    std::erase_if(turn_->clearings, [&](const Clearing& row) { return row.run == run.row.key; });
    turn_->clearings.push_back(*run.clearing);
}

/// All is cleared: the run is judged again.
void Scheduler::Impl::end_clearing(Run& run) {
    run.clearing->over = true;
    put_clearing(run);
    const auto tasks = std::move(run.clearing->tasks);
    run.clearing.reset();
    for (const TaskNo task : tasks) clear_done(run, task);
    mark_dirty(*run.dag);
    if (run.row.state != RunState::running) return;
    for (auto& family : run.tasks) {
        family.seen.reset();
        unsettled_.push(run, family.one.row.key);
    }
    run.each_live([&](const Instance& instance) {
        const auto& row = instance.row;
        if (row.state == TaskState::none)
            unsettled_.push(run, row.key);
        else if (row.state == TaskState::scheduled)
            make_ready(run, row.key);
        else if (row.state == TaskState::up_for_retry)
            timers_.add({row.next_try_at.value_or(now_), Timer::Kind::retry, 0, row.key, row.starts}
            );
    });
    if (const auto& timeout = run.plan->dag->dagrun_timeout)
        timers_.add({*run.row.start_date + *timeout, Timer::Kind::run_timeout, 0, {run.row.key}, 0}
        );
    check_later(run);
}

}  // namespace sluice::core
