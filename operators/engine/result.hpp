// result.hpp — inside the engine: results, appenders and functions over the C API.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "model/run.hpp"
#include "operators/engine/chunk.hpp"
#include "operators/engine/database.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/library.hpp"

namespace sluice::engine {

/// Its class by the words that DuckDB begins its messages with ("Out of Memory Error: ...");
/// without its advice on settings that no DAG has.
Failure failure_of(std::string_view message);

class Result {
public:
    explicit Result(const Library& lib) : lib_(&lib) {}
    Result(Result&& other) noexcept;
    Result(const Result&) = delete;
    Result& operator=(const Result&) = delete;
    Result& operator=(Result&&) = delete;
    ~Result();

    duckdb_result* get() { return &result_; }
    /// Throws the result's error as Failure.
    [[noreturn]] void fail();
    std::vector<ColumnInfo> columns();
    /// Fetches every chunk. Throws Failure if the query fails on its way.
    void each(const std::function<void(const Chunk&)>& visit);

private:
    const Library* lib_;
    duckdb_result result_{};
    bool owned_{true};
};

ColumnType column_type(const Library& lib, duckdb_logical_type type);
/// DuckDB's name of a type that it gave.
std::string type_text(const ColumnType& type);

Appender make_appender(const Library& lib, duckdb_connection connection, const std::string& table);
RowAppender make_row_appender(
    const Library& lib, duckdb_connection connection, const std::string& table
);
/// Calls `fill` with an appender to the chunk, which must have rows of such types.
void fill_chunk(
    const Library& lib,
    duckdb_data_chunk chunk,
    const std::vector<ColumnType>& types,
    const std::function<void(RowAppender&)>& fill
);
/// sluice_row_hash and sluice_hash_piece: what row_hash() and content_hash_pieces call.
void register_hash_functions(const Library& lib, duckdb_connection connection);
/// sluice_clean: the text without space separators around it, null where it stands for nothing;
/// sluice_integer: the number that digits with or without a sign are, null for any other text and
/// beyond 64 bits; sluice_trim: the text without blanks, tabs and ends of line around it.
void register_text_functions(const Library& lib, duckdb_connection connection);
void register_function(
    const Library& lib, duckdb_connection connection, const ScalarFunction& function
);
/// `typed` has columns of the source's types.
void register_source(
    const Library& lib, duckdb_connection connection, const RowSource& source, duckdb_result& typed
);

}  // namespace sluice::engine
