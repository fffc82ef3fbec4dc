// inputs.hpp — data sets as relations of the engine: empty tables at load, slices of the lake in a
// run. What reads them (steps, checks, masks, reports) is the same for both.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/error.hpp"
#include "operators/binding/columns.hpp"
#include "operators/engine/database.hpp"

namespace sluice::binding {

/// A select that gives the columns and, hidden behind them, `_sluice_row_hash`.
struct Relation {
    std::string sql;
    Columns columns;
    /// The contract of a data set that was opened: its declared types and formats.
    Columns declared{};
};

class Inputs {
public:
    Inputs() = default;
    Inputs(const Inputs&) = delete;
    Inputs& operator=(const Inputs&) = delete;
    virtual ~Inputs() = default;
    /// A parameter that is a data set's name or {dataset, partitions, lookback}. Throws
    /// Error(not_found) if nobody writes or declares it.
    virtual Relation open(const nlohmann::json& dataset) = 0;
    /// Makes the data sets that a statement names readable under their names. Throws Error.
    virtual void open_names(const std::vector<std::string>& names) = 0;
    /// The same under a name of the caller's choice.
    virtual void open_as(const std::string& alias, const nlohmann::json& dataset) = 0;
    /// Columns of a data set opened by name or alias.
    [[nodiscard]] virtual Columns columns_of(const std::string& name) = 0;
    virtual engine::Database& database() = 0;
    /// Rows of all slices opened so far; -1 at load, where there are no rows to ask about.
    [[nodiscard]] virtual std::int64_t rows() const { return -1; }
};

}  // namespace sluice::binding
