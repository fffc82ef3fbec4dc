// Single values against a schema: type, enum, text with its formats, numbers.
#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <memory>

#include <fmt/format.h>
#include <re2/re2.h>

#include "base/fields.hpp"
#include "base/json_text.hpp"
#include "model/json_schema_parts.hpp"

namespace sluice::schema {
namespace {

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

void check_time(
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

}  // namespace

/// Compiled once a thread: a DAG of 20,000 tasks checks 20,000 ids.
bool matches(const std::string& text, const std::string& pattern) {
    constexpr std::size_t kept_max = 256;
    thread_local std::map<std::string, std::unique_ptr<RE2>> kept;
    if (kept.size() > kept_max) kept.clear();
    auto& compiled = kept[pattern];
    if (compiled == nullptr) compiled = std::make_unique<RE2>(pattern, RE2::Quiet);
    return RE2::PartialMatch(text, *compiled);
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

std::string shown(const json& value) {
    std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
    constexpr std::size_t shown_max = 60;
    if (text.size() > shown_max) text = text.substr(0, shown_max) + "...";
    return text;
}

void problem(Found& out, std::string code, std::string at, std::string message, std::string hint) {
    out.push_back(
        {.code = std::move(code),
         .severity = Severity::error,
         .file = {},
         .pointer = std::move(at),
         .message = std::move(message),
         .suggestion = std::move(hint)}
    );
}

bool check_type(const json& value, const json& schema, const std::string& at, Found& out) {
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

void check_enum(const json& value, const json& schema, const std::string& at, Found& out) {
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
    for (const auto& one : *known) names.push_back(text_of(one));
    std::string hint;
    if (value.is_string()) hint = did_you_mean(value.get_ref<const std::string&>(), names);
    if (hint.empty()) hint = fmt::format("one of: {}", fmt::join(names, ", "));
    problem(out, "E-ENUM", at, fmt::format("{} is not known here", shown(value)), std::move(hint));
}

void check_string(const std::string& text, const json& schema, const std::string& at, Found& out) {
    if (text.size() < schema.value("minLength", std::size_t{0}))
        problem(out, "E-VALUE", at, text.empty() ? "the text is empty" : "the text is too short");
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

void check_number(double number, const json& schema, const std::string& at, Found& out) {
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

}  // namespace sluice::schema
