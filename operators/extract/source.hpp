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
#include "operators/lake/table_slice.hpp"
#include "task/context.hpp"
#include "task/operator.hpp"

namespace sluice::connect {
class FilePlace;
}

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
    /// SQL with the source's columns as the source has them, and `_sluice_source`. "": no rows, and
    /// nothing is known of the columns.
    std::string query;
    /// Rows read, also those that the increment leaves out; rejected lines are not in it.
    std::int64_t rows_in{0};
    std::int64_t files{0};
    bool increment_done{false};  // the source applied it
    bool text{false};            // cells are text: the increment must read times from text
    bool has_rejects{false};     // the table sluice_rejects exists
    bool reads_late{false};      // the source is read when the query runs, which may run only once
    std::function<std::int64_t()> rows_read;  // if set: what rows_in is once the query has run
    nlohmann::json files_read = nlohmann::json::object();  // path -> fingerprint, by files
    /// Throws Failure if what was read is not what was to be read, or why reading failed; called
    /// before the rows are handed over; may be empty.
    std::function<void()> check;
    std::function<void()> written;  // called when the rows are safe in the lake; may be empty
};

/// What `load` has for an outside system: rows of the engine, and where they go.
struct WriteRequest {
    nlohmann::json to;  // rendered
    std::string mode;   // append, replace or merge
    std::vector<std::string> key;
    std::string query;  // SQL of the rows: the columns to write, without `_sluice_*`
    std::vector<engine::ColumnInfo> columns;  // of the query
    std::int64_t rows{};
    /// Whose rows these are: a repeated run replaces what it wrote before, and only that.
    const lake::TableSlice* slice{nullptr};
    Instant at;         // the end of the interval: the later load of a key shows
    bool verify{true};  // what was sent and what is there must agree
    /// Of the rows that the query gives: so must what they say there. "" = that is not asked.
    std::string content_hash;
    /// A generation for the slice, at least this one and larger than any before. Throws
    /// Error(conflict) if a newer attempt has one.
    std::function<std::int64_t(std::int64_t at_least)> claim;
};

struct Stored {
    std::int64_t rows{};
    std::int64_t bytes{-1};  // of files
    std::int64_t generation{};
};

/// A kind of system that `extract` reads from, and `load` writes to. One file makes one;
/// `sources()` lists them (docs/add-a-source.md).
struct DataSource {
    std::string name;                     // "postgres"; for messages
    std::vector<std::string> conn_types;  // types of connections that it reads; of one type no two
                                          // sources have the same `reads`
    std::vector<std::string> reads;       // keys of `from`, exactly one of which says what is read
    std::vector<std::string> keys;        // other keys of `from` that it takes, conn_id apart
    bool has_rejects{false};              // records may be unreadable: there is a data set of them
    /// What is wrong with `from` beyond its schema; may be empty. Pure.
    std::function<void(const nlohmann::json& from, task::CheckResult& result)> check;
    /// Reads into tables of the engine. Throws Failure with its class, in a message that names the
    /// connection and what is read.
    std::function<Extracted(task::TaskContext&, engine::Database&, const Request&)> read;

    // Empty for what is only read:
    std::vector<std::string> writes{};  // keys of `to`, exactly one of which says what is written
    std::vector<std::string> write_keys{};  // other keys of `to` that it takes
    std::vector<std::string> modes{
    };  // of a load: append, replace, merge; the first is the default
    /// Writes the rows, all of them or none: until it is done nobody sees any of them, whenever the
    /// process is killed. Throws Failure like `read`.
    std::function<Stored(task::TaskContext&, engine::Database&, const WriteRequest&)> write{};
};

DataSource table_source();
DataSource mysql_source();
DataSource file_source();
DataSource remote_file_source();  // SFTP, HTTP
DataSource http_source();

/// All, in the order of the documentation.
const std::vector<DataSource>& sources();
/// The one that reads this connection. Throws Error(invalid) if none does, or if `from` does not
/// say what is read in the way of that one.
const DataSource& source_of(const task::Connection& connection, const nlohmann::json& from);
/// The one that writes to this connection in this mode ("" = its default). Throws Error(invalid).
const DataSource& target_of(
    const task::Connection& connection, const nlohmann::json& to, const std::string& mode
);
/// What is wrong with `to` and `mode` for every system that can be written to.
void check_target(
    task::CheckResult& result, const nlohmann::json& to, const std::string& mode, bool mapped
);

/// What the file sources do, for files that lie anywhere.
Extracted read_files(
    task::TaskContext& context,
    engine::Database& database,
    const Request& request,
    const std::shared_ptr<connect::FilePlace>& place
);

Stored write_mysql(task::TaskContext&, engine::Database&, const WriteRequest&);
Stored write_file(task::TaskContext&, engine::Database&, const WriteRequest&);

}  // namespace sluice::extract
