// Objects, lists and the forms of a schema: what descends.
#include "model/json_schema.hpp"

#include <algorithm>
#include <set>
#include <tuple>

#include <fmt/format.h>

#include "base/fields.hpp"
#include "base/json_text.hpp"
#include "model/json_schema_parts.hpp"

namespace sluice {
namespace schema {
namespace {

/// True if the value is not even of the form's type.
bool wrong_kind(const Found& found, const std::string& at) {
    return std::ranges::any_of(found, [&](const Problem& problem) {
        return problem.code == "E-TYPE" && problem.pointer == at;
    });
}

/// The keys of forms that say nothing but `required`: "exactly one of these".
std::vector<std::string> key_choice(const json& forms) {
    std::vector<std::string> keys;
    for (const auto& form : forms) {
        if (form.size() != 1 || !form.contains("required") || form["required"].size() != 1)
            return {};
        keys.push_back(form["required"][0].get<std::string>());
    }
    return keys;
}

}  // namespace

const json& target_of(const json& schema, const json& root) {
    const json* at = &schema;
    for (int hop = 0; hop < hops_max && at->is_object(); ++hop) {
        const auto ref = at->find("$ref");
        if (ref == at->end()) return *at;
        constexpr std::string_view prefix = "#/definitions/";
        const auto& text = ref->get_ref<const std::string&>();
        const auto definitions = root.find("definitions");
        if (!text.starts_with(prefix) || definitions == root.end()) return nothing;
        const auto found = definitions->find(text.substr(prefix.size()));
        if (found == definitions->end()) return nothing;
        at = &*found;
    }
    return at->is_object() ? *at : nothing;
}

TemplateKind template_kind(const json& value) {
    if (!value.is_string()) return TemplateKind::none;
    const auto& text = value.get_ref<const std::string&>();
    const auto open = text.find("{{");
    if (open == std::string::npos)
        return text.find("{%") == std::string::npos ? TemplateKind::none : TemplateKind::inside;
    const bool whole = open == 0 && text.ends_with("}}") && text.find("}}") == text.size() - 2;
    return whole ? TemplateKind::whole : TemplateKind::inside;
}

void Checker::check(const json& value, const json& written, const std::string& at, Found& out) {
    if (++steps_ > steps_max) return;
    const json& schema = target_of(written, root_);
    const bool plain = is_plain_;
    if (schema.value("x-template", std::string{}) == "none" ||
        written.value("x-template", std::string{}) == "none")
        is_plain_ = true;
    check_here(value, schema, at, out);
    is_plain_ = plain;
}

const json* Checker::best_form(const json& value, const json& forms, const std::string& at) {
    const json* best = nullptr;
    std::tuple<bool, std::size_t, std::size_t> best_score{};
    for (const auto& form : forms) {
        Found found;
        check(value, form, at, found);
        std::size_t unhelped = 0;
        for (const auto& problem : found)
            unhelped += problem.suggestion.starts_with("did you mean") ? 0U : 1U;
        const std::tuple score{wrong_kind(found, at), found.size(), unhelped};
        if (best != nullptr && !(score < best_score)) continue;
        best = &form;
        best_score = score;
    }
    return best;
}

void Checker::check_here(const json& value, const json& schema, const std::string& at, Found& out) {
    if (templates_ == Templates::allow && !is_plain_) {
        switch (template_kind(value)) {
            case TemplateKind::whole:
                return;
            case TemplateKind::inside:
                check_type(value, schema, at, out);
                check_forms(value, schema, at, out);
                return;
            case TemplateKind::none:
                break;
        }
    }
    if (!check_type(value, schema, at, out)) return;
    check_enum(value, schema, at, out);
    if (value.is_object()) check_object(value, schema, at, out);
    if (value.is_array()) check_array(value, schema, at, out);
    if (value.is_string()) check_string(value.get_ref<const std::string&>(), schema, at, out);
    if (value.is_number()) check_number(value.get<double>(), schema, at, out);
    check_forms(value, schema, at, out);
}

void Checker::check_object(
    const json& value, const json& schema, const std::string& at, Found& out
) {
    for (const auto& name : schema.value("required", json::array())) {
        if (!value.contains(name.get_ref<const std::string&>()))
            problem(
                out,
                "E-REQUIRED",
                at,
                fmt::format("the key \"{}\" is missing", name.get_ref<const std::string&>())
            );
    }
    const auto size = value.size();
    if (size < schema.value("minProperties", std::size_t{0}))
        problem(out, "E-VALUE", at, "the object has too few keys");
    if (size > schema.value("maxProperties", SIZE_MAX))
        problem(out, "E-VALUE", at, "the object has too many keys");
    for (const auto& [key, child] : value.items())
        check_member(key, child, schema, child_pointer(at, key), out);
}

void Checker::check_member(
    const std::string& key, const json& child, const json& schema, const std::string& at, Found& out
) {
    if (const auto names = schema.find("propertyNames"); names != schema.end()) {
        Found wrong;
        check(json(key), *names, at, wrong);
        for (auto& each : wrong) {
            each.message = fmt::format("the key \"{}\": {}", key, each.message);
            out.push_back(std::move(each));
        }
    }
    const auto properties = schema.find("properties");
    if (properties != schema.end()) {
        if (const auto known = properties->find(key); known != properties->end())
            return check(child, *known, at, out);
    }
    bool matched = false;
    if (const auto patterns = schema.find("patternProperties"); patterns != schema.end()) {
        for (const auto& [pattern, form] : patterns->items()) {
            if (!matches(key, pattern)) continue;
            matched = true;
            check(child, form, at, out);
        }
    }
    if (matched) return;
    const auto more = schema.find("additionalProperties");
    if (more != schema.end() && more->is_object()) return check(child, *more, at, out);
    const bool open = more == schema.end() ? properties == schema.end() : more->get<bool>();
    if (open) return;
    std::vector<std::string> names;
    if (properties != schema.end())
        for (const auto& [name, form] : properties->items()) names.push_back(name);
    auto hint = did_you_mean(key, names);
    if (hint.empty() && names.size() <= 12 && !names.empty())
        hint = fmt::format("known here: {}", fmt::join(names, ", "));
    problem(
        out,
        "E-UNKNOWN-KEY",
        at,
        fmt::format("the key \"{}\" is unknown here", key),
        std::move(hint)
    );
}

void Checker::check_array(
    const json& value, const json& schema, const std::string& at, Found& out
) {
    if (value.size() < schema.value("minItems", std::size_t{0}))
        problem(
            out,
            "E-VALUE",
            at,
            fmt::format("the list needs at least {} items", schema["minItems"].dump())
        );
    if (value.size() > schema.value("maxItems", SIZE_MAX))
        problem(
            out,
            "E-VALUE",
            at,
            fmt::format("the list takes at most {} items", schema["maxItems"].dump())
        );
    if (schema.value("uniqueItems", false)) {
        std::set<json> seen;
        for (std::size_t i = 0; i < value.size(); ++i)
            if (!seen.insert(value[i]).second)
                problem(
                    out,
                    "E-VALUE",
                    child_pointer(at, i),
                    fmt::format("{} stands in the list twice", shown(value[i]))
                );
    }
    const auto items = schema.find("items");
    if (items == schema.end()) return;
    for (std::size_t i = 0; i < value.size(); ++i) {
        if (items->is_array()) {
            if (i < items->size()) check(value[i], (*items)[i], child_pointer(at, i), out);
        } else {
            check(value[i], *items, child_pointer(at, i), out);
        }
    }
}

void Checker::check_forms(
    const json& value, const json& schema, const std::string& at, Found& out
) {
    for (const auto& form : schema.value("allOf", json::array())) check(value, form, at, out);
    if (const auto any = schema.find("anyOf"); any != schema.end())
        check_one_of(value, *any, at, out, false);
    if (const auto one = schema.find("oneOf"); one != schema.end())
        check_one_of(value, *one, at, out, true);
    if (const auto refused = schema.find("not"); refused != schema.end()) {
        Found found;
        check(value, *refused, at, found);
        if (found.empty())
            problem(out, "E-VALUE", at, fmt::format("{} is not allowed here", shown(value)));
    }
}

void Checker::check_one_of(
    const json& value, const json& forms, const std::string& at, Found& out, bool exactly
) {
    std::size_t fitting = 0;
    for (const auto& form : forms) {
        Found found;
        check(value, form, at, found);
        fitting += found.empty() ? 1U : 0U;
    }
    if (fitting == 1 || (fitting > 1 && !exactly)) return;
    // A template may become any of the forms.
    if (fitting > 1 && template_kind(value) != TemplateKind::none) return;
    if (const auto keys = key_choice(forms); !keys.empty() && value.is_object()) {
        const auto list = fmt::format("{}", fmt::join(keys, ", "));
        return problem(
            out,
            fitting == 0 ? "E-REQUIRED" : "E-VALUE",
            at,
            fitting == 0 ? fmt::format("one of these keys is missing: {}", list)
                         : fmt::format("only one of these keys may stand here: {}", list)
        );
    }
    if (fitting > 1) return problem(out, "E-VALUE", at, "this can be read in more than one way");
    const json* best = best_form(value, forms, at);
    if (best == nullptr) return;
    Found found;
    check(value, *best, at, found);
    if (!wrong_kind(found, at)) {
        out.insert(out.end(), found.begin(), found.end());
        return;
    }
    std::string expected;
    for (const auto& form : forms) {
        for (const auto& type : types_of(target_of(form, root_))) {
            const auto words = type_words(type);
            if (expected.find(words) != std::string::npos) continue;
            if (!expected.empty()) expected += " or ";
            expected += words;
        }
    }
    problem(
        out, "E-TYPE", at, fmt::format("{} stands here, {} is expected", type_name(value), expected)
    );
}

}  // namespace schema

using nlohmann::json;

std::vector<Problem> check_against(
    const json& value, const json& schema, const std::string& pointer, Templates templates
) {
    return check_part(value, schema, schema, pointer, templates);
}

std::vector<Problem> check_part(
    const json& value,
    const json& schema,
    const json& root,
    const std::string& pointer,
    Templates templates
) {
    schema::Checker checker(root, templates);
    schema::Found found;
    checker.check(value, schema, pointer, found);
    if (checker.exhausted()) {
        found.push_back(
            {.code = "E-LIMIT",
             .severity = Severity::error,
             .file = {},
             .pointer = pointer,
             .message = "this is too large to be checked",
             .suggestion = {}}
        );
    }
    return found;
}

}  // namespace sluice
