#include "core/pace.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <ranges>

#include "core/impl.hpp"

namespace sluice::core {

void Pace::add(double seconds) {
    constexpr int memory = 20;
    attempts_ = std::min(attempts_ + 1, memory);
    seconds_ += (seconds - seconds_) / attempts_;
}

bool has_deadlines(const Dag& dag) {
    return !dag.deadlines.empty() ||
           std::ranges::any_of(dag.tasks, [](const Task& task) { return !task.deadlines.empty(); });
}

bool needs_paces(const Dag& dag) {
    return has_deadlines(dag) || std::ranges::any_of(dag.tasks, [](const Task& task) {
               return task.weight_rule == WeightRule::critical_path;
           });
}

std::vector<double> seconds_to(const Dag& dag, const Paces& paces, TaskNo target) {
    std::vector<double> way(dag.tasks.size(), -1);
    for (const TaskNo no : topological_order(dag) | std::views::reverse) {
        const auto& task = dag.tasks[static_cast<std::size_t>(no)];
        double below = target == no_task || target == no ? 0 : -1;
        if (target != no)
            for (const TaskNo down : task.downstream)
                below = std::max(below, way[static_cast<std::size_t>(down)]);
        if (below < 0) continue;
        const auto pace = paces.find(task.id);
        way[static_cast<std::size_t>(no)] =
            below + (pace == paces.end() ? 0 : pace->second.seconds());
    }
    return way;
}

std::vector<std::int64_t> seconds_to_end(const Dag& dag, const Paces& paces) {
    std::vector<double> way(dag.tasks.size(), 0);
    for (const TaskNo no : topological_order(dag) | std::views::reverse) {
        const auto& task = dag.tasks[static_cast<std::size_t>(no)];
        double below = 0;
        for (const TaskNo down : task.downstream)
            below = std::max(below, way[static_cast<std::size_t>(down)]);
        const auto pace = paces.find(task.id);
        way[static_cast<std::size_t>(no)] =
            below + (pace == paces.end() ? Pace{} : pace->second).seconds();
    }
    std::vector<std::int64_t> result;
    result.reserve(way.size());
    constexpr double most = std::numeric_limits<std::int32_t>::max();
    for (const double seconds : way)
        result.push_back(static_cast<std::int64_t>(std::ceil(std::clamp(seconds, 0.0, most))));
    return result;
}

/// A task of a DAG that cares has succeeded.
void Scheduler::Impl::note_pace(Run& run, const TaskInstance& row) {
    if (!run.plan->paced || !row.start_date || !row.end_date) return;
    run.dag->paces[run.task(row.key.task).id].add(to_seconds(*row.end_date - *row.start_date));
    ++run.dag->paces_known;
}

/// At the start of a run: what has been learnt since the last one. Tasks that are in the queue keep
/// the weight that they came with.
void Scheduler::Impl::weigh(Plan& plan, const DagEntry& dag) {
    if (!plan.paced || plan.paces_seen == dag.paces_known) return;
    plan.paces_seen = dag.paces_known;
    const auto seconds = seconds_to_end(*plan.dag, dag.paces);
    for (std::size_t i = 0; i < seconds.size(); ++i)
        if (plan.dag->tasks[i].weight_rule == WeightRule::critical_path)
            plan.tasks[i].weight = seconds[i];
}

Taken Scheduler::Impl::on(const PacesKnown& event) {
    const auto at = dag_numbers_.find(event.dag_id);
    if (at == dag_numbers_.end()) return Taken::yes;
    auto& dag = *dags_[static_cast<std::size_t>(at->second)];
    for (const auto& [task, known] : event.tasks)
        dag.paces.try_emplace(task, known.seconds, known.attempts);
    ++dag.paces_known;
    for (const auto& [known, plan] : plans_)
        if (plan->dag_no == dag.no) weigh(*plan, dag);
    foresee_all(dag);
    return Taken::yes;
}

}  // namespace sluice::core
