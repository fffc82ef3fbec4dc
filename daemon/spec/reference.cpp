// What is generated from the table of keys: the schema for editors and the reference pages.
#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "model/json_schema.hpp"
#include "spec/language.hpp"
#include "spec/loader.hpp"

namespace sluice::spec {

// Keys stay in the order in which they were written: the important ones first.
using nlohmann::ordered_json;

namespace {

const ordered_json& ordered_language() {
    static const ordered_json made = [] {
        ordered_json out = ordered_json::parse(language_text());
        auto& parts = out["definitions"];
        ordered_json defaults = parts["task"];
        defaults.erase("required");
        for (const char* key :
             {"task_id", "operator", "with", "upstream", "expand", "map_index_template"})
            defaults["properties"].erase(key);
        parts["default_args"] = std::move(defaults);
        return out;
    }();
    return made;
}

const ordered_json& ordered_definition(const std::string& name) {
    return ordered_language().at("definitions").at(name);
}

const ordered_json& ordered_policy() {
    static const ordered_json made = ordered_json::parse(policy_language_text());
    return made;
}

/// Editors know only the standard keywords.
ordered_json for_editors(const ordered_json& schema, const std::string& prefix) {
    if (schema.is_array()) {
        ordered_json out = ordered_json::array();
        for (const auto& each : schema) out.push_back(for_editors(each, prefix));
        return out;
    }
    if (!schema.is_object()) return schema;
    ordered_json out = ordered_json::object();
    for (const auto& [key, child] : schema.items()) {
        if (key.starts_with("x-") || key == "definitions") continue;
        if (key == "$ref" && child.is_string())
            out[key] = "#/definitions/" + prefix + child.get<std::string>().substr(14);
        else if (key == "format" && child != "date-time")
            continue;
        else
            out[key] = for_editors(child, prefix);
    }
    return out;
}

/// "string", "a | b", "duration", "[names]" ...
std::string type_text(const ordered_json& schema) {
    if (const auto ref = schema.find("$ref"); ref != schema.end()) {
        const auto& text = ref->get_ref<const std::string&>();
        return text.substr(text.rfind('/') + 1);
    }
    if (const auto known = schema.find("enum"); known != schema.end()) {
        std::string out;
        for (const auto& value : *known)
            out += (out.empty() ? "" : " \\| ") +
                   (value.is_string() ? value.get<std::string>() : value.dump());
        return out;
    }
    if (const auto constant = schema.find("const"); constant != schema.end())
        return constant->is_string() ? constant->get<std::string>() : constant->dump();
    for (const char* keyword : {"oneOf", "anyOf"}) {
        const auto forms = schema.find(keyword);
        if (forms == schema.end() || schema.contains("type")) continue;
        std::vector<std::string> parts;
        for (const auto& form : *forms) {
            auto part = type_text(form);
            if (std::ranges::find(parts, part) == parts.end()) parts.push_back(std::move(part));
        }
        return fmt::format("{}", fmt::join(parts, " \\| "));
    }
    const auto type = schema.find("type");
    if (type == schema.end()) return "any";
    if (type->is_array()) {
        std::string out;
        for (const auto& each : *type)
            out += (out.empty() ? "" : " \\| ") + each.get<std::string>();
        return out;
    }
    if (*type == "array") {
        const auto items = schema.find("items");
        return items == schema.end() || !items->is_object() ? "list"
                                                            : '[' + type_text(*items) + ']';
    }
    return type->get<std::string>();
}

std::string cell(std::string text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\n')
            out += ' ';
        else if (text[i] == '|' && (i == 0 || text[i - 1] != '\\'))
            out += "\\|";
        else
            out += text[i];
    }
    return out;
}

std::string meaning(const ordered_json& schema) {
    std::string out = cell(schema.value("description", std::string{}));
    const auto mark = schema.find("x-not-yet");
    if (mark != schema.end()) {
        if (!out.empty()) out += ' ';
        out += mark->is_array()
                   ? fmt::format(
                         "Not yet: {}.", fmt::join(mark->get<std::vector<std::string>>(), ", ")
                     )
                   : "*Not yet.*";
    }
    return out;
}

void key_table(const ordered_json& schema, std::string& out) {
    const auto properties = schema.find("properties");
    if (properties == schema.end() || properties->empty()) return;
    const auto required = schema.value("required", std::vector<std::string>{});
    out += "| key | type | default | meaning |\n|---|---|---|---|\n";
    const auto row = [&](const std::string& key, const ordered_json& form, bool needed) {
        const std::string usual =
            form.contains("default") ? "`" + cell(form["default"].dump()) + "`" : "";
        const std::string name = needed ? "**`" + key + "`**" : "`" + key + "`";
        out += fmt::format("| {} | {} | {} | {} |\n", name, type_text(form), usual, meaning(form));
    };
    for (const auto& key : required)
        if (properties->contains(key)) row(key, (*properties)[key], true);
    for (const auto& [key, form] : properties->items())
        if (std::ranges::find(required, key) == required.end()) row(key, form, false);
    out += '\n';
}

/// Tables of objects inside, named by their path.
void nested_tables(
    const ordered_json& schema,
    const ordered_json& root,
    const std::string& path,
    int depth,
    std::string& out
) {
    if (depth > 4 || !schema.is_object()) return;
    const auto properties = schema.find("properties");
    if (properties != schema.end()) {
        for (const auto& [key, form] : properties->items()) {
            const std::string at = path.empty() ? key : path + '.' + key;
            std::vector<const ordered_json*> inner{&form};
            for (const char* keyword : {"oneOf", "anyOf"})
                if (form.contains(keyword))
                    for (const auto& each : form[keyword]) inner.push_back(&each);
            for (const ordered_json* each : inner) {
                const ordered_json& target = each->contains("$ref")
                                                 ? root.at(ordered_json::json_pointer(
                                                       (*each)["$ref"].get<std::string>().substr(1)
                                                   ))
                                                 : *each;
                const ordered_json& object = target.contains("items") && target["items"].is_object()
                                                 ? target["items"]
                                                 : target;
                if (!object.contains("properties") || object["properties"].empty()) continue;
                const auto note = object.value("description", std::string{});
                out += fmt::format(
                    "`{}`{}\n\n", at, note.empty() || &object == &form ? "" : ": " + note
                );
                key_table(object, out);
                nested_tables(object, root, at, depth + 1, out);
            }
        }
    }
}

void schedule_section(std::string& out) {
    out += "## Schedule\n\n";
    for (const auto& form : ordered_definition("schedule")["oneOf"]) {
        const auto note = form.value("x-note", std::string{});
        if (form["type"] != "object") {
            out += fmt::format(
                "- {}: {}{}\n",
                form["type"].get<std::string>(),
                note,
                form.contains("x-not-yet") ? " *(not yet)*" : ""
            );
            continue;
        }
        out += fmt::format(
            "\n`{{\"{}\": ...}}`: {}{}\n\n",
            form["required"][0].get<std::string>(),
            note,
            form.contains("x-not-yet") ? " *(not yet)*" : ""
        );
        key_table(form, out);
    }
    out += "`calendar`: days without ticks\n\n";
    key_table(ordered_definition("calendar"), out);
    out += '\n';
}

}  // namespace

std::string dag_schema(const Catalogue& catalogue) {
    ordered_json out = for_editors(ordered_language(), "");
    out["definitions"] = ordered_json::object();
    auto& definitions = out["definitions"];
    for (const auto& [name, form] : ordered_language()["definitions"].items())
        definitions[name] = for_editors(form, "");
    ordered_json choices = ordered_json::array();
    ordered_json names = ordered_json::array();
    for (const auto& info : catalogue.all()) {
        names.push_back(info.name);
        const ordered_json schema = ordered_json::parse(info.schema, nullptr, false);
        if (info.not_yet || !schema.is_object()) continue;
        const std::string prefix = "with_" + info.name + "_";
        definitions["with_" + info.name] = for_editors(schema, prefix);
        const ordered_json parts = schema.value("definitions", ordered_json::object());
        for (const auto& [name, form] : parts.items())
            definitions[prefix + name] = for_editors(form, prefix);
        choices.push_back(
            {{"if", {{"properties", {{"operator", {{"const", info.name}}}}}}},
             {"then", {{"properties", {{"with", {{"$ref", "#/definitions/with_" + info.name}}}}}}}}
        );
    }
    definitions["task"]["properties"]["operator"]["enum"] = std::move(names);
    definitions["task"]["allOf"] = std::move(choices);
    return out.dump(2) + '\n';
}

std::string policy_schema() {
    ordered_json out = for_editors(ordered_policy(), "");
    out["definitions"] = ordered_json::object();
    for (const auto& [name, form] : ordered_policy()["definitions"].items())
        out["definitions"][name] = for_editors(form, "");
    return out.dump(2) + '\n';
}

std::string dag_file_page() {
    std::string out =
        "# The DAG file\n\n"
        "Generated from the table of keys (`daemon/spec/language.cpp`); do not edit it here.\n\n"
        "A DAG is one JSON or YAML file in the DAG folder. The reader is strict: an unknown key, a "
        "duplicate key or a\n"
        "wrong type is an error with file, line and suggestion, and all errors are told at once. "
        "Keys in bold are\n"
        "required. *Not yet* marks keys that are known and refused: what they do comes with a "
        "later version.\n"
        "Templates, schedules and data sets are described in `design/dag-language.md`; the "
        "operators in `operators.md`.\n\n"
        "## Top level\n\n";
    key_table(ordered_language(), out);
    schedule_section(out);
    for (const char* name : {"task", "group", "dataset"}) {
        const ordered_json& part = ordered_definition(name);
        out += fmt::format("## {}\n\n", part["x-title"].get<std::string>());
        key_table(part, out);
        nested_tables(part, ordered_language(), "", 3, out);
    }
    out += "## Masking policy\n\n";
    key_table(ordered_policy(), out);
    out += "## Types\n\n";
    for (const char* name : {"duration", "time", "size", "names", "column"})
        out += fmt::format(
            "- *{}*: {}\n", name, ordered_definition(name)["description"].get<std::string>()
        );
    return out;
}

std::string operators_page(const Catalogue& catalogue) {
    std::string out =
        "# Operators\n\n"
        "Generated from the operators' schemas; do not edit it here. A task names its operator in "
        "`operator` and gives\n"
        "it the keys below in `with`. Keys in bold are required.\n\n";
    std::vector<std::string> later;
    for (const auto& info : catalogue.all()) {
        if (info.not_yet) {
            later.push_back('`' + info.name + '`');
            continue;
        }
        const ordered_json schema = ordered_json::parse(info.schema, nullptr, false);
        out += fmt::format("## {}\n\n{}\n\n", info.name, info.summary);
        if (info.isolation == Isolation::process) out += "Runs in a worker process of its own.\n\n";
        if (!schema.is_object()) continue;
        key_table(schema, out);
        nested_tables(schema, schema, "", 0, out);
    }
    if (!later.empty())
        out += fmt::format(
            "## Not yet\n\nKnown to the language and refused until they come: {}.\n",
            fmt::join(later, ", ")
        );
    return out;
}

}  // namespace sluice::spec
