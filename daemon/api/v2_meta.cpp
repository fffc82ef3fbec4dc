// /api/v2: version, health, import errors, event log, and lists that are empty in Sluice.
#include <algorithm>

#include "api/failure.hpp"
#include "api/input.hpp"
#include "api/v2.hpp"

namespace sluice::api {
namespace {

using http::Reply;
using http::Request;

/// The loop renews its lease every few seconds even when idle; longer silence is not healthy.
constexpr auto heartbeat_limit = std::chrono::seconds(30);

Reply get_version(Services& services, const Request&, const Caller&) {
    Json json;
    json["version"] = services.instance.version;
    json["git_version"] = text_or_null(services.instance.git_version);
    return reply(200, json);
}

Json part(bool healthy) {
    Json json;
    json["status"] = healthy ? "healthy" : "unhealthy";
    return json;
}

Reply get_health(Services& services, const Request&, const Caller&) {
    const auto& figures = services.runtime.figures();
    const bool database = figures.database_available;
    const bool owner = figures.owner;
    const Instant beat = std::max(from_micros(figures.last_turn_at), services.instance.started_at);
    const Instant now = services.clock.now();
    // An idle loop makes no turns; it is alive while it answers questions, and it holds the lease.
    // What a standby says of the scheduler is what it sees of the owner.
    const std::string elsewhere = owner ? "" : services.runtime.owner_address();
    const bool alive = (owner || !elsewhere.empty()) && database && !services.runtime.deposed();
    const std::string shown = format_offset(alive ? now : std::min(beat, now));
    Json json;
    json["metadatabase"] = part(database);
    json["scheduler"] = part(alive || (owner && now - beat < heartbeat_limit));
    json["scheduler"]["latest_scheduler_heartbeat"] = shown;
    json["triggerer"] = part(alive);
    json["triggerer"]["latest_triggerer_heartbeat"] = shown;
    const auto looked = services.instance.folder_looked_at();
    json["dag_processor"] = part(owner ? folder_is_watched(services.instance, now) : alive);
    json["dag_processor"]["latest_dag_processor_heartbeat"] = owner && looked
                                                                  ? Json(format_offset(*looked))
                                                              : alive ? Json(shown)
                                                                      : Json(nullptr);
    json["node"]["id"] = services.instance.node_id;
    json["node"]["role"] = owner ? "owner" : "standby";
    json["node"]["owner"] = owner || elsewhere.empty() ? Json(nullptr) : Json(elsewhere);
    return reply(200, json);
}

Reply get_ready(Services& services, const Request&, const Caller&) {
    const auto& figures = services.runtime.figures();
    const bool ready =
        figures.database_available && (figures.owner || !services.runtime.owner_address().empty());
    return http::text_reply(ready ? 200 : 503, ready ? "ready\n" : "not ready\n");
}

Reply get_alive(Services&, const Request&, const Caller&) { return http::text_reply(200, "ok\n"); }

Reply get_import_errors(Services& services, const Request& request, const Caller&) {
    Query query(request);
    const auto page = query.page();
    const auto pattern = query.text_or_empty("filename_pattern");
    query.done();
    services.runtime.need_owner();  // who alone reads the DAG folder
    auto errors = services.runtime.registry().import_errors();
    std::erase_if(errors, [&](const auto& error) {
        return !matches_pattern(error.filename, pattern);
    });
    std::ranges::sort(errors, {}, &runtime::ImportError::id);
    for (const auto& [field, descending] : query.order()) {
        if (field == "filename") {
            std::ranges::stable_sort(errors, {}, &runtime::ImportError::filename);
        } else if (field == "timestamp") {
            std::ranges::stable_sort(errors, {}, &runtime::ImportError::at);
        } else if (field != "id" && field != "import_error_id") {
            bad_order(field);
        }
        if (descending) std::ranges::reverse(errors);
    }
    Json json;
    json["import_errors"] = Json::array();
    for (std::size_t i = 0; i < errors.size(); ++i) {
        const auto place = static_cast<std::int64_t>(i);
        if (place >= page.offset && place < page.offset + page.limit)
            json["import_errors"].push_back(import_error_view(errors[i]));
    }
    json["total_entries"] = errors.size();
    return reply(200, json);
}

Reply get_import_error(Services& services, const Request& request, const Caller&) {
    services.runtime.need_owner();
    const std::string& id = request.param("import_error_id");
    for (const auto& error : services.runtime.registry().import_errors())
        if (std::to_string(error.id) == id) return reply(200, import_error_view(error));
    throw not_found("The ImportError with import_error_id: `" + id + "` was not found");
}

Reply get_event_logs(Services& services, const Request& request, const Caller&) {
    Query query(request);
    store::AuditFilter filter;
    filter.page = query.page();
    filter.dag_id = query.text_or_empty("dag_id");
    filter.run_id = query.text_or_empty("run_id");
    filter.task_id = query.text_or_empty("task_id");
    filter.actor = query.text_or_empty("owner");
    filter.event = query.text_or_empty("event");
    filter.at.lt = query.time("before");
    filter.at.gt = query.time("after");
    query.done();
    filter.oldest_first = true;
    for (const auto& [field, descending] : query.order()) {
        if (field != "id" && field != "event_log_id" && field != "when" && field != "dttm")
            bad_order(field);
        filter.oldest_first = !descending;
        break;
    }
    const auto page = services.queries.audits(filter);
    Json json;
    json["event_logs"] = Json::array();
    for (const auto& row : page.rows) json["event_logs"].push_back(audit_view(row));
    json["total_entries"] = page.total;
    return reply(200, json);
}

Reply get_event_log(Services& services, const Request& request, const Caller&) {
    const std::string& text = request.param("event_log_id");
    char* end = nullptr;
    const auto id = std::strtoll(text.c_str(), &end, 10);
    const auto row = *end == '\0' ? services.queries.audit(id) : std::nullopt;
    if (!row) throw not_found("The Event Log with id: `" + text + "` not found");
    return reply(200, audit_view(*row));
}

Reply empty_list(const char* name) {
    Json json;
    json[name] = Json::array();
    json["total_entries"] = 0;
    return reply(200, json);
}

// Sluice has nothing of these kinds; clients that list them see that.
Reply get_plugins(Services&, const Request&, const Caller&) { return empty_list("plugins"); }
Reply get_providers(Services&, const Request&, const Caller&) { return empty_list("providers"); }

/// What keeps a task from ever getting its slots, "" = nothing.
std::string pool_warning(const Task& task, const std::vector<core::Scheduler::PoolUse>& pools) {
    const auto use = std::ranges::find_if(pools, [&](const auto& other) {
        return other.pool.name == task.pool;
    });
    const auto begin = "task \"" + task.id + "\" waits for pool \"" + task.pool + "\", which ";
    if (use == pools.end()) return begin + "does not exist";
    if (use->pool.slots == -1 || task.pool_slots <= use->pool.slots) return {};
    return begin + "has " + std::to_string(use->pool.slots) + " slots, " +
           std::to_string(task.pool_slots) + " are needed";
}

/// Of Airflow's kinds of warnings there is the one for pools, made from the pools as they are now.
Reply get_warnings(Services& services, const Request& request, const Caller&) {
    Query query(request);
    const auto page = query.page();
    const auto dag_id = query.text_or_empty("dag_id");
    const auto kind = query.text_or_empty("warning_type");
    query.done();
    constexpr auto of_pools = "non-existent pool";
    std::vector<core::Scheduler::PoolUse> pools;
    services.runtime.query([&](const core::Scheduler& scheduler) { pools = scheduler.pool_use(); });
    Json json;
    json["dag_warnings"] = Json::array();
    std::int64_t total = 0;
    for (const auto& listed : services.runtime.registry().all()) {
        if (listed.state.is_stale || (!dag_id.empty() && listed.dag->dag_id != dag_id)) continue;
        std::string message;
        for (const Task& task : listed.dag->tasks) {
            const auto warning = pool_warning(task, pools);
            if (!warning.empty()) message += (message.empty() ? "" : "; ") + warning;
        }
        if (message.empty() || (!kind.empty() && kind != of_pools)) continue;
        const auto place = total++;
        if (place < page.offset || place >= page.offset + page.limit) continue;
        json["dag_warnings"].push_back(
            {{"dag_id", listed.dag->dag_id},
             {"warning_type", of_pools},
             {"message", message},
             {"timestamp", format_z(listed.parsed_at)},
             {"dag_display_name", listed.dag->dag_id}}
        );
    }
    json["total_entries"] = total;
    return reply(200, json);
}

Reply get_config(Services&, const Request&, const Caller&) {
    throw failure(
        403, "The configuration is not exposed through the API; `sluice config list` prints it"
    );
}

}  // namespace

Rows meta_endpoints() {
    using http::Access;
    constexpr auto in = Access::signed_in;
    return {
        {"GET", "/api/v2/version", "get_version", Access::open, get_version},
        {"GET", "/api/v2/monitor/health", "get_health", Access::open, get_health},
        {"GET", "/healthz", "", Access::open, get_alive},
        {"GET", "/readyz", "", Access::open, get_ready},
        {"GET", "/api/v2/importErrors", "get_import_errors", in, get_import_errors},
        {"GET", "/api/v2/importErrors/{import_error_id}", "get_import_error", in, get_import_error},
        {"GET", "/api/v2/eventLogs", "get_event_logs", in, get_event_logs},
        {"GET", "/api/v2/eventLogs/{event_log_id}", "get_event_log", in, get_event_log},
        {"GET", "/api/v2/plugins", "get_plugins", in, get_plugins},
        {"GET", "/api/v2/providers", "get_providers", in, get_providers},
        {"GET", "/api/v2/dagWarnings", "list_dag_warnings", in, get_warnings},
        {"GET", "/api/v2/config", "get_config", in, get_config},
    };
}

}  // namespace sluice::api
