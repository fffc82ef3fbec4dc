#include "model/dag.hpp"

#include <algorithm>
#include <limits>
#include <queue>

#include "model/names.hpp"

namespace sluice {
namespace {

constexpr NameTable<TriggerRule, 13> rules{{
    {TriggerRule::all_success, "all_success"},
    {TriggerRule::all_failed, "all_failed"},
    {TriggerRule::all_done, "all_done"},
    {TriggerRule::all_done_min_one_success, "all_done_min_one_success"},
    {TriggerRule::all_skipped, "all_skipped"},
    {TriggerRule::one_failed, "one_failed"},
    {TriggerRule::one_success, "one_success"},
    {TriggerRule::one_done, "one_done"},
    {TriggerRule::none_failed, "none_failed"},
    {TriggerRule::none_failed_min_one_success, "none_failed_min_one_success"},
    {TriggerRule::none_skipped, "none_skipped"},
    {TriggerRule::always, "always"},
    {TriggerRule::all_done_setup_success, "all_done_setup_success"},
}};

/// Walks upstream edges inside the tasks that no topological order reached, until a task repeats.
std::vector<TaskNo> find_cycle(const Dag& dag, const std::vector<bool>& ordered) {
    TaskNo at = 0;
    while (ordered[static_cast<std::size_t>(at)]) ++at;
    std::vector<TaskNo> path;
    for (;;) {
        const auto seen = std::ranges::find(path, at);
        if (seen != path.end()) {
            std::vector<TaskNo> cycle(seen, path.end());
            std::ranges::reverse(cycle);
            return cycle;
        }
        path.push_back(at);
        const auto& upstream = dag.tasks[static_cast<std::size_t>(at)].upstream;
        at = *std::ranges::find_if(upstream, [&](TaskNo up) {
            return !ordered[static_cast<std::size_t>(up)];
        });
    }
}

/// Own weight plus that of all tasks reachable through `next`; a plain sum over the reachable set,
/// as Airflow does (a task reachable on two paths counts once).
std::int64_t reachable_weight(
    const Dag& dag, TaskNo start, const std::vector<TaskNo> Task::* next, std::vector<TaskNo>& seen
) {
    std::int64_t sum = 0;
    std::vector<TaskNo> open{start};
    const TaskNo mark = start;
    seen[static_cast<std::size_t>(start)] = mark;
    while (!open.empty()) {
        const auto& task = dag.tasks[static_cast<std::size_t>(open.back())];
        open.pop_back();
        sum += task.priority_weight;
        for (const TaskNo other : task.*next) {
            if (seen[static_cast<std::size_t>(other)] == mark) continue;
            seen[static_cast<std::size_t>(other)] = mark;
            open.push_back(other);
        }
    }
    return std::clamp<std::int64_t>(
        sum, std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()
    );
}

}  // namespace

constexpr NameTable<CallbackOn, 7> callback_events{{
    {CallbackOn::execute, "on_execute"},
    {CallbackOn::success, "on_success"},
    {CallbackOn::failure, "on_failure"},
    {CallbackOn::retry, "on_retry"},
    {CallbackOn::skipped, "on_skipped"},
    {CallbackOn::deadline, "deadline"},
    {CallbackOn::predicted, "deadline_predicted"},
}};

std::string_view name(CallbackOn on) { return name_in(callback_events, on); }
std::optional<CallbackOn> callback_on_of(std::string_view text) {
    return value_in(callback_events, text);
}

bool is_of_past_runs(DeadlineFrom from) {
    return from == DeadlineFrom::average || from == DeadlineFrom::percentile;
}

std::string_view name(TriggerRule rule) { return name_in(rules, rule); }
std::optional<TriggerRule> trigger_rule_of(std::string_view text) { return value_in(rules, text); }

TaskNo find_task(const Dag& dag, std::string_view task_id) {
    const auto found = std::ranges::find(dag.tasks, task_id, &Task::id);
    return found == dag.tasks.end() ? no_task : static_cast<TaskNo>(found - dag.tasks.begin());
}

std::vector<TaskNo> topological_order(const Dag& dag) {
    std::vector<std::size_t> waiting(dag.tasks.size());
    std::priority_queue<TaskNo, std::vector<TaskNo>, std::greater<>> ready;
    for (std::size_t i = 0; i < dag.tasks.size(); ++i) {
        waiting[i] = dag.tasks[i].upstream.size();
        if (waiting[i] == 0) ready.push(static_cast<TaskNo>(i));
    }
    std::vector<std::vector<TaskNo>> downstream(dag.tasks.size());
    for (std::size_t i = 0; i < dag.tasks.size(); ++i)
        for (const TaskNo up : dag.tasks[i].upstream)
            downstream[static_cast<std::size_t>(up)].push_back(static_cast<TaskNo>(i));
    std::vector<TaskNo> order;
    while (!ready.empty()) {
        const TaskNo at = ready.top();
        ready.pop();
        order.push_back(at);
        for (const TaskNo down : downstream[static_cast<std::size_t>(at)])
            if (--waiting[static_cast<std::size_t>(down)] == 0) ready.push(down);
    }
    return order;
}

std::vector<TaskNo> link_tasks(Dag& dag) {
    const auto order = topological_order(dag);
    if (order.size() != dag.tasks.size()) {
        std::vector<bool> ordered(dag.tasks.size());
        for (const TaskNo at : order) ordered[static_cast<std::size_t>(at)] = true;
        return find_cycle(dag, ordered);
    }
    for (auto& task : dag.tasks) task.downstream.clear();
    for (std::size_t i = 0; i < dag.tasks.size(); ++i)
        for (const TaskNo up : dag.tasks[i].upstream)
            dag.tasks[static_cast<std::size_t>(up)].downstream.push_back(static_cast<TaskNo>(i));

    std::vector<TaskNo> seen(dag.tasks.size(), no_task);
    for (std::size_t i = 0; i < dag.tasks.size(); ++i) {
        auto& task = dag.tasks[i];
        switch (task.weight_rule) {
            case WeightRule::critical_path:  // core knows how long things take
            case WeightRule::absolute:
                task.effective_weight = task.priority_weight;
                break;
            case WeightRule::downstream:
                task.effective_weight =
                    reachable_weight(dag, static_cast<TaskNo>(i), &Task::downstream, seen);
                break;
            case WeightRule::upstream:
                task.effective_weight =
                    reachable_weight(dag, static_cast<TaskNo>(i), &Task::upstream, seen);
                break;
        }
    }
    return {};
}

}  // namespace sluice
