// clearing.cpp — making instances run again: which ones a clear means, and what it does to them.
#include <fmt/format.h>

#include "base/check.hpp"
#include "core/impl.hpp"

namespace sluice::core {
namespace {

/// Adds everything reachable from the chosen tasks over `next`.
void add_reachable(
    const Dag& dag, std::vector<bool>& chosen, const std::vector<TaskNo> Task::* next
) {
    std::vector<TaskNo> open;
    for (std::size_t i = 0; i < chosen.size(); ++i)
        if (chosen[i]) open.push_back(static_cast<TaskNo>(i));
    while (!open.empty()) {
        const auto& task = dag.tasks[static_cast<std::size_t>(open.back())];
        open.pop_back();
        for (const TaskNo other : task.*next) {
            if (chosen[static_cast<std::size_t>(other)]) continue;
            chosen[static_cast<std::size_t>(other)] = true;
            open.push_back(other);
        }
    }
}

}  // namespace

/// The instances that a clear means, in order; all of the run's if none is named.
std::vector<TaskKey> Scheduler::Impl::select(
    const Run& run, const std::vector<TaskKey>& tasks, const Scope& scope
) {
    const Dag& dag = *run.plan->dag;
    std::vector<bool> chosen(dag.tasks.size(), tasks.empty());
    for (const TaskKey& key : tasks) chosen[static_cast<std::size_t>(key.task)] = true;
    auto with_upstream = chosen;
    if (scope.upstream) add_reachable(dag, with_upstream, &Task::upstream);
    if (scope.downstream) add_reachable(dag, chosen, &Task::downstream);
    std::vector<TaskKey> result;
    run.each([&](const Instance& instance) {
        const auto no = static_cast<std::size_t>(instance.row.key.task);
        if (!chosen[no] && !with_upstream[no]) return;
        const TaskState state = instance.row.state;
        if (state == TaskState::none) return;
        if (scope.only_failed && !is_failure(state)) return;
        if (scope.only_running && !holds_slots(state)) return;
        result.push_back(instance.row.key);
    });
    return result;
}

/// None if every key names a task of the run; else what is wrong.
std::optional<std::string> Scheduler::Impl::bad_key(
    const Run& run, const std::vector<TaskKey>& tasks
) {
    for (const TaskKey& key : tasks)
        if (!run.has(key)) return "run \"" + run.row.run_id + "\" has no such task instance";
    return std::nullopt;
}

void Scheduler::Impl::clear_instance(Run& run, Instance& instance, const Cause& cause) {
    auto& row = instance.row;
    if (row.state == TaskState::none || row.state == TaskState::restarting) return;
    row.max_tries = row.try_number + run.task(row.key.task).retries;
    row.attempts_since_clear = 0;
    row.lost_in_a_row = 0;
    if (holds_slots(row.state)) {
        // Its attempt is ended first; the slot stays taken until it has.
        turn_->cancels.push_back({{row.key, row.starts}, CancelReason::user});
        change(run, instance, TaskState::restarting, cause);
        return;
    }
    if (row.start_date) put_record(instance, row.state, false);
    row.scheduled_at.reset();
    row.queued_at.reset();
    row.start_date.reset();
    row.end_date.reset();
    row.next_try_at.reset();
    row.error_class = ErrorClass::none;
    row.error.clear();
    row.note.clear();
    change(run, instance, TaskState::none, cause);
    unsettled_.push(run, row.key);
}

/// A finished run is queued again. It starts in a later turn: its row changes once a turn.
void Scheduler::Impl::reopen(Run& run, const Cause& cause) {
    SLUICE_CHECK(is_finished(run.row.state));
    ++run.row.clear_number;
    run.row.start_date.reset();
    run.row.end_date.reset();
    run.row.reason.clear();
    run.row.queued_at = now_;
    run.cleared = turn_no_;
    change_run(run, RunState::queued, cause);
    if (run.row.type == RunType::scheduled) ++run.dag->open_automated;
    enqueue(run);
}

Taken Scheduler::Impl::on(const ClearTasks& event) {
    Run* run = find_or_load(event.run, event.stored);
    if (run == nullptr) {
        refuse(event.request, ErrorCode::not_found, "no such DAG run");
        return Taken::yes;
    }
    if (is_touched(*run)) return Taken::next_turn;
    if (run->tasks.empty()) make_instances(*run);
    if (const auto wrong = bad_key(*run, event.tasks)) {
        refuse(event.request, ErrorCode::not_found, *wrong);
        return Taken::yes;
    }
    const Scope scope{event.upstream, event.downstream, event.only_failed, event.only_running};
    const auto chosen = select(*run, event.tasks, scope);
    auto& reply = answer(event.request);
    if (event.dry_run) {
        for (const TaskKey& key : chosen) reply.instances.push_back(run->at(key).row);
        reply.run = run->row;
        return Taken::yes;
    }
    const Cause cause{"clear", event.actor.user};
    for (const TaskKey& key : chosen) clear_instance(*run, run->at(key), cause);
    if (is_finished(run->row.state) && event.reset_dag_runs && !chosen.empty()) reopen(*run, cause);
    for (const TaskKey& key : chosen) reply.instances.push_back(run->at(key).row);
    reply.run = run->row;
    audit(
        event.actor,
        "clear",
        {run->row.dag_id, run->row.run_id},
        fmt::format(
            R"({{"cleared":{},"only_failed":{},"only_running":{},"upstream":{},"downstream":{}}})",
            chosen.size(),
            event.only_failed,
            event.only_running,
            event.upstream,
            event.downstream
        )
    );
    return Taken::yes;
}

}  // namespace sluice::core
