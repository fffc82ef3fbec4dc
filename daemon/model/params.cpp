#include "model/params.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/json_text.hpp"
#include "base/problem.hpp"
#include "model/json_schema.hpp"

namespace sluice {

using nlohmann::json;

namespace {

/// In a schema that users write an object takes other keys unless it says no, as JSON Schema has
/// it; the checker's own rule is stricter. Form hints are no keywords.
json opened(json schema) {
    if (schema.is_array())
        for (auto& each : schema) each = opened(std::move(each));
    if (!schema.is_object()) return schema;
    for (const char* hint : {"values_display", "section", "description_md"}) schema.erase(hint);
    for (auto& [key, child] : schema.items())
        if (key != "default" && key != "enum" && key != "const" && key != "examples")
            child = opened(std::move(child));
    if (schema.contains("properties") && !schema.contains("additionalProperties"))
        schema["additionalProperties"] = true;
    return schema;
}

json object_of(const std::string& text) {
    json value = json::parse(text, nullptr, false);
    return value.is_object() ? value : json::object();
}

}  // namespace

std::vector<Problem> param_problems(const json& schema, bool scheduled) {
    std::vector<Problem> out;
    const json open = opened(schema);
    for (const auto& fault : schema_faults(open)) {
        const auto colon = fault.find(": ");
        out.push_back(problem("E-PARAM", fault.substr(0, colon), fault.substr(colon + 2)));
    }
    if (!out.empty()) return out;
    const auto usual = schema.find("default");
    if (usual == schema.end()) {
        if (scheduled)
            out.push_back(problem("E-PARAM", "", "a param of a scheduled DAG needs a \"default\""));
        return out;
    }
    return check_against(*usual, open, "/default");
}

std::string param_values(const Dag& dag, const Task* task, const std::string& conf) {
    json values = json::object();
    const auto lay = [&](const std::string& params) {
        const json schemas = object_of(params);
        for (const auto& [name, schema] : schemas.items())
            values[name] = schema.contains("default") ? schema["default"] : json();
    };
    lay(dag.params);
    if (task != nullptr) lay(task->params);
    const json given = object_of(conf);
    for (const auto& [name, value] : given.items())
        if (values.contains(name)) values[name] = value;
    return canonical_json(values);
}

std::vector<Problem> conf_problems(const Dag& dag, const std::string& conf) {
    std::vector<Problem> out;
    const json given = json::parse(conf, nullptr, false);
    if (!given.is_object()) return {problem("E-TYPE", "", "the conf of a run is a JSON object")};
    const json schemas = object_of(dag.params);
    for (const auto& [name, schema] : schemas.items()) {
        const auto at = child_pointer("", name);
        if (!given.contains(name) && !schema.contains("default")) {
            out.push_back(
                problem("E-REQUIRED", at, fmt::format("the param \"{}\" has no value", name))
            );
            continue;
        }
        const json& value = given.contains(name) ? given[name] : schema["default"];
        for (auto& found : check_against(value, opened(schema), at))
            out.push_back(std::move(found));
    }
    return out;
}

std::string conf_complaint(const Dag& dag, const std::string& conf) {
    std::string out;
    for (const auto& found : conf_problems(dag, conf)) {
        if (!out.empty()) out += '\n';
        if (found.pointer.empty()) {
            out += found.message;
        } else if (const auto param = found.pointer.substr(1);
                   found.code == "E-REQUIRED" && param.find('/') == param.npos) {
            out += fmt::format("No value passed for param {}", param);
        } else {
            out += fmt::format("Invalid input for param {}: {}", param, found.message);
            if (!found.suggestion.empty()) out += fmt::format(", {}", found.suggestion);
        }
    }
    return out;
}

}  // namespace sluice
