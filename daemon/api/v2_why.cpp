// Why something does not run: Airflow's task dependencies in /api/v2, the whole answer in /ui/v1.
// Asked of the scheduler itself: it tells by the predicates that decide.
#include <nlohmann/json.hpp>

#include "api/mapped.hpp"
#include "api/ui.hpp"
#include "api/v2.hpp"
#include "api/v2_instances.hpp"

namespace sluice::api {
namespace {

using http::Reply;
using http::Request;

template <class Subject>
std::optional<core::Reasons> ask(Services& services, const Subject& subject) {
    std::optional<core::Reasons> reasons;
    services.runtime.query([&](const core::Scheduler& scheduler) {
        reasons = scheduler.why(subject);
    });
    return reasons;
}

/// `state` tells what an empty list means: it runs, or it has ended; "mapped": all instances do.
Reply answer(std::string_view state, const std::optional<core::Reasons>& reasons) {
    Json json;
    json["state"] = state;
    json["reasons"] = Json::array();
    for (const auto& reason : reasons.value_or(core::Reasons{}))
        json["reasons"].push_back(
            {{"condition", reason.condition},
             {"text", reason.text},
             {"object", reason.object},
             {"since", millis_or_null(reason.since)},
             {"until", millis_or_null(reason.until)}}
        );
    return reply(200, json);
}

Reply get_dag_why(Services& services, const Request& request, const Caller&) {
    const auto& dag_id = request.param("dag_id");
    (void)find_dag(services, dag_id);
    const auto reasons = ask(services, dag_id);
    return answer(reasons && reasons->empty() ? "scheduled" : "waiting", reasons);
}

Reply get_run_why(Services& services, const Request& request, const Caller&) {
    const auto row = find_run(services, request.param("dag_id"), request.param("run_id"));
    return answer(name(row.run.state), ask(services, row.run.key));
}

Found instance_of(Services& services, const Request& request, const char* run) {
    return find_instance(
        services,
        request.param("dag_id"),
        request.param(run),
        request.param("task_id"),
        read_map_index(request)
    );
}

Reply get_task_why(Services& services, const Request& request, const Caller&) {
    const Found found = instance_of(services, request, "run_id");
    const auto& key = found.instance.key;
    const bool all = key.map_index == unmapped &&
                     MappedRun(services, found.run.run, *found.dag).length(key.task) > 0;
    if (all) return answer("mapped", ask(services, key));
    return answer(name(found.instance.state), ask(services, found.instance.key));
}

Reply get_dependencies(Services& services, const Request& request, const Caller&) {
    const Found found = instance_of(services, request, "dag_run_id");
    Json json;
    json["dependencies"] = Json::array();
    const auto reasons = ask(services, found.instance.key);
    for (const auto& reason : reasons.value_or(core::Reasons{}))
        json["dependencies"].push_back({{"name", reason.condition}, {"reason", reason.text}});
    return reply(200, json);
}

}  // namespace

Rows why_endpoints() {
    constexpr auto in = http::Access::signed_in;
    return {
        {"GET",
         "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/dependencies",
         "get_task_instance_dependencies",
         in,
         get_dependencies},
        {"GET",
         "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/"
         "dependencies",
         "get_task_instance_dependencies_by_map_index",
         in,
         get_dependencies},
        {"GET", "/ui/v1/dags/{dag_id}/why", "", in, get_dag_why},
        {"GET", "/ui/v1/dags/{dag_id}/runs/{run_id}/why", "", in, get_run_why},
        {"GET", "/ui/v1/dags/{dag_id}/runs/{run_id}/tis/{task_id}/why", "", in, get_task_why},
        {"GET",
         "/ui/v1/dags/{dag_id}/runs/{run_id}/tis/{task_id}/{map_index}/why",
         "",
         in,
         get_task_why},
    };
}

}  // namespace sluice::api
