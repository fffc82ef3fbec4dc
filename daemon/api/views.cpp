#include "api/views.hpp"

#include <algorithm>
#include <cctype>
#include <set>
#include <sstream>

#include "api/auth.hpp"
#include "base/check.hpp"
#include "base/hash.hpp"

namespace sluice::api {
namespace {

constexpr const char* bundle_name = "dags-folder";

Json duration_or_null(const std::optional<Instant>& from, const std::optional<Instant>& to) {
    if (!from || !to) return nullptr;
    return to_seconds(*to - *from);
}

/// Airflow's TimeDelta object.
Json time_delta(Duration duration) {
    constexpr std::int64_t day = 86'400;
    const std::int64_t micros = duration.count();
    std::int64_t seconds = micros / 1'000'000;
    Json json;
    json["__type"] = "TimeDelta";
    json["days"] = seconds / day;
    json["seconds"] = seconds % day;
    json["microseconds"] = micros % 1'000'000;
    return json;
}

/// ISO 8601, as Airflow shows dag_run_timeout: "PT1H30M".
std::string iso_duration(Duration duration) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration).count();
    std::ostringstream out;
    out << 'P';
    if (seconds >= 86'400) out << seconds / 86'400 << 'D';
    const auto rest = seconds % 86'400;
    if (rest != 0 || seconds == 0) {
        out << 'T';
        if (rest >= 3'600) out << rest / 3'600 << 'H';
        if (rest % 3'600 >= 60) out << rest % 3'600 / 60 << 'M';
        if (rest % 60 != 0 || rest == 0) out << rest % 60 << 'S';
    }
    return out.str();
}

bool is_number(const std::string& text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return std::isdigit(static_cast<unsigned char>(c)) != 0;
    });
}

std::string describe_cron(const std::string& cron) {
    std::istringstream in(cron);
    std::string minute;
    std::string hour;
    std::string day;
    std::string month;
    std::string weekday;
    in >> minute >> hour >> day >> month >> weekday;
    if (month != "*" || (day != "*" && weekday != "*")) return "Cron " + cron;
    if (hour == "*" && day == "*" && weekday == "*") {
        if (minute == "*") return "Every minute";
        if (minute == "0") return "Every hour";
        if (minute.starts_with("*/")) return "Every " + minute.substr(2) + " minutes";
        if (is_number(minute)) return "At " + minute + " minutes past the hour";
    }
    if (!is_number(minute) || !is_number(hour)) return "Cron " + cron;
    const auto two = [](const std::string& n) { return n.size() < 2 ? "0" + n : n; };
    std::string text = "At " + two(hour) + ":" + two(minute);
    if (is_number(day)) text += ", on day " + day + " of the month";
    constexpr const char* days[] = {
        "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"
    };
    if (weekday == "*") return text;
    if (weekday.size() == 1 && weekday[0] >= '0' && weekday[0] <= '7')
        return text + ", only on " + days[weekday[0] - '0'];
    return "Cron " + cron;
}

std::vector<std::string> owners_of(const Dag& dag) {
    std::set<std::string> owners;
    for (const Task& task : dag.tasks) owners.insert(task.owner.empty() ? dag.owner : task.owner);
    if (owners.empty()) owners.insert(dag.owner);
    return {owners.begin(), owners.end()};
}

/// {name: {value, description, schema}} from the stored {name: JSON Schema}.
Json params_view(const std::string& text) {
    const Json schemas = stored_json(text);
    Json params = Json::object();
    if (!schemas.is_object()) return params;
    for (const auto& [name, schema] : schemas.items()) {
        Json param;
        param["value"] =
            schema.is_object() && schema.contains("default") ? schema["default"] : Json();
        param["description"] =
            schema.is_object() && schema.contains("description") ? schema["description"] : Json();
        param["schema"] = schema;
        params[name] = std::move(param);
    }
    return params;
}

/// What every kind of task instance reply begins with, up to the version.
Json common_instance(
    const InstanceContext& context,
    MapIndex map,
    const std::optional<Instant>& start,
    const std::optional<Instant>& end,
    Json state,
    int try_number,
    int max_tries
) {
    Json json;
    json["task_id"] = context.task_id;
    json["dag_id"] = context.dag_id;
    json["dag_run_id"] = context.run_id;
    json["map_index"] = map;
    json["logical_date"] = time_or_null(context.logical_date);
    json["run_after"] = format_z(context.run_after);
    json["start_date"] = time_or_null(start);
    json["end_date"] = time_or_null(end);
    json["duration"] = duration_or_null(start, end);
    json["state"] = std::move(state);
    json["try_number"] = try_number;
    json["max_tries"] = max_tries;
    json["task_display_name"] = context.task_id;
    json["dag_display_name"] = context.dag_id;
    json["hostname"] = start ? context.node.hostname : "";
    json["unixname"] = context.node.user;
    json["pool"] = context.task != nullptr ? context.task->pool : "default_pool";
    json["pool_slots"] = context.task != nullptr ? context.task->pool_slots : 1;
    json["queue"] = "default";
    json["priority_weight"] =
        context.task != nullptr ? Json(context.task->effective_weight) : Json();
    json["operator"] = context.task != nullptr ? Json(context.task->operator_name) : Json();
    json["operator_name"] = json["operator"];
    return json;
}

Json version_or_null(const std::optional<store::VersionRow>& version) {
    return version ? version_view(*version) : Json(nullptr);
}

}  // namespace

std::string task_instance_id(
    const std::string& dag_id, const std::string& run_id, const std::string& task_id, MapIndex map
) {
    return uuid_of("ti\n" + dag_id + "\n" + run_id + "\n" + task_id + "\n" + std::to_string(map));
}

bool is_periodic(const Schedule& schedule) {
    switch (schedule.kind) {
        case ScheduleKind::cron_trigger:
        case ScheduleKind::cron_interval:
        case ScheduleKind::delta_trigger:
        case ScheduleKind::delta_interval:
            return true;
        case ScheduleKind::none:
        case ScheduleKind::once:
        case ScheduleKind::continuous:
            return false;
    }
    unreachable();
}

std::string schedule_summary(const Schedule& schedule) {
    switch (schedule.kind) {
        case ScheduleKind::none:
            return "";
        case ScheduleKind::once:
            return "@once";
        case ScheduleKind::continuous:
            return "@continuous";
        case ScheduleKind::cron_trigger:
        case ScheduleKind::cron_interval: {
            std::string text;
            for (const std::string& cron : schedule.crons)
                text += (text.empty() ? "" : ", ") + cron;
            return text;
        }
        case ScheduleKind::delta_trigger:
        case ScheduleKind::delta_interval:
            return format_duration(schedule.delta);
    }
    unreachable();
}

std::string schedule_description(const Schedule& schedule) {
    switch (schedule.kind) {
        case ScheduleKind::none:
            return "Never, external triggers only";
        case ScheduleKind::once:
            return "Once, as soon as possible";
        case ScheduleKind::continuous:
            return "As frequently as possible, but only one run at a time";
        case ScheduleKind::cron_trigger:
        case ScheduleKind::cron_interval: {
            std::string text;
            for (const std::string& cron : schedule.crons)
                text += (text.empty() ? "" : ", or ") + describe_cron(cron);
            return text;
        }
        case ScheduleKind::delta_trigger:
        case ScheduleKind::delta_interval:
            return "Every " + format_duration(schedule.delta);
    }
    unreachable();
}

Json version_view(const store::VersionRow& version) {
    Json json;
    json["id"] = uuid_of("dag version\n" + version.dag_id + "\n" + std::to_string(version.number));
    json["version_number"] = version.number;
    json["dag_id"] = version.dag_id;
    json["bundle_name"] = bundle_name;
    json["bundle_version"] = nullptr;
    json["created_at"] = format_z(version.created_at);
    json["dag_display_name"] = version.dag_id;
    json["bundle_url"] = nullptr;
    return json;
}

Json dag_view(const runtime::ListedDag& listed) {
    const Dag& dag = *listed.dag;
    const DagState& state = listed.state;
    Json json;
    json["dag_id"] = dag.dag_id;
    json["dag_display_name"] = dag.dag_id;
    json["is_paused"] = state.is_paused;
    json["is_stale"] = state.is_stale;
    json["last_parsed_time"] = format_z(listed.parsed_at);
    json["last_parse_duration"] = nullptr;
    json["last_expired"] = nullptr;
    json["bundle_name"] = bundle_name;
    json["bundle_version"] = nullptr;
    json["relative_fileloc"] = dag.fileloc;
    json["fileloc"] = dag.fileloc;
    json["description"] = text_or_null(dag.description);
    json["timetable_summary"] = text_or_null(schedule_summary(dag.schedule));
    json["timetable_description"] = schedule_description(dag.schedule);
    json["timetable_partitioned"] = false;
    json["timetable_periodic"] = is_periodic(dag.schedule);
    json["tags"] = Json::array();
    std::vector<std::string> tags = dag.tags;
    std::ranges::sort(tags);
    for (const std::string& tag : tags) {
        Json item;
        item["name"] = tag;
        item["dag_id"] = dag.dag_id;
        item["dag_display_name"] = dag.dag_id;
        json["tags"].push_back(std::move(item));
    }
    json["max_active_tasks"] = dag.max_active_tasks_per_run;
    json["max_active_runs"] = dag.max_active_runs;
    json["max_consecutive_failed_dag_runs"] = 0;
    json["has_task_concurrency_limits"] = std::ranges::any_of(dag.tasks, [](const Task& task) {
        return task.max_active_tis_per_dag || task.max_active_tis_per_dagrun;
    });
    json["has_import_errors"] = listed.has_import_errors;
    json["next_dagrun_logical_date"] = time_or_null(state.next_logical_date);
    const auto& interval = state.next_interval;
    json["next_dagrun_data_interval_start"] = interval ? Json(format_z(interval->start)) : Json();
    json["next_dagrun_data_interval_end"] = interval ? Json(format_z(interval->end)) : Json();
    json["next_dagrun_run_after"] = time_or_null(state.next_run_after);
    json["allowed_run_types"] = nullptr;
    json["owners"] = owners_of(dag);
    json["is_backfillable"] = is_periodic(dag.schedule);
    Json token;
    token["bundle_name"] = bundle_name;
    token["relative_fileloc"] = dag.fileloc;
    json["file_token"] = base64url(dump(token));
    return json;
}

Json dag_details_view(
    const runtime::ListedDag& listed,
    const std::optional<store::VersionRow>& version,
    std::int64_t active_runs
) {
    const Dag& dag = *listed.dag;
    Json json = dag_view(listed);
    json["catchup"] = dag.catchup;
    json["dag_run_timeout"] =
        dag.dagrun_timeout ? Json(iso_duration(*dag.dagrun_timeout)) : Json(nullptr);
    json["asset_expression"] = nullptr;
    json["doc_md"] = text_or_null(dag.doc_md);
    json["start_date"] = time_or_null(dag.start_date);
    json["end_date"] = time_or_null(dag.end_date);
    json["is_paused_upon_creation"] =
        dag.is_paused_upon_creation ? Json(*dag.is_paused_upon_creation) : Json(nullptr);
    json["params"] = params_view(dag.params);
    json["render_template_as_native_obj"] = false;
    json["template_search_path"] = nullptr;
    json["timezone"] = dag.timezone;
    json["last_parsed"] = format_z(listed.parsed_at);
    const Json source = stored_json(dag.source);
    json["default_args"] =
        source.is_object() && source.contains("default_args") ? source["default_args"] : Json();
    json["rerun_with_latest_version"] = nullptr;
    json["owner_links"] = Json::object();
    json["is_favorite"] = false;
    json["active_runs_count"] = active_runs;
    json["concurrency"] = dag.max_active_tasks_per_run;
    json["latest_dag_version"] = version_or_null(version);
    return json;
}

Json task_view(const Dag& dag, const Task& task) {
    Json json;
    json["task_id"] = task.id;
    json["task_display_name"] = task.id;
    json["owner"] = task.owner.empty() ? dag.owner : task.owner;
    json["start_date"] = time_or_null(dag.start_date);
    json["end_date"] = time_or_null(dag.end_date);
    json["trigger_rule"] = name(task.trigger_rule);
    json["depends_on_past"] = false;
    json["wait_for_downstream"] = false;
    json["retries"] = static_cast<double>(task.retries);
    json["queue"] = "default";
    json["pool"] = task.pool;
    json["pool_slots"] = static_cast<double>(task.pool_slots);
    json["execution_timeout"] =
        task.execution_timeout ? time_delta(*task.execution_timeout) : Json(nullptr);
    json["retry_delay"] = time_delta(task.retry_delay);
    json["retry_exponential_backoff"] = task.retry_multiplier;
    json["priority_weight"] = static_cast<double>(task.priority_weight);
    json["weight_rule"] = task.weight_rule == WeightRule::downstream ? "downstream"
                          : task.weight_rule == WeightRule::upstream ? "upstream"
                                                                     : "absolute";
    json["ui_color"] = "#ffefeb";
    json["ui_fgcolor"] = "#000";
    const Json with = stored_json(task.with);
    json["template_fields"] = Json::array();
    if (with.is_object())
        for (const auto& [key, value] : with.items()) json["template_fields"].push_back(key);
    std::vector<std::string> downstream;
    downstream.reserve(task.downstream.size());
    for (const TaskNo next : task.downstream)
        downstream.push_back(dag.tasks[static_cast<std::size_t>(next)].id);
    std::ranges::sort(downstream);
    json["downstream_task_ids"] = downstream;
    json["doc_md"] = text_or_null(task.doc_md);
    json["operator_name"] = task.operator_name;
    json["params"] = params_view(task.params);
    json["class_ref"]["module_path"] = "sluice.operators";
    json["class_ref"]["class_name"] = task.operator_name;
    json["is_mapped"] = false;
    json["extra_links"] = Json::array();
    return json;
}

Json run_view(const DagRun& run, const std::optional<store::VersionRow>& version) {
    Json json;
    json["dag_run_id"] = run.run_id;
    json["dag_id"] = run.dag_id;
    json["logical_date"] = time_or_null(run.logical_date);
    json["queued_at"] = format_z(run.queued_at);
    json["start_date"] = time_or_null(run.start_date);
    json["end_date"] = time_or_null(run.end_date);
    json["duration"] = duration_or_null(run.start_date, run.end_date);
    // As in Airflow a run without a logical date shows no interval; its templates have one.
    const auto interval = run.logical_date ? run.data_interval : std::nullopt;
    json["data_interval_start"] = interval ? Json(format_z(interval->start)) : Json();
    json["data_interval_end"] = interval ? Json(format_z(interval->end)) : Json();
    json["run_after"] = format_z(run.run_after);
    json["last_scheduling_decision"] = time_or_null(run.end_date ? run.end_date : run.start_date);
    json["run_type"] = name(run.type);
    json["state"] = name(run.state);
    json["triggered_by"] = name(run.triggered_by);
    json["triggering_user_name"] = text_or_null(run.triggering_user);
    json["conf"] = stored_json(run.conf);
    json["note"] = text_or_null(run.note);
    json["dag_versions"] = Json::array();
    if (version) json["dag_versions"].push_back(version_view(*version));
    json["bundle_version"] = nullptr;
    json["dag_display_name"] = run.dag_id;
    json["partition_key"] = nullptr;
    json["partition_date"] = nullptr;
    return json;
}

Json instance_view(
    const TaskInstance& instance,
    const InstanceContext& context,
    const std::optional<std::string>& rendered
) {
    const MapIndex map = instance.key.map_index;
    Json json;
    json["id"] = task_instance_id(context.dag_id, context.run_id, context.task_id, map);
    json.update(common_instance(
        context,
        map,
        instance.start_date,
        instance.end_date,
        instance.state == TaskState::none ? Json() : Json(name(instance.state)),
        instance.try_number,
        instance.max_tries
    ));
    json["queued_when"] = time_or_null(instance.queued_at);
    json["scheduled_when"] = time_or_null(instance.scheduled_at);
    json["pid"] = nullptr;
    json["executor"] = nullptr;
    json["executor_config"] = "{}";
    json["note"] = text_or_null(instance.note);
    json["rendered_map_index"] = nullptr;
    json["rendered_fields"] = rendered ? stored_json(*rendered) : Json::object();
    json["trigger"] = nullptr;
    json["triggerer_job"] = nullptr;
    json["dag_version"] = version_or_null(context.version);
    return json;
}

Json try_view(const TaskInstance& instance, const InstanceContext& context) {
    Json json = common_instance(
        context,
        instance.key.map_index,
        instance.start_date,
        instance.end_date,
        instance.state == TaskState::none ? Json() : Json(name(instance.state)),
        instance.try_number,
        instance.max_tries
    );
    json["queued_when"] = time_or_null(instance.queued_at);
    json["scheduled_when"] = time_or_null(instance.scheduled_at);
    json["pid"] = nullptr;
    json["executor"] = nullptr;
    json["executor_config"] = "{}";
    json["dag_version"] = version_or_null(context.version);
    return json;
}

Json try_view(const AttemptRecord& attempt, int max_tries, const InstanceContext& context) {
    TaskInstance instance;
    instance.key = attempt.key;
    // A lost attempt has no state of its own in Airflow's words; it did not fail.
    instance.state = attempt.lost ? TaskState::none : attempt.state;
    instance.try_number = attempt.try_number;
    instance.max_tries = max_tries;
    instance.scheduled_at = attempt.scheduled_at;
    instance.queued_at = attempt.queued_at;
    instance.start_date = attempt.start_date;
    instance.end_date = attempt.end_date;
    return try_view(instance, context);
}

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
    const std::int64_t occupied = use.running + use.queued;
    json["occupied_slots"] = occupied;
    json["running_slots"] = use.running;
    json["queued_slots"] = use.queued;
    json["scheduled_slots"] = use.scheduled;
    json["open_slots"] = use.pool.slots < 0 ? std::int64_t{-1}
                                            : std::max<std::int64_t>(0, use.pool.slots - occupied);
    json["deferred_slots"] = 0;
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
