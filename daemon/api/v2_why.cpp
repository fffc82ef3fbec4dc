// Why something does not run: Airflow's task dependencies in /api/v2, the whole answer in /ui/v1.
// Asked of the scheduler itself: it tells by the predicates that decide.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "api/failure.hpp"
#include "api/input.hpp"
#include "api/mapped.hpp"
#include "api/ui.hpp"
#include "api/v2.hpp"
#include "api/v2_instances.hpp"
#include "model/zone.hpp"

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
Json told(std::string_view state, const std::optional<core::Reasons>& reasons) {
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
    return json;
}

Reply answer(std::string_view state, const std::optional<core::Reasons>& reasons) {
    return reply(200, told(state, reasons));
}

/// A day of the DAG's zone, or an instant.
Interval asked_dates(const std::string& text, const Dag& dag) {
    const auto time = parse_time(text);
    if (!time) throw failure(422, "date is neither a day nor a time: " + text);
    const Zone zone = Zone::find(dag.timezone).value_or(Zone::utc());
    const Instant from = resolve(*time, zone);
    if (!time->date_only) return {from, from};
    const auto day = std::chrono::floor<std::chrono::days>(zone.to_local(from));
    const Instant next = zone.to_instant(LocalTime{day + std::chrono::days{1}});
    return {from, next - std::chrono::microseconds{1}};
}

/// Dates of the schedule: their runs, and why others have none.
Reply why_dates(Services& services, const std::string& dag_id, const Interval& asked) {
    store::RunFilter filter;
    filter.dag_ids = {dag_id};
    filter.logical_date.gte = asked.start;
    filter.logical_date.lte = asked.end;
    filter.page.limit = 2'000;
    std::vector<Instant> made;
    Json runs = Json::array();
    for (const auto& row : services.queries.runs(filter).rows) {
        if (row.run.logical_date) made.push_back(*row.run.logical_date);
        runs.push_back({{"dag_run_id", row.run.run_id}, {"state", name(row.run.state)}});
    }
    std::ranges::sort(made);
    std::optional<core::Reasons> reasons;
    services.runtime.query([&](const core::Scheduler& scheduler) {
        reasons = scheduler.why(dag_id, asked, made);
    });
    const bool all = reasons && reasons->empty();
    Json json = told(all ? "made" : "missing", reasons);
    json["dag_runs"] = std::move(runs);
    return reply(200, json);
}

Reply get_dag_why(Services& services, const Request& request, const Caller&) {
    const auto& dag_id = request.param("dag_id");
    const auto listed = find_dag(services, dag_id);
    Query query(request);
    const auto date = query.text("date");
    if (date) return why_dates(services, dag_id, asked_dates(*date, *listed.dag));
    const auto reasons = ask(services, dag_id);
    return answer(reasons && reasons->empty() ? "scheduled" : "waiting", reasons);
}

Reply get_run_why(Services& services, const Request& request, const Caller&) {
    const auto row = find_run(services, request.param("dag_id"), request.param("run_id"));
    return answer(name(row.run.state), ask(services, row.run.key));
}

/// Until its list of items is there, what holds up a mapped task holds up each of its instances.
Found instance_of(Services& services, const Request& request, const char* run) {
    const auto find = [&](MapIndex index) {
        return find_instance(
            services, request.param("dag_id"), request.param(run), request.param("task_id"), index
        );
    };
    const MapIndex index = read_map_index(request);
    if (index == unmapped) return find(index);
    Found task = find(unmapped);
    const bool unlisted = task.task().mapping != no_map && !is_finished(task.instance.state) &&
                          MappedRun(services, task.run.run, *task.dag).length(task.no) == 0;
    return unlisted ? std::move(task) : find(index);
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
