// table_check.hpp — rules about a whole table.
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
    binding::Columns columns;           // with their classes
    std::optional<Instant> interval_end;
    std::vector<std::string> allowed;  // classes that may stay readable here
    int this_year{9999};
};

/// What breaks the rule, as a sentence; none if it holds. `total` is the number of rows.
/// Rules of rows and freshness are not asked here: the scan counts them.
std::optional<std::string> check_table(
    const Rule& rule, const TableFacts& facts, Side& side, Sides& sides, std::int64_t total
);

}  // namespace sluice::validate
