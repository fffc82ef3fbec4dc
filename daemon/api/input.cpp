#include "api/input.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "api/failure.hpp"
#include "base/limits.hpp"

namespace sluice::api {
namespace {

Json location(std::string_view where, std::string_view name) {
    return Json::array({std::string(where), std::string(name)});
}

std::optional<std::int64_t> to_integer(std::string_view text) {
    std::int64_t value = 0;
    if (text.starts_with('+')) text.remove_prefix(1);
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
    if (result.ec != std::errc{} || result.ptr != text.data() + text.size()) return std::nullopt;
    return value;
}

std::optional<bool> to_boolean(std::string text) {
    std::ranges::transform(text, text.begin(), [](unsigned char c) {
        return static_cast<char>(std::tolower(c));
    });
    for (const std::string_view yes : {"true", "1", "yes", "y", "on", "t"})
        if (text == yes) return true;
    for (const std::string_view no : {"false", "0", "no", "n", "off", "f"})
        if (text == no) return false;
    return std::nullopt;
}

/// LIKE on bytes, ASCII case ignored.
bool like(std::string_view text, std::string_view pattern) {
    std::size_t t = 0;
    std::size_t p = 0;
    std::size_t star = std::string_view::npos;
    std::size_t mark = 0;
    const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '%') {
            star = p++;
            mark = t;
        } else if (p < pattern.size() &&
                   (pattern[p] == '_' || lower(pattern[p]) == lower(text[t]))) {
            ++p;
            ++t;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            t = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '%') ++p;
    return p == pattern.size();
}

}  // namespace

Json parse_sent(const std::string& text) {
    constexpr int deepest = 64;
    const auto refuse = [](std::size_t byte, const char* why) {
        Problems problems;
        problems.add(
            "json_invalid",
            Json::array({"body", byte}),
            "JSON decode error",
            Json::object(),
            Json{{"error", why}}
        );
        problems.check();
    };
    try {
        return Json::parse(text, [&](int depth, Json::parse_event_t, Json&) {
            if (depth > deepest) refuse(0, "Nested deeper than 64 levels");
            return true;
        });
    } catch (const Json::parse_error& error) {
        refuse(error.byte == 0 ? 0 : error.byte - 1, "Not valid JSON");
    } catch (const Json::exception&) {
        refuse(0, "A number that cannot be stored");
    }
    return {};
}

Json stored_json(const std::string& text) {
    Json json = Json::parse(text, nullptr, false);
    return json.is_discarded() ? Json(text) : json;
}

std::string dump(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Failure failure(int status, const std::string& text) { return {status, dump(Json(text))}; }
Failure not_found(const std::string& text) { return failure(404, text); }

void Problems::add(
    std::string_view type, Json loc, std::string_view message, Json input, Json context
) {
    Json error;
    error["type"] = type;
    error["loc"] = std::move(loc);
    error["msg"] = message;
    error["input"] = std::move(input);
    if (!context.is_null()) error["ctx"] = std::move(context);
    add(std::move(error));
}

void Problems::check() const {
    if (!list_.empty()) throw Failure(422, dump(list_));
}

std::optional<std::string> Query::text(std::string_view name) { return request_.query_value(name); }

std::optional<std::int64_t> Query::whole(
    std::string_view name, const std::string& text, std::optional<std::int64_t> least
) {
    const auto value = to_integer(text);
    if (!value) {
        problems_.add(
            "int_parsing",
            location("query", name),
            "Input should be a valid integer, unable to parse string as an integer",
            text
        );
        return std::nullopt;
    }
    if (least && *value < *least) {
        problems_.add(
            "greater_than_equal",
            location("query", name),
            "Input should be greater than or equal to " + std::to_string(*least),
            text,
            Json{{"ge", *least}}
        );
        return std::nullopt;
    }
    return value;
}

std::optional<std::int64_t> Query::integer(std::string_view name) {
    const auto value = text(name);
    if (!value) return std::nullopt;
    return whole(name, *value, std::nullopt);
}

std::vector<std::int64_t> Query::integers(std::string_view name) {
    std::vector<std::int64_t> values;
    for (const std::string& item : texts(name))
        if (const auto value = whole(name, item, std::nullopt)) values.push_back(*value);
    return values;
}

std::optional<bool> Query::boolean(std::string_view name) {
    const auto value = text(name);
    if (!value) return std::nullopt;
    const auto answer = to_boolean(*value);
    if (!answer)
        problems_.add(
            "bool_parsing",
            location("query", name),
            "Input should be a valid boolean, unable to interpret input",
            *value
        );
    return answer;
}

std::optional<Instant> Query::time(std::string_view name) {
    auto value = text(name);
    if (!value || value->empty()) return std::nullopt;
    // A plus that was not escaped came as a space: "2026-01-01T00:00:00 00:00".
    if (value->size() > 19 && (*value)[value->size() - 6] == ' ') (*value)[value->size() - 6] = '+';
    const auto at = parse_time(*value);
    if (!at) {
        problems_.add(
            "datetime_from_date_parsing",
            location("query", name),
            "Input should be a valid datetime or date",
            *value
        );
        return std::nullopt;
    }
    return at->at;
}

store::TimeRange Query::range(const std::string& name) {
    return {time(name + "_gte"), time(name + "_gt"), time(name + "_lte"), time(name + "_lt")};
}

store::PageOf Query::page() {
    store::PageOf page;
    if (const auto limit = text("limit"))
        if (const auto value = whole("limit", *limit, 0)) page.limit = *value;
    if (const auto offset = text("offset"))
        if (const auto value = whole("offset", *offset, 0)) page.offset = *value;
    page.limit = std::min(page.limit, static_cast<std::int64_t>(limits::page_rows));
    return page;
}

std::vector<std::pair<std::string, bool>> Query::order() {
    std::vector<std::pair<std::string, bool>> fields;
    for (const std::string& field : texts("order_by")) {
        if (field.empty()) continue;
        const bool descending = field.starts_with('-');
        fields.emplace_back(field.substr(descending ? 1 : 0), descending);
    }
    return fields;
}

void bad_order(const std::string& name) {
    throw failure(
        400,
        "Ordering with '" + name + "' is disallowed or the attribute does not exist on the model"
    );
}

Body::Body(const http::Request& request) {
    json_ = request.body.empty() ? Json::object() : parse_sent(request.body);
    if (!json_.is_object()) {
        Problems problems;
        problems.add(
            "model_attributes_type",
            Json::array({"body"}),
            "Input should be a valid dictionary or object to extract fields from",
            json_
        );
        problems.check();
    }
}

bool Body::has(std::string_view key) const { return json_.contains(key); }

bool Body::is_null(std::string_view key) const {
    const auto found = json_.find(key);
    return found != json_.end() && found->is_null();
}

void Body::require(std::string_view key) {
    if (!has(key)) problems_.add("missing", location("body", key), "Field required", json_);
}

const Json* Body::find(std::string_view key) {
    known_.emplace_back(key);
    const auto found = json_.find(key);
    return found == json_.end() || found->is_null() ? nullptr : &*found;
}

void Body::error(
    std::string_view type, std::string_view key, std::string_view message, Json context
) {
    const auto found = json_.find(key);
    problems_.add(
        type,
        location("body", key),
        message,
        found == json_.end() ? Json() : *found,
        std::move(context)
    );
}

std::optional<std::string> Body::text(std::string_view key) {
    const Json* json = find(key);
    if (json == nullptr) return std::nullopt;
    if (json->is_string()) return json->get<std::string>();
    error("string_type", key, "Input should be a valid string");
    return std::nullopt;
}

std::optional<bool> Body::boolean(std::string_view key) {
    const Json* json = find(key);
    if (json == nullptr) {
        if (has(key)) error("bool_type", key, "Input should be a valid boolean");
        return std::nullopt;
    }
    if (json->is_boolean()) return json->get<bool>();
    if (json->is_string())
        if (const auto value = to_boolean(json->get<std::string>())) return value;
    error("bool_parsing", key, "Input should be a valid boolean, unable to interpret input");
    return std::nullopt;
}

std::optional<std::int64_t> Body::integer(std::string_view key) {
    const Json* json = find(key);
    if (json == nullptr) return std::nullopt;
    if (json->is_number_integer()) return json->get<std::int64_t>();
    if (json->is_string()) {
        if (const auto value = to_integer(json->get<std::string>())) return value;
        error(
            "int_parsing",
            key,
            "Input should be a valid integer, unable to parse string as an integer"
        );
        return std::nullopt;
    }
    error("int_type", key, "Input should be a valid integer");
    return std::nullopt;
}

std::optional<double> Body::number(std::string_view key) {
    const Json* json = find(key);
    if (json == nullptr) return std::nullopt;
    if (json->is_number()) return json->get<double>();
    error("float_type", key, "Input should be a valid number");
    return std::nullopt;
}

std::optional<Instant> Body::time(std::string_view key, Zone zone) {
    const Json* json = find(key);
    if (json == nullptr) return std::nullopt;
    const auto at = json->is_string() ? parse_time(json->get<std::string>()) : std::nullopt;
    if (!at) {
        error("datetime_from_date_parsing", key, "Input should be a valid datetime or date");
        return std::nullopt;
    }
    if (zone == Zone::required && !at->has_offset) {
        error("timezone_aware", key, "Input should have timezone info");
        return std::nullopt;
    }
    return at->at;
}

store::TimeRange Body::range(const std::string& name) {
    return {time(name + "_gte"), time(name + "_gt"), time(name + "_lte"), time(name + "_lt")};
}

std::optional<Json> Body::object(std::string_view key) {
    const Json* json = find(key);
    if (json == nullptr) return std::nullopt;
    if (json->is_object()) return *json;
    error("dict_type", key, "Input should be a valid dictionary");
    return std::nullopt;
}

std::optional<Json> Body::list(std::string_view key) {
    const Json* json = find(key);
    if (json == nullptr) return std::nullopt;
    if (json->is_array()) return *json;
    error("list_type", key, "Input should be a valid list");
    return std::nullopt;
}

std::optional<std::vector<std::string>> Body::texts(std::string_view key) {
    const auto items = list(key);
    if (!items) return std::nullopt;
    std::vector<std::string> values;
    std::size_t index = 0;
    for (const Json& item : *items) {
        if (item.is_string()) {
            values.push_back(item.get<std::string>());
        } else if (item.is_null()) {
            values.emplace_back("none");
        } else {
            problems_.add(
                "string_type",
                Json::array({"body", std::string(key), index}),
                "Input should be a valid string",
                item
            );
        }
        ++index;
    }
    return values;
}

std::optional<std::string> Body::one_of(
    std::string_view key, std::initializer_list<std::string_view> names
) {
    const Json* json = find(key);
    if (json == nullptr) return std::nullopt;
    if (json->is_string())
        for (const std::string_view name : names)
            if (json->get_ref<const std::string&>() == name) return std::string(name);
    std::string expected;
    std::size_t index = 0;
    for (const std::string_view name : names) {
        if (index != 0) expected += index + 1 == names.size() ? " or " : ", ";
        expected.append("'").append(name).append("'");
        ++index;
    }
    error("enum", key, "Input should be " + expected, Json{{"expected", expected}});
    return std::nullopt;
}

std::optional<Json> Body::value(std::string_view key) {
    known_.emplace_back(key);
    const auto found = json_.find(key);
    if (found == json_.end()) return std::nullopt;
    return *found;
}

void Body::done() {
    for (const auto& [key, value] : json_.items())
        if (std::ranges::find(known_, key) == known_.end())
            problems_.add(
                "extra_forbidden", location("body", key), "Extra inputs are not permitted", value
            );
    problems_.check();
}

bool matches_pattern(std::string_view text, std::string_view pattern) {
    if (pattern.empty() || pattern == "~") return true;
    while (true) {
        const auto end = pattern.find('|');
        std::string_view part = pattern.substr(0, end);
        while (part.starts_with(' ')) part.remove_prefix(1);
        while (part.ends_with(' ')) part.remove_suffix(1);
        if (part == "~") return true;
        if (!part.empty() && like(text, "%" + std::string(part) + "%")) return true;
        if (end == std::string_view::npos) return false;
        pattern.remove_prefix(end + 1);
    }
}

}  // namespace sluice::api
