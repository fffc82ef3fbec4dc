// Views of XComs, import errors, backfills, pools, the audit log, connections and variables.
#include <algorithm>
#include <cctype>

#include "api/views.hpp"
#include "base/artefacts.hpp"

namespace sluice::api {

std::string python_text(const Json& value, bool top) {
    if (value.is_null()) return "None";
    if (value.is_boolean()) return value.get<bool>() ? "True" : "False";
    if (value.is_string()) {
        const auto& text = value.get_ref<const std::string&>();
        if (top) return text;
        const char quote =
            text.find('\'') != std::string::npos && text.find('"') == std::string::npos ? '"'
                                                                                        : '\'';
        std::string out(1, quote);
        for (const char c : text) {
            if (c == '\n') {
                out += "\\n";
                continue;
            }
            if (c == quote || c == '\\') out += '\\';
            out += c;
        }
        return out + quote;
    }
    std::string out;
    if (value.is_array()) {
        for (const Json& item : value) out += (out.empty() ? "" : ", ") + python_text(item, false);
        return "[" + out + "]";
    }
    if (value.is_object()) {
        for (const auto& [key, item] : value.items())
            out += (out.empty() ? "" : ", ") + python_text(Json(key), false) + ": " +
                   python_text(item, false);
        return "{" + out + "}";
    }
    return dump(value);
}

Json xcom_view(const store::XcomRow& xcom, const store::RunRow& run, bool with_value) {
    Json json;
    json["key"] = xcom.name;
    json["timestamp"] = format_z(xcom.at);
    json["logical_date"] = time_or_null(run.run.logical_date);
    json["map_index"] = xcom.key.map_index;
    json["task_id"] = xcom.task_id;
    json["dag_id"] = run.run.dag_id;
    json["run_id"] = run.run.run_id;
    json["dag_display_name"] = run.run.dag_id;
    json["task_display_name"] = xcom.task_id;
    json["run_after"] = format_z(run.run.run_after);
    // Ours, beside Airflow's: what a reader may want to know before asking for the value.
    const auto ref = reference_of(xcom.value);
    json["value_type"] = type_of_value(xcom.value);
    json["value_bytes"] = ref ? ref->bytes : static_cast<std::int64_t>(xcom.value.size());
    if (with_value) json["value"] = stored_json(xcom.value);
    return json;
}

Json import_error_view(const runtime::ImportError& error) {
    Json json;
    json["import_error_id"] = error.id;
    json["timestamp"] = format_z(error.at);
    json["filename"] = error.filename;
    json["bundle_name"] = bundle_name;
    json["stack_trace"] = error.text();
    return json;
}

Json backfill_view(const Backfill& backfill) {
    Json json;
    json["id"] = backfill.id.value;
    json["dag_id"] = backfill.dag_id;
    json["from_date"] = format_z(backfill.from_date);
    json["to_date"] = format_z(backfill.to_date);
    json["dag_run_conf"] = stored_json(backfill.conf);
    json["is_paused"] = backfill.is_paused;
    json["reprocess_behavior"] = name(backfill.reprocess);
    json["max_active_runs"] = backfill.max_active_runs;
    json["created_at"] = format_z(backfill.created_at);
    json["completed_at"] = time_or_null(backfill.completed_at);
    json["updated_at"] = format_z(backfill.updated_at);
    json["dag_display_name"] = backfill.dag_id;
    return json;
}

Json pool_view(const core::Scheduler::PoolUse& use) {
    Json json;
    json["name"] = use.pool.name;
    json["slots"] = use.pool.slots;
    json["description"] = text_or_null(use.pool.description);
    json["include_deferred"] = use.pool.include_deferred;
    const std::int64_t occupied =
        use.running + use.queued + (use.pool.include_deferred ? use.deferred : 0);
    json["occupied_slots"] = occupied;
    json["running_slots"] = use.running;
    json["queued_slots"] = use.queued;
    json["scheduled_slots"] = use.scheduled;
    json["open_slots"] = use.pool.slots < 0 ? std::int64_t{-1}
                                            : std::max<std::int64_t>(0, use.pool.slots - occupied);
    json["deferred_slots"] = use.deferred;
    json["team_name"] = nullptr;
    return json;
}

Json audit_view(const store::AuditRow& row) {
    const AuditEntry& entry = row.entry;
    Json json;
    json["event_log_id"] = row.id;
    json["when"] = format_z(entry.at);
    json["dag_id"] = text_or_null(entry.dag_id);
    json["task_id"] = text_or_null(entry.task_id);
    json["run_id"] = text_or_null(entry.run_id);
    json["map_index"] = nullptr;
    json["try_number"] = nullptr;
    json["event"] = entry.event;
    json["logical_date"] = nullptr;
    json["owner"] = text_or_null(entry.actor);
    json["extra"] = text_or_null(entry.extra);
    json["dag_display_name"] = text_or_null(entry.dag_id);
    json["task_display_name"] = text_or_null(entry.task_id);
    return json;
}

bool looks_secret(const std::string& key) {
    std::string lower = key;
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) {
        return static_cast<char>(std::tolower(c));
    });
    for (const std::string_view part :
         {"password",
          "passwd",
          "passphrase",
          "secret",
          "token",
          "api_key",
          "apikey",
          "access_key",
          "private_key",
          "authorization",
          "keyfile_dict",
          "service_account"})
        if (lower.find(part) != std::string::npos) return true;
    return false;
}

Json connection_view(const store::StoredConnection& connection) {
    Json json;
    json["connection_id"] = connection.conn_id;
    json["conn_type"] = connection.conn_type;
    json["description"] = text_or_null(connection.description);
    json["host"] = text_or_null(connection.host);
    json["login"] = text_or_null(connection.login);
    json["schema"] = text_or_null(connection.schema);
    json["port"] = connection.port ? Json(*connection.port) : Json(nullptr);
    json["password"] = connection.password.empty() ? Json(nullptr) : Json("***");
    Json extra = stored_json(connection.extra);
    if (extra.is_object()) {
        for (auto& [key, value] : extra.items())
            if (looks_secret(key)) value = "***";
        json["extra"] = extra.empty() ? Json(nullptr) : Json(dump(extra));
    } else {
        json["extra"] = nullptr;
    }
    json["team_name"] = nullptr;
    return json;
}

Json variable_view(const store::Variable& variable) {
    Json json;
    json["key"] = variable.key;
    json["value"] = looks_secret(variable.key) ? "***" : variable.value;
    json["description"] = text_or_null(variable.description);
    json["is_encrypted"] = false;
    json["team_name"] = nullptr;
    return json;
}

}  // namespace sluice::api
