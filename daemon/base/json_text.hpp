// json_text.hpp — strict reading of JSON and YAML text: the value, and where each part of it
// stands. Never throws for bad text: what is wrong comes back as Problems with line and column.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/error.hpp"

namespace sluice {

struct Position {
    int line{};    // 1-based
    int column{};  // 1-based, in bytes
};

/// JSON pointer -> where its key (in an object) and its value begin.
class SourceMap {
public:
    struct Place {
        Position key;
        Position value;
    };
    void put(std::string pointer, Place place) { places_[std::move(pointer)] = place; }
    /// The value at the pointer, or at its nearest known ancestor.
    [[nodiscard]] Position value(std::string_view pointer) const;
    [[nodiscard]] Position key(std::string_view pointer) const;

private:
    [[nodiscard]] const Place* nearest(std::string_view pointer) const;
    std::unordered_map<std::string, Place> places_;
};

/// A file as read.
struct TextDocument {
    std::shared_ptr<const nlohmann::json> value;  // nullptr if there are problems
    std::shared_ptr<const SourceMap> map;         // always there
    std::vector<Problem> problems;
};

struct TextLimits {
    std::size_t bytes;
    std::size_t depth;
};

enum class TextFormat { json, yaml };
/// By the ending of the name: .yaml and .yml are YAML, everything else is JSON.
TextFormat text_format_of(std::string_view file_name);

/// RFC 8259 without comments. Problems: empty file, over the limit, BOM, invalid UTF-8, duplicate
/// keys, nesting too deep, text after the value, syntax.
TextDocument read_json(std::string_view text, const std::string& file, TextLimits limits);
/// YAML 1.2 core schema, one document, string keys, no tags, anchors, aliases or merge keys. Plain
/// scalars that YAML 1.1 reads otherwise (yes, no, on, off, 010, 1:30) are refused, not guessed.
TextDocument read_yaml(std::string_view text, const std::string& file, TextLimits limits);
TextDocument read_text(std::string_view text, const std::string& file, TextLimits limits);

/// One token of a JSON pointer, escaped (~ and /).
std::string pointer_token(std::string_view key);
std::string child_pointer(std::string_view pointer, std::string_view key);
std::string child_pointer(std::string_view pointer, std::size_t index);

/// Sorted keys, no spaces, numbers normalised (1.0 and 1e0 are 1): equal values, equal text.
std::string canonical_json(const nlohmann::json& value);

/// A string as it is, anything else as JSON.
std::string text_of(const nlohmann::json& value);
/// "One string or a list of strings" as a list; what else stands there is left out.
std::vector<std::string> texts_of(const nlohmann::json& value);

/// Offset of the first byte that is not valid UTF-8.
std::optional<std::size_t> invalid_utf8(std::string_view text);

}  // namespace sluice
