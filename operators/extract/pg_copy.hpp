// pg_copy.hpp — rows of PostgreSQL's binary COPY into the engine: every type that the engine has
// too keeps its type and its bits, every other one is the server's text. Pure but for the rows.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "operators/engine/database.hpp"

namespace sluice::extract {

/// How a value comes over the wire.
enum class PgWire : std::uint8_t {
    boolean,
    int2,
    int4,
    int8,
    float4,
    float8,
    numeric,
    text,
    jsonb,
    bytea,
    date,
    time,
    timestamp,
    interval,
    uuid,
};

struct PgColumn {
    std::string name;
    std::string type;         // as format_type() writes it
    std::string engine_type;  // DuckDB's
    std::string selected;     // what the server is asked for
    PgWire wire{PgWire::text};
    int scale{0};  // of numeric
    bool list{false};
    bool ordered{false};  // may cut a table into ranges
};
PgColumn pg_column(const std::string& name, const std::string& format_type);

/// Finds the rows in what COPY ... (FORMAT binary) sends, however it is cut into pieces.
class PgCopyRows {
public:
    /// `each` gets the fields of a row as the wire has them; `rows()` is its number, from 1.
    PgCopyRows(std::size_t columns, std::function<void(std::string_view fields)> each)
        : columns_(columns), each_(std::move(each)) {}
    void take(std::string_view bytes);
    /// Throws Failure(transient) if the end was not there.
    void finish() const;
    [[nodiscard]] std::int64_t rows() const { return rows_; }

private:
    /// The first byte behind what could be read whole.
    std::size_t read(std::string_view bytes);

    std::size_t columns_;
    std::function<void(std::string_view)> each_;
    std::string rest_;  // the beginning of a row
    bool header_{false};
    bool ended_{false};
    std::int64_t rows_{0};
};

/// One row. Throws Failure(data_quality) naming row and column for a value that the engine does not
/// have.
void put_row(
    engine::RowAppender& into,
    const std::vector<PgColumn>& columns,
    std::string_view fields,
    std::int64_t number
);

}  // namespace sluice::extract
