// sql_text.hpp — a script of SQL statements with bound values, taken apart into statements.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace sluice::ops {

/// A value for `$n`; none = NULL. `type` is its oid, 0 = the server infers it.
struct SqlValue {
    std::optional<std::string> text;
    unsigned type{0};
};

struct SqlStatement {
    std::string text;
    std::vector<SqlValue> values;  // of $1, $2, ... in this statement
};

/// Statements are cut at `;` outside of strings, names, comments and dollar quotes; empty ones are
/// dropped. Of a script with values each statement gets those it uses, numbered anew.
std::vector<SqlStatement> split_sql(std::string_view script, const std::vector<SqlValue>& values);

/// A rendered value (scalar, list or {"timestamptz": ...}) as PostgreSQL reads it.
SqlValue sql_value(const nlohmann::json& value);

}  // namespace sluice::ops
