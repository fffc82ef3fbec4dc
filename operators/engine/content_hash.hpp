// content_hash.hpp — the pieces of a table's content hash, as the engine adds them up.
#pragma once

#include <string_view>

namespace sluice::engine {

/// DuckDB aggregate list: the four sums that content_hash() takes, of a table that has
/// `_sluice_row_hash`. Needs the functions that every Database has.
inline constexpr std::string_view content_hash_pieces =
    "coalesce(sum(sluice_hash_piece(_sluice_row_hash, 0)), 0)::hugeint::varchar as h0, "
    "coalesce(sum(sluice_hash_piece(_sluice_row_hash, 1)), 0)::hugeint::varchar as h1, "
    "coalesce(sum(sluice_hash_piece(_sluice_row_hash, 2)), 0)::hugeint::varchar as h2, "
    "coalesce(sum(sluice_hash_piece(_sluice_row_hash, 3)), 0)::hugeint::varchar as h3";

}  // namespace sluice::engine
