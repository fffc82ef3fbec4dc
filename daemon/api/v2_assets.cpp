// /api/v2/assets: assets, their events, and the events that wait to make a run.
#include <algorithm>
#include <map>
#include <set>

#include "api/failure.hpp"
#include "api/input.hpp"
#include "api/v2.hpp"
#include "api/views.hpp"
#include "base/hash.hpp"

namespace sluice::api {
namespace {

using http::Reply;
using http::Request;

/// The same for a name for ever; 48 bits, so that JSON readers keep all of it.
std::int64_t asset_id(const std::string& name) {
    return std::stoll(sha256_hex("asset\n" + name).substr(0, 12), nullptr, 16);
}

struct TaskOf {
    std::string dag_id;
    std::string task_id;
    Instant at;
};

struct Asset {
    std::string name;
    Instant known_since;
    std::vector<TaskOf> scheduled;  // DAGs; no task
    std::vector<TaskOf> producing;
    std::vector<TaskOf> consuming;
    std::optional<AssetEvent> last;
    [[nodiscard]] bool is_active() const {
        return !(scheduled.empty() && producing.empty() && consuming.empty());
    }
};
using Assets = std::map<std::string, Asset>;

void add_dag(const runtime::ListedDag& listed, Assets& assets) {
    const Dag& dag = *listed.dag;
    const auto of = [&](const std::string& name) -> Asset& {
        auto& asset = assets[name];
        if (asset.name.empty() || listed.parsed_at < asset.known_since)
            asset.known_since = listed.parsed_at;
        asset.name = name;
        return asset;
    };
    const auto task_of = [&](TaskNo task) {
        return TaskOf{dag.dag_id, dag.tasks[static_cast<std::size_t>(task)].id, listed.parsed_at};
    };
    for (const auto& dataset : dag.datasets) {
        auto& asset = of(dataset.name);
        if (dataset.writer != no_task) asset.producing.push_back(task_of(dataset.writer));
        for (const TaskNo reader : dataset.readers) asset.consuming.push_back(task_of(reader));
    }
    if (dag.schedule.assets)
        for (const auto& name : asset_names(*dag.schedule.assets))
            of(name).scheduled.push_back({dag.dag_id, "", listed.parsed_at});
}

/// Data sets and scheduled names of the DAGs that are there, and whatever was updated once.
Assets all_assets(Services& services) {
    Assets assets;
    for (const auto& listed : services.runtime.registry().all())
        if (!listed.state.is_stale) add_dag(listed, assets);
    for (auto& activity : services.queries.asset_activity()) {
        auto& asset = assets[activity.asset];
        if (asset.name.empty()) asset.known_since = activity.last.at;
        asset.name = activity.asset;
        asset.last = std::move(activity.last);
    }
    return assets;
}

[[noreturn]] void no_asset(const std::string& id) {
    throw not_found("The Asset with ID: `" + id + "` was not found");
}

Asset find_asset(Services& services, const std::string& id) {
    for (auto& [name, asset] : all_assets(services))
        if (std::to_string(asset_id(name)) == id) return asset;
    no_asset(id);
}

Json references(const std::vector<TaskOf>& tasks) {
    Json list = Json::array();
    for (const auto& task : tasks) {
        Json item;
        item["dag_id"] = task.dag_id;
        if (!task.task_id.empty()) item["task_id"] = task.task_id;
        item["created_at"] = format_z(task.at);
        item["updated_at"] = format_z(task.at);
        list.push_back(std::move(item));
    }
    return list;
}

Json asset_view(const Asset& asset) {
    Json json;
    json["id"] = asset_id(asset.name);
    json["name"] = asset.name;
    json["uri"] = asset.name;
    json["group"] = "asset";
    json["extra"] = Json::object();
    json["created_at"] = format_z(asset.known_since);
    json["updated_at"] = format_z(asset.known_since);
    json["scheduled_dags"] = references(asset.scheduled);
    json["producing_tasks"] = references(asset.producing);
    json["consuming_tasks"] = references(asset.consuming);
    json["aliases"] = Json::array();
    json["watchers"] = Json::array();
    json["last_asset_event"] = nullptr;
    if (asset.last) {
        Json last;
        last["id"] = asset.last->id;
        last["timestamp"] = format_z(asset.last->at);
        json["last_asset_event"] = std::move(last);
    }
    return json;
}

Json run_reference(const DagRun& run) {
    Json json;
    json["run_id"] = run.run_id;
    json["dag_id"] = run.dag_id;
    json["logical_date"] = time_or_null(run.logical_date);
    json["start_date"] = format_z(run.start_date.value_or(run.queued_at));
    json["end_date"] = time_or_null(run.end_date);
    json["state"] = name(run.state);
    const auto& interval = run.data_interval;
    json["data_interval_start"] = interval ? Json(format_z(interval->start)) : Json();
    json["data_interval_end"] = interval ? Json(format_z(interval->end)) : Json();
    json["partition_key"] = nullptr;
    json["triggering"] = true;
    return json;
}

Json event_view(const AssetEvent& event, const std::vector<store::AssetTaker>& takers) {
    Json json;
    json["id"] = event.id;
    json["asset_id"] = asset_id(event.asset);
    json["uri"] = event.asset;
    json["name"] = event.asset;
    json["group"] = "asset";
    json["extra"] = Json::parse(event.extra);
    json["source_task_id"] = text_or_null(event.task_id);
    json["source_dag_id"] = text_or_null(event.dag_id);
    json["source_run_id"] = text_or_null(event.run_id);
    json["source_map_index"] = event.map_index;
    json["created_dagruns"] = Json::array();
    for (const auto& taker : takers)
        if (taker.event == event.id) json["created_dagruns"].push_back(run_reference(taker.run));
    json["timestamp"] = format_z(event.at);
    json["partition_key"] = nullptr;
    return json;
}

Reply get_assets(Services& services, const Request& request, const Caller&) {
    Query query(request);
    const auto page = query.page();
    const auto pattern = query.text_or_empty("name_pattern");
    const auto uri_pattern = query.text_or_empty("uri_pattern");
    const auto dag_ids = query.texts("dag_ids");
    const bool only_active = query.boolean("only_active").value_or(true);
    query.done();
    std::vector<Asset> found;
    for (auto& [name, asset] : all_assets(services)) {
        const auto of_dag = [&](const TaskOf& task) {
            return std::ranges::find(dag_ids, task.dag_id) != dag_ids.end();
        };
        const bool wanted = dag_ids.empty() || std::ranges::any_of(asset.scheduled, of_dag) ||
                            std::ranges::any_of(asset.producing, of_dag) ||
                            std::ranges::any_of(asset.consuming, of_dag);
        // What was pushed without any DAG that knows it is an asset still.
        if (wanted && matches_pattern(name, pattern) && matches_pattern(name, uri_pattern) &&
            (!only_active || asset.is_active() || asset.last))
            found.push_back(std::move(asset));
    }
    for (const auto& [field, descending] : query.order()) {
        if (field == "id")
            std::ranges::stable_sort(found, {}, [](const Asset& a) { return asset_id(a.name); });
        else if (field != "name" && field != "uri")
            bad_order(field);
        if (descending) std::ranges::reverse(found);
    }
    Json json;
    json["assets"] = Json::array();
    for (std::size_t i = 0; i < found.size(); ++i) {
        const auto place = static_cast<std::int64_t>(i);
        if (place >= page.offset && place < page.offset + page.limit)
            json["assets"].push_back(asset_view(found[i]));
    }
    json["total_entries"] = found.size();
    return reply(200, json);
}

Reply get_asset(Services& services, const Request& request, const Caller&) {
    return reply(200, asset_view(find_asset(services, request.param("asset_id"))));
}

Json events_view(Services& services, const store::Page<AssetEvent>& page) {
    const auto takers = services.queries.asset_takers(page.rows);
    Json json;
    json["asset_events"] = Json::array();
    for (const auto& event : page.rows) json["asset_events"].push_back(event_view(event, takers));
    json["total_entries"] = page.total;
    return json;
}

Reply get_asset_events(Services& services, const Request& request, const Caller&) {
    Query query(request);
    store::AssetEventFilter filter;
    filter.page = query.page();
    const auto id = query.integer("asset_id");
    filter.dag_id = query.text_or_empty("source_dag_id");
    filter.task_id = query.text_or_empty("source_task_id");
    filter.run_id = query.text_or_empty("source_run_id");
    filter.map_index = query.integer("source_map_index");
    filter.at = query.range("timestamp");
    query.done();
    for (const auto& [field, descending] : query.order()) {
        if (field != "timestamp" && field != "id") bad_order(field);
        filter.newest_first = descending;
    }
    if (id) {
        for (const auto& activity : services.queries.asset_activity())
            if (asset_id(activity.asset) == *id) filter.asset = activity.asset;
        if (filter.asset.empty()) return reply(200, events_view(services, {}));
    }
    return reply(200, events_view(services, services.queries.asset_events(filter)));
}

Reply create_asset_event(Services& services, const Request& request, const Caller& caller) {
    Body body(request);
    body.require("asset_id");
    const auto id = body.integer("asset_id");
    const auto extra = body.object("extra");
    body.text("partition_key");
    body.value("access_control");
    body.done();
    core::CreateAssetEvent event;
    event.actor = actor_of(request, caller);
    event.asset = find_asset(services, std::to_string(*id)).name;
    if (extra) event.extra = dump(*extra);
    const auto answer = command(services, std::move(event));
    const auto& made = answer.asset_event.value();
    return reply(200, event_view(made, services.queries.asset_takers({made})));
}

Reply get_upstream_asset_events(Services& services, const Request& request, const Caller&) {
    const auto row = find_run(services, request.param("dag_id"), request.param("dag_run_id"));
    const auto page = services.queries.asset_events(
        {.taken_by = row.run.key, .page = {.limit = 10'000, .offset = 0}}
    );
    return reply(200, events_view(services, page));
}

// ---- events that wait

struct Queued {
    std::string dag_id;
    AssetEvent event;
};

/// One row for each DAG and asset with events that wait, as in Airflow; the newest event of each.
std::vector<Queued> queued(Services& services, const std::string& dag_id, const std::string& name) {
    std::vector<Queued> out;
    services.runtime.query([&](const core::Scheduler& scheduler) {
        const auto dags =
            dag_id.empty() ? scheduler.subscribers_of(name) : std::vector<std::string>{dag_id};
        for (const auto& id : dags) {
            std::map<std::string, AssetEvent> newest;
            for (auto& event : scheduler.queued_asset_events(id, name))
                newest.insert_or_assign(event.asset, event);
            for (auto& [asset, event] : newest) out.push_back({id, std::move(event)});
        }
    });
    return out;
}

Json queued_view(const Queued& row) {
    Json json;
    json["dag_id"] = row.dag_id;
    json["asset_id"] = asset_id(row.event.asset);
    json["created_at"] = format_z(row.event.at);
    json["dag_display_name"] = row.dag_id;
    return json;
}

Reply queued_reply(const std::vector<Queued>& rows) {
    Json json;
    json["queued_events"] = Json::array();
    for (const auto& row : rows) json["queued_events"].push_back(queued_view(row));
    json["total_entries"] = rows.size();
    return reply(200, json);
}

Reply get_dag_queued(Services& services, const Request& request, const Caller&) {
    const auto dag_id = find_dag(services, request.param("dag_id")).dag->dag_id;
    return queued_reply(queued(services, dag_id, ""));
}

Reply get_dag_queued_one(Services& services, const Request& request, const Caller&) {
    const auto dag_id = find_dag(services, request.param("dag_id")).dag->dag_id;
    const auto asset = find_asset(services, request.param("asset_id")).name;
    const auto rows = queued(services, dag_id, asset);
    if (rows.empty())
        throw not_found(
            "Queued event with dag_id: `" + dag_id + "` and asset_id: `" +
            request.param("asset_id") + "` was not found"
        );
    return reply(200, queued_view(rows.front()));
}

Reply get_asset_queued(Services& services, const Request& request, const Caller&) {
    return queued_reply(queued(services, "", find_asset(services, request.param("asset_id")).name));
}

Reply forget(
    Services& services,
    const Request& request,
    const Caller& caller,
    const std::string& dag_id,
    const std::string& asset
) {
    core::ForgetAssetEvents event;
    event.actor = actor_of(request, caller);
    event.dag_id = dag_id;
    event.asset = asset;
    if (command(services, std::move(event)).affected == 0)
        throw not_found("There are no queued events that this would delete");
    return no_content();
}

Reply delete_dag_queued(Services& services, const Request& request, const Caller& caller) {
    const auto dag_id = find_dag(services, request.param("dag_id")).dag->dag_id;
    return forget(services, request, caller, dag_id, "");
}

Reply delete_dag_queued_one(Services& services, const Request& request, const Caller& caller) {
    const auto dag_id = find_dag(services, request.param("dag_id")).dag->dag_id;
    const auto asset = find_asset(services, request.param("asset_id")).name;
    return forget(services, request, caller, dag_id, asset);
}

Reply delete_asset_queued(Services& services, const Request& request, const Caller& caller) {
    const auto asset = find_asset(services, request.param("asset_id")).name;
    return forget(services, request, caller, "", asset);
}

Json expression(const AssetCondition& condition) {
    Json parts = Json::array();
    for (const auto& name : condition.names) {
        Json asset;
        asset["uri"] = name;
        asset["name"] = name;
        asset["group"] = "asset";
        asset["id"] = asset_id(name);
        Json item;
        item["asset"] = std::move(asset);
        parts.push_back(std::move(item));
    }
    for (const auto& part : condition.nested) parts.push_back(expression(part));
    Json json;
    json[condition.any ? "any" : "all"] = std::move(parts);
    return json;
}

}  // namespace

void add_asset_condition(Services& services, const Dag& dag, Json& json) {
    if (!dag.schedule.assets) return;
    json["asset_expression"] = expression(*dag.schedule.assets);
    std::set<std::string> updated;
    for (const auto& row : queued(services, dag.dag_id, "")) updated.insert(row.event.asset);
    // Sluice's own: what still has to be updated before the next run.
    json["missing_assets"] = Json::array();
    if (is_met(*dag.schedule.assets, updated)) return;
    for (const auto& name : asset_names(*dag.schedule.assets))
        if (!updated.contains(name)) json["missing_assets"].push_back(name);
}

Rows asset_endpoints() {
    constexpr auto in = http::Access::signed_in;
    constexpr const char* of_asset = "/api/v2/assets/{asset_id}/queuedEvents";
    constexpr const char* of_dag = "/api/v2/dags/{dag_id}/assets/queuedEvents";
    constexpr const char* of_both = "/api/v2/dags/{dag_id}/assets/{asset_id}/queuedEvents";
    return {
        {"GET", "/api/v2/assets", "get_assets", in, get_assets},
        {"GET", "/api/v2/assets/events", "get_asset_events", in, get_asset_events},
        {"POST", "/api/v2/assets/events", "create_asset_event", in, create_asset_event},
        {"GET", "/api/v2/assets/{asset_id}", "get_asset", in, get_asset},
        {"GET", of_asset, "get_asset_queued_events", in, get_asset_queued},
        {"DELETE", of_asset, "delete_asset_queued_events", in, delete_asset_queued},
        {"GET", of_dag, "get_dag_asset_queued_events", in, get_dag_queued},
        {"DELETE", of_dag, "delete_dag_asset_queued_events", in, delete_dag_queued},
        {"GET", of_both, "get_dag_asset_queued_event", in, get_dag_queued_one},
        {"DELETE", of_both, "delete_dag_asset_queued_event", in, delete_dag_queued_one},
        {"GET",
         "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/upstreamAssetEvents",
         "get_upstream_asset_events",
         in,
         get_upstream_asset_events},
    };
}

}  // namespace sluice::api
