#include "operators/extract/target_check.hpp"

#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"

namespace sluice::extract {

lake::Content content_of_query(
    engine::Database& database,
    const std::string& query,
    const std::vector<engine::ColumnInfo>& columns
) {
    return lake::content_of(
        database,
        "(select " + engine::row_hash(columns) + " as _sluice_row_hash from (" + query + "))"
    );
}

void check_content(
    const std::string& what,
    const lake::Content& sent,
    const lake::Content& held,
    const std::string& where
) {
    if (sent.rows == held.rows && sent.hash == held.hash) return;
    engine::bad_data(
        "verify: " + what + " are not what was sent: " + std::to_string(sent.rows) +
        " rows, hash " + sent.hash + ", against " + std::to_string(held.rows) + " rows, hash " +
        held.hash + where + " [E-LOAD-VERIFY]"
    );
}

}  // namespace sluice::extract
