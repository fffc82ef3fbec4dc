// source.hpp — the one interface of all data sources: what an extract asks of one, and what it
// gets, a query over tables of the engine and the lines that could not be read.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/instant.hpp"
#include "model/dag.hpp"
#include "operators/engine/database.hpp"
#include "operators/extract/cursor.hpp"
#include "task/context.hpp"
#include "task/operator.hpp"

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
    std::optional<Cursor> cursor;  // a source may leave out what is not in its window
    /// `incremental` by files: what other slices have read; a file that is as it was is skipped.
    std::optional<FilesRead> known_files;
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
    nlohmann::json files_read = nlohmann::json::object();  // path -> fingerprint, by files
    std::function<void()> written;  // called when the rows are safe in the lake; may be empty
};

/// A kind of system that `extract` reads from. One file makes one; `sources()` lists them
/// (docs/add-a-source.md).
struct DataSource {
    std::string name;                     // "postgres"; for messages
    std::vector<std::string> conn_types;  // types of connections that it reads
    std::vector<std::string> reads;       // keys of `from`, exactly one of which says what is read
    std::vector<std::string> keys;        // other keys of `from` that it takes, conn_id apart
    bool has_rejects{false};              // records may be unreadable: there is a data set of them
    /// What is wrong with `from` beyond its schema; may be empty. Pure.
    std::function<void(const nlohmann::json& from, task::CheckResult& result)> check;
    /// Reads into tables of the engine. Throws Failure with its class, in a message that names the
    /// connection and what is read.
    std::function<Extracted(task::TaskContext&, engine::Database&, const Request&)> read;
};

DataSource table_source();
DataSource mysql_source();
DataSource file_source();
DataSource http_source();

/// All, in the order of the documentation.
const std::vector<DataSource>& sources();
/// The one that reads this connection. Throws Error(invalid) if none does, or if `from` does not
/// say what is read in the way of that one.
const DataSource& source_of(const task::Connection& connection, const nlohmann::json& from);

/// CREATE TABLE of the lines that could not be read.
inline constexpr const char* rejects_table =
    "create table sluice_rejects (line_no bigint, line varchar, reason varchar, "
    "_sluice_source varchar)";

}  // namespace sluice::extract
