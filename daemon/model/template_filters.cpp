// The filters of templates: `value | name(arguments)`.
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <functional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/fields.hpp"
#include "base/json_text.hpp"
#include "model/template_calls.hpp"

namespace sluice::tmpl {
namespace {

std::string map_ascii(std::string held, int (*change)(int)) {
    for (char& c : held)
        if (static_cast<unsigned char>(c) < 0x80) c = static_cast<char>(change(c));
    return held;
}

std::string trimmed(const std::string& held) {
    const auto first = held.find_first_not_of(" \t\r\n");
    if (first == std::string::npos) return {};
    return held.substr(first, held.find_last_not_of(" \t\r\n") - first + 1);
}

std::string replaced(const std::string& held, const std::string& old, const std::string& fresh) {
    if (old.empty()) fault("replace needs text to look for");
    std::string out;
    std::size_t from = 0;
    for (auto at = held.find(old); at != std::string::npos; at = held.find(old, from)) {
        out.append(held, from, at - from).append(fresh);
        from = at + old.size();
        if (out.size() > text_max) value_fault("the text is larger than 1 MiB");
    }
    return out.append(held, from);
}

std::size_t code_points(const std::string& held) {
    return static_cast<std::size_t>(std::ranges::count_if(held, [](char c) {
        return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    }));
}

Value length(const Value& value, const Arguments&) {
    std::size_t size{};
    if (const auto* held = value.as<std::string>())
        size = code_points(*held);
    else if (const auto* list = value.list())
        size = list->size();
    else if (const auto* map = value.map())
        size = map->size();
    else
        fault(fmt::format("{} has no length", kind(value)));
    return Value{static_cast<std::int64_t>(size)};
}

Value identifier(const Value& value, const Arguments&) {
    const auto& held = text_of(value, "identifier");
    const auto good = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
    bool fits = !held.empty() && held.size() <= 63 && good(held[0]);
    for (const char c : held) fits = fits && (good(c) || (c >= '0' && c <= '9'));
    if (!fits) value_fault(fmt::format("\"{}\" is not an identifier [a-z_][a-z0-9_]*", held));
    return Value{Identifier{held}};
}

Value whole(const Value& value, const Arguments&) {
    if (value.as<std::int64_t>() != nullptr) return value;
    if (const auto* flag = value.as<bool>()) return Value{std::int64_t{*flag}};
    if (const auto* number = value.as<double>()) {
        if (std::abs(*number) > 9e18) value_fault("the number is too large");
        return Value{static_cast<std::int64_t>(*number)};
    }
    const auto held = trimmed(text_of(value, "int"));
    std::int64_t out{};
    const auto [end, error] = std::from_chars(held.data(), held.data() + held.size(), out);
    if (error != std::errc{} || end != held.data() + held.size())
        value_fault(fmt::format("\"{}\" is not a whole number", held));
    return Value{out};
}

Value real(const Value& value, const Arguments&) {
    if (value.as<double>() != nullptr) return value;
    if (const auto* number = value.as<std::int64_t>()) return Value{static_cast<double>(*number)};
    const auto held = trimmed(text_of(value, "float"));
    double out{};
    const auto [end, error] = std::from_chars(held.data(), held.data() + held.size(), out);
    if (error != std::errc{} || end != held.data() + held.size() || !std::isfinite(out))
        value_fault(fmt::format("\"{}\" is not a number", held));
    return Value{out};
}

Value rounded(const Value& value, const Arguments& arguments) {
    if (value.as<std::int64_t>() != nullptr) return value;
    const auto* number = value.as<double>();
    if (number == nullptr) fault(fmt::format("round needs a number, {} is none", kind(value)));
    const Value* digits = arguments.find(0, "precision");
    const auto places = digits == nullptr ? 0 : whole_of(*digits, "round");
    if (places < 0 || places > 12) fault("round takes 0 to 12 digits");
    const double factor = std::pow(10.0, static_cast<double>(places));
    return Value{std::round(*number * factor) / factor};
}

Value absolute(const Value& value, const Arguments&) {
    if (const auto* number = value.as<std::int64_t>(); number != nullptr && *number != INT64_MIN)
        return Value{*number < 0 ? -*number : *number};
    if (const auto* number = value.as<double>()) return Value{std::abs(*number)};
    fault(fmt::format("abs needs a number, {} is none", kind(value)));
}

Value end_of_list(const Value& value, bool first) {
    const auto* list = value.list();
    if (list == nullptr) fault(fmt::format("first and last need a list, {} is none", kind(value)));
    if (list->empty()) value_fault("the list is empty");
    return first ? list->front() : list->back();
}

Value sorted(const Value& value, const Arguments&) {
    const auto* list = value.list();
    if (list == nullptr) fault(fmt::format("sort needs a list, {} is none", kind(value)));
    List out = *list;
    std::ranges::stable_sort(out, less);
    return of_list(std::move(out));
}

Value time_filter(const Value& value, const char* pattern) {
    return text(format_time({time_argument(value, "the filter"), ""}, pattern));
}

using Filter = std::function<Value(const Value&, const Arguments&)>;

const std::map<std::string, Filter>& filters() {
    static const std::map<std::string, Filter> table{
        {"ds", [](const Value& v, const Arguments&) { return time_filter(v, "%Y-%m-%d"); }},
        {"ds_nodash", [](const Value& v, const Arguments&) { return time_filter(v, "%Y%m%d"); }},
        {"ts",
         [](const Value& v, const Arguments&) {
             return text(iso({time_argument(v, "the filter"), ""}));
         }},
        {"ts_nodash",
         [](const Value& v, const Arguments&) { return time_filter(v, "%Y%m%dT%H%M%S"); }},
        {"ts_nodash_with_tz",
         [](const Value& v, const Arguments&) { return time_filter(v, "%Y%m%dT%H%M%S%z"); }},
        {"identifier", identifier},
        {"tojson", [](const Value& v, const Arguments&) { return text(canonical_json(to_json(v))); }
        },
        {"upper", upper_of},
        {"lower", lower_of},
        {"trim", trim_of},
        {"replace", replace},
        {"split", split},
        {"length", length},
        {"count", length},
        {"int", whole},
        {"float", real},
        {"round", rounded},
        {"abs", absolute},
        {"string", [](const Value& v, const Arguments&) { return text(to_text(v)); }},
        {"join", join},
        {"first", [](const Value& v, const Arguments&) { return end_of_list(v, true); }},
        {"last", [](const Value& v, const Arguments&) { return end_of_list(v, false); }},
        {"sort", sorted},
    };
    return table;
}

Value default_of(const Value& value, const Arguments& arguments) {
    const Value& other = argument(arguments, 0, "default_value", "default");
    const Value* also_falsy = arguments.find(1, "boolean");
    if (value.as<Undefined>() != nullptr) return other;
    if (also_falsy != nullptr && truthy(*also_falsy) && !value.any() && !truthy(value))
        return other;
    return value;
}

}  // namespace

Value join(const Value& value, const Arguments& arguments) {
    const auto* list = value.list();
    if (list == nullptr) fault(fmt::format("join needs a list, {} is none", kind(value)));
    const Value* between = arguments.find(0, "d");
    const std::string mark = between == nullptr ? std::string{} : text_of(*between, "join");
    std::string out;
    for (std::size_t i = 0; i < list->size(); ++i) {
        if (i > 0) out += mark;
        out += to_text((*list)[i]);
        if (out.size() > text_max) value_fault("the text is larger than 1 MiB");
    }
    return text(std::move(out));
}

Value split(const Value& value, const Arguments& arguments) {
    const auto& held = text_of(value, "split");
    const auto& mark = text_of(argument(arguments, 0, "sep", "split"), "split");
    if (mark.empty()) fault("split needs a separator");
    List out;
    std::size_t from = 0;
    for (auto at = held.find(mark); at != std::string::npos; at = held.find(mark, from)) {
        out.push_back(text(held.substr(from, at - from)));
        from = at + mark.size();
    }
    out.push_back(text(held.substr(from)));
    return of_list(std::move(out));
}

Value replace(const Value& value, const Arguments& arguments) {
    return text(replaced(
        text_of(value, "replace"),
        text_of(argument(arguments, 0, "old", "replace"), "replace"),
        text_of(argument(arguments, 1, "new", "replace"), "replace")
    ));
}

Value upper_of(const Value& value, const Arguments&) {
    return text(map_ascii(text_of(value, "upper"), std::toupper));
}
Value lower_of(const Value& value, const Arguments&) {
    return text(map_ascii(text_of(value, "lower"), std::tolower));
}
Value trim_of(const Value& value, const Arguments&) {
    return text(trimmed(text_of(value, "trim")));
}

Value apply_filter(const std::string& name, const Value& value, const Arguments& arguments) {
    if (name == "default" || name == "d") return default_of(value, arguments);
    const auto found = filters().find(name);
    if (found == filters().end()) {
        std::vector<std::string> known{"default"};
        for (const auto& [key, filter] : filters()) known.push_back(key);
        auto hint = did_you_mean(name, known);
        if (hint.empty()) hint = fmt::format("one of: {}", fmt::join(known, ", "));
        fault(fmt::format("there is no filter \"{}\"", name), std::move(hint));
    }
    if (value.any()) return name == "identifier" ? Value{Identifier{"x"}} : Value{Any{}};
    if (const auto* undefined = value.as<Undefined>())
        value_fault(fmt::format("{} is not defined", undefined->what));
    if (value.as<SecretName>() != nullptr) fault("a secret goes through no filter");
    return found->second(value, arguments);
}

}  // namespace sluice::tmpl
