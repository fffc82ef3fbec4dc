// Mapped tasks and groups: `expand`, and what it allows.
#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "model/expansion.hpp"
#include "spec/draft.hpp"

namespace sluice::spec {

using nlohmann::json;

namespace {

/// The templates of an `expand` are rendered before there are instances: with no `map`.
void check_templates_of(Draft& draft, const Mapping& mapping, DraftMapping& beside) {
    TemplateScope scope;
    for (const auto& task : draft.dag.tasks) scope.task_ids.push_back(task.id);
    json values = json::object();
    const json params = json::parse(draft.dag.params);
    for (const auto& [name, schema] : params.items())
        values[name] = schema.contains("default") ? schema["default"] : json();
    scope.params = values.dump();
    // An engine for objects: a bare text or list stands in one for the check.
    const auto parent = beside.pointer.substr(0, beside.pointer.rfind('/'));
    for (auto& problem :
         check_templates({{"expand", beside.expand}}, json::object(), scope, parent))
        draft.problems.add(std::move(problem));
    for (const TaskNo task : mapping.tasks)
        if (draft.dag.tasks[at(task)].trigger_rule == TriggerRule::always)
            draft.problems.error(
                "E-EXPAND",
                child_pointer(draft.tasks[at(task)].pointer, "trigger_rule"),
                "the rule always would start it before the task that gives its items has ended",
                "all_done waits for the upstreams, however they end"
            );
}

}  // namespace

MapNo add_mapping(
    Draft& draft,
    const json& written,
    const std::string& pointer,
    const std::string& owner,
    MapNo around
) {
    const auto found = written.find("expand");
    if (found == written.end() || !(found->is_structured() || found->is_string())) return around;
    const auto here = child_pointer(pointer, "expand");
    if (around != no_map) {
        draft.problems.error(
            "E-EXPAND",
            here,
            fmt::format(
                "\"{}\" is mapped already, and a mapping inside a mapping does not exist",
                draft.dag.mappings[at(around)].owner
            ),
            "one expand of both lists makes an instance for each combination"
        );
        return around;
    }
    auto check = check_expand(*found);
    for (const auto& fault : check.faults)
        draft.problems.error("E-EXPAND", here + fault.pointer, fault.message);
    Mapping mapping;
    mapping.owner = owner;
    mapping.expand = canonical_json(*found);
    if (check.literal && check.faults.empty()) {
        try {
            mapping.length = expand(*found).shape.length;
        } catch (const Error& error) {
            draft.problems.error("E-EXPAND", here, error.what());
        }
    }
    draft.dag.mappings.push_back(std::move(mapping));
    draft.mappings.push_back({here, *found, std::move(check.names)});
    return static_cast<MapNo>(draft.dag.mappings.size()) - 1;
}

void check_mappings(Draft& draft) {
    for (std::size_t i = 0; i < draft.mappings.size(); ++i) {
        const auto& mapping = draft.dag.mappings[i];
        if (!draft.stored && !mapping.length) check_templates_of(draft, mapping, draft.mappings[i]);
        // What gives the items comes before all tasks that are made of them.
        const auto reads = template_reads({{"expand", draft.mappings[i].expand}});
        for (const TaskNo task : mapping.tasks) {
            auto& beside = draft.tasks[at(task)];
            beside.xcom_tasks.insert(reads.xcom_tasks.begin(), reads.xcom_tasks.end());
            for (const auto& use : beside.writes)
                if (!draft.stored &&
                    draft.dag.schemas.contains(use.name.substr(0, use.name.find('.'))))
                    draft.problems.error(
                        "E-NOT-YET",
                        use.pointer,
                        fmt::format(
                            "a mapped task that writes the warehouse table {} comes with a later "
                            "version of Sluice",
                            use.name
                        ),
                        "let it write a data set of the lake, and one task load that"
                    );
        }
    }
    for (std::size_t i = 0; i < draft.tasks.size() && !draft.stored; ++i) {
        const auto& task = draft.dag.tasks[i];
        if (task.map_index_template.empty()) continue;
        if (task.mapping == no_map) {
            draft.problems.error(
                "E-EXPAND",
                child_pointer(draft.tasks[i].pointer, "map_index_template"),
                "the task is not mapped: there is one instance, which needs no name",
                "give the task, or its group, an \"expand\""
            );
            continue;
        }
        TemplateScope scope;
        for (const auto& other : draft.dag.tasks) scope.task_ids.push_back(other.id);
        scope.mapped = true;
        scope.map_names = draft.mappings[at(task.mapping)].names;
        for (auto& problem : check_templates(
                 {{"map_index_template", task.map_index_template}},
                 json::object(),
                 scope,
                 draft.tasks[i].pointer
             ))
            draft.problems.add(std::move(problem));
    }
}

}  // namespace sluice::spec
