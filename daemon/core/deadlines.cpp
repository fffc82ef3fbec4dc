// deadlines.cpp — when a run or a task should have ended: the moment, that it is going to be missed
// (the work that has not begun takes longer than is left), and that it was missed.
#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "core/impl.hpp"

namespace sluice::core {
namespace {

bool all_ended(const Family& family) {
    std::int64_t ended = 0;
    for (int i = 0; i < task_state_count; ++i)
        if (const auto state = static_cast<TaskState>(i); is_finished(state))
            ended += family.count(state);
    return ended >= family.size();
}

/// Some of it has yet to be started.
bool is_to_begin(const Run& run, TaskNo task) {
    if (run.tasks.empty()) return true;
    const Family& family = run.family(task);
    for (const auto state :
         {TaskState::none, TaskState::scheduled, TaskState::queued, TaskState::up_for_retry})
        if (family.count(state) > 0) return true;
    return false;
}

template <class Use>
void each_deadline(const Dag& dag, const Use& use) {
    const auto of = [&](TaskNo task, const std::vector<Deadline>& deadlines) {
        for (std::size_t i = 0; i < deadlines.size(); ++i)
            use(task, static_cast<int>(i), deadlines[i]);
    };
    of(no_task, dag.deadlines);
    for (std::size_t i = 0; i < dag.tasks.size(); ++i)
        of(static_cast<TaskNo>(i), dag.tasks[i].deadlines);
}

const Deadline* find_deadline(const Dag& dag, TaskNo task, int number) {
    const auto& deadlines =
        task == no_task ? dag.deadlines : dag.tasks[static_cast<std::size_t>(task)].deadlines;
    const auto at = static_cast<std::size_t>(number);
    return at < deadlines.size() ? &deadlines[at] : nullptr;
}

bool is_same(const Deadline& a, const Deadline& b) {
    return a.from == b.from && a.interval == b.interval && a.at == b.at && a.limit == b.limit &&
           a.min_runs == b.min_runs && a.percentile == b.percentile;
}

DeadlineRow* find_row(Run& run, TaskNo task, int number) {
    const auto found = std::ranges::find_if(run.deadlines, [&](const DeadlineRow& row) {
        return row.task == task && row.number == number;
    });
    return found == run.deadlines.end() ? nullptr : &*found;
}

/// What the clock and the run say; the other references need an answer first.
Instant time_of(const DagRun& run, const Deadline& deadline) {
    Instant from = run.queued_at;
    if (deadline.from == DeadlineFrom::logical_date)
        from = run.logical_date.value_or(run.run_after);
    if (deadline.from == DeadlineFrom::fixed) from = deadline.at.value_or(run.run_after);
    return from + deadline.interval;
}

/// The mean, or the smallest that so many of a hundred do not exceed (nearest rank).
std::optional<Duration> usual_time(std::vector<Duration> times, const Deadline& deadline) {
    const auto limit = static_cast<std::size_t>(std::max(deadline.limit, 1));
    if (times.size() > limit) times.resize(limit);
    const auto count = static_cast<std::int64_t>(times.size());
    if (count == 0 || count < deadline.min_runs) return std::nullopt;
    if (deadline.from == DeadlineFrom::average)
        return std::accumulate(times.begin(), times.end(), Duration::zero()) / count;
    std::ranges::sort(times);
    const std::int64_t rank = (count * deadline.percentile + 99) / 100;
    return times[static_cast<std::size_t>(std::clamp<std::int64_t>(rank, 1, count) - 1)];
}

}  // namespace

/// For a run that is queued, or queued anew. What makes history anew (a backfill, a clear) is not
/// late for dates that were past when it began.
void Scheduler::Impl::watch_deadlines(Run& run) {
    const bool anew = run.row.backfill || run.row.clear_number > 0;
    if (run.row.clear_number > 0) drop_deadlines(run);
    watch_rest(run, anew);
}

void Scheduler::Impl::drop_deadlines(Run& run) {
    turn_->deadlines_dropped.push_back(run.row.key);
    run.deadlines.clear();
    std::erase_if(deadline_rows_, [&](const auto& entry) {
        return entry.second.run == run.row.key;
    });
}

/// An open run has moved from this version to another: deadlines that are the same in both stay as
/// they are, the others go by the new version.
void Scheduler::Impl::move_deadlines(Run& run, const Dag& before) {
    auto rows = run.deadlines;
    if (!rows.empty()) drop_deadlines(run);
    std::erase_if(rows, [&](const DeadlineRow& row) {
        const auto* old = find_deadline(before, row.task, row.number);
        const auto* now = find_deadline(*run.plan->dag, row.task, row.number);
        return old == nullptr || now == nullptr || !is_same(*old, *now);
    });
    for (const auto& row : rows) {
        run.deadlines.push_back(row);
        put_deadline(row);
    }
    watch_rest(run, false);
}

/// The deadlines that have no row yet.
void Scheduler::Impl::watch_rest(Run& run, bool anew) {
    if (!run.plan->has_deadlines) return;
    each_deadline(*run.plan->dag, [&](TaskNo task, int number, const Deadline& deadline) {
        if (is_of_past_runs(deadline.from) || find_row(run, task, number) != nullptr) return;
        const Instant at = time_of(run.row, deadline);
        if (!anew || at >= run.row.queued_at) watch(run, {run.row.key, task, number, at, {}, {}});
    });
    ask_runtimes(run);
}

void Scheduler::Impl::watch(Run& run, const DeadlineRow& row) {
    run.deadlines.push_back(row);
    put_deadline(row);
    if (!row.at) return;
    timers_.add({*row.at, Timer::Kind::late, 0, {run.row.key, row.task, unmapped}, row.number});
    foresee_later(run, now_);
}

void Scheduler::Impl::restore_deadlines(const Snapshot& snapshot) {
    for (const auto& row : snapshot.deadlines) {
        Run* run = find_run(row.run);
        if (run == nullptr) continue;
        run->deadlines.push_back(row);
        if (row.at && !row.missed_at)
            timers_.add({*row.at, Timer::Kind::late, 0, {row.run, row.task, unmapped}, row.number});
    }
}

/// For the deadlines that past runs set and that have no row yet.
void Scheduler::Impl::ask_runtimes(Run& run) {
    if (!run.plan->has_deadlines) return;
    RuntimeQuestion question;
    each_deadline(*run.plan->dag, [&](TaskNo task, int number, const Deadline& deadline) {
        if (!is_of_past_runs(deadline.from) || find_row(run, task, number) != nullptr) return;
        question.most = std::max(question.most, deadline.limit);
        if (task == no_task) return;
        const auto& id = run.task(task).id;
        if (question.tasks.empty() || question.tasks.back() != id) question.tasks.push_back(id);
    });
    if (question.most == 0) return;
    question.run = run.row.key;
    question.number = run.runtime_question = next_question();
    question.dag_id = run.row.dag_id;
    turn_->runtime_questions.push_back(std::move(question));
}

Taken Scheduler::Impl::on(const RuntimesKnown& event) {
    Run* run = find_run(event.run);
    if (run == nullptr || is_finished(run->row.state)) return Taken::yes;
    if (event.number != run->runtime_question) return Taken::yes;  // of the version before
    each_deadline(*run->plan->dag, [&](TaskNo task, int number, const Deadline& deadline) {
        if (!is_of_past_runs(deadline.from) || find_row(*run, task, number) != nullptr) return;
        DeadlineRow row{run->row.key, task, number, {}, {}, {}};
        std::optional<Duration> usual;
        if (task == no_task)
            usual = usual_time(event.runs, deadline);
        else if (const auto times = event.tasks.find(run->task(task).id);
                 times != event.tasks.end())
            usual = usual_time(times->second, deadline);
        if (usual) row.at = run->row.queued_at + *usual + deadline.interval;
        watch(*run, row);
    });
    return Taken::yes;
}

void Scheduler::Impl::late(const Timer& timer) {
    Run* run = find_run(timer.key.run);
    if (run == nullptr || is_finished(run->row.state)) return;
    const TaskNo task = timer.key.task;
    DeadlineRow* row = find_row(*run, task, timer.start);
    if (row == nullptr || row->missed_at || !row->at || *row->at > now_) return;
    if (task != no_task && !run->tasks.empty() && all_ended(run->family(task))) return;
    row->missed_at = now_;
    put_deadline(*row);
    put_deadline_callbacks(*run, *row, CallbackOn::deadline);
}

void Scheduler::Impl::put_deadline(const DeadlineRow& row) {
    deadline_rows_[{{row.run, row.task, unmapped}, row.number}] = row;
}

void Scheduler::Impl::put_deadline_callbacks(
    const Run& run, const DeadlineRow& row, CallbackOn on
) {
    const auto& callbacks =
        row.task == no_task ? run.plan->dag->callbacks : run.task(row.task).callbacks;
    const std::string reason =
        on == CallbackOn::deadline
            ? "the deadline has passed"
            : fmt::format(
                  "the deadline in {:.0f} s is going to be missed: the work that has not begun "
                  "usually takes longer",
                  std::ceil(to_seconds(*row.at - now_))
              );
    for (const auto& callback : callbacks)
        if (callback.on == on && callback.deadline == row.number)
            turn_->callbacks.push_back(
                {{run.row.key, row.task, unmapped}, 0, 0, callback, reason, now_}
            );
}

void Scheduler::Impl::foresee_later(Run& run, Instant at) {
    if (run.foresee_at && *run.foresee_at <= at) return;
    run.foresee_at = at;
    timers_.add({at, Timer::Kind::foresee, 0, {run.row.key, no_task, unmapped}, 0});
}

/// It is known better how long its tasks take.
void Scheduler::Impl::foresee_all(const DagEntry& dag) {
    std::vector<RunKey> open;
    for (const auto& [id, key] : dag.open_run_ids) open.push_back(key);
    std::ranges::sort(open);  // the same decisions whatever the order of the map
    for (const RunKey key : open)
        if (Run& run = *find_run(key); !run.deadlines.empty()) foresee_later(run, now_);
}

/// A deadline is going to be missed once something that has to be done before it has not begun by
/// its latest start: the deadline less the time from its start to there. What is at work is taken
/// to end in time; if it does not, what follows it begins too late.
void Scheduler::Impl::foresee(const Timer& timer) {
    Run* run = find_run(timer.key.run);
    if (run == nullptr || is_finished(run->row.state) || run->foresee_at != timer.at) return;
    run->foresee_at.reset();
    std::optional<Instant> next;
    for (auto& row : run->deadlines) {
        if (!row.at || row.predicted_at || row.missed_at || *row.at <= now_) continue;
        const auto way = seconds_to(*run->plan->dag, run->dag->paces, row.task);
        double longest = 0;
        for (std::size_t i = 0; i < way.size(); ++i)
            if (way[i] > longest && is_to_begin(*run, static_cast<TaskNo>(i))) longest = way[i];
        if (longest <= 0) continue;
        const Instant latest =
            *row.at - Duration{static_cast<std::int64_t>(std::ceil(longest * 1e6))};
        if (now_ > latest) {
            row.predicted_at = now_;
            put_deadline(row);
            put_deadline_callbacks(*run, row, CallbackOn::predicted);
        } else {
            next = std::min(next.value_or(Instant::max()), latest + Duration{1});
        }
    }
    if (next) foresee_later(*run, *next);
}

}  // namespace sluice::core
