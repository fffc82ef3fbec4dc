// content_hash.hpp — a table's content hash: the sum of its row hashes, as the engine adds it up.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "operators/engine/database.hpp"
#include "operators/engine/value.hpp"

namespace sluice::engine {

/// DuckDB aggregate list: the four sums that content_hash() takes, of a table that has
/// `_sluice_row_hash`. Needs the functions that every Database has.
inline constexpr std::string_view content_hash_pieces =
    "coalesce(sum(sluice_hash_piece(_sluice_row_hash, 0)), 0)::hugeint::varchar as h0, "
    "coalesce(sum(sluice_hash_piece(_sluice_row_hash, 1)), 0)::hugeint::varchar as h1, "
    "coalesce(sum(sluice_hash_piece(_sluice_row_hash, 2)), 0)::hugeint::varchar as h2, "
    "coalesce(sum(sluice_hash_piece(_sluice_row_hash, 3)), 0)::hugeint::varchar as h3";

/// The arguments of the functions that hash rows: columns as they are where RowText writes them.
std::string hashed_columns(const std::vector<ColumnInfo>& columns);
/// The content hash of a sum: 32 hex digits.
std::string hash_digits(Uint128 sum);

/// Adds the hashes of rows up while they are made, so that what was written need not be read again.
/// Whoever uses it compares rows() with what was written: the engine promises nowhere to call a
/// function once for each row.
class ContentSum {
public:
    ContentSum();
    ContentSum(const ContentSum&) = delete;
    ContentSum& operator=(const ContentSum&) = delete;
    ~ContentSum();

    /// DuckDB expression: row_hash() of the columns, counted here.
    [[nodiscard]] std::string row_hash(const std::vector<ColumnInfo>& columns) const;
    [[nodiscard]] std::int64_t rows() const;
    /// As content_hash() writes it.
    [[nodiscard]] std::string hash() const;

    /// Of the functions, from any thread.
    static void add(std::int64_t number, std::int64_t rows, Uint128 sum);

private:
    std::int64_t number_;
    mutable std::mutex mutex_;  // guards rows_ and sum_
    std::int64_t rows_{0};
    Uint128 sum_{0};
};

}  // namespace sluice::engine
