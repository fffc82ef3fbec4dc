#include "model/expansion.hpp"

#include <algorithm>
#include <limits>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/fields.hpp"
#include "model/template.hpp"

namespace sluice {

using nlohmann::json;

namespace {

bool any_template(const json& value) {
    if (value.is_string()) return has_template(value.get_ref<const std::string&>());
    if (value.is_structured()) return std::ranges::any_of(value, any_template);
    return false;
}

bool is_zip(const json& written) {
    const auto found = written.find("zip");
    return found != written.end() && found->is_object() && !found->contains("range");
}

bool is_name(const std::string& text) {
    const auto letter = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    };
    return !text.empty() && letter(text.front()) &&
           std::ranges::all_of(text, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

bool is_range(const json& part) {
    if (!part.is_object() || part.size() != 1 || !part.contains("range")) return false;
    const json& bounds = part["range"];
    if (bounds.is_number_integer()) return true;
    return bounds.is_array() && (bounds.size() == 2 || bounds.size() == 3) &&
           std::ranges::all_of(bounds, [](const json& n) { return n.is_number_integer(); }) &&
           (bounds.size() == 2 || bounds[2] != 0);
}

void check_parts(const json& parts, const std::string& at, ExpandCheck& check) {
    const auto fault = [&](const std::string& pointer, std::string message) {
        check.faults.push_back({pointer, std::move(message)});
    };
    if (parts.empty()) fault(at, "nothing to expand over: name at least one list");
    for (const auto& [name, part] : parts.items()) {
        const auto here = child_pointer(at, name);
        check.names.push_back(name);
        if (!is_name(name))
            fault(
                here, fmt::format("\"{}\" is no name that a template can say: map.{}", name, name)
            );
        if (part.is_string() && !has_template(part.get_ref<const std::string&>()))
            fault(here, "a text stands here; a list, or a template that gives one, is expected");
        else if (part.is_array() && part.empty())
            fault(here, "the list is empty: there would be no instance");
        else if (part.is_object() && !is_range(part))
            fault(
                here,
                R"(a part is a list, a template or {"range": n | [from, to] | [from, to, step]})"
            );
        else if (!part.is_structured() && !part.is_string())
            fault(here, "a list, or a template that gives one, is expected");
    }
}

[[noreturn]] void no(const std::string& message) { throw Error(ErrorCode::invalid, message); }

void add_list(Expansion& out, const std::string& name, const json& part) {
    ExpandList list;
    list.name = name;
    if (part.is_array()) {
        list.length = static_cast<std::int64_t>(part.size());
        out.items.push_back(part);
    } else if (is_range(part)) {
        const json& bounds = part["range"];
        list.numbers = true;
        list.from = bounds.is_array() ? bounds[0].get<std::int64_t>() : 0;
        const auto to =
            bounds.is_array() ? bounds[1].get<std::int64_t>() : bounds.get<std::int64_t>();
        if (bounds.size() == 3) list.step = bounds[2].get<std::int64_t>();
        const auto span = list.step > 0 ? to - list.from : list.from - to;
        const auto step = list.step > 0 ? list.step : -list.step;
        list.length = span <= 0 ? 0 : (span + step - 1) / step;
        out.items.emplace_back(nullptr);
    } else {
        no(fmt::format(
            "expand over \"{}\": a list is expected, {} was given", name, type_name(part)
        ));
    }
    out.shape.lists.push_back(std::move(list));
}

std::int32_t bounded(std::int64_t length) {
    if (length > map_length)
        no(fmt::format("the mapping has more instances than map_length allows ({})", map_length));
    return static_cast<std::int32_t>(length);
}

std::int64_t product(const std::vector<ExpandList>& lists) {
    std::int64_t length = 1;
    for (const auto& list : lists) {
        if (list.length == 0) return 0;
        length = length > map_length ? length
                                     : length * std::min<std::int64_t>(list.length, map_length + 1);
    }
    return length;
}

}  // namespace

ExpandCheck check_expand(const json& written) {
    ExpandCheck check;
    check.literal = !any_template(written);
    if (written.is_string()) {
        if (check.literal)
            check.faults.push_back({"", "a template that gives a list of objects is expected"});
        return check;
    }
    if (written.is_array()) {
        std::set<std::string> names;
        if (written.empty())
            check.faults.push_back({"", "the list is empty: there would be no instance"});
        for (std::size_t i = 0; i < written.size(); ++i) {
            if (!written[i].is_object()) {
                check.faults.push_back(
                    {child_pointer("", i), "an object is expected: its keys are what `map` has"}
                );
                continue;
            }
            for (const auto& [name, value] : written[i].items()) names.insert(name);
        }
        check.names.assign(names.begin(), names.end());
        return check;
    }
    if (!written.is_object()) {
        check.faults.push_back({"", "an object, a list of objects or a template is expected"});
        return check;
    }
    if (!is_zip(written)) {
        check_parts(written, "", check);
        return check;
    }
    check_parts(written["zip"], "/zip", check);
    for (const auto& [key, value] : written.items())
        if (key != "zip" && key != "fill")
            check.faults.push_back(
                {child_pointer("", key), R"(beside "zip" stands "fill" or nothing)"}
            );
    return check;
}

Expansion expand(const json& rendered) {
    Expansion out;
    auto& shape = out.shape;
    if (rendered.is_array()) {
        shape.kind = ExpandShape::Kind::objects;
        for (const json& item : rendered)
            if (!item.is_object())
                no(fmt::format(
                    "expand: a list of objects is expected, {} is in it", type_name(item)
                ));
        add_list(out, "", rendered);
        shape.length = bounded(shape.lists.front().length);
        return out;
    }
    if (!rendered.is_object())
        no(fmt::format("expand: a list of objects is expected, {} was given", type_name(rendered)));
    const bool zip = is_zip(rendered);
    const json& parts = zip ? rendered["zip"] : rendered;
    for (const auto& [name, part] : parts.items()) add_list(out, name, part);
    if (!zip) {
        shape.length = bounded(product(shape.lists));
        return out;
    }
    shape.kind = ExpandShape::Kind::zip;
    shape.filled = rendered.contains("fill");
    if (shape.filled) shape.fill = rendered["fill"].dump();
    std::int64_t length = shape.filled ? 0 : std::numeric_limits<std::int64_t>::max();
    for (const auto& list : shape.lists)
        length = shape.filled ? std::max(length, list.length) : std::min(length, list.length);
    shape.length = bounded(length);
    return out;
}

json map_value(
    const ExpandShape& shape,
    std::int32_t index,
    const std::function<json(std::size_t, std::int64_t)>& item
) {
    const auto element = [&](std::size_t number, std::int64_t at) {
        const auto& list = shape.lists[number];
        return list.numbers ? json(list.from + at * list.step) : item(number, at);
    };
    if (shape.kind == ExpandShape::Kind::objects) return element(0, index);
    json out = json::object();
    std::int64_t rest = index;
    for (std::size_t i = shape.lists.size(); i-- > 0;) {
        const auto& list = shape.lists[i];
        if (shape.kind == ExpandShape::Kind::zip) {
            out[list.name] = index < list.length ? element(i, index) : json::parse(shape.fill);
            continue;
        }
        out[list.name] = element(i, rest % list.length);
        rest /= list.length;
    }
    return out;
}

std::string ExpandShape::text() const {
    json out;
    out["kind"] = static_cast<int>(kind);
    out["length"] = length;
    if (filled) out["fill"] = json::parse(fill);
    for (const auto& list : lists) {
        json one{{"name", list.name}, {"length", list.length}};
        if (list.numbers) {
            one["from"] = list.from;
            one["step"] = list.step;
        }
        out["lists"].push_back(std::move(one));
    }
    return out.dump();
}

ExpandShape ExpandShape::read(const std::string& text) {
    const json in = json::parse(text);
    ExpandShape shape;
    shape.kind = static_cast<Kind>(in.at("kind").get<int>());
    shape.length = in.at("length");
    shape.filled = in.contains("fill");
    if (shape.filled) shape.fill = in["fill"].dump();
    for (const json& one : in.value("lists", json::array())) {
        ExpandList list{one.at("name"), one.at("length")};
        list.numbers = one.contains("from");
        if (list.numbers) {
            list.from = one["from"];
            list.step = one["step"];
        }
        shape.lists.push_back(std::move(list));
    }
    return shape;
}

}  // namespace sluice
