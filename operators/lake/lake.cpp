#include "operators/lake/lake.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/json_text.hpp"
#include "base/problem.hpp"
#include "operators/engine/failure.hpp"
#include "operators/lake/actions.hpp"

namespace sluice::ops {
namespace {

using nlohmann::json;

constexpr const char* schema = R"json({
  "type": "object",
  "required": ["action"],
  "properties": {
    "action": {"enum": ["retain", "compact", "verify", "rollback", "erase", "publish_lifecycle"], "description": "What to do with the lake."},
    "datasets": {"oneOf": [{"type": "string", "minLength": 1}, {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}}], "description": "Names or globs; default all of the lake, whatever DAG writes them."},
    "keep": {"type": "object", "default": {"raw": "90d", "processed": "180d", "curated": "365d"}, "description": "retain: how long a tier is kept after the end of a slice's interval; \"forever\" is a duration here.", "properties": {
      "raw": {"type": "string", "default": "90d", "description": "Of tier raw."},
      "processed": {"type": "string", "default": "180d", "description": "Of tier processed."},
      "curated": {"type": "string", "default": "365d", "description": "Of tier curated."}}, "additionalProperties": false},
    "min_generations": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 2, "description": "retain: the newest generations of a slice that stay, the live one counted."},
    "grace": {"type": "string", "format": "duration", "default": "24h", "description": "retain: a replaced generation stays so long for those who read it."},
    "hold": {"oneOf": [{"type": "string", "minLength": 1}, {"type": "array", "items": {"type": "string", "minLength": 1}}], "default": [], "description": "retain, erase: names or globs of which nothing is deleted, besides the legal holds (sluice lake holds)."},
    "subject": {"type": "object", "minProperties": 1, "properties": {}, "additionalProperties": {"type": ["string", "number", "boolean", "array"], "items": {"type": ["string", "number", "boolean"]}}, "description": "erase: {column: value or values}; rows that have them all are erased from data sets with these columns."},
    "generation": {"type": "integer", "default": -1, "description": "rollback: the generation that becomes live again; negative: so many back."},
    "put": {"type": "boolean", "default": false, "description": "publish_lifecycle: make them the rules of the lake's bucket too; rules of others stay."},
    "dry_run": {"type": "boolean", "default": false, "description": "Say what would be done, do nothing."}
  },
  "additionalProperties": false
})json";

constexpr std::pair<const char*, const char*> kept[] = {
    {"raw", "90d"}, {"processed", "180d"}, {"curated", "365d"}
};

std::vector<std::string> texts(const json& params, const char* key) {
    return params.contains(key) ? texts_of(params.at(key)) : std::vector<std::string>{};
}

std::string kept_text(const json& params, const char* tier, const char* otherwise) {
    return params.contains("keep") ? params.at("keep").value(tier, otherwise) : otherwise;
}

bool is_kept(const std::string& text) {
    const auto keep = parse_duration(text);
    return text == "forever" || (keep && *keep > Duration{0});
}

std::string not_kept(const std::string& text) {
    return '"' + text + "\" is not how long something is kept";
}

constexpr const char* kept_form = "a duration such as \"90d\", or \"forever\"";

lake::Retention retention_of(const json& params) {
    lake::Retention out;
    for (const auto& [tier, otherwise] : kept) {
        const std::string text = kept_text(params, tier, otherwise);
        if (!is_kept(text))  // it was a template when the file was read
            throw engine::Failure(
                ErrorClass::permanent,
                std::string("keep.") + tier + ": " + not_kept(text) + " (" + kept_form + ")"
            );
        if (text != "forever") out.keep[tier] = parse_duration(text);
    }
    out.min_generations = params.value("min_generations", 2);
    out.grace = parse_duration(params.value("grace", "24h")).value();
    out.holds = texts(params, "hold");
    return out;
}

task::CheckResult check(const task::CheckInput& input) {
    task::CheckResult out;
    const json& params = input.params;
    const std::string action = params.at("action");
    for (const auto& [tier, otherwise] : kept) {
        const std::string text = kept_text(params, tier, otherwise);
        if (text.find("{{") == std::string::npos && !is_kept(text))
            out.problems.push_back(
                problem("E-TYPE", std::string("/keep/") + tier, not_kept(text), kept_form)
            );
    }
    if (action == "erase" && !params.contains("subject"))
        out.problems.push_back(
            problem("E-REQUIRED", "/subject", "erase needs to know whom", "{\"customer_id\": 42}")
        );
    if (action == "rollback" && !params.contains("datasets"))
        out.problems.push_back(
            problem("E-REQUIRED", "/datasets", "rollback needs to know which data sets")
        );
    if (params.value("generation", -1) == 0)
        out.problems.push_back(problem(
            "E-RANGE",
            "/generation",
            "there is no generation 0",
            "1 is the first, -1 the one before"
        ));
    return out;
}

std::vector<std::string> chosen(
    task::TaskContext& context, const lake::Lake& lake, const json& params
) {
    const auto wanted = texts(params, "datasets");
    if (wanted.empty()) return lake.datasets;
    std::vector<std::string> found;
    for (const std::string& dataset : lake.datasets)
        if (lake::matches(dataset, wanted)) found.push_back(dataset);
    for (const std::string& glob : wanted) {
        const bool any = std::ranges::any_of(found, [&](const std::string& dataset) {
            return lake::matches(dataset, {glob});
        });
        if (!any) context.warn("the lake has no data set " + glob);
    }
    return found;
}

Outcome run_lake(task::TaskContext& context, const json& params) {
    if (context.info().test_mode) {
        context.info("a test run has a lake of its own, which nobody needs to keep");
        return task::success();
    }
    lake::Lake lake = lake::Ledger(context).lake();
    lake::Retention retention = retention_of(params);
    for (const lake::Hold& hold : lake.holds) retention.holds.push_back(hold.dataset);
    const auto storage = lake::open_storage(context);
    lake::Task task{
        .context = context,
        .storage = *storage,
        .lake = lake,
        .datasets = chosen(context, lake, params),
        .dry_run = params.value("dry_run", false),
    };
    const std::string action = params.at("action");
    json summary;
    if (action == "retain") summary = lake::retain(task, retention);
    if (action == "compact") summary = lake::compact(task);
    if (action == "verify") summary = lake::verify(task);
    if (action == "rollback") summary = lake::roll_back(task, params.value("generation", -1));
    if (action == "erase") {
        for (const std::string& dataset : task.datasets)
            if (lake::matches(dataset, retention.holds))
                throw engine::Failure(
                    ErrorClass::permanent,
                    dataset + " is on hold: nothing of it may be erased until the hold is lifted"
                );
        summary = lake::erase(task, params.at("subject"));
    }
    if (action == "publish_lifecycle")
        summary = lake::lifecycle(task, retention, params.value("put", false));
    if (task.dry_run) summary["dry_run"] = true;
    context.info(summary.dump());
    context.xcom("return_value", summary);
    return task::success();
}

Outcome run(task::TaskContext& context, const json& params) {
    return engine::guarded([&] { return run_lake(context, params); });
}

}  // namespace

task::Operator lake_operator() {
    return {
        .name = "lake",
        .summary = "Keeps the lake: retention, compaction, verification, rollback, erasure.",
        .schema = schema,
        .traits = {.isolation = Isolation::process, .idempotent = true, .data = true},
        .check = check,
        .run = run,
    };
}

}  // namespace sluice::ops
