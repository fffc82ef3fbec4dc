// difference.hpp — two relations of one server compared: rows as multisets, keys to tell a change
// from an addition and a removal. The SQL is what PostgreSQL and DuckDB both speak.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "operators/plan/plan.hpp"

namespace sluice::plan {

using Line = std::vector<std::optional<std::string>>;

struct Compared {
    std::string before;  // SQL after FROM; "" = there is nothing
    std::string after;
    std::vector<std::string> columns;     // of both sides
    std::vector<std::string> comparable;  // the same as SQL that can be compared
    std::vector<std::string> key;         // among them
    std::function<std::vector<Line>(const std::string& sql)> ask;
    std::function<void(const std::string& sql)> execute;
};

Difference difference_of(const Compared& compared, const DatasetSpec& dataset);

/// Those of `columns` (texts) in which `relation` has tokens: a dry run makes up its own, so that
/// they say nothing of a change.
std::vector<std::string> token_columns(
    const std::function<std::vector<Line>(const std::string& sql)>& ask,
    const std::string& relation,
    const std::vector<std::string>& columns
);

}  // namespace sluice::plan
