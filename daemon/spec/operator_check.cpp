// The `with` of every task, held to its operator's schema; what it reads and writes.
#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>

#include "model/json_schema.hpp"
#include "spec/draft.hpp"

namespace sluice::spec {

using nlohmann::json;

namespace {

/// A schema parsed once a DAG, however many tasks use it.
class Schemas {
public:
    const json& of(const OperatorInfo& info) {
        auto& parsed = parsed_[info.name];
        if (parsed.is_null()) {
            parsed = json::parse(info.schema, nullptr, false);
            if (!parsed.is_object()) parsed = json::object();
        }
        return parsed;
    }

private:
    std::unordered_map<std::string, json> parsed_;
};

/// The name in "data.set(col)"; what stands in brackets is a column.
std::string dataset_part(const std::string& text) { return text.substr(0, text.find('(')); }

void add_names(const json& value, const std::string& at, std::vector<DatasetUse>& out) {
    if (value.is_string()) {
        out.push_back({dataset_part(value.get<std::string>()), at});
    } else if (value.is_array()) {
        for (std::size_t i = 0; i < value.size(); ++i)
            add_names(value[i], child_pointer(at, i), out);
    } else if (value.is_object()) {
        if (const auto named = value.find("dataset"); named != value.end())
            return add_names(*named, child_pointer(at, "dataset"), out);
        for (const auto& [alias, child] : value.items())
            if (child.is_string() || (child.is_object() && child.contains("dataset")))
                add_names(child, child_pointer(at, alias), out);
    }
}

std::string lines_of(const json& value) {
    if (value.is_string()) return value.get<std::string>();
    std::string out;
    if (value.is_array())
        for (const auto& line : value)
            if (line.is_string()) out += line.get<std::string>() + '\n';
    return out;
}

class Uses {
public:
    Uses(Draft& draft, DraftTask& task, const OperatorInfo& info)
        : draft_(draft), task_(task), info_(info) {}

    bool node(const json& value, const json& schema, const std::string& at) {
        const auto dataset = schema.value("x-dataset", std::string{});
        const bool named_above = !read_above_.empty() && at.starts_with(read_above_ + '/');
        if (!dataset.empty() && !named_above) {
            add_names(value, at, dataset == "out" ? task_.writes : task_.reads);
            if (value.is_structured()) read_above_ = at;
        }
        if (schema.value("x-downstream", false)) way(value, at);
        if (schema.value("x-file", false) && value.is_string()) file(value.get<std::string>(), at);
        if (schema.value("x-template", std::string{}) == "sql" && info_.data &&
            (value.is_string() || value.is_array()))
            sql(lines_of(value), at);
        return true;
    }

private:
    void way(const json& value, const std::string& at) {
        Way way;
        way.pointer = at;
        if (value.is_string()) way.names.push_back(value.get<std::string>());
        if (value.is_array())
            for (const auto& name : value)
                if (name.is_string()) way.names.push_back(name.get<std::string>());
        task_.ways.push_back(std::move(way));
    }

    void file(const std::string& path, const std::string& at) {
        if (has_template(path)) {
            draft_.problems.error("E-FILE", at, "the path of a file of the DAG takes no template");
            return;
        }
        const std::string* content = bundle_file(draft_, path, at);
        if (content == nullptr) return;
        if (path.ends_with(".sql") && info_.data) sql(*content, at);
        // A task's own policy is read like the DAG's.
        if (at.ends_with("/policy") && !draft_.stored)
            for (auto& problem : check_policy_text(*content, path))
                draft_.problems.add(std::move(problem));
    }

    /// Names of data sets of this DAG in SQL; binding the statement confirms them later.
    void sql(const std::string& text, const std::string& at) {
        for (const auto& name : qualified_names(text)) sql_names_.emplace_back(name, at);
    }

public:
    std::vector<std::pair<std::string, std::string>> sql_names_;  // name, pointer

private:
    Draft& draft_;
    DraftTask& task_;
    const OperatorInfo& info_;
    std::string read_above_;  // its data sets are noted, those inside are the same
};

/// Only the params differ from task to task.
void set_params(TemplateScope& scope, const Draft& draft, const Task& task) {
    const Dag& dag = draft.dag;
    scope.mapped = task.mapping != no_map;
    scope.map_names.clear();
    if (scope.mapped) scope.map_names = map_names(draft, task.mapping);
    json values = json::object();
    for (const auto& text : {dag.params, task.params}) {
        const json params = json::parse(text, nullptr, false);
        for (const auto& [name, schema] : params.items())
            values[name] = schema.contains("default") ? schema["default"] : json();
    }
    scope.params = values.dump();
}

bool any_template(const json& value) {
    if (value.is_string()) return has_template(value.get_ref<const std::string&>());
    if (value.is_structured()) return std::ranges::any_of(value, any_template);
    return false;
}

bool interval_is_empty(const Schedule& schedule) {
    switch (schedule.kind) {
        case ScheduleKind::cron_trigger:
            return !schedule.previous_tick && schedule.window == Duration::zero();
        case ScheduleKind::delta_trigger:
        case ScheduleKind::once:
        case ScheduleKind::events:
            return true;
        case ScheduleKind::none:
        case ScheduleKind::cron_interval:
        case ScheduleKind::delta_interval:
        case ScheduleKind::continuous:
            return false;
    }
    return false;
}

/// `incremental` by a column reads the run's data interval; a cursor or new files do not.
void check_incremental(Draft& draft, const DraftTask& task, const std::string& at) {
    const auto found = task.with.find("incremental");
    if (found == task.with.end()) return;
    if (found->is_object() && !found->contains("column")) return;
    if (!interval_is_empty(draft.dag.schedule)) return;
    draft.problems.error(
        "E-SCHEDULE-INTERVAL",
        child_pointer(at, "incremental"),
        "\"incremental\" reads the data interval of a run, and this schedule's intervals are empty",
        R"(write the schedule as {"cron_interval": ...}, or give it a "window")"
    );
}

void add_side_datasets(const Task& task, DraftTask& beside) {
    if (task.operator_name == "extract" && !beside.with.contains("rejects"))
        for (const auto& use : beside.writes) beside.side_writes.insert(use.name + "_rejects");
    if (task.operator_name != "validate") return;
    beside.is_gate = !beside.with.contains("to");
    if (beside.is_gate || beside.with.contains("quarantine")) return;
    for (const auto& use : beside.reads)
        if (use.pointer.ends_with("/with/from"))
            beside.side_writes.insert(use.name + "_quarantine");
}

/// Gets data sets of the lake as files, or leaves some: that is done in a worker.
bool hands_over(const OperatorInfo& info, const Task& task) {
    if (!info.hands_over) return false;
    const auto in_lake = [](const std::string& name) {
        return is_lake_tier(name.substr(0, name.find('.')));
    };
    return std::ranges::any_of(task.inlets, in_lake) || std::ranges::any_of(task.outlets, in_lake);
}

void unknown_operator(Draft& draft, const Task& task, const std::string& at) {
    std::vector<std::string> known;
    for (const auto& info : draft.catalogue.all()) known.push_back(info.name);
    auto hint = did_you_mean(task.operator_name, known);
    if (hint.empty()) hint = fmt::format("one of: {}", fmt::join(known, ", "));
    draft.problems.error(
        "E-OPERATOR",
        child_pointer(at, "operator"),
        fmt::format("there is no operator \"{}\"", task.operator_name),
        std::move(hint)
    );
}

void check_with(
    Draft& draft,
    const OperatorInfo& info,
    const json& schema,
    std::size_t number,
    TemplateScope& scope
) {
    auto& task = draft.dag.tasks[number];
    auto& beside = draft.tasks[number];
    const auto at = child_pointer(beside.pointer, "with");
    if (!draft.stored) {
        auto found = check_against(beside.with, schema, at, Templates::allow);
        const bool fine = found.empty();
        for (auto& problem : found) draft.problems.add(std::move(problem));
        if (fine) refuse_not_yet_deep(beside.with, schema, at, draft.problems);
        if (fine && any_template(beside.with)) {
            set_params(scope, draft, task);
            for (auto& problem : check_templates(beside.with, schema, scope, at))
                draft.problems.add(std::move(problem));
        }
        check_incremental(draft, beside, at);
    }
    if (beside.with.empty()) return;
    Uses uses(draft, beside, info);
    walk_schema(
        beside.with,
        schema,
        at,
        [&](const json& value, const json& here, const std::string& where) {
            return uses.node(value, here, where);
        }
    );
    for (const auto& [name, where] : uses.sql_names_) {
        const auto schema_name = name.substr(0, name.find('.'));
        if (is_lake_tier(schema_name) || draft.dag.schemas.contains(schema_name))
            beside.reads.push_back({name, "sql:" + where});
    }
    beside.xcom_tasks = template_reads(beside.with).xcom_tasks;
    add_side_datasets(task, beside);
}

/// A column with a class needs a rule for its masking.
void check_policy_there(Draft& draft) {
    if (draft.stored || !draft.dag.policy.empty()) return;
    for (const auto& dataset : draft.dag.datasets) {
        for (const auto& column : dataset.columns) {
            if (column.pii_class.empty()) continue;
            for (std::size_t i = 0; i < draft.tasks.size(); ++i) {
                if (draft.dag.tasks[i].operator_name != "mask") continue;
                if (draft.tasks[i].with.contains("policy")) continue;
                return draft.problems.error(
                    "E-POLICY",
                    draft.tasks[i].pointer,
                    fmt::format(
                        "{}.{} has the class {}, and there is no policy",
                        dataset.name,
                        column.name,
                        column.pii_class
                    ),
                    R"(add "policy": "policies/pii.yaml" to the DAG)"
                );
            }
        }
    }
}

}  // namespace

void check_operators(Draft& draft) {
    Schemas schemas;
    TemplateScope scope;
    for (const auto& task : draft.dag.tasks) scope.task_ids.push_back(task.id);
    for (std::size_t i = 0; i < draft.tasks.size(); ++i) {
        auto& task = draft.dag.tasks[i];
        auto& beside = draft.tasks[i];
        const OperatorInfo* info = draft.catalogue.find(task.operator_name);
        draft.operators_known = draft.operators_known && info != nullptr && !info->not_yet;
        if (info == nullptr) {
            if (!draft.stored && !task.operator_name.empty())
                unknown_operator(draft, task, beside.pointer);
            continue;
        }
        task.isolation = hands_over(*info, task) ? Isolation::process : info->isolation;
        if (info->not_yet) {
            if (!draft.stored)
                draft.problems.error(
                    "E-NOT-YET",
                    child_pointer(beside.pointer, "operator"),
                    fmt::format(
                        "the operator \"{}\" comes with a later version of Sluice", info->name
                    )
                );
            continue;
        }
        check_with(draft, *info, schemas.of(*info), i, scope);
    }
    check_policy_there(draft);
    check_callbacks(draft);
}

}  // namespace sluice::spec
