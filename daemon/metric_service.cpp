#include "metric_service.hpp"

#include <nlohmann/json.hpp>

namespace sluice {
namespace {

const std::string& task_of(const AttemptOrder& order) {
    return order.dag->tasks[static_cast<std::size_t>(order.key.task.task)].id;
}

}  // namespace

void serve_metrics(executor::Services& services, store::TaskMetrics& metrics) {
    services.put_metrics =
        [&metrics](const AttemptOrder& order, const std::string& measured, bool passed) {
            metrics.put(
                {.dag_id = order.dag->dag_id,
                 .task_id = task_of(order),
                 .map_index = order.key.task.map_index,
                 .interval = order.run->data_interval,
                 .run = order.key.task.run,
                 .run_id = order.run->run_id,
                 .start = order.key.start,
                 .try_number = order.try_number,
                 .passed = passed,
                 .metrics = measured}
            );
        };
    services.metric_history = [&metrics](const AttemptOrder& order, const std::string& question) {
        const auto asked = nlohmann::json::parse(question);
        nlohmann::json points = nlohmann::json::array();
        for (const auto& [start, value] : metrics.history(
                 {.dag_id = order.dag->dag_id,
                  .task_id = task_of(order),
                  .map_index = order.key.task.map_index,
                  .dataset = asked.at("dataset"),
                  .metric = asked.at("metric"),
                  .before = from_micros(asked.at("before").get<std::int64_t>()),
                  .limit = asked.at("limit").get<std::int64_t>()}
             ))
            points.push_back({to_micros(start), value});
        return nlohmann::json{{"points", std::move(points)}}.dump();
    };
}

}  // namespace sluice
