// sql.hpp — pieces of SQL by dialect: quoting, type names, hashes, provenance columns. Pure.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "operators/engine/database.hpp"

namespace sluice::engine {

enum class Dialect { duckdb, postgres };

/// "order" -> "\"order\""; the same in both dialects.
std::string quote(std::string_view identifier);
/// {"a", "b"} -> "a", "b" (quoted), with a prefix "l." before each if given.
std::string quoted_list(const std::vector<std::string>& names, std::string_view prefix = "");
/// A text literal: 'it''s'. Backslashes and control characters are safe in both dialects. Throws
/// Error(invalid) on a zero byte.
std::string literal(std::string_view text);
/// ['a', 'b']: DuckDB's list of texts.
std::string literal_list(const std::vector<std::string>& texts);
/// A rendered `x-template: sql` value ({text, values}, or a plain string) with its values written
/// as literals in place of $1, $2, ...: for statements that take no parameters.
std::string with_literals(const nlohmann::json& sql);
/// The same, each value as `literal_of` writes it; parentheses are put around it.
std::string with_literals(
    const nlohmann::json& sql, const std::function<std::string(const nlohmann::json&)>& literal_of
);
/// "sales.dim_date" with each part quoted.
std::string quoted_name(std::string_view dotted);

/// The DAG language's type ("decimal(10,2)", "timestamptz", "t[]") as the dialect's type name.
/// Throws Error(invalid) on a type that the language does not have.
std::string type_name(Dialect dialect, std::string_view language_type);
bool is_language_type(std::string_view type);
/// DuckDB's type name as the DAG language's: "BIGINT" -> "bigint"; none for nested types.
std::optional<std::string> language_type(std::string_view duckdb_type);
/// The warehouse's type for a DuckDB column: "HUGEINT" -> "numeric(38,0)", JSON -> "jsonb".
std::string postgres_type(std::string_view duckdb_type);
/// PostgreSQL's format_type() text as DuckDB's type name; VARCHAR for what it does not have.
std::string duckdb_type_of_postgres(std::string_view format_type);

/// DuckDB expression: the canonical text of a column by its DuckDB type (operators.md 4): decimals
/// without trailing zeros, times as UTC microseconds, shortest floats, booleans t/f.
std::string canonical_text(std::string_view expression, std::string_view duckdb_type);
/// DuckDB expression: sha256 (64 hex digits) over the length-prefixed canonical text of the
/// columns.
std::string row_hash(const std::vector<ColumnInfo>& columns);

/// The content hash of rows (sum of the row hashes mod 2^128, 32 hex digits) from the sums of the
/// four pieces of their `_sluice_row_hash`.
std::string content_hash(const std::array<std::string, 4>& sums);

/// _sluice_run_id _sluice_task _sluice_interval _sluice_source _sluice_row_hash _sluice_loaded_at
inline constexpr std::array<std::string_view, 6> provenance_columns{
    "_sluice_run_id",
    "_sluice_task",
    "_sluice_interval",
    "_sluice_source",
    "_sluice_row_hash",
    "_sluice_loaded_at"
};
bool is_provenance(std::string_view column);
/// The columns without `_sluice_*`.
std::vector<ColumnInfo> user_columns(const std::vector<ColumnInfo>& columns);

}  // namespace sluice::engine
