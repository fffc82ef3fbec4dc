// compare.hpp — two data sets against each other, wherever they are: aggregates, by group or not,
// and sets of keys. A message has values only of columns that may be shown.
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "operators/validate/side.hpp"
#include "operators/validate/table_check.hpp"

namespace sluice::validate {

/// Two answers of aggregates, equal within a tolerance: exact where it is 0.
bool same_value(
    const std::optional<std::string>& a,
    const std::optional<std::string>& b,
    const Tolerance& tolerance = {}
);

/// What differs, as a sentence; none if nothing does. `keys` is the whole check.
std::optional<std::string> compare(
    const nlohmann::json& keys, const TableFacts& facts, Side& side, Sides& sides
);

}  // namespace sluice::validate
