// verify.hpp — `verify: hash`: the rows that the warehouse holds after a load say what was sent.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "operators/load/target.hpp"
#include "task/operator.hpp"

namespace sluice::load {

/// Why values of a type of the language have no hash that is the same in engine and warehouse;
/// none = they have one.
std::optional<std::string> unhashable(const std::string& language_type);

/// A problem for each column that has no such hash.
void check_hashable(task::CheckResult& result, const DatasetSpec& source);
/// Throws Failure(schema) for the first that has none.
void check_hashable(const std::vector<engine::ColumnInfo>& columns);

/// At the end of the transaction: the sum of row hashes over the rows of the slice, computed by
/// PostgreSQL of the columns as it holds them, is that of the rows that the engine sent. Of a table
/// that is derived from observations, both the observations and what is derived are compared.
/// Throws Failure(data_quality) if they differ, Failure(schema) if a column has no such hash.
void verify_hash(
    Warehouse& warehouse, const Plan& plan, const Stage& stage, const LedgerEntry& entry
);

}  // namespace sluice::load
