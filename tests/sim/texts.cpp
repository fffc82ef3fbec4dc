#include "tests/sim/texts.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "tests/sim/world.hpp"

namespace sluice::sim {

std::string text(const TaskKey& key) {
    if (key.map_index != unmapped)
        return fmt::format("run {} task {}[{}]", key.run.value, key.task, key.map_index);
    return fmt::format("run {} task {}", key.run.value, key.task);
}

std::string rule_text(const Dag& dag, const std::vector<TaskInstance>& rows, TaskNo no) {
    const Task& task = dag.tasks[static_cast<std::size_t>(no)];
    auto all = fmt::format(
        "{}{}{} of",
        name(task.trigger_rule),
        task.mapping == no_map ? "" : " in mapping " + std::to_string(task.mapping),
        task.wait_for_past_depends_before_skipping ? " after the past" : ""
    );
    for (const auto& row : rows)
        if (std::ranges::find(task.upstream, row.key.task) != task.upstream.end())
            all += fmt::format(" {}[{}] {}", row.key.task, row.key.map_index, name(row.state));
    return all;
}

std::string words(const core::Reasons& reasons) {
    std::string all;
    for (const auto& reason : reasons) all += "; " + reason.condition + ": " + reason.text;
    return all;
}

/// All of a run that is stored, with the rules.
std::string World::stored_text(RunKey key) const {
    const DagRun& run = journal_.runs().at(key);
    const Dag& dag = *versions_.at(run.version);
    std::vector<TaskInstance> rows;
    const auto add = [&](TaskNo task, MapIndex index) {
        auto& row = rows.emplace_back();
        row.key = {key, task, index};
        row.state = journal_.state_of(row.key).value_or(TaskState::none);
    };
    for (TaskNo no = 0; no < static_cast<TaskNo>(dag.tasks.size()); ++no) {
        const MapNo map = dag.tasks[static_cast<std::size_t>(no)].mapping;
        const auto known = map == no_map ? std::nullopt : journal_.map_length(key, map);
        add(no, unmapped);
        for (MapIndex i = 0; known && i < known->length; ++i) add(no, i);
    }
    auto all = fmt::format("run {} of {}", key.value, run.dag_id);
    for (const auto& row : rows)
        all += fmt::format(
            "\n  {} {}: {}", text(row.key), name(row.state), rule_text(dag, rows, row.key.task)
        );
    return all;
}

}  // namespace sluice::sim
