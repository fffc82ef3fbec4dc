// What is wrong with a schema itself.
#include <algorithm>
#include <array>

#include <re2/re2.h>

#include "base/json_text.hpp"
#include "model/json_schema_parts.hpp"

namespace sluice {

using nlohmann::json;
using schema::target_of;

namespace {

constexpr std::array keywords{
    "$schema",
    "$id",
    "title",
    "description",
    "type",
    "properties",
    "required",
    "enum",
    "additionalProperties",
    "const",
    "items",
    "patternProperties",
    "propertyNames",
    "minProperties",
    "maxProperties",
    "minItems",
    "maxItems",
    "uniqueItems",
    "oneOf",
    "anyOf",
    "allOf",
    "not",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "format",
    "exclusiveMaximum",
    "default",
    "$ref",
    "definitions",
    "examples",
    "$comment",
};

void find_faults(
    const json& schema, const json& root, const std::string& at, std::vector<std::string>& out
) {
    if (schema.is_boolean()) return;
    if (!schema.is_object()) return out.push_back(at + ": a schema is an object"), void();
    for (const auto& [key, child] : schema.items()) {
        const std::string here = child_pointer(at, key);
        if (key.starts_with("x-")) continue;
        if (std::ranges::find(keywords, key) == keywords.end())
            out.push_back(here + ": unknown keyword");
        constexpr std::array formats{
            "duration", "size", "date-time", "date", "time", "email", "multiline", "path"
        };
        if (key == "format" &&
            std::ranges::none_of(formats, [&](const char* known) { return child == known; }))
            out.push_back(here + ": unknown format");
        if (key == "$ref" && target_of(schema, root).empty())
            out.push_back(here + ": leads nowhere");
        if (key == "pattern" &&
            (!child.is_string() || !RE2(child.get<std::string>(), RE2::Quiet).ok()))
            out.push_back(here + ": not a regular expression");
        if (key == "properties" || key == "definitions" || key == "patternProperties")
            for (const auto& [name, form] : child.items())
                find_faults(form, root, child_pointer(here, name), out);
        if (key == "oneOf" || key == "anyOf" || key == "allOf" ||
            (key == "items" && child.is_array()))
            for (std::size_t i = 0; i < child.size(); ++i)
                find_faults(child[i], root, child_pointer(here, i), out);
        if ((key == "items" && child.is_object()) || key == "additionalProperties" ||
            key == "not" || key == "propertyNames")
            find_faults(child, root, here, out);
    }
}

}  // namespace

std::vector<std::string> schema_faults(const json& schema) {
    std::vector<std::string> out;
    find_faults(schema, schema, "", out);
    return out;
}

}  // namespace sluice
