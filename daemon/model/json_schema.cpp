#include "model/json_schema.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <memory>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <re2/re2.h>

#include "base/fields.hpp"
#include "base/json_text.hpp"

namespace sluice {
namespace {

using nlohmann::json;

const json nothing = json::object();

/// Work is bounded: schemas may be recursive, and each form of a oneOf is tried.
constexpr std::size_t steps_max = 4'000'000;
constexpr int hops_max = 32;

/// Compiled once a thread: a DAG of 20,000 tasks checks 20,000 ids.
bool matches(const std::string& text, const std::string& pattern) {
    constexpr std::size_t kept_max = 256;
    thread_local std::map<std::string, std::unique_ptr<RE2>> kept;
    if (kept.size() > kept_max) kept.clear();
    auto& compiled = kept[pattern];
    if (compiled == nullptr) compiled = std::make_unique<RE2>(pattern, RE2::Quiet);
    return RE2::PartialMatch(text, *compiled);
}

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

bool is_of_type(const json& value, std::string_view type) {
    if (type == "string") return value.is_string();
    if (type == "boolean") return value.is_boolean();
    if (type == "number") return value.is_number();
    if (type == "object") return value.is_object();
    if (type == "array") return value.is_array();
    if (type == "null") return value.is_null();
    if (type != "integer") return false;
    if (value.is_number_integer()) return true;
    return value.is_number_float() && std::trunc(value.get<double>()) == value.get<double>();
}

std::string_view type_words(std::string_view type) {
    if (type == "string") return "a string";
    if (type == "boolean") return "true or false";
    if (type == "number") return "a number";
    if (type == "object") return "an object";
    if (type == "array") return "a list";
    if (type == "null") return "null";
    return "a whole number";
}

std::vector<std::string> types_of(const json& schema) {
    const auto type = schema.find("type");
    if (type == schema.end()) return {};
    if (type->is_string()) return {type->get<std::string>()};
    return type->get<std::vector<std::string>>();
}

/// 1 = no template, 2 = text with one in it, 3 = one `{{ }}` and nothing else.
enum class TemplateKind { none, inside, whole };
TemplateKind template_kind(const json& value) {
    if (!value.is_string()) return TemplateKind::none;
    const auto& text = value.get_ref<const std::string&>();
    const auto open = text.find("{{");
    if (open == std::string::npos)
        return text.find("{%") == std::string::npos ? TemplateKind::none : TemplateKind::inside;
    const bool whole = open == 0 && text.ends_with("}}") && text.find("}}") == text.size() - 2;
    return whole ? TemplateKind::whole : TemplateKind::inside;
}

std::string shown(const json& value) {
    std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
    constexpr std::size_t shown_max = 60;
    if (text.size() > shown_max) text = text.substr(0, shown_max) + "...";
    return text;
}

using Found = std::vector<Problem>;

class Checker {
public:
    Checker(const json& root, Templates templates) : root_(root), templates_(templates) {}

    void check(const json& value, const json& written, const std::string& at, Found& out) {
        if (++steps_ > steps_max) return;
        const json& schema = target_of(written, root_);
        const bool plain = is_plain_;
        if (schema.value("x-template", std::string{}) == "none" ||
            written.value("x-template", std::string{}) == "none")
            is_plain_ = true;
        check_here(value, schema, at, out);
        is_plain_ = plain;
    }

    [[nodiscard]] bool exhausted() const { return steps_ > steps_max; }

    /// The form that fits best; nullptr if the list is empty.
    const json* best_form(const json& value, const json& forms, const std::string& at) {
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

private:
    static void problem(
        Found& out, std::string code, std::string at, std::string message, std::string hint = {}
    ) {
        out.push_back(
            {.code = std::move(code),
             .severity = Severity::error,
             .file = {},
             .pointer = std::move(at),
             .message = std::move(message),
             .suggestion = std::move(hint)}
        );
    }

    /// True if the value is not even of the form's type.
    static bool wrong_kind(const Found& found, const std::string& at) {
        return std::ranges::any_of(found, [&](const Problem& problem) {
            return problem.code == "E-TYPE" && problem.pointer == at;
        });
    }

    void check_here(const json& value, const json& schema, const std::string& at, Found& out) {
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

    static bool check_type(
        const json& value, const json& schema, const std::string& at, Found& out
    ) {
        const auto types = types_of(schema);
        if (types.empty()) return true;
        for (const auto& type : types)
            if (is_of_type(value, type)) return true;
        std::string expected;
        for (const auto& type : types) {
            if (!expected.empty()) expected += " or ";
            expected += type_words(type);
        }
        std::string hint;
        if (schema.value("format", std::string{}) == "duration" && value.is_number())
            hint = fmt::format("write the unit: \"{}s\"", value.dump());
        problem(
            out,
            "E-TYPE",
            at,
            fmt::format("{} stands here, {} is expected", type_name(value), expected),
            std::move(hint)
        );
        return false;
    }

    static void check_enum(
        const json& value, const json& schema, const std::string& at, Found& out
    ) {
        if (const auto constant = schema.find("const");
            constant != schema.end() && *constant != value) {
            problem(
                out,
                "E-ENUM",
                at,
                fmt::format("{} stands here, {} is expected", shown(value), shown(*constant))
            );
        }
        const auto known = schema.find("enum");
        if (known == schema.end()) return;
        if (std::ranges::find(*known, value) != known->end()) return;
        std::vector<std::string> names;
        for (const auto& one : *known)
            names.push_back(one.is_string() ? one.get<std::string>() : one.dump());
        std::string hint;
        if (value.is_string()) hint = did_you_mean(value.get_ref<const std::string&>(), names);
        if (hint.empty()) hint = fmt::format("one of: {}", fmt::join(names, ", "));
        problem(
            out, "E-ENUM", at, fmt::format("{} is not known here", shown(value)), std::move(hint)
        );
    }

    void check_object(const json& value, const json& schema, const std::string& at, Found& out) {
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

    void check_member(
        const std::string& key,
        const json& child,
        const json& schema,
        const std::string& at,
        Found& out
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

    void check_array(const json& value, const json& schema, const std::string& at, Found& out) {
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

    static void check_string(
        const std::string& text, const json& schema, const std::string& at, Found& out
    ) {
        if (text.size() < schema.value("minLength", std::size_t{0}))
            problem(
                out, "E-VALUE", at, text.empty() ? "the text is empty" : "the text is too short"
            );
        if (text.size() > schema.value("maxLength", SIZE_MAX))
            problem(out, "E-VALUE", at, "the text is too long");
        if (const auto pattern = schema.find("pattern");
            pattern != schema.end() && !matches(text, pattern->get_ref<const std::string&>())) {
            problem(
                out,
                "E-VALUE",
                at,
                fmt::format("{} does not have the form that is expected here", shown(text)),
                fmt::format("it must match {}", pattern->get_ref<const std::string&>())
            );
        }
        const auto format = schema.value("format", std::string{});
        if (format == "duration" && !parse_duration(text))
            problem(
                out,
                "E-VALUE",
                at,
                fmt::format("{} is not a duration", shown(text)),
                R"(write "90s", "5m", "2h", "7d" or ISO 8601)"
            );
        if (format == "size" && !parse_size(text))
            problem(
                out,
                "E-VALUE",
                at,
                fmt::format("{} is not a size", shown(text)),
                R"(write "512MiB" or "2GB")"
            );
        check_time(text, format, at, out);
        if (format == "email" && !matches(text, "^[^@\\s]+@[^@\\s]+$"))
            problem(out, "E-VALUE", at, fmt::format("{} is not an e-mail address", shown(text)));
    }

    static void check_time(
        const std::string& text, const std::string& format, const std::string& at, Found& out
    ) {
        const auto parsed = parse_time(text);
        if (format == "date-time" && !parsed)
            problem(
                out,
                "E-VALUE",
                at,
                fmt::format("{} is not a time", shown(text)),
                R"(write "2026-01-31" or "2026-01-31T07:30:00Z")"
            );
        if (format == "date" && (!parsed || !parsed->date_only))
            problem(
                out,
                "E-VALUE",
                at,
                fmt::format("{} is not a date", shown(text)),
                R"(write "2026-01-31")"
            );
        if (format == "time" && !parse_time("2026-01-01T" + text))
            problem(
                out,
                "E-VALUE",
                at,
                fmt::format("{} is not a time of day", shown(text)),
                R"(write "07:30:00")"
            );
    }

    static void check_number(double number, const json& schema, const std::string& at, Found& out) {
        const auto bound = [&](const char* keyword, auto wrong, std::string_view words) {
            const auto limit = schema.find(keyword);
            if (limit == schema.end() || !wrong(number, limit->template get<double>())) return;
            problem(
                out,
                "E-VALUE",
                at,
                fmt::format("the number is {}, {} {} is expected", number, words, limit->dump())
            );
        };
        bound("minimum", std::less<>{}, "at least");
        bound("maximum", std::greater<>{}, "at most");
        bound("exclusiveMinimum", std::less_equal<>{}, "more than");
        bound("exclusiveMaximum", std::greater_equal<>{}, "less than");
    }

    void check_forms(const json& value, const json& schema, const std::string& at, Found& out) {
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

    /// The keys of forms that say nothing but `required`: "exactly one of these".
    static std::vector<std::string> key_choice(const json& forms) {
        std::vector<std::string> keys;
        for (const auto& form : forms) {
            if (form.size() != 1 || !form.contains("required") || form["required"].size() != 1)
                return {};
            keys.push_back(form["required"][0].get<std::string>());
        }
        return keys;
    }

    void check_one_of(
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
        if (fitting > 1)
            return problem(out, "E-VALUE", at, "this can be read in more than one way");
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
            out,
            "E-TYPE",
            at,
            fmt::format("{} stands here, {} is expected", type_name(value), expected)
        );
    }

    const json& root_;
    Templates templates_;
    bool is_plain_{false};  // under x-template: none
    std::size_t steps_{0};
};

/// `schema` with what stands beside its $ref or oneOf laid over the target.
json laid_over(const json& target, const json& schema) {
    json out = target;
    for (const auto& [key, child] : schema.items())
        if (key != "$ref" && key != "oneOf" && key != "anyOf" && key != "definitions")
            out[key] = child;
    return out;
}

}  // namespace

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
    Checker checker(root, templates);
    Found found;
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
