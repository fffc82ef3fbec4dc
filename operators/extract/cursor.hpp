// cursor.hpp — `incremental` by cursor, in the engine: which of the rows that the source gave are
// this run's, and how far they go.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "operators/engine/database.hpp"
#include "operators/extract/progress.hpp"

namespace sluice::extract {

struct Cursor {
    std::string column;
    std::vector<std::string> key;    // tells rows of one value apart; may be empty
    std::optional<Duration> back{};  // read again what is this much older
    std::string initial;             // first value; "" = from the very beginning
    CursorWindow window;
};

/// SQL over `query`: the rows of the window, with the columns _sluice_cursor and _sluice_key.
/// `value` is the cursor as an expression of `type`.
std::string cursor_rows(
    const Cursor& cursor,
    const std::string& query,
    const std::string& value,
    const std::string& type
);
/// As if there were none.
inline constexpr const char* no_cursor_rows =
    "select null::varchar as _sluice_cursor, null::varchar as _sluice_key where false";
/// What was read, of the rows of `cursor_rows`.
CursorRange range_read(engine::Database& database, const Cursor& cursor, const std::string& rows);

/// A condition for a database's own SQL that leaves out most of what is not wanted, never what is:
/// values are written by `literal_of`, and " - interval ..." by `minus`.
std::string cursor_condition(
    const Cursor& cursor,
    const std::string& value,
    const std::function<std::string(const std::string&)>& literal_of,
    const std::function<std::string(Duration)>& minus
);
/// " - interval '5 microseconds'", as PostgreSQL and the engine have it.
std::string minus_interval(Duration back);

}  // namespace sluice::extract
