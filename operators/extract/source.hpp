// source.hpp — what an extract reads: a query over tables of the engine, and the lines it could
// not read.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/instant.hpp"
#include "model/dag.hpp"
#include "operators/engine/database.hpp"
#include "task/context.hpp"

namespace sluice::extract {

/// `incremental`: rows with start <= column < end.
struct Increment {
    std::string column;
    Interval interval;
};

struct Request {
    nlohmann::json from;
    DatasetSpec dataset;  // of `to`; without columns if undeclared
    std::optional<Increment> increment;
    std::string timezone;
};

struct Extracted {
    /// SQL with the source's columns as the source has them, and `_sluice_source`.
    std::string query;
    /// Rows read, also those that the increment leaves out; rejected lines are not in it.
    std::int64_t rows_in{0};
    std::int64_t files{0};
    bool increment_done{false};  // the source applied it
    bool text{false};            // cells are text: the increment must read times from text
    bool has_rejects{false};     // the table sluice_rejects exists
};

/// A table or query of a database.
Extracted from_table(
    task::TaskContext& context, engine::Database& database, const Request& request
);
/// Files of a folder: csv, json, jsonl, parquet.
Extracted from_files(
    task::TaskContext& context, engine::Database& database, const Request& request
);

/// CREATE TABLE of the lines that could not be read.
inline constexpr const char* rejects_table =
    "create table sluice_rejects (line_no bigint, line varchar, reason varchar, "
    "_sluice_source varchar)";

}  // namespace sluice::extract
