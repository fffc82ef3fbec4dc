// slice.hpp — data sets of the lake: a slice is written as Parquet files of a new generation, and
// read as a relation of the engine. Paths come from the catalogue (the context), never from here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/attempt.hpp"
#include "operators/engine/database.hpp"
#include "task/context.hpp"

namespace sluice::lake {

/// "2026-01-05T00:00:00+00:00/2026-01-06T00:00:00+00:00", or "run:<run_id>" without an interval; a
/// mapped task's index follows after '#'.
std::string writer_slice(const task::TaskInfo& info);

/// Partition and slice that this attempt writes of a data set.
std::pair<std::string, std::string> own_slice(
    task::TaskContext& context, const std::string& dataset
);

/// "dag_id.task_id".
std::string writer_name(const task::TaskInfo& info);

struct Source {
    std::string relation;                     // SQL: stands after FROM
    std::vector<engine::ColumnInfo> columns;  // with `_sluice_*`
    std::vector<task::InputSlice> slices;
    std::int64_t rows{};
};

/// The slices of a data set that the query selects, as one relation (columns united by name). With
/// no slice: an empty relation of the data set's declared or derived columns.
Source read(task::TaskContext& context, engine::Database& database, const task::InputQuery& query);

/// The query of a parameter that is a data set's name or {dataset, partitions, lookback}.
task::InputQuery query_of(const nlohmann::json& dataset);

/// What was read, for the ledger: a JSON list of slices, led by {"read": ...} where `read`, JSON
/// itself, says what was read outside the lake.
std::string inputs_json(const std::vector<task::InputSlice>& slices, const std::string& read = "");

struct Written {
    std::int64_t rows{};
    std::int64_t bytes{};
    std::int64_t files{};
    std::string content_hash;
};

struct WriteRequest {
    std::string dataset;
    /// SQL of the rows: every column that is not `_sluice_*` is kept, in this order; of provenance
    /// columns `_sluice_source` and `_sluice_row_hash` are taken over if they are there.
    std::string query;
    std::vector<task::InputSlice> inputs;  // what was read, for the ledger
    std::string code;                      // what made the rows: operator, parameters, SQL
    std::string read{};  // JSON: what of an outside source the rows are; for the ledger
    /// Columns of the row hash; empty = all.
    std::vector<std::string> hash_columns;
    bool tells_progress{true};  // false: whoever makes the rows does
};

/// Writes this task's slice of the data set (Parquet, zstd) in a new generation and hands it over;
/// it becomes live when the task succeeds. Also writes when there are no rows: then the slice is
/// known to be empty.
Written write(task::TaskContext& context, engine::Database& database, const WriteRequest& request);

/// Names and DuckDB types of a data set's declared or derived columns; empty if it has none.
std::vector<engine::ColumnInfo> declared_columns(const DatasetSpec& dataset);

}  // namespace sluice::lake
