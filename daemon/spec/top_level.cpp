// The top level of a DAG file: identity, schedule, limits, params.
#include <algorithm>

#include <fmt/format.h>

#include "model/cron.hpp"
#include "model/params.hpp"
#include "model/timetable.hpp"
#include "spec/draft.hpp"
#include "spec/language.hpp"

namespace sluice::spec {

using nlohmann::json;

namespace {

std::optional<Instant> read_time(Draft& draft, Fields& fields, const char* key) {
    const auto text = fields.string(key);
    if (!text) return std::nullopt;
    const auto parsed = parse_time(*text);
    if (!parsed) return std::nullopt;  // the schema has said so
    return resolve(*parsed, draft.zone.value_or(Zone::utc()));
}

void add_cron(Draft& draft, const std::string& text, const std::string& pointer) {
    if (text.starts_with('@')) {
        const auto preset = preset_cron(text);
        if (!preset) {
            auto hint = did_you_mean(
                text,
                {"@hourly",
                 "@daily",
                 "@weekly",
                 "@monthly",
                 "@quarterly",
                 "@yearly",
                 "@once",
                 "@continuous"}
            );
            return draft.problems.error(
                "E-CRON", pointer, fmt::format("\"{}\" is no preset", text), std::move(hint)
            );
        }
        draft.dag.schedule.crons.emplace_back(*preset);
        return;
    }
    if (const auto problem = cron_problem(text))
        return draft.problems.error("E-CRON", pointer, *problem);
    draft.dag.schedule.crons.push_back(text);
}

void read_schedule_text(Draft& draft, const std::string& text) {
    auto& schedule = draft.dag.schedule;
    schedule.text = text;
    if (text == "@once") {
        schedule.kind = ScheduleKind::once;
    } else if (text == "@continuous") {
        schedule.kind = ScheduleKind::continuous;
    } else {
        schedule.kind = ScheduleKind::cron_trigger;
        add_cron(draft, text, "/schedule");
    }
}

Duration positive(Draft& draft, Fields& fields, const char* key) {
    const auto step = fields.duration(key);
    if (step && *step > Duration::zero()) return *step;
    if (step)
        draft.problems.error("E-VALUE", fields.pointer(key), "the step must be longer than 0s");
    return Duration{1};
}

Duration not_negative(Draft& draft, Fields& fields, const char* key) {
    const auto duration = fields.duration(key).value_or(Duration::zero());
    if (duration >= Duration::zero()) return duration;
    draft.problems.error("E-VALUE", fields.pointer(key), "the duration must not be negative");
    return Duration::zero();
}

void read_schedule_object(Draft& draft, const json& value) {
    auto& schedule = draft.dag.schedule;
    Fields fields(value, "/schedule", draft.problems);
    if (fields.has("cron")) {
        schedule.kind = ScheduleKind::cron_trigger;
        const auto crons = fields.names("cron").value_or(std::vector<std::string>{});
        const bool single = value["cron"].is_string();
        for (std::size_t i = 0; i < crons.size(); ++i)
            add_cron(
                draft, crons[i], single ? "/schedule/cron" : child_pointer("/schedule/cron", i)
            );
        if (const auto* window = fields.any("window");
            window != nullptr && *window == "previous_tick")
            schedule.previous_tick = true;
        else
            schedule.window = not_negative(draft, fields, "window");
        if (const auto* at_once = fields.any("run_immediately"); at_once != nullptr) {
            if (at_once->is_boolean())
                schedule.run_immediately = at_once->get<bool>();
            else
                schedule.run_immediately_within = not_negative(draft, fields, "run_immediately");
        }
    } else if (fields.has("cron_interval")) {
        schedule.kind = ScheduleKind::cron_interval;
        if (const auto cron = fields.string("cron_interval"))
            add_cron(draft, *cron, "/schedule/cron_interval");
        schedule.delay = not_negative(draft, fields, "delay");
    } else if (fields.has("delta")) {
        schedule.kind = ScheduleKind::delta_trigger;
        schedule.delta = positive(draft, fields, "delta");
    } else if (fields.has("delta_interval")) {
        schedule.kind = ScheduleKind::delta_interval;
        schedule.delta = positive(draft, fields, "delta_interval");
        schedule.delay = not_negative(draft, fields, "delay");
    } else if (fields.has("events")) {
        read_events(draft, fields);
    }
    read_schedule_days(draft, fields);
    check_ticks(draft);
}

AssetCondition read_condition(const json& parts, bool any) {
    AssetCondition condition;
    condition.any = any;
    for (const auto& part : parts) {
        if (part.is_string()) condition.names.push_back(part.get<std::string>());
        if (!part.is_object()) continue;
        for (const char* key : {"all", "any"})
            if (part.contains(key) && part[key].is_array())
                condition.nested.push_back(read_condition(part[key], key == std::string("any")));
    }
    return condition;
}

/// ["curated.sales", ...], or {"assets": {"all" | "any": [...]}, "batch", "or_cron"}.
void read_schedule_assets(Draft& draft, const json& value) {
    auto& schedule = draft.dag.schedule;
    schedule.text = canonical_json(value);
    if (value.is_array()) {
        schedule.assets = read_condition(value, false);
        return;
    }
    Fields fields(value, "/schedule", draft.problems);
    const json outer = json::array({value["assets"]});
    auto condition = read_condition(outer, false);
    if (condition.nested.size() == 1) condition = AssetCondition(condition.nested.front());
    schedule.assets = std::move(condition);
    schedule.asset_batch = fields.boolean("batch").value_or(true);
    if (const auto cron = fields.string("or_cron")) {
        schedule.kind = ScheduleKind::cron_trigger;
        add_cron(draft, *cron, "/schedule/or_cron");
    }
}

bool is_asset_schedule(const json& value) {
    return value.is_array() || (value.is_object() && value.contains("assets"));
}

void read_schedule(Draft& draft) {
    const auto found = draft.root.find("schedule");
    if (found == draft.root.end() || found->is_null()) return;
    const json& value = *found;
    if (is_asset_schedule(value)) {
        read_schedule_assets(draft, value);
        if (draft.dag.schedule.kind == ScheduleKind::none) return;  // no dates, so no first one
    } else if (value.is_string()) {
        read_schedule_text(draft, value.get<std::string>());
    } else if (value.is_object()) {
        draft.dag.schedule.text = canonical_json(value);
        read_schedule_object(draft, value);
    }
    if (!draft.root.contains("start_date"))
        draft.problems.error("E-REQUIRED", "", "a scheduled DAG needs a \"start_date\"");
}

void read_zone(Draft& draft) {
    draft.zone = Zone::find(draft.dag.timezone);
    if (draft.zone) return;
    const std::string meant = did_you_mean(draft.dag.timezone, zone_names());
    draft.problems.error(
        "E-ZONE",
        "/timezone",
        zone_problem(draft.dag.timezone).value_or("there is no such time zone"),
        meant.empty() ? "an IANA name such as \"Europe/Amsterdam\"" : meant
    );
}

std::optional<OnUnpause> on_unpause_of(const std::string& name) {
    if (name == "latest") return OnUnpause::latest;
    if (name == "none") return OnUnpause::none;
    if (name == "all") return OnUnpause::all;
    return std::nullopt;
}

void read_policy(Draft& draft, Fields& fields) {
    auto& dag = draft.dag;
    dag.policy = fields.string("policy").value_or("");
    if (dag.policy.empty()) return;
    const std::string* text = bundle_file(draft, dag.policy, "/policy");
    if (text == nullptr || draft.stored) return;
    for (auto& problem : check_policy_text(*text, dag.policy))
        draft.problems.add(std::move(problem));
}

/// The language's top level. `tasks` and `datasets` are checked one by one where they are read:
/// their problems are the better for it. Made once: a copy for each DAG was most of a start with
/// thousands of them.
const json& top_keys() {
    static const json keys = [] {
        json part = language();
        part.erase("definitions");
        part["properties"]["tasks"] = {{"type", "array"}, {"minItems", 1}};
        part["properties"]["datasets"] = {{"type", "object"}};
        return part;
    }();
    return keys;
}

}  // namespace

void read_top_level(Draft& draft) {
    auto& dag = draft.dag;
    check_language(draft.root, top_keys(), "", draft.problems);
    refuse_not_yet(draft.root, language(), "", draft.problems);

    Fields fields(draft.root, "", draft.problems);
    dag.dag_id = fields.string("dag_id").value_or("");
    dag.description = fields.string("description").value_or("");
    dag.doc_md = fields.string("doc_md").value_or("");
    dag.owner = fields.string("owner").value_or("sluice");
    dag.tags = draft.root.contains("tags")
                   ? fields.names("tags").value_or(std::vector<std::string>{})
                   : std::vector<std::string>{};
    dag.timezone = fields.string("timezone").value_or("UTC");
    read_zone(draft);
    dag.start_date = read_time(draft, fields, "start_date");
    dag.end_date = read_time(draft, fields, "end_date");
    if (dag.start_date && dag.end_date && *dag.end_date < *dag.start_date)
        draft.problems.error("E-VALUE", "/end_date", "\"end_date\" lies before \"start_date\"");
    read_schedule(draft);
    dag.catchup = fields.boolean("catchup").value_or(false);
    dag.on_unpause = on_unpause_of(fields.string("on_unpause").value_or(""));
    dag.is_paused_upon_creation = fields.boolean("is_paused_upon_creation");
    const auto count = [&](const char* key) -> std::optional<int> {
        const auto number = fields.integer(key, 1, 1'000'000);
        return number ? std::optional(static_cast<int>(*number)) : std::nullopt;
    };
    dag.max_active_runs = count("max_active_runs").value_or(16);
    dag.max_active_tasks_per_run = count("max_active_tasks_per_run").value_or(16);
    dag.max_active_tasks_per_dag = count("max_active_tasks_per_dag");
    dag.dagrun_timeout = fields.duration("dagrun_timeout");
    if (dag.dagrun_timeout && *dag.dagrun_timeout <= Duration::zero())
        draft.problems.error("E-VALUE", "/dagrun_timeout", "the timeout must be longer than 0s");
    dag.fail_fast = fields.boolean("fail_fast").value_or(false);
    dag.max_consecutive_failed_dag_runs =
        static_cast<int>(fields.integer("max_consecutive_failed_dag_runs", 0, 1'000'000).value_or(0)
        );
    dag.lake = fields.string("lake").value_or("lake");
    if (const auto* schemas = fields.object("schemas"); schemas != nullptr) {
        for (const auto& [schema, conn_id] : schemas->items()) {
            if (is_lake_tier(schema))
                draft.problems.error(
                    "E-DATASET-NAME",
                    child_pointer("/schemas", schema),
                    fmt::format("\"{}\" is a tier of the lake and no schema", schema)
                );
            if (conn_id.is_string()) dag.schemas[schema] = conn_id.get<std::string>();
        }
    }
    read_policy(draft, fields);
    read_callbacks(draft, draft.root, "", dag.callbacks, dag.deadlines);
    const bool scheduled =
        dag.schedule.kind != ScheduleKind::none || dag.schedule.assets.has_value();
    dag.params = read_params(fields.object("params"), "/params", scheduled, draft.problems);
}

std::string read_params(
    const json* params, const std::string& pointer, bool scheduled, Problems& problems
) {
    json out = json::object();
    if (params == nullptr) return "{}";
    for (const auto& [name, written] : params->items()) {
        const auto at = child_pointer(pointer, name);
        json schema = written.is_object() ? written : json{{"default", written}};
        for (auto& problem : param_problems(schema, scheduled)) {
            problem.pointer = written.is_object() ? at + problem.pointer : at;
            problems.add(std::move(problem));
        }
        out[name] = std::move(schema);
    }
    return canonical_json(out);
}

}  // namespace sluice::spec
