// A value beside its schema: which form describes what, the defaults, every node in turn.
#include <algorithm>

#include <fmt/format.h>

#include "base/json_text.hpp"
#include "model/json_schema_parts.hpp"

namespace sluice {

using nlohmann::json;
using schema::Checker;
using schema::hops_max;
using schema::matches;
using schema::nothing;
using schema::target_of;

const json& member_schema(const json& effective, const std::string& key) {
    if (const auto properties = effective.find("properties"); properties != effective.end())
        if (const auto known = properties->find(key); known != properties->end()) return *known;
    if (const auto patterns = effective.find("patternProperties"); patterns != effective.end())
        for (const auto& [pattern, form] : patterns->items())
            if (matches(key, pattern)) return form;
    const auto more = effective.find("additionalProperties");
    return more != effective.end() && more->is_object() ? *more : nothing;
}

const json& item_schema(const json& effective) {
    const auto items = effective.find("items");
    return items != effective.end() && items->is_object() ? *items : nothing;
}

namespace {

/// `schema` with what stands beside its $ref or oneOf laid over the target.
json laid_over(const json& target, const json& schema) {
    json out = target;
    for (const auto& [key, child] : schema.items())
        if (key != "$ref" && key != "oneOf" && key != "anyOf" && key != "definitions")
            out[key] = child;
    return out;
}

/// True if the forms only say which keys there must be: they describe nothing.
bool only_required(const json& forms) {
    return std::ranges::all_of(forms, [](const json& form) {
        return form.size() == 1 && form.contains("required");
    });
}

const char* forms_keyword(const json& schema) {
    for (const char* keyword : {"oneOf", "anyOf"})
        if (const auto forms = schema.find(keyword); forms != schema.end())
            return only_required(*forms) ? nullptr : keyword;
    return nullptr;
}

}  // namespace

const json& effective_schema(
    const json& value, const json& schema, const json& root, json& storage
) {
    const json* at = schema.is_object() ? &schema : &nothing;
    for (int hop = 0; hop < hops_max; ++hop) {
        json next;
        if (at->contains("$ref")) {
            next = laid_over(target_of(*at, root), *at);
        } else {
            const char* const keyword = forms_keyword(*at);
            if (keyword == nullptr) break;
            Checker checker(root, Templates::allow);
            const json* form = checker.best_form(value, (*at)[keyword], "");
            next = laid_over(form == nullptr ? nothing : *form, *at);
            if (form != nullptr && form->contains("$ref")) next["$ref"] = (*form)["$ref"];
        }
        storage = std::move(next);
        at = &storage;
    }
    return *at;
}

namespace {

void walk(
    const json& value,
    const json& schema,
    const json& root,
    const std::string& at,
    const SchemaVisitor& visit
) {
    json storage;
    const json& here = effective_schema(value, schema, root, storage);
    if (!visit(value, here, at)) return;
    if (value.is_object()) {
        for (const auto& [key, child] : value.items())
            walk(child, member_schema(here, key), root, child_pointer(at, key), visit);
    } else if (value.is_array()) {
        for (std::size_t i = 0; i < value.size(); ++i)
            walk(value[i], item_schema(here), root, child_pointer(at, i), visit);
    }
}

void fill(json& value, const json& schema, const json& root) {
    json storage;
    const json& here = effective_schema(value, schema, root, storage);
    if (value.is_object()) {
        const auto properties = here.find("properties");
        if (properties != here.end()) {
            for (const auto& [key, form] : properties->items()) {
                if (value.contains(key)) continue;
                const json& target = target_of(form, root);
                if (form.contains("default"))
                    value[key] = form["default"];
                else if (target.contains("default"))
                    value[key] = target["default"];
            }
        }
        for (auto& [key, child] : value.items()) fill(child, member_schema(here, key), root);
    } else if (value.is_array()) {
        for (auto& child : value) fill(child, item_schema(here), root);
    }
}

}  // namespace

void fill_defaults(json& value, const json& schema) { fill(value, schema, schema); }

void walk_schema(
    const json& value, const json& schema, const std::string& pointer, const SchemaVisitor& visit
) {
    walk(value, schema, schema, pointer, visit);
}

}  // namespace sluice
