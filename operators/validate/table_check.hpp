// table_check.hpp — rules about a whole table, and row rules where rows are only counted: gates.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/instant.hpp"
#include "operators/validate/rules.hpp"
#include "operators/validate/side.hpp"

namespace sluice::validate {

struct TableFacts {
    std::string dataset;
    std::vector<std::string> key;       // for scd2
    std::vector<std::string> contract;  // declared columns, for schema
    std::optional<Instant> interval_end;
    std::vector<std::string> allowed;  // classes that may stay readable here
    int this_year{9999};
};

/// What breaks the rule, as a sentence; none if it holds. `total` is the number of rows.
std::optional<std::string> check_table(
    const Rule& rule, const TableFacts& facts, Side& side, Sides& sides, std::int64_t total
);

/// Two answers of aggregates, equal within a tolerance: exact where it is 0.
bool same_value(
    const std::optional<std::string>& a, const std::optional<std::string>& b, double tolerance
);

}  // namespace sluice::validate
