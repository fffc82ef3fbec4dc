// json_schema.hpp — a small strict JSON Schema checker for what is written in DAG files: problems
// with pointers and suggestions instead of yes or no. Pure; any thread.
// Keywords: type, properties, required, additionalProperties, patternProperties, propertyNames,
// minProperties, maxProperties, enum, const, items, minItems, maxItems, uniqueItems, oneOf, anyOf,
// allOf, not, pattern, minLength, maxLength, minimum, maximum, exclusiveMinimum, exclusiveMaximum,
// format (duration, size, date-time, date, time, email), default, $ref "#/definitions/x".
// Annotations begin with "x-".
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

/// As above for a part of a schema; `root` holds its definitions.
std::vector<Problem> check_part(
    const nlohmann::json& value,
    const nlohmann::json& schema,
    const nlohmann::json& root,
    const std::string& pointer,
    Templates templates
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

/// What describes `value` here: `$ref` followed, the best fitting form of oneOf/anyOf chosen, the
/// annotations around them kept. `root` is the whole schema, which holds the definitions; `storage`
/// keeps the answer alive where it is not `schema` itself.
const nlohmann::json& effective_schema(
    const nlohmann::json& value,
    const nlohmann::json& schema,
    const nlohmann::json& root,
    nlohmann::json& storage
);
/// The schema of one member or of the items of an effective schema; empty = nothing is said.
const nlohmann::json& member_schema(const nlohmann::json& effective, const std::string& key);
const nlohmann::json& item_schema(const nlohmann::json& effective);

}  // namespace sluice
