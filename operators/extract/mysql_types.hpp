// mysql_types.hpp — columns and cells of the engine as MySQL takes them. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "operators/engine/chunk.hpp"
#include "operators/engine/database.hpp"

namespace sluice::extract {

struct MysqlTargetColumn {
    std::string name;
    std::string type;  // as information_schema writes it: "decimal(10,2)"
    bool is_key{false};
    bool text{false};    // has a collation
    bool binary{false};  // bytes
    bool number{false};
    bool time{false};
    bool list{false};
    bool zoned{false};  // is written as UTC
    /// For CREATE TABLE and ALTER TABLE.
    [[nodiscard]] std::string definition(const std::string& collation) const;
};

/// `key_columns`: how many columns the key has that this is one of; 0 = of none. Throws
/// Failure(schema) for a type that MySQL has nothing for.
MysqlTargetColumn mysql_column_of(const engine::ColumnInfo& column, std::size_t key_columns);

/// The query with every column as put_mysql_cell() wants it: bytes, or text.
std::string mysql_select(const std::string& query, const std::vector<MysqlTargetColumn>& columns);

/// A literal of MySQL. Throws Failure(data_quality) naming row and column for a value that MySQL
/// has not: infinite numbers and times, years before 1000 and after 9999.
void put_mysql_cell(
    std::string& out,
    const MysqlTargetColumn& column,
    const engine::Cells& cells,
    std::size_t row,
    std::int64_t number
);

}  // namespace sluice::extract
