// /ui/v1/dags/{dag_id}/runs/{run_id}/deadlines: when a run and its tasks should have ended.
#include <nlohmann/json.hpp>

#include "api/ui.hpp"

namespace sluice::api {
namespace {

using http::Reply;
using http::Request;

const char* deadline_reference(DeadlineFrom from) {
    switch (from) {
        case DeadlineFrom::queued_at:
            return "dagrun_queued_at";
        case DeadlineFrom::logical_date:
            return "dagrun_logical_date";
        case DeadlineFrom::fixed:
            return "fixed_datetime";
        case DeadlineFrom::average:
            return "average_runtime";
        case DeadlineFrom::percentile:
            return "percentile_runtime";
    }
    return "";
}

Reply get_deadlines(Services& services, const Request& request, const Caller&) {
    const auto row = find_run(services, request.param("dag_id"), request.param("run_id"));
    const DagPtr dag = dag_of(services, row);
    Json json{{"state", name(row.run.state)}, {"deadlines", Json::array()}};
    for (const DeadlineRow& known : services.queries.deadlines(row.run.key)) {
        if (known.task >= static_cast<TaskNo>(dag->tasks.size())) continue;
        const Task* task =
            known.task == no_task ? nullptr : &dag->tasks[static_cast<std::size_t>(known.task)];
        const auto& deadlines = task == nullptr ? dag->deadlines : task->deadlines;
        const auto number = static_cast<std::size_t>(known.number);
        if (number >= deadlines.size()) continue;
        json["deadlines"].push_back(
            {{"task_id", task == nullptr ? Json() : Json(task->id)},
             {"number", known.number},
             {"reference", deadline_reference(deadlines[number].from)},
             {"interval_seconds", to_seconds(deadlines[number].interval)},
             {"due", millis_or_null(known.at)},
             {"predicted", millis_or_null(known.predicted_at)},
             {"missed", millis_or_null(known.missed_at)}}
        );
    }
    return reply(200, json);
}

}  // namespace

Rows ui_deadline_endpoints() {
    return {
        {"GET",
         "/ui/v1/dags/{dag_id}/runs/{run_id}/deadlines",
         "",
         http::Access::signed_in,
         get_deadlines}
    };
}

}  // namespace sluice::api
