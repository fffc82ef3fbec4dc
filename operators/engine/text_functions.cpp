// text_functions.cpp — what the reading of a text begins with, each in one pass. Of the engine's
// own functions trim() asks of each character what Unicode says of it, and the cast of one column
// called it and regular expressions several times a row.
#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include "operators/engine/database.hpp"
#include "operators/engine/result.hpp"

namespace sluice::engine {

namespace {

/// Unicode's category Zs, in UTF-8.
constexpr std::array<std::string_view, 17> space_separators{
    " ",
    "\u00A0",
    "\u1680",
    "\u2000",
    "\u2001",
    "\u2002",
    "\u2003",
    "\u2004",
    "\u2005",
    "\u2006",
    "\u2007",
    "\u2008",
    "\u2009",
    "\u200A",
    "\u202F",
    "\u205F",
    "\u3000"
};

/// True for what begins or ends no space separator.
bool is_other_ascii(char c) { return (static_cast<unsigned char>(c) & 0x80U) == 0 && c != ' '; }

/// Without space separators around it: what the engine's trim() leaves.
std::string_view without_spaces_around(std::string_view text) {
    const auto leads = [&](std::string_view space) { return text.starts_with(space); };
    const auto ends = [&](std::string_view space) { return text.ends_with(space); };
    while (!text.empty()) {
        if (is_other_ascii(text.front())) break;
        const auto* const found = std::ranges::find_if(space_separators, leads);
        if (found == space_separators.end()) break;
        text.remove_prefix(found->size());
    }
    while (!text.empty()) {
        if (is_other_ascii(text.back())) break;
        const auto* const found = std::ranges::find_if(space_separators, ends);
        if (found == space_separators.end()) break;
        text.remove_suffix(found->size());
    }
    return text;
}

bool stands_for_nothing(std::string_view text) {
    static constexpr std::array<std::string_view, 7> words{
        "", "NULL", "null", "N/A", "NA", "-", "\\N"
    };
    return text.size() <= 4 && std::ranges::find(words, text) != words.end();
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

void clean(const Arguments& in, Results& out) {
    for (std::size_t row = 0; row < in.rows(); ++row) {
        if (in.is_null(0, row)) {
            out.null(row);
            continue;
        }
        const std::string_view text = without_spaces_around(in.text(0, row));
        if (stands_for_nothing(text))
            out.null(row);
        else
            out.text(row, text);
    }
}

void read_integer(const Arguments& in, Results& out) {
    for (std::size_t row = 0; row < in.rows(); ++row) {
        std::string_view text = in.is_null(0, row) ? "" : in.text(0, row);
        // from_chars takes no plus, and a minus after one would be another number.
        if (text.size() > 1 && text.front() == '+' && is_digit(text[1])) text.remove_prefix(1);
        std::int64_t number = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (error == std::errc() && end == text.data() + text.size())
            out.integer(row, number);
        else
            out.null(row);
    }
}

void trim_blanks(const Arguments& in, Results& out) {
    constexpr std::string_view blanks = " \t\r\n";
    for (std::size_t row = 0; row < in.rows(); ++row) {
        if (in.is_null(0, row)) {
            out.null(row);
            continue;
        }
        std::string_view text = in.text(0, row);
        text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
        text = text.substr(0, text.find_last_not_of(blanks) + 1);
        out.text(row, text);
    }
}

}  // namespace

void register_text_functions(const Library& lib, duckdb_connection connection) {
    const auto add = [&](const char* name, FunctionType result, auto* body) {
        register_function(lib, connection, {name, {FunctionType::text}, result, body});
    };
    add("sluice_clean", FunctionType::text, clean);
    add("sluice_integer", FunctionType::integer, read_integer);
    add("sluice_trim", FunctionType::text, trim_blanks);
}

}  // namespace sluice::engine
