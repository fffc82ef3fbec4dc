// constant.hpp — a text that is the same in every row.
#pragma once

#include <string>
#include <string_view>

#include "operators/engine/sql.hpp"

namespace sluice::engine {

/// DuckDB expression: as a type of that one value it is a number to the writer of a file, which
/// would else copy and hash the text for each row; in the file it is a text like any other.
inline std::string constant_text(std::string_view text) {
    const std::string value = literal(text);
    return value + "::enum(" + value + ")";
}

}  // namespace sluice::engine
