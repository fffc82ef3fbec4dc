// What data tasks measured: /ui/v1/dags/{dag}/metrics by interval, and of one run how far its tasks
// are (/progress) and how rows went through it (/flow).
#include <algorithm>
#include <map>

#include <nlohmann/json.hpp>

#include "api/failure.hpp"
#include "api/input.hpp"
#include "api/ui.hpp"

namespace sluice::api {
namespace {

using http::Reply;
using http::Request;

store::TaskMetrics& metrics_of(Services& services) {
    if (services.instance.metrics == nullptr) throw failure(404, "this daemon keeps no metrics");
    return *services.instance.metrics;
}

Json metrics_json(const store::MetricRow& row) {
    Json json;
    json["task"] = row.task_id;
    json["m"] = row.map_index;
    json["interval"] =
        row.interval ? Json{to_millis(row.interval->start), to_millis(row.interval->end)} : Json();
    json["run"] = row.run_id;
    json["try"] = row.try_number;
    json["passed"] = row.passed;
    json["at"] = to_millis(row.at);
    const Json all = Json::parse(row.metrics);
    json["summary"] = all.value("", Json::object());
    json["datasets"] = Json::object();
    for (const auto& [dataset, values] : all.items())
        if (!dataset.empty()) json["datasets"][dataset] = values;
    return json;
}

Reply get_metrics(Services& services, const Request& request, const Caller&) {
    Query query(request);
    const std::string task = query.text_or_empty("task");
    const auto page = query.page();
    query.done();
    const std::string& dag_id = request.param("dag_id");
    (void)find_dag(services, dag_id);
    Json json = head(services);
    json["metrics"] = Json::array();
    for (const auto& row : metrics_of(services).of_task(dag_id, task, page.limit))
        json["metrics"].push_back(metrics_json(row));
    return reply(200, json);
}

Reply get_progress(Services& services, const Request& request, const Caller&) {
    Json json = head(services);
    const auto row = find_run(services, request.param("dag_id"), request.param("run_id"));
    json["state"] = name(row.run.state);
    json["progress"] = Json::array();
    if (!services.instance.progress) return reply(200, json);
    const DagPtr dag = dag_of(services, row);
    for (const TaskProgress& one : services.instance.progress())
        if (one.task.run == row.run.key)
            json["progress"].push_back(
                progress_json(one, dag->tasks.at(static_cast<std::size_t>(one.task.task)).id)
            );
    return reply(200, json);
}

/// Where the rows of a data set lie: the columns of the picture, left to right.
int layer_of(const std::string& dataset) {
    if (dataset.starts_with("raw.")) return 0;
    if (dataset.starts_with("processed.")) return 1;
    if (dataset.starts_with("curated.")) return 2;
    return 3;
}

/// Counts of all instances of a task together; what peaked is the greatest.
void add_summary(Json& sum, const Json& one) {
    for (const auto& [key, value] : one.items()) {
        if (!value.is_number()) continue;
        if (!sum.contains(key)) {
            sum[key] = value;
        } else if (key == "peak_memory_bytes") {
            sum[key] = std::max(sum[key].get<double>(), value.get<double>());
        } else {
            sum[key] = sum[key].get<double>() + value.get<double>();
        }
    }
}

bool is_side(const std::string& dataset) {
    return dataset.ends_with("_quarantine") || dataset.ends_with("_rejects");
}

Reply get_flow(Services& services, const Request& request, const Caller&) {
    Json json = head(services);
    const auto row = find_run(services, request.param("dag_id"), request.param("run_id"));
    const DagPtr dag = dag_of(services, row);
    std::map<std::string, Json> by_task;
    for (const auto& measured : metrics_of(services).of_run(row.run.key)) {
        const Json all = Json::parse(measured.metrics);
        if (measured.passed && all.contains("")) add_summary(by_task[measured.task_id], all.at(""));
    }
    json["tasks"] = Json::array();
    for (std::size_t no = 0; no < dag->tasks.size(); ++no) {
        const Task& task = dag->tasks[no];
        const auto found = by_task.find(task.id);
        if (found == by_task.end()) continue;
        Json one{{"t", task.id}, {"op", task.operator_name}, {"reads", Json::array()}};
        one["writes"] = Json::array();
        for (const DatasetSpec& dataset : dag->datasets) {
            const auto number = static_cast<TaskNo>(no);
            if (std::ranges::find(dataset.readers, number) != dataset.readers.end())
                one["reads"].push_back({dataset.name, layer_of(dataset.name)});
            if (dataset.writer == number && !is_side(dataset.name))
                one["writes"].push_back({dataset.name, layer_of(dataset.name)});
        }
        one["summary"] = std::move(found->second);
        json["tasks"].push_back(std::move(one));
    }
    return reply(200, json);
}

}  // namespace

Json progress_json(const TaskProgress& progress, const std::string& task_id) {
    return {
        {"t", task_id},
        {"m", progress.task.map_index},
        {"what", progress.what},
        {"fraction", progress.fraction},
        {"rows", progress.rows < 0 ? Json() : Json(progress.rows)},
        {"bytes", progress.bytes < 0 ? Json() : Json(progress.bytes)},
        {"rows_per_second", progress.rows_per_second},
        {"at", to_millis(progress.at)}
    };
}

Rows ui_metric_endpoints() {
    const auto in = http::Access::signed_in;
    return {
        {"GET", "/ui/v1/dags/{dag_id}/metrics", "", in, get_metrics},
        {"GET", "/ui/v1/dags/{dag_id}/runs/{run_id}/progress", "", in, get_progress},
        {"GET", "/ui/v1/dags/{dag_id}/runs/{run_id}/flow", "", in, get_flow},
    };
}

}  // namespace sluice::api
