// mysql_cells.hpp — cells of MySQL's text protocol into the engine: every type that the engine has
// too keeps its type and its digits, every other one is text. Pure but for the rows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "operators/connect/mysql.hpp"
#include "operators/engine/database.hpp"

namespace sluice::extract {

/// What the connection's `extra` says of types.
struct MysqlTypes {
    bool zero_dates_null{false};  // "zero_dates": "null"; else they fail
    bool tiny1_as_boolean{true};  // "tinyint1_as_boolean"
};
MysqlTypes mysql_types(const std::string& extra);

struct MysqlColumn {
    connect::MysqlField field;
    std::string engine_type;  // DuckDB's
    std::string selected;     // what the server is asked for
    bool ordered{false};      // may cut a table into ranges
};
MysqlColumn mysql_column(const connect::MysqlField& field, const MysqlTypes& types);

class MysqlRows {
public:
    MysqlRows(
        const std::vector<MysqlColumn>& columns, const MysqlTypes& types, engine::RowAppender& into
    )
        : columns_(columns), types_(types), into_(into) {}
    /// Throws Failure(data_quality) naming row and column for a value that the engine has not.
    void row(const std::vector<connect::MysqlCell>& cells);
    [[nodiscard]] std::int64_t rows() const { return rows_; }

private:
    void put(const MysqlColumn& column, std::string_view cell);
    void put_day(const MysqlColumn& column, std::string_view cell);

    const std::vector<MysqlColumn>& columns_;
    const MysqlTypes& types_;
    engine::RowAppender& into_;
    std::int64_t rows_{0};
};

}  // namespace sluice::extract
