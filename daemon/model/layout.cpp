#include "model/layout.hpp"

#include <algorithm>
#include <ranges>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/check.hpp"
#include "base/hash.hpp"

namespace sluice {
namespace {

using Json = nlohmann::json;

/// The mapping that a nested one lies in; null = none.
const Mapping* outer_of(const Mapping& mapping, const std::vector<Mapping>& all) {
    return mapping.outer == no_map ? nullptr : &all[static_cast<std::size_t>(mapping.outer)];
}

/// Mappings of two lists make the same instances: they say the same, and so do those around them.
bool is_same(
    const Mapping& a,
    const std::vector<Mapping>& all_a,
    const Mapping& b,
    const std::vector<Mapping>& all_b
) {
    if (a.owner != b.owner || a.expand != b.expand || a.length != b.length) return false;
    const Mapping* outer_a = outer_of(a, all_a);
    const Mapping* outer_b = outer_of(b, all_b);
    if (outer_a == nullptr || outer_b == nullptr) return outer_a == outer_b;
    return is_same(*outer_a, all_a, *outer_b, all_b);
}

/// The tasks and mappings of `before`, in order, are the first of `latest`.
bool follows(const Dag& latest, const Dag& before) {
    const auto same_id = [](const Task& a, const Task& b) { return a.id == b.id && !a.gone; };
    return before.tasks.size() <= latest.tasks.size() &&
           before.mappings.size() <= latest.mappings.size() &&
           std::ranges::equal(
               before.tasks, latest.tasks | std::views::take(before.tasks.size()), same_id
           ) &&
           std::ranges::equal(
               before.mappings,
               latest.mappings | std::views::take(before.mappings.size()),
               [&](const Mapping& a, const Mapping& b) {
                   return is_same(a, before.mappings, b, latest.mappings);
               }
           );
}

Json json_of(const Mapping& mapping, MapNo outer) {
    Json json{{"owner", mapping.owner}, {"expand", mapping.expand}};
    if (mapping.length) json["length"] = *mapping.length;
    if (outer != no_map) json["outer"] = outer;
    return json;
}

/// Places of the form's tasks: those of `before` first, then what is new.
Json tasks_of(const Dag& latest, const Dag& before) {
    Json tasks = Json::array();
    for (const Task& task : before.tasks)
        tasks.push_back({{"id", task.id}, {"operator", task.operator_name}});
    for (const Task& task : latest.tasks)
        if (find_task(before, task.id) == no_task)
            tasks.push_back({{"id", task.id}, {"operator", task.operator_name}});
    return tasks;
}

Json mappings_of(const Dag& latest, const Dag& before) {
    Json mappings = Json::array();
    for (const Mapping& mapping : before.mappings)
        mappings.push_back(json_of(mapping, mapping.outer));
    std::vector<MapNo> places;  // of the latest's
    for (const Mapping& mapping : latest.mappings) {
        const auto known = std::ranges::find_if(before.mappings, [&](const Mapping& other) {
            return is_same(mapping, latest.mappings, other, before.mappings);
        });
        if (known != before.mappings.end()) {
            places.push_back(static_cast<MapNo>(known - before.mappings.begin()));
            continue;
        }
        // What is around it stands before it.
        const MapNo outer =
            mapping.outer == no_map ? no_map : places[static_cast<std::size_t>(mapping.outer)];
        places.push_back(static_cast<MapNo>(mappings.size()));
        mappings.push_back(json_of(mapping, outer));
    }
    return mappings;
}

Mapping mapping_of(const Json& json) {
    Mapping mapping;
    mapping.owner = json.at("owner").get<std::string>();
    mapping.expand = json.at("expand").get<std::string>();
    if (const auto length = json.find("length"); length != json.end())
        mapping.length = length->get<std::int32_t>();
    mapping.outer = json.value("outer", no_map);
    return mapping;
}

/// Old number -> new number.
struct Places {
    std::vector<TaskNo> tasks;
    std::vector<MapNo> mappings;

    [[nodiscard]] TaskNo task(TaskNo old) const {
        return old == no_task ? no_task : tasks[static_cast<std::size_t>(old)];
    }
    void move(std::vector<TaskNo>& list) const {
        for (TaskNo& task_no : list) task_no = task(task_no);
        std::ranges::sort(list);
    }
};

void move_mappings(Dag& dag, const Json& layout, Places& places) {
    std::vector<Mapping> mappings;
    for (const Json& json : layout.at("mappings")) mappings.push_back(mapping_of(json));
    for (const Mapping& mapping : dag.mappings) {
        auto found = std::ranges::find_if(mappings, [&](const Mapping& other) {
            return other.tasks.empty() && is_same(mapping, dag.mappings, other, mappings);
        });
        SLUICE_CHECK(found != mappings.end());
        found->tasks = mapping.tasks;
        places.move(found->tasks);
        places.mappings.push_back(static_cast<MapNo>(found - mappings.begin()));
    }
    dag.mappings = std::move(mappings);
}

}  // namespace

Dag with_layout(Dag dag, const std::string& layout_text) {
    const Json layout = Json::parse(layout_text);
    std::vector<Task> tasks;
    Places places;
    places.tasks.assign(dag.tasks.size(), no_task);
    for (const Json& json : layout.at("tasks")) {
        const auto id = json.at("id").get<std::string>();
        const TaskNo old = find_task(dag, id);
        if (old != no_task) {
            places.tasks[static_cast<std::size_t>(old)] = static_cast<TaskNo>(tasks.size());
            tasks.push_back(dag.tasks[static_cast<std::size_t>(old)]);
            continue;
        }
        Task& gone = tasks.emplace_back();
        gone.id = id;
        gone.operator_name = json.at("operator").get<std::string>();
        gone.with = "{}";
        gone.gone = true;
    }
    SLUICE_CHECK(std::ranges::find(places.tasks, no_task) == places.tasks.end());
    move_mappings(dag, layout, places);
    dag.tasks = std::move(tasks);
    for (Task& task : dag.tasks) {
        places.move(task.upstream);
        places.move(task.inferred);
        places.move(task.depends_on_previous_tasks);
        if (!task.gone && task.mapping != no_map)
            task.mapping = places.mappings[static_cast<std::size_t>(task.mapping)];
    }
    for (DatasetSpec& dataset : dag.datasets) {
        dataset.writer = places.task(dataset.writer);
        places.move(dataset.readers);
    }
    const auto cycle = link_tasks(dag);
    SLUICE_CHECK(cycle.empty());
    dag.files[layout_file] = layout_text;
    return dag;
}

Dag form_of(const Dag& latest, const Dag& before) {
    if (follows(latest, before)) return latest;
    const Json layout{
        {"of", latest.hash},
        {"tasks", tasks_of(latest, before)},
        {"mappings", mappings_of(latest, before)}
    };
    const auto text = layout.dump();
    Dag form = with_layout(latest, text);
    form.hash = sha256_hex(latest.hash + "\n" + text);
    form.version = {};
    return form;
}

bool is_of(const Dag& before, const Dag& latest) {
    if (before.hash == latest.hash) return true;
    const auto layout = before.files.find(layout_file);
    return layout != before.files.end() &&
           Json::parse(layout->second).at("of").get<std::string>() == latest.hash;
}

}  // namespace sluice
