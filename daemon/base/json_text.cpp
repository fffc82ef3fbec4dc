#include "base/json_text.hpp"

#include <charconv>
#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/json_text_parts.hpp"

namespace sluice {

using nlohmann::json;

const SourceMap::Place* SourceMap::nearest(std::string_view pointer) const {
    for (std::string at(pointer);;) {
        const auto found = places_.find(at);
        if (found != places_.end()) return &found->second;
        const auto slash = at.rfind('/');
        if (slash == std::string::npos) return nullptr;
        at.resize(slash);
    }
}

Position SourceMap::value(std::string_view pointer) const {
    const auto* place = nearest(pointer);
    return place == nullptr ? Position{} : place->value;
}

Position SourceMap::key(std::string_view pointer) const {
    const auto* place = nearest(pointer);
    return place == nullptr ? Position{} : place->key;
}

std::string pointer_token(std::string_view key) {
    std::string out;
    out.reserve(key.size());
    for (const char c : key) {
        if (c == '~')
            out += "~0";
        else if (c == '/')
            out += "~1";
        else
            out += c;
    }
    return out;
}

std::string child_pointer(std::string_view pointer, std::string_view key) {
    return std::string(pointer) + '/' + pointer_token(key);
}

std::string child_pointer(std::string_view pointer, std::size_t index) {
    return std::string(pointer) + '/' + std::to_string(index);
}

namespace {

void append_canonical(std::string& out, const json& value) {
    if (value.is_object()) {
        // nlohmann's default object is a std::map: keys come sorted by their bytes.
        out += '{';
        bool first = true;
        for (const auto& [key, child] : value.items()) {
            if (!first) out += ',';
            first = false;
            out += json(key).dump() + ':';
            append_canonical(out, child);
        }
        out += '}';
    } else if (value.is_array()) {
        out += '[';
        bool first = true;
        for (const auto& child : value) {
            if (!first) out += ',';
            first = false;
            append_canonical(out, child);
        }
        out += ']';
    } else if (value.is_number_float()) {
        const double number = value.get<double>();
        // Up to 2^53 a whole double is exactly one integer.
        constexpr double exact = 9007199254740992.0;
        if (std::trunc(number) == number && std::abs(number) <= exact)
            out += std::to_string(static_cast<std::int64_t>(number));
        else
            out += value.dump();
    } else {
        out += value.dump();
    }
}

std::size_t utf8_length(unsigned char lead) {
    if (lead < 0x80) return 1;
    if (lead >= 0xC2 && lead <= 0xDF) return 2;
    if (lead >= 0xE0 && lead <= 0xEF) return 3;
    if (lead >= 0xF0 && lead <= 0xF4) return 4;
    return 0;
}

}  // namespace

std::string text_of(const json& value) {
    return value.is_string() ? value.get<std::string>() : value.dump();
}

std::vector<std::string> texts_of(const json& value) {
    if (value.is_string()) return {value.get<std::string>()};
    std::vector<std::string> out;
    if (!value.is_array()) return out;
    for (const json& one : value)
        if (one.is_string()) out.push_back(one.get<std::string>());
    return out;
}

std::string canonical_json(const json& value) {
    std::string out;
    append_canonical(out, value);
    return out;
}

std::optional<std::size_t> invalid_utf8(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const auto at = [&](std::size_t k) { return static_cast<unsigned char>(text[i + k]); };
        const auto length = utf8_length(at(0));
        if (length == 0 || i + length > text.size()) return i;
        for (std::size_t k = 1; k < length; ++k)
            if ((at(k) & 0xC0) != 0x80) return i;
        // Overlong forms, surrogates and what lies beyond U+10FFFF.
        if (length == 3 && at(0) == 0xE0 && at(1) < 0xA0) return i;
        if (length == 3 && at(0) == 0xED && at(1) > 0x9F) return i;
        if (length == 4 && at(0) == 0xF0 && at(1) < 0x90) return i;
        if (length == 4 && at(0) == 0xF4 && at(1) > 0x8F) return i;
        i += length;
    }
    return std::nullopt;
}

namespace text_parts {

Position position_at(std::string_view text, std::size_t offset) {
    Position at{1, 1};
    for (const char c : text.substr(0, offset)) {
        if (c == '\n')
            at = {at.line + 1, 1};
        else
            ++at.column;
    }
    return at;
}

void DocumentBuilder::problem(
    std::string code, std::string pointer, Position at, std::string message, std::string suggestion
) {
    problems.push_back(
        {.code = std::move(code),
         .severity = Severity::error,
         .file = file,
         .pointer = std::move(pointer),
         .line = at.line,
         .column = at.column,
         .message = std::move(message),
         .suggestion = std::move(suggestion)}
    );
}

void DocumentBuilder::place(const std::string& pointer, Position key, Position value) {
    // Beyond this a file is data, not a pipeline: the nearest ancestor is near enough.
    constexpr std::size_t places_max = 300'000;
    if (++places <= places_max) map->put(pointer, {key, value});
}

TextDocument DocumentBuilder::finish(std::shared_ptr<json> value) && {
    TextDocument out;
    if (problems.empty()) out.value = std::move(value);
    out.map = std::move(map);
    out.problems = std::move(problems);
    return out;
}

bool text_is_readable(std::string_view text, TextLimits limits, DocumentBuilder& out) {
    constexpr std::string_view bom = "\xEF\xBB\xBF";
    if (text.size() > limits.bytes) {
        out.problem(
            "E-FILE-SIZE",
            "",
            {},
            fmt::format("the file has {} bytes, the limit is {}", text.size(), limits.bytes)
        );
        return false;
    }
    if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) {
        out.problem("E-FILE-EMPTY", "", {1, 1}, "the file is empty");
        return false;
    }
    if (text.starts_with(bom)) {
        out.problem(
            "E-FILE-BOM",
            "",
            {1, 1},
            "the file begins with a byte order mark",
            "save it as UTF-8 without one"
        );
        return false;
    }
    if (const auto bad = invalid_utf8(text)) {
        out.problem(
            "E-FILE-UTF8",
            "",
            position_at(text, *bad),
            fmt::format("byte {} is not valid UTF-8", *bad),
            "save the file as UTF-8"
        );
        return false;
    }
    return true;
}

}  // namespace text_parts

TextFormat text_format_of(std::string_view file_name) {
    return file_name.ends_with(".yaml") || file_name.ends_with(".yml") ? TextFormat::yaml
                                                                       : TextFormat::json;
}

TextDocument read_text(std::string_view text, const std::string& file, TextLimits limits) {
    switch (text_format_of(file)) {
        case TextFormat::json:
            return read_json(text, file, limits);
        case TextFormat::yaml:
            return read_yaml(text, file, limits);
    }
    return {};
}

}  // namespace sluice
