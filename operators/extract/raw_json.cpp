#include "operators/extract/raw_json.hpp"

#include <charconv>

#include <nlohmann/json.hpp>

namespace sluice::extract {
namespace {

void skip_space(std::string_view text, std::size_t& at) {
    while (at < text.size() && std::string_view(" \t\r\n").find(text[at]) != std::string_view::npos)
        ++at;
}

void skip_string(std::string_view text, std::size_t& at) {
    for (++at; at < text.size() && text[at] != '"'; ++at)
        if (text[at] == '\\') ++at;
    ++at;
}

/// From the first byte of a value to behind its last.
void skip_value(std::string_view text, std::size_t& at) {
    int depth = 0;
    do {
        if (at >= text.size()) return;
        const char c = text[at];
        if (c == '"') {
            skip_string(text, at);
        } else if (c == '{' || c == '[') {
            ++depth;
            ++at;
        } else if (c == '}' || c == ']') {
            --depth;
            ++at;
        } else if (depth > 0) {
            ++at;
        } else {
            at = std::min(text.find_first_of(",]} \t\r\n", at), text.size());
        }
    } while (depth > 0);
}

bool is_name(std::string_view written, const std::string& name) {
    if (written.find('\\') == std::string_view::npos)
        return written.substr(1, written.size() - 2) == name;
    const auto read = nlohmann::json::parse(written, nullptr, false);
    return read.is_string() && read.get_ref<const std::string&>() == name;
}

std::optional<std::string_view> member(std::string_view object, const std::string& name) {
    std::size_t at = 1;
    if (object.empty() || object.front() != '{') return std::nullopt;
    for (;;) {
        skip_space(object, at);
        if (at >= object.size() || object[at] != '"') return std::nullopt;
        const std::size_t key = at;
        skip_string(object, at);
        const std::string_view written = object.substr(key, at - key);
        skip_space(object, at);
        ++at;  // ':'
        skip_space(object, at);
        const std::size_t value = at;
        skip_value(object, at);
        if (is_name(written, name)) return object.substr(value, at - value);
        skip_space(object, at);
        if (at >= object.size() || object[at] != ',') return std::nullopt;
        ++at;
    }
}

std::optional<std::string_view> element(std::string_view array, long index) {
    std::optional<std::string_view> found;
    long at = 0;
    raw_elements(array, [&](std::string_view one) {
        if (at++ == index) found = one;
    });
    return found;
}

}  // namespace

std::optional<JsonPath> json_path_of(std::string_view text) {
    if (!text.starts_with('$')) return std::nullopt;
    JsonPath path;
    text.remove_prefix(1);
    while (!text.empty()) {
        if (path.each) return std::nullopt;
        if (text.starts_with('.')) {
            text.remove_prefix(1);
            const std::string_view name = text.substr(0, text.find_first_of(".["));
            if (name.empty() || name == "*") return std::nullopt;
            path.steps.push_back({std::string(name)});
            text.remove_prefix(name.size());
            continue;
        }
        const auto close = text.find(']');
        if (!text.starts_with('[') || close == std::string_view::npos) return std::nullopt;
        const std::string_view inner = text.substr(1, close - 1);
        text.remove_prefix(close + 1);
        if (inner == "*") {
            path.each = true;
        } else if (inner.size() >= 2 && (inner.front() == '\'' || inner.front() == '"') &&
                   inner.back() == inner.front()) {
            path.steps.push_back({std::string(inner.substr(1, inner.size() - 2))});
        } else {
            long index = 0;
            const auto [end, failed] =
                std::from_chars(inner.data(), inner.data() + inner.size(), index);
            if (failed != std::errc{} || end != inner.data() + inner.size() || index < 0)
                return std::nullopt;
            path.steps.push_back({"", index});
        }
    }
    return path;
}

std::optional<std::string_view> raw_value(std::string_view json, const JsonPath& path) {
    std::size_t at = 0;
    skip_space(json, at);
    const std::size_t begin = at;
    skip_value(json, at);
    std::optional<std::string_view> value = json.substr(begin, at - begin);
    for (const JsonPath::Step& step : path.steps) {
        value = step.index >= 0 ? element(*value, step.index) : member(*value, step.name);
        if (!value) return std::nullopt;
    }
    return value;
}

bool raw_elements(
    std::string_view array, const std::function<void(std::string_view element)>& each
) {
    if (array.empty() || array.front() != '[') return false;
    std::size_t at = 1;
    for (;;) {
        skip_space(array, at);
        if (at >= array.size() || array[at] == ']') return true;
        const std::size_t begin = at;
        skip_value(array, at);
        each(array.substr(begin, at - begin));
        skip_space(array, at);
        if (at < array.size() && array[at] == ',') ++at;
    }
}

}  // namespace sluice::extract
