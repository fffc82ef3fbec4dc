// Mapped tasks and groups: `expand`, and what it allows.
#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "model/expansion.hpp"
#include "spec/draft.hpp"

namespace sluice::spec {

using nlohmann::json;

namespace {

/// The templates of an `expand` are rendered before there are instances: `map` is there only in a
/// mapped group, of whose instances each has a list of its own.
void check_templates_of(Draft& draft, const Mapping& mapping, DraftMapping& beside) {
    TemplateScope scope;
    for (const auto& task : draft.dag.tasks) scope.task_ids.push_back(task.id);
    json values = json::object();
    const json params = json::parse(draft.dag.params);
    for (const auto& [name, schema] : params.items())
        values[name] = schema.contains("default") ? schema["default"] : json();
    scope.params = values.dump();
    scope.mapped = mapping.outer != no_map;
    if (scope.mapped) scope.map_names = map_names(draft, mapping.outer);
    // An engine for objects: a bare text or list stands in one for the check.
    const auto parent = beside.pointer.substr(0, beside.pointer.rfind('/'));
    for (auto& problem :
         check_templates({{"expand", beside.expand}}, json::object(), scope, parent))
        draft.problems.add(std::move(problem));
}

/// Before the number of instances is known, a task that waits for nobody cannot start.
void check_rules_of(Draft& draft, const Mapping& mapping) {
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

std::vector<std::string> map_names(const Draft& draft, MapNo map) {
    auto names = draft.mappings[at(map)].names;
    const MapNo outer = draft.dag.mappings[at(map)].outer;
    if (outer == no_map || names.empty()) return names;
    const auto& more = draft.mappings[at(outer)].names;
    if (more.empty()) return {};
    names.insert(names.end(), more.begin(), more.end());
    return names;
}

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
    if (around != no_map && draft.dag.mappings[at(around)].outer != no_map) {
        draft.problems.error(
            "E-EXPAND",
            here,
            fmt::format(
                "\"{}\" is mapped inside a mapped group already, and there is no third level",
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
    mapping.outer = around;
    if (around != no_map)
        for (const auto& name : check.names)
            if (std::ranges::count(draft.mappings[at(around)].names, name) > 0)
                draft.problems.error(
                    "E-EXPAND",
                    here,
                    fmt::format(
                        "\"{}\" has a list {} too: map.{} would mean two things",
                        draft.dag.mappings[at(around)].owner,
                        name,
                        name
                    ),
                    "give one of the lists another name"
                );
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
        const bool known = mapping.length && (mapping.outer == no_map ||
                                              draft.dag.mappings[at(mapping.outer)].length);
        if (!draft.stored && !mapping.length) check_templates_of(draft, mapping, draft.mappings[i]);
        if (!draft.stored && !known) check_rules_of(draft, mapping);
        // What gives the items comes before all tasks that are made of them.
        auto reads = template_reads({{"expand", draft.mappings[i].expand}});
        if (mapping.outer != no_map)
            reads.xcom_tasks.merge(
                template_reads({{"expand", draft.mappings[at(mapping.outer)].expand}}).xcom_tasks
            );
        for (const TaskNo task : mapping.tasks) {
            auto& beside = draft.tasks[at(task)];
            beside.xcom_tasks.insert(reads.xcom_tasks.begin(), reads.xcom_tasks.end());
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
        scope.map_names = map_names(draft, task.mapping);
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
