// chunks.hpp — a table read in ranges of a column, several at once, each into a file of its own
// that the next attempt finds again. What a database source needs for it: the values that begin the
// ranges, and connections that read one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "operators/engine/database.hpp"
#include "operators/extract/source.hpp"

namespace sluice::extract {

/// `from.chunk`.
struct ChunkOptions {
    std::string column;  // "" = the source knows one, or fails
    std::int64_t rows{500'000};
    int parallel{2};
};
/// None if the table is read at once. Without a column the data set's key has it.
std::optional<ChunkOptions> chunk_options(const Request& request);

struct ChunkRange {
    std::optional<std::string> from;  // column >= from; none: what has no value too
    std::optional<std::string> to;    // column < to
};

/// The range as a condition; `literal` writes a value of the column.
std::string condition_of(
    const ChunkRange& range,
    const std::string& column,
    const std::function<std::string(const std::string&)>& literal
);

/// A connection of one thread.
class RangeReader {
public:
    RangeReader() = default;
    RangeReader(const RangeReader&) = delete;
    RangeReader& operator=(const RangeReader&) = delete;
    virtual ~RangeReader() = default;
    /// Returns the rows.
    virtual std::int64_t read(const ChunkRange& range, engine::RowAppender& into) = 0;
    /// From another thread: ends the read, which throws.
    virtual void stop() noexcept = 0;
};

struct ChunkedRead {
    std::string key;  // what is read from where; ranges of another key are not taken over
    std::vector<engine::ColumnInfo> columns;
    int parallel{2};
    /// The values that begin the second, the third, ... range, in order.
    std::function<std::vector<std::string>()> bounds;
    std::function<std::unique_ptr<RangeReader>()> open;
};

/// Columns of the query: those of `columns`.
Extracted read_chunks(
    task::TaskContext& context, engine::Database& database, const ChunkedRead& read
);

/// "name" TYPE, ...: for a table of such rows.
std::string column_definitions(const std::vector<engine::ColumnInfo>& columns);

}  // namespace sluice::extract
