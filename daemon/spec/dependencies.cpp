// What tasks depend on beyond their upstreams: the run before, setups, the way a branch takes.
#include <algorithm>

#include <fmt/format.h>

#include "spec/draft.hpp"

namespace sluice::spec {
namespace {

/// Everything below the tasks, themselves included.
std::vector<bool> from_here_on(const Dag& dag, std::vector<TaskNo> open) {
    std::vector<bool> seen(dag.tasks.size(), false);
    for (const TaskNo task : open) seen[at(task)] = true;
    while (!open.empty()) {
        const TaskNo next = open.back();
        open.pop_back();
        for (const TaskNo down : dag.tasks[at(next)].downstream) {
            if (seen[at(down)]) continue;
            seen[at(down)] = true;
            open.push_back(down);
        }
    }
    return seen;
}

void resolve_previous_tasks(Draft& draft) {
    for (std::size_t i = 0; i < draft.tasks.size(); ++i) {
        auto& task = draft.dag.tasks[i];
        const auto& names = draft.tasks[i].previous_tasks;
        const auto pointer = child_pointer(draft.tasks[i].pointer, "depends_on_previous_tasks");
        if (!names.empty() && task.depends_on_past)
            draft.problems.error(
                "E-PAST",
                pointer,
                "\"depends_on_previous_tasks\" stands in the place of \"depends_on_past\" and "
                "\"wait_for_downstream\", not beside them"
            );
        for (const auto& name : names) {
            const TaskNo other = find_task(draft.dag, name);
            if (other != no_task) {
                task.depends_on_previous_tasks.push_back(other);
                continue;
            }
            std::vector<std::string> known;
            for (const auto& one : draft.dag.tasks) known.push_back(one.id);
            draft.problems.error(
                "E-PAST",
                pointer,
                fmt::format("there is no task \"{}\"", name),
                did_you_mean(name, known)
            );
        }
        std::ranges::sort(task.depends_on_previous_tasks);
    }
}

void check_setups(Draft& draft) {
    for (std::size_t i = 0; i < draft.tasks.size(); ++i) {
        const auto& task = draft.dag.tasks[i];
        const auto& pointer = draft.tasks[i].pointer;
        const auto wrong = [&](const char* key, std::string message, std::string hint = {}) {
            draft.problems.error(
                "E-SETUP", child_pointer(pointer, key), std::move(message), std::move(hint)
            );
        };
        if (task.is_setup && task.is_teardown)
            wrong("is_teardown", "a task is a setup or a teardown, not both");
        if (task.is_teardown && draft.tasks[i].rule_written)
            wrong(
                "trigger_rule",
                "a teardown has a trigger rule of its own: it runs when all its upstreams are done "
                "and one of its setups succeeded"
            );
        if (task.on_failure_fail_dagrun && !task.is_teardown)
            wrong("on_failure_fail_dagrun", "only a teardown may say what its failure means");
        if (!task.is_setup) continue;
        for (const TaskNo down : task.downstream) {
            const auto& other = draft.dag.tasks[at(down)];
            if (other.is_teardown || other.trigger_rule == TriggerRule::all_success) continue;
            draft.problems.error(
                "E-SETUP",
                child_pointer(draft.tasks[at(down)].pointer, "trigger_rule"),
                fmt::format(
                    "\"{}\" comes right after the setup \"{}\" and must use all_success",
                    other.id,
                    task.id
                )
            );
        }
    }
}

void check_fail_fast(Draft& draft) {
    if (!draft.dag.fail_fast) return;
    for (std::size_t i = 0; i < draft.tasks.size(); ++i) {
        const auto& task = draft.dag.tasks[i];
        if (task.is_teardown || task.trigger_rule == TriggerRule::all_success) continue;
        draft.problems.error(
            "E-FAIL-FAST",
            child_pointer(draft.tasks[i].pointer, "trigger_rule"),
            fmt::format(
                "\"{}\" uses {}: in a DAG with \"fail_fast\" all tasks use all_success",
                task.id,
                name(task.trigger_rule)
            )
        );
    }
}

/// The direct downstreams that a way names.
std::vector<TaskNo> chosen_tasks(Draft& draft, TaskNo branch, const Way& way) {
    const Dag& dag = draft.dag;
    std::vector<TaskNo> chosen;
    for (const auto& wanted : way.names) {
        const auto before = chosen.size();
        for (const TaskNo down : dag.tasks[at(branch)].downstream) {
            const auto& other = dag.tasks[at(down)];
            const bool in_group = other.group == wanted || other.group.starts_with(wanted + '.');
            if (other.id == wanted || in_group) chosen.push_back(down);
        }
        if (chosen.size() > before) continue;
        std::vector<std::string> known;
        for (const TaskNo down : dag.tasks[at(branch)].downstream)
            known.push_back(dag.tasks[at(down)].id);
        auto hint = did_you_mean(wanted, known);
        if (hint.empty())
            hint = fmt::format(
                "give it \"upstream\": \"{}\", or name the id of a task or group that has it",
                dag.tasks[at(branch)].id
            );
        draft.problems.error(
            "E-BRANCH",
            way.pointer,
            fmt::format(
                "no task or group \"{}\" stands directly below \"{}\"",
                wanted,
                dag.tasks[at(branch)].id
            ),
            std::move(hint)
        );
    }
    return chosen;
}

/// A join that is on the way chosen, and skipped all the same because another way was not.
void warn_of_joins(
    Draft& draft,
    TaskNo branch,
    const std::vector<TaskNo>& chosen,
    const std::vector<TaskNo>& order,
    std::set<TaskNo>& warned
) {
    const Dag& dag = draft.dag;
    const auto followed = from_here_on(dag, chosen);
    std::vector<bool> skipped(dag.tasks.size(), false);
    for (const TaskNo down : dag.tasks[at(branch)].downstream)
        skipped[at(down)] = !followed[at(down)];
    for (const TaskNo no : order) {
        const auto& task = dag.tasks[at(no)];
        if (skipped[at(no)] || task.trigger_rule != TriggerRule::all_success) continue;
        const auto without =
            std::ranges::find_if(task.upstream, [&](TaskNo up) { return skipped[at(up)]; });
        if (without == task.upstream.end()) continue;
        if (!followed[at(no)]) {
            skipped[at(no)] = true;
            continue;
        }
        if (!warned.insert(no).second) continue;
        draft.problems.warning(
            "W-BRANCH-JOIN",
            draft.tasks[at(no)].pointer,
            fmt::format(
                "\"{}\" joins ways of the branch \"{}\" with all_success: it is skipped when "
                "\"{}\" "
                "is not chosen",
                task.id,
                dag.tasks[at(branch)].id,
                dag.tasks[at(*without)].id
            ),
            R"(write "trigger_rule": "none_failed_min_one_success")"
        );
    }
}

void check_branches(Draft& draft) {
    std::vector<TaskNo> order;
    std::set<TaskNo> warned;
    for (std::size_t i = 0; i < draft.tasks.size(); ++i) {
        const auto branch = static_cast<TaskNo>(i);
        for (const auto& way : draft.tasks[i].ways) {
            const auto chosen = chosen_tasks(draft, branch, way);
            if (order.empty()) order = topological_order(draft.dag);
            if (!chosen.empty()) warn_of_joins(draft, branch, chosen, order, warned);
        }
    }
}

}  // namespace

void check_dependencies(Draft& draft) {
    resolve_previous_tasks(draft);
    if (draft.stored) return;
    check_setups(draft);
    check_fail_fast(draft);
    check_branches(draft);
}

}  // namespace sluice::spec
