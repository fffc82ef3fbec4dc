// mysql_verify.hpp — the content hash of rows as MySQL holds them.
#pragma once

#include <string>
#include <vector>

#include "operators/connect/mysql.hpp"
#include "operators/engine/database.hpp"
#include "operators/lake/generation_file.hpp"

namespace sluice::extract {

/// The rows of `from`, SQL that calls the table with the columns `t`, hashed by the server.
lake::Content mysql_content(
    connect::Mysql& mysql, const std::vector<engine::ColumnInfo>& columns, const std::string& from
);

/// " in a, b": the columns whose values are not the same in the rows of both; "" = none.
std::string mysql_changed(
    connect::Mysql& mysql,
    const std::vector<engine::ColumnInfo>& columns,
    const std::string& from,
    const std::string& other
);

}  // namespace sluice::extract
