#include "core/backfill.hpp"

#include <algorithm>
#include <map>

#include "base/limits.hpp"
#include "model/timetable.hpp"

namespace sluice::core {
namespace {

BackfillPlan refusal(ErrorCode code, std::string message) {
    return {.dates = {}, .error = code, .message = std::move(message)};
}

/// Decides one date: what to do with the run that is there, or that there is none.
void decide(BackfillDate& date, const DagRun* existing, ReprocessBehavior reprocess) {
    date.action = "skip";
    if (existing == nullptr) {
        date.action = "create";
        return;
    }
    date.run = existing->key;
    if (!is_finished(existing->state)) {
        date.reason = "in flight";
        return;
    }
    switch (reprocess) {
        case ReprocessBehavior::none:
            date.reason = "already exists";
            return;
        case ReprocessBehavior::failed:
            if (existing->state != RunState::failed) {
                date.reason = "already exists";
                return;
            }
            break;
        case ReprocessBehavior::completed:
            break;
    }
    date.action = "clear";
}

}  // namespace

std::optional<std::string> resolve_subset(
    const Dag& dag, std::vector<std::string>& tasks, bool upstream, bool downstream
) {
    std::vector<bool> named(dag.tasks.size());
    for (const auto& id : tasks) {
        const TaskNo task = find_task(dag, id);
        if (task == no_task) return "DAG \"" + dag.dag_id + "\" has no task \"" + id + "\"";
        named[static_cast<std::size_t>(task)] = true;
    }
    auto chosen = named;
    const auto walk = [&](const std::vector<TaskNo> Task::* next) {
        auto seen = named;
        std::vector<TaskNo> open;
        for (std::size_t i = 0; i < named.size(); ++i)
            if (named[i]) open.push_back(static_cast<TaskNo>(i));
        while (!open.empty()) {
            const auto& task = dag.tasks[static_cast<std::size_t>(open.back())];
            open.pop_back();
            for (const TaskNo other : task.*next) {
                const auto at = static_cast<std::size_t>(other);
                if (seen[at]) continue;
                seen[at] = true;
                chosen[at] = true;
                open.push_back(other);
            }
        }
    };
    if (upstream) walk(&Task::upstream);
    if (downstream) walk(&Task::downstream);
    tasks.clear();
    if (std::ranges::find(chosen, false) == chosen.end()) return std::nullopt;
    for (std::size_t i = 0; i < chosen.size(); ++i)
        if (chosen[i]) tasks.push_back(dag.tasks[i].id);
    return std::nullopt;
}

BackfillPlan plan_backfill(
    const Dag& dag, const Backfill& wanted, const std::vector<DagRun>& existing, Instant now
) {
    if (wanted.from_date > wanted.to_date)
        return refusal(ErrorCode::invalid, "from_date is later than to_date");
    if (wanted.from_date > now)
        return refusal(ErrorCode::invalid, "the whole range lies in the future");
    if (wanted.max_active_runs < 1)
        return refusal(ErrorCode::invalid, "max_active_runs must be at least 1");
    for (const auto& id : wanted.tasks)
        if (find_task(dag, id) == no_task)
            return refusal(
                ErrorCode::invalid, "DAG \"" + dag.dag_id + "\" has no task \"" + id + "\""
            );
    const auto past = std::ranges::find_if(dag.tasks, [](const Task& task) {
        return task.depends_on_past || task.wait_for_downstream ||
               !task.depends_on_previous_tasks.empty();
    });
    if (wanted.run_backwards && past != dag.tasks.end())
        return refusal(
            ErrorCode::invalid,
            "task \"" + past->id +
                "\" waits for the run before, so the runs cannot go from the newest to the oldest"
        );
    std::vector<RunTimes> ticks;
    try {
        const Timetable timetable{dag};
        if (!timetable.is_periodic())
            return refusal(
                ErrorCode::invalid,
                "DAG \"" + dag.dag_id + "\" has no periodic schedule, so there are no dates to fill"
            );
        const Instant to = std::min(wanted.to_date, now);
        ticks = timetable.ticks_between(wanted.from_date, to, limits::backfill_runs);
    } catch (const Error& error) {
        return refusal(error.code(), error.what());
    }
    std::erase_if(ticks, [&](const RunTimes& tick) { return tick.interval.end >= now; });
    if (wanted.run_backwards) std::ranges::reverse(ticks);

    std::map<Instant, const DagRun*> by_date;
    for (const auto& run : existing) {
        if (!run.logical_date) continue;
        const DagRun*& latest = by_date[*run.logical_date];
        if (latest == nullptr || latest->key < run.key) latest = &run;
    }
    BackfillPlan plan;
    bool anything = false;
    for (const auto& tick : ticks) {
        auto& date = plan.dates.emplace_back();
        date.backfill = wanted.id;
        date.ordinal = static_cast<int>(plan.dates.size());
        date.logical_date = tick.logical_date;
        date.data_interval = tick.interval;
        date.run_after = tick.run_after;
        const auto found = by_date.find(tick.logical_date);
        decide(date, found == by_date.end() ? nullptr : found->second, wanted.reprocess);
        anything = anything || date.action != "skip";
    }
    if (!anything)
        return refusal(
            ErrorCode::conflict,
            plan.dates.empty() ? "the range holds no run whose interval has ended"
                               : "every date of the range has a run already: nothing to do"
        );
    return plan;
}

}  // namespace sluice::core
