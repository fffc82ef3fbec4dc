// marking.cpp — states set by hand: of a run (a cancel is `failed`) and of task instances.
#include <fmt/format.h>

#include "base/check.hpp"
#include "core/impl.hpp"

namespace sluice::core {

namespace {

std::string note_of(const Cause& cause) {
    return cause.actor.empty() ? std::string{cause.text} : fmt::format("by {}", cause.actor);
}

/// Of all instances of a nested mapping those that their list no longer has are left alone.
bool is_unlisted(TaskState state, bool nested, bool among_others) {
    return nested && among_others && state == TaskState::removed;
}

}  // namespace

/// Ends every unfinished instance of a run that is ended by hand or by its timeout: attempts are
/// stopped and become `as`, what never ran is skipped (or a success, when the run is set to one).
void Scheduler::Impl::stop_unfinished(
    Run& run, TaskState as, const Cause& cause, CancelReason reason, bool spare_teardowns
) {
    const bool raise = as == TaskState::success;
    const auto wanted = [&](TaskState state) {
        return !is_finished(state) || (raise && is_failure(state));
    };
    const auto become = [&](TaskState state) {
        const bool skip = as == TaskState::failed && !holds_slots(state);
        return skip ? TaskState::skipped : as;
    };
    for (const auto& which : named(run, {})) {
        if (spare_teardowns && run.task(which.task).is_teardown) continue;
        each_range(
            run,
            which,
            wanted,
            [&](const MapRange& range) {
                change_range(run, range, become(range.state), cause, note_of(cause));
            },
            [&](MapIndex index) {
                auto& instance = run.at(run.key(which.task, index));
                const TaskState state = instance.row.state;
                if (holds_slots(state))
                    turn_->cancels.push_back({{instance.row.key, instance.row.starts}, reason});
                mark_instance(run, instance, become(state), cause);
            }
        );
    }
}

void Scheduler::Impl::mark_instance(
    Run& run, Instance& instance, TaskState state, const Cause& cause
) {
    auto& row = instance.row;
    if (!is_finished(row.state) || !row.end_date) row.end_date = now_;
    row.next_try_at.reset();
    row.note = note_of(cause);
    change(run, instance, state, cause);
}

void Scheduler::Impl::mark(Run& run, const Indexes& which, TaskState state, const Cause& cause) {
    const bool nested = run.family(which.task).nest != nullptr;
    each_range(
        run,
        which,
        [&](TaskState from) {
            return from != state && !is_unlisted(from, nested, which.hi > which.lo);
        },
        [&](const MapRange& range) { change_range(run, range, state, cause, note_of(cause)); },
        [&](MapIndex index) {
            auto& instance = run.at(run.key(which.task, index));
            if (instance.touched == turn_no_) return;
            if (holds_slots(instance.row.state))
                turn_->cancels.push_back(
                    {{instance.row.key, instance.row.starts}, CancelReason::user}
                );
            mark_instance(run, instance, state, cause);
        }
    );
}

/// What had failed because of the marked tasks gets another chance. Returns how many.
std::int64_t Scheduler::Impl::clear_failed_below(
    Run& run, const std::vector<TaskKey>& marked, const Cause& cause
) {
    std::int64_t cleared = 0;
    for (const auto& which :
         select(run, *run.plan, marked, {.downstream = true, .only_failed = true})) {
        for (MapIndex i = which.lo; i <= which.hi; ++i) {
            const auto* live = run.family(which.task).find_live(i);
            if (live != nullptr && live->touched == turn_no_) continue;  // marked itself
            clear(run, {which.task, i, i}, cause);
            ++cleared;
        }
    }
    return cleared;
}

Taken Scheduler::Impl::on(const SetTaskState& event) {
    const auto no = [&](ErrorCode code, std::string why) {
        refuse(event.request, code, std::move(why));
        return Taken::yes;
    };
    const bool settable = event.state == TaskState::success || event.state == TaskState::failed ||
                          event.state == TaskState::skipped;
    if (event.tasks.empty() || !settable)
        return no(ErrorCode::invalid, "tasks are marked success, failed or skipped");
    Run* run = find_or_load(event.tasks.front().run, event.stored);
    if (run == nullptr) return no(ErrorCode::not_found, "no such DAG run");
    if (is_touched(*run)) return Taken::next_turn;
    if (run->tasks.empty()) make_instances(*run);
    if (const auto wrong = bad_key(*run, event.tasks)) return no(ErrorCode::not_found, *wrong);
    const auto chosen = named(*run, event.tasks);
    for (const auto& which : chosen) {
        for (MapIndex i = which.lo; i <= which.hi; ++i) {
            const TaskState from = run->family(which.task).state(i);
            if (from == event.state || legal(from, event.state)) continue;
            const bool nested = run->family(which.task).nest != nullptr;
            if (is_unlisted(from, nested, which.hi > which.lo)) continue;
            return no(
                ErrorCode::conflict,
                fmt::format("a task that is {} cannot be marked {}", name(from), name(event.state))
            );
        }
    }
    const Cause cause{"mark", event.actor.user};
    for (const auto& which : chosen) mark(*run, which, event.state, cause);
    std::int64_t cleared = 0;
    if (event.state != TaskState::failed) cleared = clear_failed_below(*run, event.tasks, cause);
    if (is_finished(run->row.state)) {
        if (cleared > 0)
            reopen(*run, cause);
        else if (end_state(*run) != run->row.state)
            change_run(*run, end_state(*run), cause);
        const bool green = run->row.state == RunState::success;
        auto reason = green ? failures_text(*run) : run->row.reason;
        if (reason != run->row.reason) {
            run->row.reason = std::move(reason);
            touch_row(*run);
        }
    }
    auto& reply = answer(event.request);
    reply.run = run->row;
    show(*run, chosen, reply);
    const auto first = run->task(event.tasks.front().task).id;
    audit(
        event.actor,
        fmt::format("mark_{}", name(event.state)),
        {run->row.dag_id, run->row.run_id, event.tasks.size() == 1 ? first : ""},
        fmt::format(R"({{"tasks":{}}})", event.tasks.size())
    );
    return Taken::yes;
}

Taken Scheduler::Impl::on(const SetRunState& event) {
    Run* run = find_or_load(event.run, event.stored);
    if (run == nullptr || event.state == RunState::running) {
        if (run == nullptr)
            refuse(event.request, ErrorCode::not_found, "no such DAG run");
        else
            refuse(event.request, ErrorCode::invalid, "a run is set to queued, success or failed");
        return Taken::yes;
    }
    if (is_touched(*run)) return Taken::next_turn;
    const Cause cause{"mark", event.actor.user};
    if (event.state == RunState::queued) {
        const Cause clear{"clear", cause.actor};
        std::vector<Indexes> all = named(*run, {});
        std::erase_if(all, [&](const auto& one) { return run->plan->is_outside(one.task); });
        clear_many(*run, all, {}, clear);
        if (is_finished(run->row.state)) reopen(*run, {"clear", cause.actor});
    } else if (!is_finished(run->row.state)) {
        const bool good = event.state == RunState::success;
        const auto as = good ? TaskState::success : TaskState::failed;
        bool teardowns_left = false;
        // A run that has not begun has no instances yet: there is nothing to stop.
        if (run->has_begun() || good) {
            if (run->tasks.empty()) make_instances(*run);
            // Teardowns still run, unless this was said before.
            const bool spare = run->row.state == RunState::running && !run->ending;
            stop_unfinished(*run, as, cause, CancelReason::user, spare);
            teardowns_left = spare && run->unfinished > 0;
        }
        const auto who = event.actor.user.empty() ? "hand" : event.actor.user;
        auto reason = good ? std::string{} : "cancelled by " + who;
        if (teardowns_left)
            set_ending(*run, event.state, std::move(reason), false);
        else
            finish_run(*run, event.state, std::move(reason), cause);
    } else if (run->row.state != event.state) {
        change_run(*run, event.state, cause);
    }
    audit(
        event.actor,
        fmt::format("set_run_{}", name(event.state)),
        {run->row.dag_id, run->row.run_id}
    );
    answer(event.request).run = run->row;
    return Taken::yes;
}

}  // namespace sluice::core
