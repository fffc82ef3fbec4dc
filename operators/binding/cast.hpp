// cast.hpp — strict casts of raw text to declared types, as DuckDB expressions: null is what cannot
// be cast, and nothing is guessed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice::binding {

struct CastTarget {
    std::string type;                // of the language: "timestamptz", "decimal(10,2)"
    std::vector<std::string> parse;  // formats, tried in order; empty = default of the type
};

/// `expression` has the DuckDB type `from`. Text is stripped of null tokens and blanks around it
/// where the target is no text.
std::string cast_sql(
    const std::string& expression, std::string_view from, const CastTarget& target
);
/// True (SQL) where a value is there: text of the null tokens is nothing where the target is no
/// text.
std::string present_sql(
    const std::string& expression, std::string_view from, const CastTarget& target
);
/// True (SQL) where two of the formats read the text and disagree; "" if that cannot be.
std::string ambiguous_sql(
    const std::string& expression, std::string_view from, const CastTarget& target
);

}  // namespace sluice::binding
