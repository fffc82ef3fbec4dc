// subsets.cpp — plans of DAG versions, and of those cut down to the tasks of a backfill. In a run
// of such a backfill the other tasks are skipped, and no edge leads to or from them: what is chosen
// waits for what is chosen, and the run ends as that ends.
#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "core/impl.hpp"
#include "core/pace.hpp"

namespace sluice::core {
namespace {

DagPtr cut_down(const Dag& whole, const std::vector<bool>& outside) {
    auto dag = std::make_shared<Dag>(whole);
    const auto drop = [&](std::vector<TaskNo>& tasks) {
        std::erase_if(tasks, [&](TaskNo task) { return outside[static_cast<std::size_t>(task)]; });
    };
    for (std::size_t i = 0; i < dag->tasks.size(); ++i) {
        auto& task = dag->tasks[i];
        if (outside[i]) {
            task.upstream.clear();
            task.inferred.clear();
        } else {
            drop(task.upstream);
            drop(task.inferred);
        }
    }
    const auto cycle = link_tasks(*dag);
    SLUICE_CHECK(cycle.empty());
    return dag;
}

}  // namespace

Plan& Scheduler::Impl::plan_of(
    const DagPtr& dag, DagEntry& entry, const std::vector<std::string>& subset
) {
    auto& same_version = plans_by_version_[dag->version];
    // A version that nobody ran may be replaced under the same number: another plan then.
    for (Plan* known : same_version)
        if (known->whole->hash == dag->hash && known->subset == subset) return *known;
    auto made = std::make_unique<Plan>();
    Plan& plan = *made;
    plans_.emplace(&plan, std::move(made));
    same_version.push_back(&plan);
    plan.dag = dag;
    plan.whole = dag;
    plan.subset = subset;
    if (!subset.empty()) {
        for (const auto& task : dag->tasks)
            plan.outside.push_back(std::ranges::find(subset, task.id) == subset.end());
        plan.dag = cut_down(*dag, plan.outside);
    }
    plan.dag_no = entry.no;
    plan.paced = needs_paces(*plan.dag);
    plan.has_deadlines = has_deadlines(*plan.dag);
    for (const auto& task : plan.dag->tasks) {
        auto& planned = plan.tasks.emplace_back();
        planned.lane = queue_.lane_for(pools_.demand_of(task), Share::regular);
        planned.backfill_lane = queue_.lane_for(queue_.demand(planned.lane), Share::backfill);
        planned.weight = task.effective_weight;
        const auto number = static_cast<TaskNo>(&task - dag->tasks.data());
        for (const auto& dataset : dag->datasets)
            if (dataset.writer == number) planned.outputs.push_back(dataset.name);
        planned.writes_data = !planned.outputs.empty();
        for (const auto& name : task.outlets)
            if (std::ranges::find(planned.outputs, name) == planned.outputs.end())
                planned.outputs.push_back(name);
        planned.per_run_gate = task.max_active_tis_per_dagrun.has_value();
        if (!task.max_active_tis_per_dag) continue;
        planned.dag_gate = &entry.task_gates[task.id];
    }
    set_limits(entry);
    std::int32_t rank = 0;
    for (const TaskNo task : topological_order(*plan.dag))
        plan.tasks[static_cast<std::size_t>(task)].rank = rank++;
    weigh(plan, entry);
    plan_dependencies(plan);
    return plan;
}

/// Limits over all runs of the DAG: the current version's, or those of the newest one that has the
/// task.
void Scheduler::Impl::set_limits(DagEntry& entry) {
    for (auto& [id, gate] : entry.task_gates) {
        const Dag* newest = nullptr;
        const auto look = [&, &id = id](const Plan* plan) {
            if (plan == nullptr || find_task(*plan->whole, id) == no_task) return;
            if (newest == nullptr || newest->version < plan->whole->version)
                newest = plan->whole.get();
        };
        look(entry.current);
        if (newest == nullptr)
            for (const auto& [key, plan] : plans_)
                if (plan->dag_no == entry.no) look(plan.get());
        if (newest == nullptr) continue;
        const auto task = static_cast<std::size_t>(find_task(*newest, id));
        const auto most = newest->tasks[task].max_active_tis_per_dag;
        if (std::exchange(gate.most, most) == most || gate.waiting.empty()) continue;
        while (!gate.waiting.empty()) queue_.release(gate);
        again_ = true;
    }
}

/// The plan of a run: by its backfill, cut down or not.
Plan& Scheduler::Impl::plan_of(const DagPtr& dag, DagEntry& entry, const DagRun& row) {
    const auto subset = row.backfill ? subsets_.find(*row.backfill) : subsets_.end();
    if (subset == subsets_.end()) return plan_of(dag, entry);
    return plan_of(dag, entry, subset->second);
}

/// Another plan of the same version for a run of which nothing is at work.
void Scheduler::Impl::use_plan(Run& run, Plan& plan) {
    if (run.plan == &plan) return;
    SLUICE_CHECK(is_finished(run.row.state) && run.active == 0);
    Plan* before = run.plan;
    run.plan = &plan;
    ++plan.open_runs;
    --before->open_runs;
    forget_plan(before, *run.dag);
    recount(run);
}

/// When a run starts: what never ran of the tasks outside its backfill's subset never will, unless
/// a user clears it.
void Scheduler::Impl::skip_outside(Run& run) {
    if (run.plan->outside.empty()) return;
    for (auto& family : run.tasks) {
        auto& instance = family.one;
        if (!run.plan->is_outside(instance.row.key.task) || family.is_expanded()) continue;
        if (instance.row.state != TaskState::none || instance.has_row) continue;
        instance.row.end_date = now_;
        instance.row.note = "not in the backfill's subset";
        change(run, instance, TaskState::skipped, {"subset"});
    }
}

void Scheduler::Impl::forget_plan(Plan* plan, DagEntry& dag) {
    if (plan->open_runs > 0 || dag.current == plan) return;
    const auto at = plans_by_version_.find(plan->whole->version);
    std::erase(at->second, plan);
    if (at->second.empty()) plans_by_version_.erase(at);
    plans_.erase(plan);
    set_limits(dag);
}

}  // namespace sluice::core
