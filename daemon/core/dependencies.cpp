// dependencies.cpp — what edges, setups, branches and the past mean for each task of a DAG version;
// computed once a version.
#include <algorithm>

#include "core/plan.hpp"

namespace sluice::core {
namespace {

const Task& task_of(const Dag& dag, TaskNo no) { return dag.tasks[static_cast<std::size_t>(no)]; }

/// Everything reachable over `next` from the tasks of `open`; these themselves only if on a cycle,
/// which no DAG has.
std::vector<bool> reachable(
    const Dag& dag, std::vector<TaskNo> open, const std::vector<TaskNo> Task::* next
) {
    std::vector<bool> seen(dag.tasks.size(), false);
    while (!open.empty()) {
        const TaskNo at = open.back();
        open.pop_back();
        for (const TaskNo other : task_of(dag, at).*next) {
            if (seen[static_cast<std::size_t>(other)]) continue;
            seen[static_cast<std::size_t>(other)] = true;
            open.push_back(other);
        }
    }
    return seen;
}

/// The setups above the task whose teardown lies below it, or that have none.
std::vector<TaskNo> relevant_setups(const Dag& dag, TaskNo no) {
    const auto above = reachable(dag, {no}, &Task::upstream);
    const auto below = reachable(dag, {no}, &Task::downstream);
    std::vector<TaskNo> found;
    for (std::size_t i = 0; i < dag.tasks.size(); ++i) {
        if (!above[i] || !dag.tasks[i].is_setup) continue;
        bool any = false;
        bool in_scope = false;
        for (const TaskNo down : dag.tasks[i].downstream) {
            if (!task_of(dag, down).is_teardown) continue;
            any = true;
            in_scope = in_scope || below[static_cast<std::size_t>(down)];
        }
        if (!any || in_scope) found.push_back(static_cast<TaskNo>(i));
    }
    return found;
}

void plan_setups(Plan& plan) {
    const Dag& dag = *plan.dag;
    if (std::ranges::none_of(dag.tasks, &Task::is_setup)) return;
    for (std::size_t i = 0; i < dag.tasks.size(); ++i) {
        const auto no = static_cast<TaskNo>(i);
        if (dag.tasks[i].is_teardown) continue;
        for (const TaskNo setup : relevant_setups(dag, no)) {
            // A direct upstream counts in the trigger rule.
            if (std::ranges::binary_search(dag.tasks[i].upstream, setup)) continue;
            plan.tasks[i].setups.push_back(setup);
            plan.tasks[static_cast<std::size_t>(setup)].setup_of.push_back(no);
        }
    }
}

void plan_past(Plan& plan) {
    const Dag& dag = *plan.dag;
    for (std::size_t i = 0; i < dag.tasks.size(); ++i) {
        const Task& task = dag.tasks[i];
        auto& planned = plan.tasks[i];
        const auto no = static_cast<TaskNo>(i);
        if (task.depends_on_past || task.wait_for_downstream) planned.past.push_back(no);
        if (task.wait_for_downstream) planned.past_downstream = task.downstream;
        for (const TaskNo other : task.depends_on_previous_tasks) planned.past.push_back(other);
        if (!planned.needs_past()) continue;
        plan.past_tasks.push_back(no);
        for (const auto* names : {&planned.past, &planned.past_downstream})
            for (const TaskNo other : *names)
                plan.tasks[static_cast<std::size_t>(other)].past_of.push_back(no);
    }
}

/// Leaves, a teardown counting as nothing unless its failure is to fail the run; in a DAG of
/// nothing but teardowns, the leaves.
void plan_deciding(Plan& plan) {
    const Dag& dag = *plan.dag;
    const auto counts = [](const Task& task) {
        return !task.is_teardown || task.on_failure_fail_dagrun;
    };
    bool any = false;
    for (std::size_t i = 0; i < dag.tasks.size(); ++i) {
        const Task& task = dag.tasks[i];
        const bool leaf = std::ranges::none_of(task.downstream, [&](TaskNo down) {
            return counts(task_of(dag, down));
        });
        plan.tasks[i].decides = leaf && counts(task);
        any = any || plan.tasks[i].decides;
    }
    if (any) return;
    for (std::size_t i = 0; i < dag.tasks.size(); ++i)
        plan.tasks[i].decides = dag.tasks[i].downstream.empty();
}

}  // namespace

void plan_dependencies(Plan& plan) {
    plan_deciding(plan);
    plan_setups(plan);
    plan_past(plan);
}

std::vector<TaskNo> setups_and_teardowns(const Dag& dag, TaskNo no) {
    const Task& task = task_of(dag, no);
    if (task.is_teardown) return {};
    std::vector<TaskNo> setups = relevant_setups(dag, no);
    if (task.is_setup) setups.push_back(no);
    std::vector<TaskNo> found;
    for (const TaskNo setup : setups) {
        if (setup != no) found.push_back(setup);
        for (const TaskNo down : task_of(dag, setup).downstream)
            if (task_of(dag, down).is_teardown) found.push_back(down);
    }
    std::ranges::sort(found);
    const auto [first, last] = std::ranges::unique(found);
    found.erase(first, last);
    return found;
}

std::optional<std::vector<bool>> skipped_by(const Dag& dag, TaskNo no, const Branch& branch) {
    const Task& task = task_of(dag, no);
    std::vector<bool> skips(dag.tasks.size(), false);
    if (branch.skip_all_below) {
        skips = reachable(dag, {no}, &Task::downstream);
    } else {
        std::vector<TaskNo> chosen;
        for (const auto& name : branch.chosen) {
            const auto before = chosen.size();
            for (const TaskNo down : task.downstream) {
                const Task& other = task_of(dag, down);
                const bool in_group = other.group == name || other.group.starts_with(name + '.');
                if (other.id == name || in_group) chosen.push_back(down);
            }
            if (chosen.size() == before) return std::nullopt;
        }
        const auto followed = reachable(dag, chosen, &Task::downstream);
        for (const TaskNo down : task.downstream)
            skips[static_cast<std::size_t>(down)] = !followed[static_cast<std::size_t>(down)] &&
                                                    std::ranges::find(chosen, down) == chosen.end();
    }
    for (std::size_t i = 0; i < dag.tasks.size(); ++i)
        if (dag.tasks[i].is_teardown) skips[i] = false;
    return skips;
}

}  // namespace sluice::core
