// Where the names of a template lead.
#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/fields.hpp"
#include "base/hash.hpp"
#include "base/json_text.hpp"
#include "model/template_parts.hpp"

namespace sluice::tmpl {

using nlohmann::json;

namespace {

constexpr std::string_view rare_names[] = {
    "prev_data_interval_start_success",
    "prev_data_interval_end_success",
    "prev_start_date_success",
    "prev_end_date_success",
    "inlets",
    "inlet_events",
    "outlets",
    "outlet_events",
    "task_reschedule_count",
    "map_index_template",
    "expanded_ti_count",
};

Value of_text(const std::string& held) {
    json value = json::parse(held, nullptr, false);
    if (value.is_discarded()) value_fault("a value here is not JSON");
    return of_json(value);
}

Value time_or_null(const std::optional<Instant>& at) {
    return at ? Value{DateTime{*at, ""}} : Value{};
}

/// Defaults of params as samples: what has none may become anything.
Value sample_of(const json& value) {
    if (value.is_null()) return Value{Any{}};
    if (value.is_object()) {
        Map map;
        for (const auto& [key, child] : value.items()) map.emplace(key, sample_of(child));
        return of_map(std::move(map));
    }
    return of_json(value);
}

Value assets_of(const std::vector<std::string>& names) {
    List list;
    for (const auto& name : names)
        list.push_back(of_map({{"name", text(name)}, {"uri", text(name)}}));
    return of_list(std::move(list));
}

}  // namespace

bool is_rare_name(std::string_view name) {
    return std::ranges::find(rare_names, name) != std::end(rare_names);
}

Names::Names(const RenderContext& context)
    : context_(context), params_(of_text(context.params)), conf_(of_text(context.conf)) {}

Names::Names(const RenderContext& sample, const TemplateScope& scope)
    : context_(sample), scope_(&scope), conf_(Value{Any{}}) {
    const json params = json::parse(scope.params, nullptr, false);
    params_ = params.is_object() ? sample_of(params) : Value{Any{}};
}

std::vector<std::string> Names::root_names() const {
    std::vector<std::string> known{
        "ds",
        "ds_nodash",
        "ts",
        "ts_nodash",
        "ts_nodash_with_tz",
        "data_interval_start",
        "data_interval_end",
        "logical_date",
        "start_date",
        "run_id",
        "partition_key",
        "exception",
        "test_mode",
        "task_instance_key_str",
        "dag",
        "task",
        "dag_run",
        "params",
        "ti",
        "task_instance",
        "var",
        "conn",
        "xcom",
        "macros",
        "secret",
        "triggering_asset_events",
        "map"
    };
    known.insert(known.end(), std::begin(rare_names), std::end(rare_names));
    return known;
}

/// Of the run before; null if none has succeeded.
Value Names::previous(const std::string& name) const {
    const auto& previous = context_.previous;
    const auto value = [&](const std::optional<Instant>& at) {
        return sampling() ? Value{Any{}} : time_or_null(at);  // it may be null
    };
    if (!previous) return value(std::nullopt);
    if (name == "prev_start_date_success") return value(previous->start_date);
    if (name == "prev_end_date_success") return value(previous->end_date);
    const auto& interval = previous->data_interval;
    if (!interval) return value(std::nullopt);
    return value(name == "prev_data_interval_start_success" ? interval->start : interval->end);
}

Value Names::rare(const std::string& name) const {
    if (name.starts_with("prev_")) return previous(name);
    if (name == "inlets") return assets_of(context_.inlets);
    if (name == "outlets") return assets_of(context_.outlets);
    if (name == "inlet_events") return sampling() ? Value{Any{}} : of_text(context_.inlet_events);
    if (name == "outlet_events") {
        // What a success is going to say of each: the task has yet to work.
        if (sampling()) return Value{Any{}};
        Map events;
        for (const auto& asset : context_.outlets)
            events.emplace(asset, of_map({{"asset", text(asset)}, {"extra", of_map({})}}));
        return of_map(std::move(events));
    }
    if (name == "task_reschedule_count") return Value{std::int64_t{context_.reschedule_count}};
    if (name == "map_index_template")
        return context_.map_index_template.empty() ? Value{} : text(context_.map_index_template);
    if (sampling()) return Value{Any{}};
    return context_.expanded_count ? Value{*context_.expanded_count} : Value{};
}

Value Names::map() const {
    if (!sampling()) {
        if (context_.map.empty()) fault("\"map\" is there in mapped tasks only");
        return of_text(context_.map);
    }
    if (!scope_->mapped)
        fault(
            "\"map\" is there in mapped tasks only", "give the task, or its group, an \"expand\""
        );
    if (scope_->map_names.empty()) return Value{Any{}};
    Map names;
    for (const auto& name : scope_->map_names) names.emplace(name, Value{Any{}});
    return of_map(std::move(names));
}

Value Names::time_text(const std::string& name) const {
    if (!context_.logical_date)
        value_fault(fmt::format("\"{}\" needs a logical date, this run has none", name));
    const DateTime at{*context_.logical_date, ""};
    if (name == "ds") return text(format_time(at, "%Y-%m-%d"));
    if (name == "ds_nodash") return text(format_time(at, "%Y%m%d"));
    if (name == "ts") return text(iso(at));
    if (name == "ts_nodash") return text(format_time(at, "%Y%m%dT%H%M%S"));
    return text(format_time(at, "%Y%m%dT%H%M%S%z"));
}

Value Names::dag_run() const {
    const auto& interval = context_.data_interval;
    return of_map({
        {"run_id", text(context_.run_id)},
        {"dag_id", text(context_.dag_id)},
        {"run_type", text(context_.run_type)},
        {"logical_date", time_or_null(context_.logical_date)},
        {"run_after", time_or_null(context_.run_after)},
        {"data_interval_start", interval ? Value{DateTime{interval->start, ""}} : Value{}},
        {"data_interval_end", interval ? Value{DateTime{interval->end, ""}} : Value{}},
        {"conf", conf_},
    });
}

Value Names::root(const std::string& name) const {
    if (name == "ds" || name == "ds_nodash" || name.starts_with("ts")) {
        const auto known = root_names();
        if (std::ranges::find(known, name) != known.end()) return time_text(name);
    }
    if (name == "data_interval_start" || name == "data_interval_end") {
        if (!context_.data_interval)
            value_fault(fmt::format("\"{}\": this run has no data interval", name));
        const auto& interval = *context_.data_interval;
        return Value{DateTime{name.ends_with("start") ? interval.start : interval.end, ""}};
    }
    if (name == "logical_date") return time_or_null(context_.logical_date);
    if (name == "start_date") return time_or_null(context_.start_date);
    if (name == "run_id") return text(context_.run_id);
    if (name == "partition_key") return text(context_.partition_key);
    if (name == "exception") return sampling() ? Value{Any{}} : text(context_.exception);
    if (name == "triggering_asset_events")
        return scope_ != nullptr ? Value{Any{}} : of_text(context_.asset_events);
    if (name == "test_mode") return Value{context_.test_mode};
    if (name == "task_instance_key_str") {
        return text(fmt::format(
            "{}__{}__{}", context_.dag_id, context_.task_id, to_text(time_text("ds_nodash"))
        ));
    }
    if (name == "dag") {
        return of_map({
            {"dag_id", text(context_.dag_id)},
            {"owner", text(context_.owner)},
            {"timezone", text(context_.timezone)},
        });
    }
    if (name == "task") {
        return of_map({
            {"task_id", text(context_.task_id)},
            {"operator", text(context_.operator_name)},
            {"owner", text(context_.owner)},
        });
    }
    if (name == "dag_run") return dag_run();
    if (name == "map") return map();
    if (name == "params") return params_;
    if (name == "ti" || name == "task_instance") return Value{Space{"ti"}};
    for (const auto* space : {"var", "conn", "xcom", "macros", "secret"})
        if (name == space) return Value{Space{name}};
    if (is_rare_name(name)) return rare(name);
    fault(fmt::format("\"{}\" is not defined", name), did_you_mean(name, root_names()));
}

Value Names::known_task(const std::string& task_id) const {
    if (std::ranges::find(scope_->task_ids, task_id) != scope_->task_ids.end()) return Value{Any{}};
    // xcom.load for the task extract.load: the full id was meant.
    std::string hint = did_you_mean(task_id, scope_->task_ids);
    for (const auto& known : scope_->task_ids)
        if (known.ends_with('.' + task_id)) hint = fmt::format("did you mean xcom['{}']?", known);
    fault(fmt::format("there is no task \"{}\" in this DAG", task_id), std::move(hint));
}

Value Names::xcom(const std::string& task_id, const std::string& key) const {
    if (sampling()) return known_task(task_id);
    const auto task = context_.xcoms.find(task_id);
    if (task == context_.xcoms.end()) return Value{};
    const auto value = task->second.find(key);
    return value == task->second.end() ? Value{} : of_text(value->second);
}

Value Names::connection(const std::string& id, const std::string& key) const {
    if (key == "password") return Value{SecretName{fmt::format("conn.{}.password", id)}};
    const std::vector<std::string> fields{
        "conn_id",
        "conn_type",
        "host",
        "port",
        "login",
        "schema",
        "path",
        "extra",
        "extra_dejson",
        "password"
    };
    if (std::ranges::find(fields, key) == fields.end())
        fault(fmt::format("a connection has no \"{}\"", key), did_you_mean(key, fields));
    if (key == "conn_id") return text(id);
    if (sampling()) {
        if (key == "port") return Value{std::int64_t{1}};
        return key.starts_with("extra") ? Value{Any{}} : text("x");
    }
    const auto found = context_.connections.find(id);
    if (found == context_.connections.end())
        value_fault(fmt::format("there is no connection \"{}\"", id));
    const auto& connection = found->second;
    if (key == "conn_type") return text(connection.type);
    if (key == "host") return text(connection.host);
    if (key == "port") return Value{std::int64_t{connection.port}};
    if (key == "login") return text(connection.login);
    if (key == "schema") return text(connection.schema);
    if (key == "path") return text(connection.path);
    return of_text(connection.extra);
}

Value Names::member(const Space& space, const std::string& key) const {
    const auto& path = space.path;
    const auto unknown = [&](const std::vector<std::string>& known) {
        fault(fmt::format("{} has no \"{}\"", path, key), did_you_mean(key, known));
    };
    if (path == "xcom") return xcom(key, "return_value");
    if (path == "secret") return Value{SecretName{"secret." + key}};
    if (path == "conn") return Value{Space{"conn." + key}};
    if (path.starts_with("conn.")) return connection(path.substr(5), key);
    if (path == "var") {
        if (key == "value" || key == "json") return Value{Space{"var." + key}};
        unknown({"value", "json"});
    }
    if (path == "var.value" || path == "var.json") {
        if (key == "get") return Value{Callable{path + ".get", nullptr}};
        if (sampling()) return Value{Any{}};
        const auto found = context_.variables.find(key);
        if (found == context_.variables.end())
            return Value{Undefined{fmt::format("the variable \"{}\"", key)}};
        return path == "var.value" ? text(found->second) : of_text(found->second);
    }
    if (path == "ti") {
        if (key == "xcom_pull") return Value{Callable{"xcom_pull", nullptr}};
        if (key == "task_id") return text(context_.task_id);
        if (key == "dag_id") return text(context_.dag_id);
        if (key == "run_id") return text(context_.run_id);
        if (key == "operator") return text(context_.operator_name);
        if (key == "try_number") return Value{std::int64_t{context_.try_number}};
        if (key == "max_tries") return Value{std::int64_t{context_.max_tries}};
        if (key == "map_index") return Value{std::int64_t{context_.map_index}};
        if (key == "start_date") return time_or_null(context_.start_date);
        unknown({"xcom_pull", "task_id", "dag_id", "run_id", "try_number", "max_tries", "map_index"}
        );
    }
    const std::vector<std::string> macros{
        "ds_add", "ds_format", "datetime", "timedelta", "json", "uuid"
    };
    if (path == "macros") {
        if (key == "json" || key == "uuid") return Value{Space{"macros." + key}};
        if (std::ranges::find(macros, key) == macros.end()) unknown(macros);
        return Value{Callable{"macros." + key, nullptr}};
    }
    if (path == "macros.json" && (key == "dumps" || key == "loads"))
        return Value{Callable{path + '.' + key, nullptr}};
    if (path == "macros.uuid" && key == "uuid4") return Value{Callable{path + '.' + key, nullptr}};
    fault(fmt::format("{} has no \"{}\"", path, key));
}

std::string Names::next_uuid() const {
    // Not random: an attempt that is looked at again shows the same ids.
    return uuid_of(fmt::format(
        "template {} {} {} {} {} {}",
        context_.dag_id,
        context_.run_id,
        context_.task_id,
        context_.map_index,
        context_.try_number,
        ++uuids_
    ));
}

}  // namespace sluice::tmpl
