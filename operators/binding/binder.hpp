// binder.hpp — binds statements on empty tables in DuckDB: which data sets a statement names, and
// which columns of which types it gives. No data, no files, no network. Not thread-safe.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "model/dag.hpp"
#include "operators/engine/database.hpp"

namespace sluice::binding {

template <class T>
struct Bound {
    std::optional<T> value;
    std::string error;  // the engine's words, if there is no value
};

class Binder {
public:
    explicit Binder(const std::string& zone = "UTC");

    /// An empty table with the columns of the data set, under its name.
    void add(const DatasetSpec& dataset);
    Bound<std::vector<engine::ColumnInfo>> describe(const std::string& query);
    /// Every name with a schema that one select statement reads: "sales.fact_sales", sorted.
    Bound<std::vector<std::string>> names(const std::string& query);

    [[nodiscard]] engine::Database& database() { return database_; }

private:
    engine::Database database_;
    std::set<std::string> schemas_;
    std::set<std::string> tables_;
};

/// The names of a statement, by any database; used at run time too.
Bound<std::vector<std::string>> names_in(engine::Database& database, const std::string& query);

}  // namespace sluice::binding
