// waits.cpp — tasks that wait (semantics 18): pokes by timer or event, and the end of a wait.
//
// A poke takes its slots like an attempt, but it is none: no row changes until the task's end.
#include <fmt/format.h>

#include "base/check.hpp"
#include "core/impl.hpp"

namespace sluice::core {
namespace {

using namespace std::chrono_literals;

/// Between two pokes at least, so that each has an instant, and with it a number, of its own.
constexpr Duration least_pause = 1ms;
constexpr Duration pause_after_loss = 1s;
constexpr Duration pause_without_wish = 60s;
/// How a `resume` begins once somebody has answered.
constexpr std::string_view answered_begin = R"({"asked":)";

TaskState state_of(WaitKind kind) {
    switch (kind) {
        case WaitKind::reschedule:
            return TaskState::up_for_reschedule;
        case WaitKind::deferred:
            return TaskState::deferred;
        case WaitKind::input:
            return TaskState::awaiting_input;
    }
    unreachable();
}

/// "run DAG RUN_ID": the DAG.
std::string dag_of_event(const std::string& event) {
    const auto begin = event.find(' ');
    if (begin == std::string::npos) return "";
    const auto end = event.find(' ', begin + 1);
    return event.substr(begin + 1, end == std::string::npos ? end : end - begin - 1);
}

void take_order(Wait& wait, const std::optional<WaitOrder>& order, Instant now) {
    const WaitOrder wish = order.value_or(WaitOrder{});
    wait.row.until = wish.until;
    wait.row.event = wish.event;
    wait.row.resume = wish.resume;
    wait.seen = wish.seen;
    ++wait.pokes;
    // The kind of a wait is that of its first poke: its state says it.
    if (!wish.until && wish.event.empty() && wait.row.kind != WaitKind::input)
        wait.row.until = now + pause_without_wish;
}

}  // namespace

/// The attempt ended with its first "not yet".
void Scheduler::Impl::begin_wait(Run& run, Instance& instance, const AttemptResult& result) {
    auto& row = instance.row;
    row.lost_in_a_row = 0;
    row.end_date.reset();
    if (!result.rendered.empty()) turn_->rendered.push_back({result.key, result.rendered});
    Wait& wait = waits_[row.key];
    if (wait.row.first_at == Instant{}) wait.row.first_at = *row.start_date;
    const auto& wish = result.outcome.wait;
    wait.row.key = row.key;
    wait.row.kind = wish ? wish->kind : WaitKind::reschedule;
    wait.answered = false;
    take_order(wait, wish, now_);
    change(run, instance, state_of(wait.row.kind), {"wait"});
    wait_rows_[row.key] = wait.row;
    sleep(run, instance, wait);
}

/// A later poke has ended. What it says of its wait stays in memory.
Taken Scheduler::Impl::end_poke(Run& run, Instance& instance, const AttemptResult& result) {
    const auto at = waits_.find(instance.row.key);
    if (at == waits_.end() || at->second.poke == 0) return Taken::yes;
    Wait& wait = at->second;
    if (wait.poke != result.key.poke) return Taken::yes;
    if (instance.touched == turn_no_) return Taken::next_turn;
    wait.poke = 0;
    vacate(run, instance);
    switch (result.outcome.kind) {
        case OutcomeKind::waiting:
            if (wait.answered) {  // while the poke looked
                wait.row.until = now_;
            } else {
                take_order(wait, result.outcome.wait, now_);
            }
            sleep(run, instance, wait);
            break;
        case OutcomeKind::lost:
            wait.row.until = now_ + pause_after_loss;
            sleep(run, instance, wait);
            break;
        case OutcomeKind::success:
        case OutcomeKind::skipped:
        case OutcomeKind::failed:
            take_result(run, instance, result);
            break;
    }
    return Taken::yes;
}

/// Until its time or its event.
void Scheduler::Impl::sleep(Run& run, Instance& instance, Wait& wait) {
    const auto& key = instance.row.key;
    if (!wait.row.event.empty()) {
        sleepers_[wait.row.event].insert(key);
        wait.registered = true;
        const auto dag = dag_numbers_.find(dag_of_event(wait.row.event));
        const bool missed = dag != dag_numbers_.end() &&
                            dags_[static_cast<std::size_t>(dag->second)]->ended > wait.seen;
        if (missed) wait.row.until = now_;
    }
    if (instance.row.state == TaskState::deferred) {
        pools_.defer(queue_.demand(run.plan->tasks[static_cast<std::size_t>(key.task)].lane), 1);
        wait.in_pool = true;
    }
    if (wait.row.until)
        timers_.add(
            {std::max(*wait.row.until, now_ + least_pause),
             Timer::Kind::poke,
             0,
             key,
             instance.row.starts}
        );
}

/// It waits no longer: for a poke, or for good.
void Scheduler::Impl::rouse(Run& run, const TaskKey& key, Wait& wait) {
    if (std::exchange(wait.in_pool, false))
        pools_.defer(queue_.demand(run.plan->tasks[static_cast<std::size_t>(key.task)].lane), -1);
    if (!std::exchange(wait.registered, false)) return;
    const auto at = sleepers_.find(wait.row.event);
    SLUICE_CHECK(at != sleepers_.end());
    at->second.erase(key);
    if (at->second.empty()) sleepers_.erase(at);
}

void Scheduler::Impl::poke_due(const Timer& timer) {
    Run* run = find_run(timer.key.run);
    if (run == nullptr || !run->has(timer.key) || run->row.state != RunState::running) return;
    auto& instance = run->at(timer.key);
    if (!is_poked(instance.row.state) || instance.row.starts != timer.start) return;
    Wait& wait = waits_.at(timer.key);
    if (wait.poke != 0 || run->family(timer.key.task).is_ready(timer.key.map_index) ||
        !wait.row.until || *wait.row.until > now_)
        return;
    rouse(*run, timer.key, wait);
    make_ready(*run, timer.key);
}

void Scheduler::Impl::start_poke(Run& run, Instance& instance) {
    unready(run, instance.row.key);
    Wait& wait = waits_.at(instance.row.key);
    wait.poke = std::max(to_micros(now_), wait.last + 1);
    wait.last = wait.poke;
    occupy(run, instance);
    auto& order = put_order(run, instance);
    order.key.poke = wait.poke;
    order.start_date = *instance.row.start_date;
}

/// Called by `change` before the state does.
void Scheduler::Impl::leave_wait(Run& run, Instance& instance, TaskState to) {
    const auto at = waits_.find(instance.row.key);
    if (at == waits_.end() || is_poked(to)) return;
    auto& wait = at->second;
    const auto& key = instance.row.key;
    if (wait.poke != 0) {
        // Somebody ends the task from outside while it looks.
        turn_->cancels.push_back({{key, instance.row.starts, wait.poke}, CancelReason::user});
        wait.poke = 0;
        vacate(run, instance);
    }
    rouse(run, key, wait);
    if (is_finished(to) || to == TaskState::none) {
        wait.row.over = true;
        wait_rows_[key] = wait.row;
        waits_.erase(at);
    } else if (to == TaskState::up_for_retry) {
        // The next attempt begins anew, but its timeout runs from the first poke of all.
        wait.row.until.reset();
        wait.row.event.clear();
        wait.row.resume = "null";
        wait.pokes = 0;
        wait_rows_[key] = wait.row;
    }
}

/// Something ended: who waits for it pokes.
void Scheduler::Impl::fire(const std::string& event) {
    const auto at = sleepers_.find(event);
    if (at == sleepers_.end()) return;
    for (const TaskKey& key : at->second) wake(key);
}

void Scheduler::Impl::wake(const TaskKey& key) {
    Wait& wait = waits_.at(key);
    wait.row.until = now_;
    timers_.add({now_, Timer::Kind::poke, 0, key, find_run(key.run)->at(key).row.starts});
}

/// A run, or a task of it, has ended. Costs nothing while nobody waits for any.
void Scheduler::Impl::note_end(Run& run) {
    run.dag->ended = last_seq_;
    if (sleepers_.empty()) return;
    fire(run_event(run.row.dag_id, run.row.run_id));
    if (run.row.logical_date) fire(date_event(run.row.dag_id, *run.row.logical_date));
}

/// After a restart. What was told in memory only is lost, so who waits for more than a time looks
/// again at once.
void Scheduler::Impl::resume_wait(Run& run, Instance& instance) {
    Wait& wait = waits_[instance.row.key];
    if (wait.poke != 0) return;  // a poke of before goes on
    if (wait.row.first_at == Instant{}) {
        wait.row.key = instance.row.key;
        wait.row.first_at = instance.row.start_date.value_or(now_);
    }
    wait.answered = wait.row.resume.starts_with(answered_begin);
    const bool only_time =
        wait.row.until && wait.row.event.empty() && wait.row.kind != WaitKind::input;
    if (!only_time) wait.row.until = now_;
    sleep(run, instance, wait);
}

/// Pokes that outlived a reload are those of their tasks again.
void Scheduler::Impl::adopt_pokes(const std::set<AttemptKey>& living) {
    for (const AttemptKey& attempt : living) {
        Run* run = attempt.poke == 0 ? nullptr : find_run(attempt.task.run);
        if (run == nullptr || run->row.state != RunState::running || !run->has(attempt.task))
            continue;
        auto& instance = run->at(attempt.task);
        if (instance.row.starts != attempt.start || !is_poked(instance.row.state)) continue;
        Wait& wait = waits_[attempt.task];
        if (wait.poke != 0) continue;
        wait.poke = attempt.poke;
        wait.last = attempt.poke;
        occupy(*run, instance);
    }
}

bool Scheduler::Impl::is_poking(const AttemptKey& attempt) const {
    const auto at = waits_.find(attempt.task);
    return at != waits_.end() && attempt.poke != 0 && at->second.poke == attempt.poke;
}

Taken Scheduler::Impl::on(const AnswerInput& event) {
    const auto no = [&](ErrorCode code, std::string why) {
        refuse(event.request, code, std::move(why));
        return Taken::yes;
    };
    Run* run = find_run(event.task.run);
    if (run == nullptr || !run->has(event.task))
        return no(ErrorCode::conflict, "the run has ended or has no such task");
    const auto& instance = run->at(event.task);
    if (instance.row.state != TaskState::awaiting_input)
        return no(
            ErrorCode::conflict,
            fmt::format("the task is {}: it waits for no answer", name(instance.row.state))
        );
    Wait& wait = waits_.at(event.task);
    if (wait.answered) return no(ErrorCode::conflict, "the question has been answered already");
    wait.answered = true;
    wait.row.resume =
        fmt::format("{}{},\"answer\":{}}}", answered_begin, wait.row.resume, event.answer);
    wait_rows_[event.task] = wait.row;
    wake(event.task);
    audit(
        event.actor,
        "answer_input",
        {run->row.dag_id, run->row.run_id, run->task(event.task.task).id},
        event.answer
    );
    auto& reply = answer(event.request);
    reply.run = run->row;
    reply.instances.push_back(instance.row);
    return Taken::yes;
}

}  // namespace sluice::core
