// Views of runs, task instances and their tries.
#include "api/views.hpp"
#include "base/hash.hpp"

namespace sluice::api {
namespace {

Json duration_or_null(const std::optional<Instant>& from, const std::optional<Instant>& to) {
    if (!from || !to) return nullptr;
    return to_seconds(*to - *from);
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

}  // namespace

std::string task_instance_id(
    const std::string& dag_id, const std::string& run_id, const std::string& task_id, MapIndex map
) {
    return uuid_of("ti\n" + dag_id + "\n" + run_id + "\n" + task_id + "\n" + std::to_string(map));
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
    const auto interval =
        run.logical_date || run.type == RunType::asset_triggered ? run.data_interval : std::nullopt;
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
    // Until it has a name of its own (name_instances).
    json["rendered_map_index"] = map == unmapped ? Json() : Json(std::to_string(map));
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

}  // namespace sluice::api
