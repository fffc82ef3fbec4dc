// results.cpp — how attempts end: success, failure and retry, loss, and the end of a cleared one.
#include "core/impl.hpp"
#include "core/retry.hpp"

namespace sluice::core {
namespace {

/// A branch that chose what is not there.
AttemptResult without_way(const AttemptResult& result) {
    AttemptResult failed = result;
    std::string names;
    for (const auto& name : result.outcome.branch->chosen)
        names += (names.empty() ? "\"" : ", \"") + name + '"';
    failed.outcome = {};
    failed.outcome.kind = OutcomeKind::failed;
    failed.outcome.error_class = ErrorClass::permanent;
    failed.outcome.message =
        "it chose " + names + ", not all of which are directly downstream of it";
    return failed;
}

}  // namespace

Taken Scheduler::Impl::on(const AttemptEnded& event) {
    const auto& result = event.result;
    Run* run = find_run(result.key.task.run);
    if (run == nullptr || !run->has(result.key.task)) return Taken::yes;
    auto& instance = run->at(result.key.task);
    // A report that comes twice, or after a clear, a mark or a loss: history, no longer news.
    if (result.key.start != instance.row.starts) return Taken::yes;
    const TaskState state = instance.row.state;
    if (is_poked(state)) return end_poke(*run, instance, result);
    if (state != TaskState::running && state != TaskState::restarting) return Taken::yes;
    if (result.key.poke != 0) return Taken::yes;
    if (instance.touched == turn_no_) return Taken::next_turn;
    if (state == TaskState::restarting)
        end_restarting(*run, instance, {"result"});
    else
        take_result(*run, instance, result);
    return Taken::yes;
}

void Scheduler::Impl::take_result(Run& run, Instance& instance, const AttemptResult& result) {
    auto& row = instance.row;
    const auto& outcome = result.outcome;
    if (outcome.kind == OutcomeKind::lost && !instance.timed_out)
        return lose_attempt(run, instance, outcome.message);
    if (outcome.kind == OutcomeKind::waiting) return begin_wait(run, instance, result);
    row.end_date = std::clamp(result.end_date, *row.start_date, now_);
    row.lost_in_a_row = 0;
    if (!result.rendered.empty() && result.key.poke == 0)
        turn_->rendered.push_back({result.key, result.rendered});
    if (!result.map_name.empty()) turn_->map_names.push_back({row.key, result.map_name});
    if (outcome.kind == OutcomeKind::failed || outcome.kind == OutcomeKind::lost)
        return fail_attempt(run, instance, result);
    if (outcome.branch) {
        auto skips = skipped_by(*run.plan->whole, row.key.task, *outcome.branch);
        if (!skips) return fail_attempt(run, instance, without_way(result));
        keep_choice(run, row.key, *outcome.branch, std::move(*skips));
    }
    for (const auto& xcom : result.xcoms) turn_->xcoms.push_back({row.key, xcom, now_});
    if (result.checkpointed) turn_->checkpoints_dropped.push_back(row.key);
    for (const auto& output : result.outputs) turn_->outputs.push_back({result.key, output});
    const bool skipped = outcome.kind == OutcomeKind::skipped;
    if (!skipped) note_pace(run, row);
    row.note = outcome.unchanged ? "unchanged" : outcome.message;
    if (!skipped) put_outputs(run, row.key);
    change(run, instance, skipped ? TaskState::skipped : TaskState::success, {"result"});
}

void Scheduler::Impl::fail_attempt(Run& run, Instance& instance, const AttemptResult& result) {
    auto& row = instance.row;
    const auto& outcome = result.outcome;
    const Task& task = run.task(row.key.task);
    row.error_class = outcome.error_class;
    row.error = outcome.message;
    if (instance.timed_out) {
        row.error_class = ErrorClass::transient;
        if (outcome.kind == OutcomeKind::lost || row.error.empty())
            row.error =
                "execution_timeout of " + format_duration(*task.execution_timeout) + " has passed";
    }
    if (!is_retried(task, row.error_class) || row.try_number > row.max_tries) {
        change(run, instance, TaskState::failed, {"result"});
        return fail_fast(run, instance);
    }
    const RetrySeed seed{run.row.dag_id, task.id, run.date(), row.try_number};
    row.next_try_at = *row.end_date + retry_delay(task, row.attempts_since_clear, seed, outcome);
    change(run, instance, TaskState::up_for_retry, {"retry"});
    timers_.add({*row.next_try_at, Timer::Kind::retry, 0, row.key, row.starts});
}

/// The attempt ended from outside the task. It costs no retry, but not without end.
void Scheduler::Impl::lose_attempt(Run& run, Instance& instance, const std::string& why) {
    auto& row = instance.row;
    row.end_date = now_;
    ++row.lost_in_a_row;
    row.error = why.empty() ? "the attempt was lost: its daemon or its machine stopped" : why;
    row.error_class = ErrorClass::none;
    const bool forbidden = run.task(row.key.task).on_lost == OnLost::fail;
    if (forbidden || row.lost_in_a_row >= settings_.max_lost_attempts) {
        row.error += forbidden ? "; on_lost is fail"
                               : "; lost " + std::to_string(row.lost_in_a_row) + " times in a row";
        change(run, instance, TaskState::failed, {"lost"});
        return fail_fast(run, instance);
    }
    put_record(instance, TaskState::none, true);
    ++row.max_tries;
    --row.attempts_since_clear;
    row.start_date.reset();
    row.end_date.reset();
    row.queued_at.reset();
    row.scheduled_at = now_;
    change(run, instance, TaskState::scheduled, {"lost"});
    make_ready(run, row.key);
}

/// An attempt that was cleared while it ran has ended, whatever as: the task begins anew.
void Scheduler::Impl::end_restarting(Run& run, Instance& instance, const Cause& cause) {
    auto& row = instance.row;
    row.end_date = now_;
    put_record(instance, TaskState::restarting, false);
    row.start_date.reset();
    row.end_date.reset();
    row.queued_at.reset();
    row.scheduled_at.reset();
    row.lost_in_a_row = 0;
    change(run, instance, TaskState::none, cause);
    unsettled_.push(run, row.key);
    forget_length(run, run.family(row.key.task).mapping);
}

/// The attempt goes to history before its row is used for the next one.
void Scheduler::Impl::put_record(const Instance& instance, TaskState as, bool lost) {
    const auto& row = instance.row;
    auto& record = turn_->attempts.emplace_back();
    record.key = row.key;
    record.start = row.starts;
    record.try_number = row.try_number;
    record.state = as;
    record.lost = lost;
    record.scheduled_at = row.scheduled_at;
    record.queued_at = row.queued_at;
    record.start_date = row.start_date;
    record.end_date = row.end_date;
    record.error_class = row.error_class;
    record.error = row.error;
}

void Scheduler::Impl::retry_due(const Timer& timer) {
    Run* run = find_run(timer.key.run);
    if (run == nullptr || !run->has(timer.key)) return;
    auto& instance = run->at(timer.key);
    if (instance.row.state != TaskState::up_for_retry || instance.row.starts != timer.start) return;
    if (run->row.state == RunState::running) make_ready(*run, timer.key);
}

/// The executor ends the attempt and reports it failed; until then it runs.
void Scheduler::Impl::deadline_passed(const Timer& timer) {
    Run* run = find_run(timer.key.run);
    if (run == nullptr || !run->has(timer.key)) return;
    auto& instance = run->at(timer.key);
    if (instance.row.state != TaskState::running || instance.row.starts != timer.start) return;
    instance.timed_out = true;
    turn_->cancels.push_back({{instance.row.key, timer.start}, CancelReason::timeout});
}

}  // namespace sluice::core
