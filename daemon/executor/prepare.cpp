#include "executor/prepare.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/json_text.hpp"
#include "base/limits.hpp"
#include "executor/attempt_channel.hpp"
#include "model/expansion.hpp"
#include "model/params.hpp"
#include "model/run.hpp"
#include "model/template.hpp"

namespace sluice::executor {
namespace {

using Json = nlohmann::json;

const Task& task_of(const AttemptOrder& order) {
    return order.dag->tasks.at(static_cast<std::size_t>(order.key.task.task));
}

/// The values of every `conn_id` in the parameters.
void find_connections(const Json& value, std::set<std::string>& ids) {
    if (value.is_object()) {
        for (const auto& [key, inner] : value.items()) {
            if (key == "conn_id" && inner.is_string()) ids.insert(inner.get<std::string>());
            find_connections(inner, ids);
        }
    } else if (value.is_array()) {
        for (const Json& inner : value) find_connections(inner, ids);
    }
}

void add_connections(
    task::Job& job,
    const AttemptOrder& order,
    const Json& params,
    const Services& services,
    Redactor& redactor
) {
    std::set<std::string> ids;
    find_connections(params, ids);
    for (const std::string& id : ids)
        job.connections[id] = require_connection(services, redactor, id);
    // The lake and the warehouses stand in the DAG, not in the parameters; a task that does not
    // touch one must not fail for it.
    if (!job.datasets) return;
    std::set<std::string> places{order.dag->lake};
    for (const auto& [schema, conn_id] : order.dag->schemas) places.insert(conn_id);
    for (const std::string& id : places) {
        if (job.connections.contains(id) || !services.connection) continue;
        if (auto found = services.connection(id)) {
            redactor.add(found->password);
            job.connections[id] = std::move(*found);
        }
    }
}

void add_datasets(task::Job& job, const AttemptOrder& order, const Services& services) {
    const DagPtr& dag = order.dag;
    job.datasets = services.datasets
                       ? services.datasets(dag)
                       : std::shared_ptr<const std::vector<DatasetSpec>>(dag, &dag->datasets);
    for (const auto& [schema, conn_id] : dag->schemas)
        job.schemas[schema] = {
            conn_id, services.physical_schema ? services.physical_schema(order, schema) : schema
        };
    if (!services.partition) return;
    for (const DatasetSpec& dataset : *job.datasets)
        job.partitions[dataset.name] = services.partition(order, dataset.name);
}

RenderContext render_context(
    const AttemptOrder& order, const task::TaskInfo& info, const Services& services
) {
    const Task& task = task_of(order);
    RenderContext context;
    context.dag_id = info.dag_id;
    context.run_id = info.run_id;
    context.task_id = info.task_id;
    context.run_type = info.run_type;
    context.owner = order.dag->owner;
    context.operator_name = task.operator_name;
    context.map_index = info.map_index;
    context.try_number = info.try_number;
    context.max_tries = info.max_tries;
    context.logical_date = info.logical_date;
    context.data_interval = info.data_interval;
    context.run_after = order.run->run_after;
    context.start_date = order.start_date;
    context.timezone = info.timezone;
    if (services.partition_key) {
        context.partition_key = services.partition_key(order);
    } else if (info.data_interval) {
        context.partition_key = format_date(info.data_interval->start);
    }
    context.conf = services.artefacts != nullptr ? services.artefacts->resolve(order.run->conf)
                                                 : order.run->conf;
    context.params = param_values(*order.dag, &task, context.conf);
    context.test_mode = info.test_mode;
    context.exception = order.exception;
    const bool mapped = order.key.task.map_index != unmapped || order.outer != unmapped;
    if (mapped && services.map_value) context.map = services.map_value(order);
    return context;
}

RenderConnection for_templates(const task::Connection& connection) {
    RenderConnection out;
    out.id = connection.id;
    out.type = connection.type;
    out.host = connection.host;
    out.port = connection.port;
    out.login = connection.login;
    out.schema = connection.schema;
    out.extra = connection.extra;
    const Json extra = Json::parse(connection.extra, nullptr, false);
    if (extra.is_object()) out.path = extra.value("path", connection.schema);
    return out;
}

/// What the task reads and writes: as declared, and the data sets it is known to touch.
std::vector<std::string> assets_of(const AttemptOrder& order, bool written) {
    const Task& task = task_of(order);
    const TaskNo number = order.key.task.task;
    std::vector<std::string> names = written ? task.outlets : task.inlets;
    for (const DatasetSpec& dataset : order.dag->datasets) {
        const auto& readers = dataset.readers;
        const bool touches = written ? dataset.writer == number
                                     : std::ranges::find(readers, number) != readers.end();
        if (touches && std::ranges::find(names, dataset.name) == names.end())
            names.push_back(dataset.name);
    }
    return names;
}

void add_rare(
    RenderContext& context,
    const std::set<std::string>& names,
    const AttemptOrder& order,
    const Services& services
) {
    const Task& task = task_of(order);
    const auto reads = [&](std::string_view prefix) {
        return std::ranges::any_of(names, [&](const auto& name) {
            return name.starts_with(prefix);
        });
    };
    if (reads("prev_") && services.previous_success)
        context.previous = services.previous_success(order);
    if (reads("inlet")) context.inlets = assets_of(order, false);
    if (reads("outlet")) context.outlets = assets_of(order, true);
    if (reads("inlet_events") && services.updates_of)
        context.inlet_events = services.updates_of(context.inlets);
    if (order.poke) context.reschedule_count = order.poke->pokes;
    context.map_index_template = task.map_index_template;
    if (reads("expanded_ti_count") && task.mapping != no_map && services.map_length)
        context.expanded_count = services.map_length(order);
}

/// Fetches what the templates name; what does not exist is left to the engine to refuse.
void add_reads(
    RenderContext& context,
    const TemplateReads& reads,
    const AttemptOrder& order,
    const Services& services,
    Redactor& redactor
) {
    for (const std::string& id : reads.xcom_tasks)
        if (services.xcoms) context.xcoms[id] = services.xcoms(order, id);
    for (const std::string& variable : reads.variables) {
        auto value = services.variable ? services.variable(variable) : std::nullopt;
        if (!value)
            throw Error(
                ErrorCode::not_found,
                "variable \"" + variable + "\" is not defined: `sluice variables set " + variable +
                    " VALUE`"
            );
        context.variables[variable] = std::move(*value);
    }
    if (reads.asset_events && services.asset_events)
        context.asset_events = services.asset_events(order);
    if (!reads.rare.empty()) add_rare(context, reads.rare, order, services);
    for (const std::string& id : reads.connections)
        context.connections[id] = for_templates(require_connection(services, redactor, id));
}

/// The values behind the placeholders that came out of the templates.
void add_secrets(task::Job& job, const Json& params, const Services& services, Redactor& redactor) {
    std::set<std::string> names;
    Json copy = params;
    reveal_secrets(copy, [&](const std::string& secret) {
        names.insert(secret);
        return std::string{};
    });
    constexpr std::string_view of_connection = "conn.";
    constexpr std::string_view password = ".password";
    for (const std::string& secret : names) {
        if (secret.starts_with(of_connection) && secret.ends_with(password)) {
            const std::string id = secret.substr(
                of_connection.size(), secret.size() - of_connection.size() - password.size()
            );
            job.secrets[secret] = require_connection(services, redactor, id).password;
        } else {
            const std::string plain = secret.starts_with("secret.") ? secret.substr(7) : secret;
            job.secrets[secret] = require_secret(services, redactor, plain);
        }
    }
}

/// A field that has no place in a row: in an artefact, or cut.
Json put_aside(const std::string& text, Artefacts* artefacts) {
    if (artefacts != nullptr && text.size() <= limits::artefact_bytes)
        return Json::parse(artefacts->spill(text));
    const auto limit = artefacts == nullptr ? limits::inline_value_bytes : limits::artefact_bytes;
    return text.substr(0, 1'024) + " ... [" + std::to_string(text.size()) +
           " bytes: " + (artefacts == nullptr ? "inline_value_bytes" : "artefact_bytes") + " is " +
           std::to_string(limit) + ']';
}

/// As stored and shown: placeholders and secret values masked, long values put aside.
std::string rendered_fields(Json params, const Redactor& redactor, Artefacts* artefacts) {
    mask_secrets(params);
    for (auto& [key, value] : params.items()) {
        const std::string text =
            redactor.redact(value.dump(-1, ' ', false, Json::error_handler_t::replace));
        if (text.size() > limits::inline_value_bytes || !references_in(text).empty())
            value = put_aside(text, artefacts);
    }
    return redactor.redact(params.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace

namespace {

/// The strings of an `expand`, rendered; what they read is there.
Json rendered_parts(const Json& value, const RenderContext& context) {
    if (value.is_string()) return render_text(value.get_ref<const std::string&>(), context);
    if (!value.is_structured()) return value;
    Json out = value;
    for (auto& part : out) part = rendered_parts(part, context);
    return out;
}

/// A task of the mapping, or of one inside it.
TaskNo first_of(const Dag& dag, MapNo map) {
    for (const auto& mapping : dag.mappings)
        if (!mapping.tasks.empty() &&
            (mapping.outer == map || &mapping == &dag.mappings[static_cast<std::size_t>(map)]))
            return mapping.tasks.front();
    throw Error(ErrorCode::invalid, "the mapping has no tasks");
}

}  // namespace

ExpandAnswer expand_now(
    const ExpandOrder& order, const Settings& settings, const Services& services
) {
    const auto& mapping = order.dag->mappings.at(static_cast<std::size_t>(order.map));
    AttemptOrder
        first;  // the templates see the run and the task, and no instance but the outer one
    first.key.task = {order.run_key, first_of(*order.dag, order.map), unmapped};
    first.outer = order.outer;
    first.dag = order.dag;
    first.run = order.run;
    first.start_date = SystemClock().now();
    Redactor redactor;
    RenderContext context = render_context(first, info_of(first, settings), services);
    const Json written = Json::parse(mapping.expand);
    add_reads(context, template_reads({{"expand", written}}), first, services, redactor);
    Expansion expansion;
    try {
        expansion = expand(rendered_parts(written, context));
    } catch (const Error& error) {
        throw Error(
            error.code(), redactor.redact("expand of \"" + mapping.owner + "\": " + error.what())
        );
    }
    if (services.put_items) services.put_items(order, expansion);
    return {expansion.shape.length, expansion.shape.text(), "", ErrorClass::none};
}

std::string map_name(
    const AttemptOrder& order, const Settings& settings, const Services& services
) {
    const Task& task = task_of(order);
    if (order.key.task.map_index == unmapped) return {};
    // A number says little of an instance that is mapped twice.
    if (task.map_index_template.empty() && order.outer != unmapped)
        return std::to_string(order.outer) + '/' + std::to_string(order.inner);
    if (task.map_index_template.empty()) return {};
    try {
        Redactor redactor;
        RenderContext context = render_context(order, info_of(order, settings), services);
        const Json name{{"name", task.map_index_template}};
        add_reads(context, template_reads(name), order, services, redactor);
        const Json text = render_text(task.map_index_template, context);
        const std::string plain = text_of(text);
        return redactor.redact(plain.substr(0, limits::run_id_bytes));
    } catch (const Error&) {
        return {};  // the instance keeps its number
    }
}

std::string attempt_id(const AttemptKey& key) {
    std::string id = std::to_string(key.task.run.value) + '-' + std::to_string(key.task.task) + '-';
    if (key.task.map_index != unmapped) id += 'm' + std::to_string(key.task.map_index) + '-';
    return id + std::to_string(key.start);
}

task::TaskInfo info_of(const AttemptOrder& order, const Settings& settings) {
    task::TaskInfo info;
    info.dag_id = order.dag->dag_id;
    info.run_id = order.run->run_id;
    info.task_id = task_of(order).id;
    info.map_index = order.key.task.map_index;
    info.try_number = order.try_number;
    info.max_tries = order.max_tries;
    info.attempt_id = attempt_id(order.key);
    info.run_type = name(order.run->type);
    info.logical_date = order.run->logical_date;
    info.data_interval = order.run->data_interval;
    info.timezone = order.dag->timezone;
    info.test_mode = settings.test_mode;
    return info;
}

Prepared prepare(
    const AttemptOrder& order,
    const task::Operator& op,
    const Json& schema,
    const Settings& settings,
    const Services& services,
    Redactor& redactor
) {
    const Task& task = task_of(order);
    Prepared out;
    task::Job& job = out.job;
    job.info = info_of(order, settings);
    job.operator_name = task.operator_name;
    job.resources = task.resources;
    job.on_empty = task.on_empty;
    job.reuse = task.reuse;
    job.inlets = task.inlets;
    job.outlets = task.outlets;
    job.push_xcom = task.do_xcom_push;
    job.multiple_outputs = task.multiple_outputs;
    job.lake = order.dag->lake;
    job.policy = order.dag->policy;
    job.params = task.with;
    job.execution_timeout = task.execution_timeout;
    job.poke = order.poke;
    if (op.traits.instant && task.with == "{}") return out;
    job.files =
        std::shared_ptr<const std::map<std::string, std::string>>(order.dag, &order.dag->files);
    if (op.traits.data || task.isolation == Isolation::process) add_datasets(job, order, services);
    RenderContext context = render_context(order, info_of(order, settings), services);
    job.dag_params = context.params;
    const Json with = Json::parse(task.with);
    add_reads(context, template_reads(with), order, services, redactor);
    const Json params = render_params(with, schema, context);
    job.params = params.dump();
    add_secrets(job, params, services, redactor);
    add_connections(job, order, params, services, redactor);
    // A first attempt finds none; it need not ask.
    if (services.load_checkpoint && order.key.start > 1)
        job.checkpoint = services.load_checkpoint(order);
    out.rendered = rendered_fields(params, redactor, services.artefacts);
    return out;
}

}  // namespace sluice::executor
