// json_schema.hpp — a small strict JSON Schema checker for what is written in DAG files: problems
// with pointers and suggestions instead of yes or no. Pure; any thread.
// Keywords: type, properties, required, additionalProperties, patternProperties, propertyNames,
// minProperties, maxProperties, enum, const, items, minItems, maxItems, uniqueItems, oneOf, anyOf,
// allOf, not, pattern, minLength, maxLength, minimum, maximum, exclusiveMinimum, exclusiveMaximum,
// format (duration, size, time), default, $ref "#/definitions/x". Annotations begin with "x-".
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/error.hpp"

namespace sluice {

enum class Templates {
    allow,   // a string with a template in it is not checked further: it is rendered later
    refuse,  // it is a string like any other
};

/// Every way in which `value` breaks `schema`; the pointers begin with `pointer`. An object schema
/// with `properties` takes no other keys unless `additionalProperties` says so.
std::vector<Problem> check_against(
    const nlohmann::json& value,
    const nlohmann::json& schema,
    const std::string& pointer = {},
    Templates templates = Templates::refuse
);

/// What is wrong with a schema itself (keywords this checker does not know, bad $ref or pattern);
/// empty = sound. Operators' schemas are held to it by a test.
std::vector<std::string> schema_faults(const nlohmann::json& schema);

/// Fills in the `default`s of absent properties, in `oneOf`/`anyOf` those of the form that fits.
void fill_defaults(nlohmann::json& value, const nlohmann::json& schema);

/// Calls `visit` for every node of `value` with its schema ($ref resolved, the fitting form of
/// oneOf/anyOf chosen; an empty object where nothing describes it). Parents come before children;
/// returning false skips the children.
using SchemaVisitor = std::function<
    bool(const nlohmann::json& value, const nlohmann::json& schema, const std::string& pointer)>;
void walk_schema(
    const nlohmann::json& value,
    const nlohmann::json& schema,
    const std::string& pointer,
    const SchemaVisitor& visit
);

/// The schema after `$ref`.
const nlohmann::json& resolve_schema(const nlohmann::json& schema, const nlohmann::json& root);
/// `schema` with the form of its oneOf/anyOf that fits `value` best; itself if it has none.
const nlohmann::json& form_of(
    const nlohmann::json& value, const nlohmann::json& schema, const nlohmann::json& root
);

}  // namespace sluice
