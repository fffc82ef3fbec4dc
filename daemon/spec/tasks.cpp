// Tasks and groups: the tree of the file becomes the list of the model.
#include <algorithm>

#include <fmt/format.h>

#include "base/limits.hpp"
#include "spec/draft.hpp"
#include "spec/language.hpp"

namespace sluice::spec {

using nlohmann::json;

namespace {

/// Where a task stands: the group around it and the defaults that reach it.
struct Place {
    std::string group;
    json defaults;
    int depth{0};
    MapNo mapping{no_map};
};

/// The defaults that hold below: those around, over them the ones written here. What is wrong is
/// told here, once, and left out.
json lay_defaults(Draft& draft, json around, const json& owner, const std::string& pointer) {
    const auto found = owner.find("default_args");
    if (found == owner.end() || !found->is_object()) return around;
    const auto at = child_pointer(pointer, "default_args");
    const json& known = definition("default_args")["properties"];
    check_language(*found, definition("default_args"), at, draft.problems);
    refuse_not_yet(*found, definition("default_args"), at, draft.problems);
    for (const auto& [key, value] : found->items()) {
        const auto schema = known.find(key);
        if (schema == known.end()) continue;
        Problems scratch("");
        if (check_language(value, *schema, "", scratch)) around[key] = value;
    }
    return around;
}

double multiplier_of(const json* backoff) {
    if (backoff == nullptr) return 0;
    if (backoff->is_boolean()) return backoff->get<bool>() ? 2 : 0;
    if (!backoff->is_number()) return 0;
    const double factor = backoff->get<double>();
    return factor > 1 ? factor : 0;
}

WeightRule weight_rule_of(const std::string& name) {
    if (name == "upstream") return WeightRule::upstream;
    if (name == "absolute") return WeightRule::absolute;
    if (name == "critical_path") return WeightRule::critical_path;
    return WeightRule::downstream;
}

std::optional<int> small_int(Fields& fields, const char* key) {
    const auto number = fields.integer(key, INT32_MIN, INT32_MAX);
    return number ? std::optional(static_cast<int>(*number)) : std::nullopt;
}

void read_resources(
    const json* written, const std::string& pointer, Task& task, Problems& problems
) {
    if (written == nullptr) return;
    Fields fields(*written, pointer, problems);
    task.resources.written = true;
    task.resources.threads = small_int(fields, "threads").value_or(1);
    task.resources.memory_bytes = fields.size("memory").value_or(task.resources.memory_bytes);
    task.resources.temp_bytes = fields.size("temp").value_or(0);
    constexpr std::int64_t least = std::int64_t{64} << 20;
    if (task.resources.memory_bytes < least)
        problems.error("E-VALUE", child_pointer(pointer, "memory"), "a task needs at least 64MiB");
}

std::vector<RetryRule> read_retry_policy(Fields& fields, Problems& problems) {
    std::vector<RetryRule> rules;
    const json* list = fields.any("retry_policy");
    if (list == nullptr || !list->is_array()) return rules;
    for (std::size_t i = 0; i < list->size(); ++i) {
        Fields rule((*list)[i], child_pointer(fields.pointer("retry_policy"), i), problems);
        RetryRule made;
        made.error_class = rule.string("error_class").value_or("");
        made.retry = rule.string("action") != "fail";
        made.delay = rule.duration("delay");
        if (made.delay && (!made.retry || *made.delay < Duration::zero()))
            problems.error(
                "E-VALUE",
                rule.pointer("delay"),
                made.retry ? "the delay must not be negative" : "what fails has no delay"
            );
        rules.push_back(std::move(made));
    }
    return rules;
}

void read_timing(Fields& fields, Task& task, Problems& problems) {
    task.retries = small_int(fields, "retries").value_or(0);
    task.retry_delay = fields.duration("retry_delay").value_or(std::chrono::seconds{300});
    task.retry_multiplier = multiplier_of(fields.any("retry_exponential_backoff"));
    task.max_retry_delay = fields.duration("max_retry_delay");
    task.retry_policy = read_retry_policy(fields, problems);
    task.execution_timeout = fields.duration("execution_timeout");
    if (task.retry_delay < Duration::zero())
        problems.error("E-VALUE", fields.pointer("retry_delay"), "the delay must not be negative");
    for (const char* key : {"max_retry_delay", "execution_timeout"})
        if (const auto limit = fields.duration(key); limit && *limit <= Duration::zero())
            problems.error("E-VALUE", fields.pointer(key), "the duration must be longer than 0s");
}

void read_dependencies(Fields& fields, Task& task) {
    task.wait_for_downstream = fields.boolean("wait_for_downstream").value_or(false);
    task.depends_on_past =
        fields.boolean("depends_on_past").value_or(false) || task.wait_for_downstream;
    task.ignore_first_depends_on_past =
        fields.boolean("ignore_first_depends_on_past").value_or(true);
    task.wait_for_past_depends_before_skipping =
        fields.boolean("wait_for_past_depends_before_skipping").value_or(false);
    task.is_setup = fields.boolean("is_setup").value_or(false);
    task.is_teardown = fields.boolean("is_teardown").value_or(false);
    task.on_failure_fail_dagrun = fields.boolean("on_failure_fail_dagrun").value_or(false);
    if (task.is_teardown) task.trigger_rule = TriggerRule::all_done_setup_success;
}

Task read_task_keys(Draft& draft, const json& merged, const std::string& pointer) {
    Task task;
    Fields fields(merged, pointer, draft.problems);
    task.trigger_rule = trigger_rule_of(fields.string("trigger_rule").value_or("all_success"))
                            .value_or(TriggerRule::all_success);
    read_dependencies(fields, task);
    read_timing(fields, task, draft.problems);
    task.pool = fields.string("pool").value_or("default_pool");
    task.pool_slots = small_int(fields, "pool_slots").value_or(1);
    task.priority_weight = small_int(fields, "priority_weight").value_or(1);
    task.weight_rule = weight_rule_of(fields.string("weight_rule").value_or("downstream"));
    task.max_active_tis_per_dag = small_int(fields, "max_active_tis_per_dag");
    task.max_active_tis_per_dagrun = small_int(fields, "max_active_tis_per_dagrun");
    read_resources(fields.object("resources"), fields.pointer("resources"), task, draft.problems);
    task.on_lost = fields.string("on_lost") == "fail" ? OnLost::fail : OnLost::retry;
    task.on_empty = fields.string("on_empty").value_or("ok");
    task.reuse = fields.boolean("reuse").value_or(false);
    task.do_xcom_push = fields.boolean("do_xcom_push").value_or(true);
    task.multiple_outputs = fields.boolean("multiple_outputs").value_or(false);
    task.attest = fields.string("attest").value_or("");
    task.description = fields.string("description").value_or("");
    task.doc_md = fields.string("doc_md").value_or("");
    task.owner = fields.string("owner").value_or(draft.dag.owner);
    read_callbacks(draft, merged, pointer, task.callbacks, task.deadlines);
    task.inlets = fields.names("inlets").value_or(std::vector<std::string>{});
    task.outlets = fields.names("outlets").value_or(std::vector<std::string>{});
    const bool scheduled =
        draft.dag.schedule.kind != ScheduleKind::none || draft.dag.schedule.assets.has_value();
    task.params =
        read_params(fields.object("params"), fields.pointer("params"), scheduled, draft.problems);
    return task;
}

bool claim_id(Draft& draft, const std::string& id, const std::string& pointer, const char* key) {
    const auto at = child_pointer(pointer, key);
    const auto [place, fresh] = draft.ids.emplace(id, pointer);
    if (!fresh)
        draft.problems.error(
            "E-DUPLICATE-ID",
            at,
            fmt::format(
                "the id \"{}\" is taken by {}", id, place->second.empty() ? "/" : place->second
            )
        );
    if (id.size() > limits::dag_id_bytes)
        draft.problems.error("E-VALUE", at, fmt::format("the full id \"{}\" is too long", id));
    return fresh;
}

std::string full_id(const std::string& group, const std::string& id) {
    return group.empty() ? id : group + '.' + id;
}

std::set<std::string> names_in(const json& owner, const char* key) {
    const auto found = owner.find(key);
    std::set<std::string> out;
    if (found == owner.end()) return out;
    if (found->is_string()) out.insert(found->get<std::string>());
    if (found->is_array())
        for (const auto& name : *found)
            if (name.is_string()) out.insert(name.get<std::string>());
    return out;
}

void read_task(Draft& draft, const json& written, const std::string& pointer, const Place& place) {
    check_language(written, definition("task"), pointer, draft.problems);
    refuse_not_yet(written, definition("task"), pointer, draft.problems);
    const auto text = [&](const char* key) {
        const auto found = written.find(key);
        return found != written.end() && found->is_string() ? found->get<std::string>()
                                                            : std::string{};
    };
    json merged = place.defaults;
    for (const auto& [key, value] : written.items()) merged[key] = value;
    Task task = read_task_keys(draft, merged, pointer);
    task.id = full_id(place.group, text("task_id"));
    task.group = place.group;
    task.operator_name = text("operator");
    if (text("task_id").empty()) return;
    if (!claim_id(draft, task.id, pointer, "task_id")) return;

    DraftTask beside;
    beside.pointer = pointer;
    const auto with = written.find("with");
    beside.with = with != written.end() && with->is_object() ? *with : json::object();
    task.with = canonical_json(beside.with);
    task.map_index_template = text("map_index_template");
    task.mapping = add_mapping(draft, written, pointer, task.id, place.mapping);
    if (task.mapping != no_map)
        draft.dag.mappings[static_cast<std::size_t>(task.mapping)].tasks.push_back(
            static_cast<TaskNo>(draft.dag.tasks.size())
        );
    beside.written_upstream = names_in(written, "upstream");
    beside.previous_tasks = names_in(merged, "depends_on_previous_tasks");
    beside.rule_written = written.contains("trigger_rule");
    for (const auto& name : task.inlets)
        beside.reads.push_back({name, child_pointer(pointer, "inlets")});
    for (const auto& name : task.outlets)
        beside.writes.push_back({name, child_pointer(pointer, "outlets")});
    draft.dag.tasks.push_back(std::move(task));
    draft.tasks.push_back(std::move(beside));
}

void read_list(Draft& draft, const json& list, const std::string& pointer, const Place& place);

void read_group(Draft& draft, const json& written, const std::string& pointer, const Place& place) {
    // The members are checked one by one.
    json shallow = written;
    if (const auto members = shallow.find("tasks"); members != shallow.end() && members->is_array())
        shallow["tasks"] =
            members->empty() ? json::array() : json{{{"task_id", "x"}, {"operator", "x"}}};
    shallow.erase("default_args");
    check_language(shallow, definition("group"), pointer, draft.problems);
    refuse_not_yet(written, definition("group"), pointer, draft.problems);
    const auto name = written.find("group_id");
    if (name == written.end() || !name->is_string()) return;
    const std::string id = full_id(place.group, name->get<std::string>());
    if (claim_id(draft, id, pointer, "group_id")) {
        const auto tooltip = written.find("tooltip");
        draft.dag.groups.push_back(
            {id,
             place.group,
             tooltip != written.end() && tooltip->is_string() ? tooltip->get<std::string>()
                                                              : std::string{}}
        );
        draft.groups[id] = {pointer, names_in(written, "upstream"), place.depth + 1};
    }
    const auto members = written.find("tasks");
    if (members == written.end() || !members->is_array()) return;
    read_list(
        draft,
        *members,
        child_pointer(pointer, "tasks"),
        {id,
         lay_defaults(draft, place.defaults, written, pointer),
         place.depth + 1,
         add_mapping(draft, written, pointer, id, place.mapping)}
    );
}

void read_list(Draft& draft, const json& list, const std::string& pointer, const Place& place) {
    for (std::size_t i = 0; i < list.size(); ++i) {
        const auto at = child_pointer(pointer, i);
        if (!list[i].is_object()) {
            draft.problems.error(
                "E-TYPE",
                at,
                fmt::format("{} stands here, a task or group is expected", type_name(list[i]))
            );
        } else if (list[i].contains("group_id") ||
                   (list[i].contains("tasks") && !list[i].contains("task_id"))) {
            read_group(draft, list[i], at, place);
        } else if (draft.dag.tasks.size() >= limits::tasks_per_dag) {
            return draft.problems.error(
                "E-LIMIT",
                "/tasks",
                fmt::format("a DAG has at most {} tasks (tasks_per_dag)", limits::tasks_per_dag)
            );
        } else {
            read_task(draft, list[i], at, place);
        }
    }
}

}  // namespace

void read_tasks(Draft& draft) {
    const auto found = draft.root.find("tasks");
    if (found == draft.root.end() || !found->is_array()) return;
    read_list(
        draft,
        *found,
        "/tasks",
        {"", lay_defaults(draft, json::object(), draft.root, ""), 0, no_map}
    );
}

}  // namespace sluice::spec
