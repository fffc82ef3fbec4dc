// value.hpp — a cell or a bound parameter.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

namespace sluice::engine {

__extension__ typedef __int128 Int128;
__extension__ typedef unsigned __int128 Uint128;

/// NULL, boolean, integer, double, or text. Dates, decimals, 128-bit integers, uuids come as text:
/// "2026-01-05", "12.50"; times with zone as "2026-01-05T07:00:00.000000Z", blobs as hex.
using Value = std::variant<std::monostate, bool, std::int64_t, double, std::string>;

inline bool is_null(const Value& value) { return std::holds_alternative<std::monostate>(value); }
/// "" for NULL; "true"/"false"; the shortest text of a number.
std::string to_text(const Value& value);

}  // namespace sluice::engine
