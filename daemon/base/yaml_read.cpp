// The YAML reader: yaml-cpp's events, the 1.2 core schema for plain scalars.
#include <charconv>
#include <cmath>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include "base/json_text_parts.hpp"

namespace sluice {
namespace {

using nlohmann::json;
using text_parts::DocumentBuilder;
using text_parts::Stop;

Position position_of(const YAML::Mark& mark) { return {mark.line + 1, mark.column + 1}; }

bool all_in(std::string_view text, std::string_view set) {
    return !text.empty() && text.find_first_not_of(set) == std::string_view::npos;
}
constexpr std::string_view digit_set = "0123456789";

/// [-+]?[0-9]+
bool looks_whole(std::string_view text) {
    if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
    return all_in(text, digit_set);
}

/// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
bool looks_real(std::string_view text) {
    if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
    const auto exponent = text.find_first_of("eE");
    if (exponent != std::string_view::npos) {
        if (!looks_whole(text.substr(exponent + 1))) return false;
        text = text.substr(0, exponent);
    }
    const auto dot = text.find('.');
    if (dot == std::string_view::npos) return all_in(text, digit_set);
    const auto before = text.substr(0, dot);
    const auto after = text.substr(dot + 1);
    if (before.empty()) return all_in(after, digit_set);
    return all_in(before, digit_set) && (after.empty() || all_in(after, digit_set));
}

bool one_of(std::string_view text, std::initializer_list<std::string_view> words) {
    for (const auto word : words)
        if (text == word) return true;
    return false;
}

/// Reads "1:30" and "190:20:30", which YAML 1.1 takes for numbers to the base 60.
bool looks_sexagesimal(std::string_view text) {
    const auto colon = text.find(':');
    return colon != std::string_view::npos && looks_whole(text.substr(0, colon)) &&
           all_in(text.substr(colon + 1), "0123456789:.");
}

/// Plain scalars that a YAML 1.1 reader takes for something else than a 1.2 reader.
bool is_trap(std::string_view text) {
    if (one_of(
            text, {"yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF"}
        ))
        return true;
    std::string_view digits = text;
    if (digits.starts_with('-') || digits.starts_with('+')) digits.remove_prefix(1);
    if (digits.size() > 1 && digits[0] == '0' && all_in(digits, digit_set)) return true;
    if (digits.starts_with("0b") || digits.starts_with("0x") || digits.starts_with("0o"))
        return true;
    if (digits.find('_') != std::string_view::npos && all_in(digits, "0123456789_.")) return true;
    return looks_sexagesimal(text);
}

class YamlReader final : public YAML::EventHandler {
public:
    YamlReader(TextLimits limits, DocumentBuilder& out) : limits_(limits), out_(out) {}

    [[nodiscard]] json take() && { return std::move(root_); }

    void OnDocumentStart(const YAML::Mark&) override {}
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        refuse_anchor(mark, anchor);
        scalar(mark, nullptr, "");
    }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
        stop(mark, "E-YAML-ALIAS", "aliases are not read here", "write the value out");
    }
    void OnScalar(
        const YAML::Mark& mark,
        const std::string& tag,
        YAML::anchor_t anchor,
        const std::string& scalar_text
    ) override {
        refuse_anchor(mark, anchor);
        const std::string value = in_utf8(mark, scalar_text);
        if (tag == "!") return scalar(mark, value, value);  // quoted or block: always a string
        if (tag != "?" && !tag.empty()) refuse_tag(mark, tag);
        scalar(mark, plain(mark, value), value);
    }
    void OnSequenceStart(
        const YAML::Mark& mark,
        const std::string& tag,
        YAML::anchor_t anchor,
        YAML::EmitterStyle::value
    ) override {
        refuse_anchor(mark, anchor);
        if (tag != "?" && !tag.empty()) refuse_tag(mark, tag);
        open(mark, json::array());
    }
    void OnSequenceEnd() override { close(); }
    void OnMapStart(
        const YAML::Mark& mark,
        const std::string& tag,
        YAML::anchor_t anchor,
        YAML::EmitterStyle::value
    ) override {
        refuse_anchor(mark, anchor);
        if (tag != "?" && !tag.empty()) refuse_tag(mark, tag);
        open(mark, json::object());
    }
    void OnMapEnd() override { close(); }

private:
    struct Level {
        json value;
        std::string pointer;
        std::optional<std::string> key{};  // an object waits for this key's value
        Position key_at{};
    };

    [[noreturn]] void stop(
        const YAML::Mark& mark, std::string code, std::string message, std::string suggestion = {}
    ) {
        const auto pointer = levels_.empty() ? std::string{} : levels_.back().pointer;
        out_.problem(
            std::move(code), pointer, position_of(mark), std::move(message), std::move(suggestion)
        );
        throw Stop{};
    }
    void refuse_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
        if (anchor != 0)
            stop(mark, "E-YAML-ALIAS", "anchors are not read here", "write the value out");
    }
    [[noreturn]] void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
        stop(mark, "E-YAML-TAG", fmt::format("the tag {} is not read here", tag), "leave it out");
    }

    /// yaml-cpp writes the escapes \_ and \N, U+00A0 and U+0085, as one byte. The text itself is
    /// valid UTF-8, so a byte that is not comes from one of them.
    std::string in_utf8(const YAML::Mark& mark, std::string_view text) {
        std::string out;
        while (const auto bad = invalid_utf8(text)) {
            const char byte = text[*bad];
            if (byte != '\x85' && byte != '\xA0') stop(mark, "E-YAML", "an escape is no character");
            out.append(text.substr(0, *bad)) += {'\xC2', byte};
            text.remove_prefix(*bad + 1);
        }
        return out.append(text);
    }

    json plain(const YAML::Mark& mark, const std::string& text) {
        if (one_of(text, {"", "~", "null", "Null", "NULL"})) return nullptr;
        if (one_of(text, {"true", "True", "TRUE"})) return true;
        if (one_of(text, {"false", "False", "FALSE"})) return false;
        if (one_of(text, {".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF", "-.inf", "+.inf"}))
            stop(mark, "E-YAML-TRAP", fmt::format("{} is not a number here", text), "quote it");
        if (is_trap(text)) {
            stop(
                mark,
                "E-YAML-TRAP",
                fmt::format("YAML readers differ on what a plain {} is", text),
                "write it in quotes, or true or false, or a plain number"
            );
        }
        return number(mark, text);
    }

    json number(const YAML::Mark& mark, const std::string& text) {
        const char* first = text.data();
        const char* const last = first + text.size();
        if (text.starts_with('+')) ++first;
        if (looks_whole(text)) {
            std::int64_t integer{};
            if (std::from_chars(first, last, integer).ec == std::errc{}) return integer;
            stop(mark, "E-YAML", "the whole number is too large", "write it as a string");
        }
        if (looks_real(text)) {
            double real{};
            if (std::from_chars(first, last, real).ec == std::errc{} && std::isfinite(real))
                return real;
            stop(mark, "E-YAML", "the number is too large or too small");
        }
        return text;
    }

    /// A key of the object on top, or a value.
    void scalar(const YAML::Mark& mark, json value, const std::string& text) {
        if (!levels_.empty() && levels_.back().value.is_object() && !levels_.back().key)
            return key(mark, value, text);
        (void)next_pointer(mark);
        attach(std::move(value));
    }

    void key(const YAML::Mark& mark, const json& value, const std::string& text) {
        if (value.is_null() || value.is_boolean())
            stop(mark, "E-YAML-TRAP", "a key here is not a string", "write it in quotes");
        if (text == "<<") stop(mark, "E-YAML-ALIAS", "merge keys are not read here");
        auto& level = levels_.back();
        if (level.value.contains(text)) {
            out_.problem(
                "E-DUPLICATE-KEY",
                child_pointer(level.pointer, text),
                position_of(mark),
                fmt::format("the key \"{}\" stands here twice", text)
            );
        }
        level.key = text;
        level.key_at = position_of(mark);
    }

    /// The pointer of the value that comes now; notes its place.
    std::string next_pointer(const YAML::Mark& mark) {
        const Position at = position_of(mark);
        if (levels_.empty()) {
            out_.place("", at, at);
            return "";
        }
        const auto& level = levels_.back();
        const bool in_array = level.value.is_array();
        std::string pointer = in_array ? child_pointer(level.pointer, level.value.size())
                                       : child_pointer(level.pointer, *level.key);
        out_.place(pointer, in_array ? at : level.key_at, at);
        return pointer;
    }

    void open(const YAML::Mark& mark, json empty) {
        if (!levels_.empty() && levels_.back().value.is_object() && !levels_.back().key)
            stop(mark, "E-YAML", "a key must be a plain string");
        if (levels_.size() >= limits_.depth)
            stop(mark, "E-DEPTH", fmt::format("nested deeper than {} levels", limits_.depth));
        std::string pointer = next_pointer(mark);
        levels_.push_back({std::move(empty), std::move(pointer)});
    }

    void close() {
        json done = std::move(levels_.back().value);
        levels_.pop_back();
        attach(std::move(done));
    }

    void attach(json value) {
        if (levels_.empty()) {
            root_ = std::move(value);
            return;
        }
        auto& level = levels_.back();
        if (level.value.is_array()) {
            level.value.push_back(std::move(value));
        } else {
            level.value[*level.key] = std::move(value);
            level.key.reset();
        }
    }

    TextLimits limits_;
    DocumentBuilder& out_;
    json root_;
    std::vector<Level> levels_;
};

void read_document(std::string_view text, TextLimits limits, DocumentBuilder& out, json& value) {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    YamlReader reader(limits, out);
    if (!parser.HandleNextDocument(reader)) {
        out.problem("E-FILE-EMPTY", "", {1, 1}, "the file holds no YAML document");
        return;
    }
    // A second document needs no place of its own: the reader stops at its first event.
    DocumentBuilder rest{.file = out.file};
    YamlReader second(limits, rest);
    if (parser.HandleNextDocument(second))
        out.problem("E-YAML", "", {}, "the file holds more than one YAML document");
    value = std::move(reader).take();
}

}  // namespace

TextDocument read_yaml(std::string_view text, const std::string& file, TextLimits limits) {
    DocumentBuilder out{.file = file};
    auto value = std::make_shared<json>();
    if (text_parts::text_is_readable(text, limits, out)) {
        try {
            read_document(text, limits, out, *value);
        } catch (const Stop&) {
            if (out.problems.empty())
                out.problem("E-YAML", "", {}, "the file holds more than one YAML document");
        } catch (const YAML::Exception& error) {
            out.problem("E-YAML", "", position_of(error.mark), error.msg);
        }
    }
    return std::move(out).finish(std::move(value));
}

}  // namespace sluice
