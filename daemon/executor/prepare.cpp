#include "executor/prepare.hpp"

#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "executor/attempt_channel.hpp"
#include "model/run.hpp"

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

}  // namespace

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
    job.push_xcom = task.do_xcom_push;
    job.multiple_outputs = task.multiple_outputs;
    job.lake = order.dag->lake;
    job.params = task.with;
    if (op.traits.instant) return out;
    job.files =
        std::shared_ptr<const std::map<std::string, std::string>>(order.dag, &order.dag->files);
    if (op.traits.data) add_datasets(job, order, services);
    const Json params = Json::parse(task.with);
    add_connections(job, order, params, services, redactor);
    if (services.load_checkpoint) job.checkpoint = services.load_checkpoint(order);
    return out;
}

}  // namespace sluice::executor
