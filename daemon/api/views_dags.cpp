// Views of DAGs: schedule in words, list row, details, versions, tasks.
#include <algorithm>
#include <cctype>
#include <set>
#include <sstream>

#include "api/auth.hpp"
#include "api/views.hpp"
#include "base/check.hpp"
#include "base/hash.hpp"

namespace sluice::api {
namespace {

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

}  // namespace

bool is_periodic(const Schedule& schedule) {
    switch (schedule.kind) {
        case ScheduleKind::cron_trigger:
        case ScheduleKind::cron_interval:
        case ScheduleKind::delta_trigger:
        case ScheduleKind::delta_interval:
        case ScheduleKind::events:
            return true;
        case ScheduleKind::none:
        case ScheduleKind::once:
        case ScheduleKind::continuous:
            return false;
    }
    unreachable();
}

std::string schedule_summary(const Schedule& schedule) {
    if (schedule.assets) {
        std::string text = "Asset";
        for (const std::string& cron : schedule.crons) text += " or " + cron;
        return text;
    }
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
        case ScheduleKind::events:
            return std::to_string(schedule.events.size()) + " events";
    }
    unreachable();
}

std::string schedule_description(const Schedule& schedule) {
    if (schedule.assets) {
        std::string text = "Triggered by assets";
        for (const std::string& cron : schedule.crons) text += ", or " + describe_cron(cron);
        return text;
    }
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
        case ScheduleKind::events:
            return "At " + std::to_string(schedule.events.size()) + " listed times";
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

Json version_or_null(const std::optional<store::VersionRow>& version) {
    return version ? version_view(*version) : Json(nullptr);
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
    json["max_consecutive_failed_dag_runs"] = dag.max_consecutive_failed_dag_runs;
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
    json["depends_on_past"] = task.depends_on_past;
    json["wait_for_downstream"] = task.wait_for_downstream;
    json["retries"] = static_cast<double>(task.retries);
    json["queue"] = "default";
    json["pool"] = task.pool;
    json["pool_slots"] = static_cast<double>(task.pool_slots);
    json["execution_timeout"] =
        task.execution_timeout ? time_delta(*task.execution_timeout) : Json(nullptr);
    json["retry_delay"] = time_delta(task.retry_delay);
    json["retry_exponential_backoff"] = task.retry_multiplier;
    json["priority_weight"] = static_cast<double>(task.priority_weight);
    json["weight_rule"] = task.weight_rule == WeightRule::critical_path ? "critical_path"
                          : task.weight_rule == WeightRule::downstream  ? "downstream"
                          : task.weight_rule == WeightRule::upstream    ? "upstream"
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

}  // namespace sluice::api
