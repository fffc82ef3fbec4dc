#include "operators/validate/samples.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include <nlohmann/json.hpp>

#include "operators/engine/failure.hpp"

namespace sluice::validate {

namespace {

constexpr std::size_t sample_bytes = 80;
constexpr const char* hidden = "***";

/// The engines' words about a value that they cannot take.
bool quotes_values(const std::string& message) {
    static constexpr std::array<std::string_view, 6> words{
        "Conversion Error",
        "Invalid Input Error",
        "Out of Range Error",
        "invalid input syntax",
        "out of range",
        "duplicate key value"
    };
    return std::ranges::any_of(words, [&](std::string_view word) {
        return message.find(word) != std::string::npos;
    });
}

}  // namespace

nlohmann::json sample_value(const engine::Value& cell, bool open) {
    if (engine::is_null(cell)) return nullptr;
    if (!open) return hidden;
    std::string text = engine::to_text(cell);
    if (text.size() <= sample_bytes) return text;
    std::size_t end = sample_bytes;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
    return text.substr(0, end) + "…";
}

bool may_show(const binding::Columns& columns, const std::string& name) {
    const ColumnSpec* found = binding::find(columns, name);
    return found != nullptr && found->pii_class.empty();
}

std::string without_values(const std::string& message, const binding::Columns& columns) {
    if (!quotes_values(message)) return message;
    // What follows the first line is the statement, or a detail with the row's values.
    const std::string line = message.substr(0, message.find('\n'));
    std::string out;
    for (std::size_t i = 0; i < line.size();) {
        const char c = line[i];
        // "can't" quotes nothing.
        const bool inside = i > 0 && std::isalnum(static_cast<unsigned char>(line[i - 1])) != 0;
        if ((c != '\'' && c != '"') || inside) {
            out += c;
            ++i;
            continue;
        }
        // A value may have quotes itself: the last one of the line ends it.
        std::size_t end = line.find(c, i + 1);
        const std::string name = end == std::string::npos ? "" : line.substr(i + 1, end - i - 1);
        if (binding::find(columns, name) != nullptr) {
            out += line.substr(i, end - i + 1);
        } else {
            end = line.rfind(c);
            out += c;
            out += hidden;
            out += c;
            if (end == i) break;
        }
        i = end + 1;
    }
    const std::string words = "with value ";
    if (const auto at = out.find(words); at != std::string::npos) {
        const auto begin = at + words.size();
        const auto end = std::min(out.find(' ', begin), out.size());
        out.replace(begin, end - begin, hidden);
    }
    return out;
}

void hiding_values(const binding::Columns& columns, const std::function<void()>& body) {
    try {
        body();
    } catch (const engine::Failure& failure) {
        throw engine::Failure(failure.error_class(), without_values(failure.what(), columns));
    } catch (const Error& error) {
        throw Error(error.code(), without_values(error.what(), columns));
    }
}

}  // namespace sluice::validate
