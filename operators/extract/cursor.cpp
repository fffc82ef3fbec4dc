#include "operators/extract/cursor.hpp"

#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"

namespace sluice::extract {

using engine::literal;
using engine::quote;

namespace {

/// More rows than this with one value: it orders nothing.
constexpr std::size_t most_ties = 100'000;

std::string key_text(const Cursor& cursor) {
    if (cursor.key.empty()) return "null::varchar";
    std::string list;
    for (const std::string& name : cursor.key)
        list += (list.empty() ? "" : ", ") + quote(name) + "::varchar";
    return "to_json([" + list + "])::varchar";
}

bool is_time(const std::string& type) { return type.starts_with("TIMESTAMP") || type == "DATE"; }

std::string back_of(const Cursor& cursor) {
    return cursor.back ? minus_interval(*cursor.back) : "";
}

std::string in_keys(const CursorBound& bound) {
    return "_sluice_key in (select unnest(" + engine::literal_list(bound.keys) + "))";
}

}  // namespace

std::string cursor_rows(
    const Cursor& cursor,
    const std::string& query,
    const std::string& value,
    const std::string& type
) {
    if (cursor.back && !is_time(type))
        throw engine::Failure(
            ErrorClass::permanent,
            "lookback needs a cursor that is a time, \"" + cursor.column + "\" is a " + type
        );
    const auto typed = [&](const std::string& text) { return literal(text) + "::" + type; };
    const auto& [range, bounded, none] = cursor.window;
    std::string where = none ? "false" : "_sluice_cursor is not null";
    if (range.from) {
        const std::string low = typed(range.from->value);
        std::string beyond = "_sluice_cursor > " + low + back_of(cursor);
        if (!cursor.back && !range.from->keys.empty())
            beyond += " or (_sluice_cursor = " + low + " and not " + in_keys(*range.from) + ")";
        where += " and (" + beyond + ")";
    } else if (!cursor.initial.empty()) {
        where += " and _sluice_cursor >= " + typed(cursor.initial);
    }
    if (bounded && range.to) {
        const std::string high = typed(range.to->value);
        std::string within = "_sluice_cursor < " + high;
        // Without a key all rows of one value were read together.
        within += range.to->keys.empty()
                      ? " or _sluice_cursor = " + high
                      : " or (_sluice_cursor = " + high + " and " + in_keys(*range.to) + ")";
        where += " and (" + within + ")";
    }
    return "select * from (select *, " + value + " as _sluice_cursor, " + key_text(cursor) +
           " as _sluice_key from (" + query + ")) where " + where;
}

CursorRange range_read(engine::Database& database, const Cursor& cursor, const std::string& rows) {
    CursorRange range = cursor.window.range;
    // The next slice goes on where it did; this one reaches to there, whatever is left of it.
    if (cursor.window.none) range.to = range.from;
    if (cursor.window.bounded) return range;
    range.to = range.from;
    const auto last =
        database.query("select max(_sluice_cursor)::varchar, count(*) from (" + rows + ")");
    if (engine::is_null(last.rows.at(0).at(0))) return range;
    CursorBound bound{engine::to_text(last.rows.at(0).at(0)), {}};
    if (!cursor.key.empty()) {
        const std::string at_last = "(" + rows +
                                    ") where _sluice_cursor = (select "
                                    "max(_sluice_cursor) from (" +
                                    rows + "))";
        const auto keys = database.query(
            "select distinct _sluice_key from " + at_last + " order by 1 limit " +
            std::to_string(most_ties + 1)
        );
        if (keys.rows.size() > most_ties)
            throw engine::Failure(
                ErrorClass::permanent,
                "more than " + std::to_string(most_ties) + " rows have the greatest \"" +
                    cursor.column + "\": choose a cursor that tells rows apart"
            );
        for (const auto& row : keys.rows) bound.keys.push_back(engine::to_text(row.at(0)));
        // Rows of that value which earlier slices have stay read.
        if (range.from && range.from->value == bound.value)
            bound.keys.insert(bound.keys.end(), range.from->keys.begin(), range.from->keys.end());
    }
    range.to = bound;
    return range;
}

std::string minus_interval(Duration back) {
    return " - interval '" + std::to_string(back.count()) + " microseconds'";
}

std::string cursor_condition(
    const Cursor& cursor,
    const std::string& value,
    const std::function<std::string(const std::string&)>& literal_of,
    const std::function<std::string(Duration)>& minus
) {
    const auto& [range, bounded, none] = cursor.window;
    if (none) return "false";
    std::string where = value + " is not null";
    if (range.from) {
        where += " and " + value + " >= " + literal_of(range.from->value) +
                 (cursor.back ? minus(*cursor.back) : "");
    } else if (!cursor.initial.empty()) {
        where += " and " + value + " >= " + literal_of(cursor.initial);
    }
    if (bounded && range.to) where += " and " + value + " <= " + literal_of(range.to->value);
    return where;
}

}  // namespace sluice::extract
