// The JSON reader: RFC 8259, recursive descent, one token of look-ahead.
#include <charconv>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/json_text_parts.hpp"

namespace sluice {
namespace {

using nlohmann::json;
using text_parts::DocumentBuilder;
using text_parts::Stop;

class JsonReader {
public:
    JsonReader(std::string_view text, TextLimits limits, DocumentBuilder& out)
        : text_(text), limits_(limits), out_(out) {}

    json document() {
        skip_space();
        out_.place("", here(), here());
        json value = read_value("", 1);
        skip_space();
        if (at_ < text_.size())
            fail("", "there is more text after the JSON value", "a file holds one value");
        return value;
    }

private:
    [[nodiscard]] bool ended() const { return at_ >= text_.size(); }
    [[nodiscard]] char peek() const { return ended() ? '\0' : text_[at_]; }
    [[nodiscard]] Position here() const { return {line_, static_cast<int>(at_ - line_start_) + 1}; }

    [[noreturn]] void fail(
        const std::string& pointer, std::string message, std::string suggestion = {}
    ) {
        out_.problem("E-JSON", pointer, here(), std::move(message), std::move(suggestion));
        throw Stop{};
    }

    void skip_space() {
        for (; !ended(); ++at_) {
            const char c = text_[at_];
            if (c == '\n') {
                ++line_;
                line_start_ = at_ + 1;
            } else if (c != ' ' && c != '\t' && c != '\r') {
                return;
            }
        }
    }

    json read_value(const std::string& pointer, std::size_t depth) {
        if (ended()) fail(pointer, "the file ends where a value should be");
        const char c = peek();
        if (c == '{' || c == '[') {
            if (depth > limits_.depth) {
                out_.problem(
                    "E-DEPTH",
                    pointer,
                    here(),
                    fmt::format("nested deeper than {} levels", limits_.depth)
                );
                throw Stop{};
            }
            return c == '{' ? read_object(pointer, depth) : read_array(pointer, depth);
        }
        if (c == '"') return read_string(pointer);
        if (c == '-' || (c >= '0' && c <= '9')) return read_number(pointer);
        return read_word(pointer);
    }

    json read_object(const std::string& pointer, std::size_t depth) {
        json object = json::object();
        ++at_;
        skip_space();
        if (peek() == '}') return ++at_, object;
        for (;;) {
            if (peek() != '"') not_a_key(pointer);
            const Position key_at = here();
            std::string key = read_string(pointer);
            std::string child = child_pointer(pointer, key);
            skip_space();
            if (peek() != ':') fail(child, "a ':' is missing after the key");
            ++at_;
            skip_space();
            const Position value_at = here();
            if (object.contains(key)) {
                out_.problem(
                    "E-DUPLICATE-KEY",
                    child,
                    key_at,
                    fmt::format("the key \"{}\" stands here twice", key)
                );
            } else {
                out_.place(child, key_at, value_at);
            }
            json value = read_value(child, depth + 1);
            object[std::move(key)] = std::move(value);
            skip_space();
            if (peek() == '}') return ++at_, object;
            if (peek() != ',') fail(pointer, "a ',' or '}' is missing here");
            ++at_;
            skip_space();
        }
    }

    [[noreturn]] void not_a_key(const std::string& pointer) {
        if (peek() == '}') fail(pointer, "there is a ',' too many before '}'");
        if (peek() == '/' || peek() == '#') fail(pointer, "JSON has no comments");
        fail(
            pointer, ended() ? "the file ends inside an object" : "a key in quotes should be here"
        );
    }

    json read_array(const std::string& pointer, std::size_t depth) {
        json array = json::array();
        ++at_;
        skip_space();
        if (peek() == ']') return ++at_, array;
        for (;;) {
            if (peek() == ']') fail(pointer, "there is a ',' too many before ']'");
            const std::string child = child_pointer(pointer, array.size());
            out_.place(child, here(), here());
            array.push_back(read_value(child, depth + 1));
            skip_space();
            if (peek() == ']') return ++at_, array;
            if (peek() != ',') fail(pointer, "a ',' or ']' is missing here");
            ++at_;
            skip_space();
        }
    }

    json read_word(const std::string& pointer) {
        const auto rest = text_.substr(at_);
        for (const std::string_view word : {"true", "false", "null"}) {
            if (!rest.starts_with(word)) continue;
            at_ += word.size();
            if (word == "null") return nullptr;
            return word == "true";
        }
        if (peek() == '/' || peek() == '#') fail(pointer, "JSON has no comments");
        if (peek() == '\'') fail(pointer, "strings stand in double quotes");
        fail(pointer, "this is not a JSON value", "text stands in double quotes");
    }

    json read_number(const std::string& pointer) {
        const std::size_t start = at_;
        bool whole = true;
        if (peek() == '-') ++at_;
        if (peek() == '0') {
            ++at_;
            if (is_digit(peek())) fail(pointer, "a number does not begin with 0");
        } else {
            digits(pointer);
        }
        if (peek() == '.') {
            whole = false;
            ++at_;
            digits(pointer);
        }
        if (peek() == 'e' || peek() == 'E') {
            whole = false;
            ++at_;
            if (peek() == '+' || peek() == '-') ++at_;
            digits(pointer);
        }
        return number_of(pointer, text_.substr(start, at_ - start), whole);
    }

    static bool is_digit(char c) { return c >= '0' && c <= '9'; }
    void digits(const std::string& pointer) {
        if (!is_digit(peek())) fail(pointer, "a digit should be here");
        while (is_digit(peek())) ++at_;
    }

    json number_of(const std::string& pointer, std::string_view token, bool whole) {
        const char* const first = token.data();
        const char* const last = first + token.size();
        if (whole) {
            std::int64_t integer{};
            if (std::from_chars(first, last, integer).ec == std::errc{}) return integer;
            fail(pointer, "the whole number is too large", "write it as a string");
        }
        double number{};
        if (std::from_chars(first, last, number).ec != std::errc{} || !std::isfinite(number))
            fail(pointer, "the number is too large or too small");
        return number;
    }

    std::string read_string(const std::string& pointer) {
        std::string out;
        ++at_;
        for (;;) {
            if (ended()) fail(pointer, "the file ends inside a string");
            const char c = text_[at_];
            if (c == '"') return ++at_, out;
            if (static_cast<unsigned char>(c) < 0x20) {
                fail(
                    pointer,
                    "a line break or control character inside a string",
                    "write \\n, or a list of lines where the key allows it"
                );
            }
            if (c == '\\')
                read_escape(pointer, out);
            else
                out += c, ++at_;
        }
    }

    void read_escape(const std::string& pointer, std::string& out) {
        ++at_;
        constexpr std::string_view names = "\"\\/bfnrt";
        constexpr std::string_view values = "\"\\/\b\f\n\r\t";
        const char c = peek();
        if (const auto known = names.find(c); !ended() && known != std::string_view::npos) {
            out += values[known];
            ++at_;
            return;
        }
        if (c != 'u') fail(pointer, "an unknown escape in a string", "a backslash is written \\\\");
        ++at_;
        std::uint32_t code = read_hex4(pointer);
        if (code >= 0xDC00 && code <= 0xDFFF) fail(pointer, "a lone surrogate in a string");
        if (code >= 0xD800 && code <= 0xDBFF) {
            if (!text_.substr(at_).starts_with("\\u"))
                fail(pointer, "a lone surrogate in a string");
            at_ += 2;
            const std::uint32_t low = read_hex4(pointer);
            if (low < 0xDC00 || low > 0xDFFF) fail(pointer, "a lone surrogate in a string");
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        }
        append_utf8(out, code);
    }

    std::uint32_t read_hex4(const std::string& pointer) {
        const auto four = text_.substr(at_, 4);
        std::uint32_t code{};
        const auto [end, error] = std::from_chars(four.data(), four.data() + four.size(), code, 16);
        if (four.size() < 4 || error != std::errc{} || end != four.data() + 4)
            fail(pointer, "\\u needs four hex digits");
        at_ += 4;
        return code;
    }

    static void append_utf8(std::string& out, std::uint32_t code) {
        const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
        if (code < 0x80) {
            put(code);
        } else if (code < 0x800) {
            put(0xC0 | code >> 6);
            put(0x80 | (code & 0x3F));
        } else if (code < 0x10000) {
            put(0xE0 | code >> 12);
            put(0x80 | (code >> 6 & 0x3F));
            put(0x80 | (code & 0x3F));
        } else {
            put(0xF0 | code >> 18);
            put(0x80 | (code >> 12 & 0x3F));
            put(0x80 | (code >> 6 & 0x3F));
            put(0x80 | (code & 0x3F));
        }
    }

    std::string_view text_;
    TextLimits limits_;
    DocumentBuilder& out_;
    std::size_t at_{0};
    int line_{1};
    std::size_t line_start_{0};
};

}  // namespace

TextDocument read_json(std::string_view text, const std::string& file, TextLimits limits) {
    DocumentBuilder out{.file = file};
    auto value = std::make_shared<json>();
    if (text_parts::text_is_readable(text, limits, out)) {
        try {
            *value = JsonReader(text, limits, out).document();
        } catch (const Stop&) {
            value.reset();
        }
    }
    return std::move(out).finish(std::move(value));
}

}  // namespace sluice
