// pg_copy.hpp — rows of PostgreSQL's binary COPY into the engine: every type that the engine has
// too keeps its type and its bits, every other one is the server's text. Pure but for the rows.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
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

/// Reads what COPY ... (FORMAT binary) sends. Throws Failure(data_quality) naming row and column
/// for a value that the engine does not have.
class PgCopyReader {
public:
    PgCopyReader(const std::vector<PgColumn>& columns, engine::RowAppender& into)
        : columns_(columns), into_(into) {}
    void take(std::string_view bytes);
    /// Throws Failure(transient) if the end was not there.
    void finish() const;
    [[nodiscard]] std::int64_t rows() const { return rows_; }

private:
    /// The first byte behind what could be read whole.
    std::size_t read(std::string_view bytes);
    void row(std::string_view fields, std::size_t at);

    const std::vector<PgColumn>& columns_;
    engine::RowAppender& into_;
    std::string rest_;  // the beginning of a row
    bool header_{false};
    bool ended_{false};
    std::int64_t rows_{0};
};

}  // namespace sluice::extract
