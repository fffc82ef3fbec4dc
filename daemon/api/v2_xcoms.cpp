// /api/v2 xcomEntries: what tasks have passed on.
#include "api/failure.hpp"
#include "api/input.hpp"
#include "api/v2.hpp"

namespace sluice::api {
namespace {

using http::Reply;
using http::Request;

Reply get_xcoms(Services& services, const Request& request, const Caller&) {
    Query query(request);
    const auto page = query.page();
    const auto key = query.text("xcom_key");
    const auto map = query.integer("map_index");
    const auto pattern = query.text_or_empty("xcom_key_pattern");
    query.done();
    const std::string& dag_id = request.param("dag_id");
    const std::string& run_id = request.param("dag_run_id");
    const std::string& task_id = request.param("task_id");
    if (dag_id == "~" || run_id == "~")
        throw failure(400, "XCom entries are listed run by run: name dag_id and dag_run_id");
    const auto run = find_run(services, dag_id, run_id);
    Json list = Json::array();
    std::int64_t total = 0;
    for (const auto& xcom : services.queries.xcoms_of(run.run.key)) {
        if (task_id != "~" && xcom.task_id != task_id) continue;
        if (key && xcom.name != *key) continue;
        if (map && xcom.key.map_index != *map) continue;
        if (!matches_pattern(xcom.name, pattern)) continue;
        ++total;
        if (total > page.offset && total <= page.offset + page.limit)
            list.push_back(xcom_view(xcom, run, false));
    }
    Json json;
    json["xcom_entries"] = std::move(list);
    json["total_entries"] = total;
    return reply(200, json);
}

Reply get_xcom(Services& services, const Request& request, const Caller&) {
    Query query(request);
    const auto map = query.integer("map_index").value_or(unmapped);
    const bool stringify = query.boolean("stringify").value_or(false);
    query.boolean("deserialize");
    query.done();
    const std::string& key = request.param("xcom_key");
    const auto missing = [&] { return not_found("XCom entry with key: `" + key + "` not found"); };
    const auto run = services.queries.run(request.param("dag_id"), request.param("dag_run_id"));
    if (!run) throw missing();
    const DagPtr dag = dag_of(services, *run);
    const TaskNo no = find_task(*dag, request.param("task_id"));
    if (no == no_task) throw missing();
    auto xcom = services.queries.xcom({run->run.key, no, static_cast<MapIndex>(map)}, key);
    if (!xcom) throw missing();
    xcom->value = resolved(services.instance, std::move(xcom->value));
    Json json = xcom_view(*xcom, *run, true);
    if (stringify) json["value"] = python_text(json["value"]);
    return reply(200, json);
}

}  // namespace

Rows xcom_endpoints() {
    constexpr auto in = http::Access::signed_in;
    constexpr const char* list =
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/xcomEntries";
    constexpr const char* one =
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/xcomEntries/{xcom_key}";
    return {
        {"GET", list, "get_xcom_entries", in, get_xcoms},
        {"GET", one, "get_xcom_entry", in, get_xcom},
    };
}

}  // namespace sluice::api
