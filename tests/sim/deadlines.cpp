#include "tests/sim/deadlines.hpp"

#include <algorithm>

#include "tests/sim/broken.hpp"

namespace sluice::sim {
namespace {

const std::vector<Deadline>& deadlines_of(const Dag& dag, TaskNo task) {
    return task == no_task ? dag.deadlines : dag.tasks[static_cast<std::size_t>(task)].deadlines;
}

const std::vector<Callback>& callbacks_of(const Dag& dag, TaskNo task) {
    return task == no_task ? dag.callbacks : dag.tasks[static_cast<std::size_t>(task)].callbacks;
}

/// The smallest time that enough of the runs did not exceed; or the mean of them all.
std::optional<Duration> usual(const std::vector<Duration>& times, const Deadline& deadline) {
    const auto count = std::min(std::ssize(times), std::ptrdiff_t{deadline.limit});
    if (count == 0 || count < deadline.min_runs) return std::nullopt;
    std::int64_t sum = 0;
    Duration best = Duration::max();
    for (std::ptrdiff_t i = 0; i < count; ++i) {
        const Duration mine = times[static_cast<std::size_t>(i)];
        sum += mine.count();
        const auto within = std::count_if(times.begin(), times.begin() + count, [&](Duration time) {
            return time <= mine;
        });
        if (within * 100 >= count * deadline.percentile) best = std::min(best, mine);
    }
    return deadline.from == DeadlineFrom::average ? Duration{sum / count} : best;
}

}  // namespace

core::RuntimesKnown Deadlines::answer(
    store::MemoryJournal& journal, const Versions& versions, const RuntimeQuestion& question
) {
    core::RuntimesKnown known;
    known.run = question.run;
    known.number = question.number;
    for (const auto& time : journal.run_times(question.dag_id, question.run, question.most, true)) {
        known.runs.push_back(time.took);
        for (const auto& id : question.tasks) {
            const auto task = time.tasks.find(find_task(*versions.at(time.version), id));
            if (task != time.tasks.end()) known.tasks[id].push_back(task->second);
        }
    }
    const auto run = journal.runs().find(question.run);
    if (run == journal.runs().end()) return known;
    const Dag& dag = *versions.at(run->second.version);
    auto& expected = answers_[question.run].emplace_back();
    for (TaskNo task = no_task; task < static_cast<TaskNo>(dag.tasks.size()); ++task) {
        const auto& deadlines = deadlines_of(dag, task);
        for (int i = 0; i < static_cast<int>(deadlines.size()); ++i) {
            const auto& deadline = deadlines[static_cast<std::size_t>(i)];
            if (!is_of_past_runs(deadline.from)) continue;
            const auto& times = task == no_task
                                    ? known.runs
                                    : known.tasks[dag.tasks[static_cast<std::size_t>(task)].id];
            expected[{task, i}] = usual(times, deadline);
        }
    }
    return known;
}

void Deadlines::check(
    const Turn& turn, Instant now, const store::MemoryJournal& journal, const Versions& versions
) const {
    for (const DeadlineRow& row : turn.deadlines) {
        const DagRun& run = journal.runs().at(row.run);
        const Dag& dag = *versions.at(run.version);
        const auto& deadline = deadlines_of(dag, row.task).at(static_cast<std::size_t>(row.number));
        must(!row.predicted_at || (row.at && *row.predicted_at < *row.at), "foreseen afterwards");
        must(!row.missed_at || (row.at && *row.missed_at >= *row.at), "missed too early");
        if (is_of_past_runs(deadline.from)) {
            const auto known = answers_.find(row.run);
            must(known != answers_.end(), "a deadline by past runs that nobody asked for");
            must(
                std::ranges::any_of(
                    known->second,
                    [&](const Usual& answer) {
                        const auto time = answer.find({row.task, row.number});
                        if (time == answer.end() || !time->second) return !row.at;
                        return row.at == run.queued_at + *time->second + deadline.interval;
                    }
                ),
                "a deadline is not what past runs say"
            );
        }
        // Of a run that moved to another version in this turn the one before may have told, too.
        if (std::ranges::find(turn.deadlines_dropped, row.run) != turn.deadlines_dropped.end())
            continue;
        for (const auto on : {CallbackOn::deadline, CallbackOn::predicted}) {
            const auto& when = on == CallbackOn::deadline ? row.missed_at : row.predicted_at;
            const auto is_ours = [&](const Callback& callback) {
                return callback.on == on && callback.deadline == row.number;
            };
            const auto told = std::ranges::count_if(turn.callbacks, [&](const CallbackDue& due) {
                return due.key == TaskKey{row.run, row.task, unmapped} && is_ours(due.callback);
            });
            const auto wanted =
                when == now ? std::ranges::count_if(callbacks_of(dag, row.task), is_ours) : 0;
            must(told == wanted, "a deadline told too often or not at all");
        }
    }
}

void Deadlines::check_quiet(
    Instant now, const store::MemoryJournal& journal, const Versions& versions
) {
    for (const auto& [key, run] : journal.runs()) {
        if (is_finished(run.state)) continue;
        const Dag& dag = *versions.at(run.version);
        const bool anew = run.backfill || run.clear_number > 0;
        for (int i = 0; i < static_cast<int>(dag.deadlines.size()); ++i) {
            const auto row = journal.deadlines().find({{key, no_task, unmapped}, i});
            if (row == journal.deadlines().end()) {
                must(anew, "an open run whose deadline nobody knows");
                continue;
            }
            const auto& at = row->second.at;
            must(!at || *at > now || row->second.missed_at, "a deadline passed in silence");
        }
    }
}

}  // namespace sluice::sim
