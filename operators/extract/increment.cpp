#include "operators/extract/increment.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/json_text.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"

namespace sluice::extract {

using engine::ColumnInfo;
using engine::quote;
using Json = nlohmann::json;

namespace {

std::optional<Duration> lookback_of(const Json& written) {
    if (!written.is_object() || !written.contains("lookback")) return std::nullopt;
    const auto back = parse_duration(written["lookback"].get<std::string>());
    if (!back) throw Error(ErrorCode::invalid, "lookback is not a duration");
    return back;
}

Increment increment_of(const task::TaskContext& context, const Json& written) {
    Increment increment;
    increment.column =
        written.is_string() ? written.get<std::string>() : written.at("column").get<std::string>();
    const auto& interval = context.info().data_interval;
    if (!interval || interval->start == interval->end) {
        throw engine::Failure(
            ErrorClass::permanent,
            "this run has no data interval, so \"incremental\" has nothing to go by: schedule the "
            "DAG with cron_interval or window, or trigger it with an interval [E-SCHEDULE-INTERVAL]"
        );
    }
    increment.interval = *interval;
    increment.interval.start -= lookback_of(written).value_or(Duration{});
    return increment;
}

std::vector<std::string> names_of(const Json& written) {
    if (written.is_string()) return {written.get<std::string>()};
    return written.is_array() ? written.get<std::vector<std::string>>()
                              : std::vector<std::string>{};
}

Cursor cursor_of(task::TaskContext& context, const Json& written, const std::string& dataset) {
    Cursor cursor;
    cursor.column = written.at("cursor").get<std::string>();
    cursor.key = names_of(written.value("key", Json()));
    cursor.back = lookback_of(written);
    if (written.contains("initial")) cursor.initial = text_of(written["initial"]);
    cursor.window =
        window_of(read_slices(context, dataset), own_place(context, dataset), cursor.column);
    return cursor;
}

bool has(const std::vector<ColumnInfo>& columns, const std::string& name) {
    return std::any_of(columns.begin(), columns.end(), [&](const ColumnInfo& column) {
        return column.name == name;
    });
}

/// Rows with a value that cannot be read.
void set_aside(
    engine::Database& database,
    const Extracted& extracted,
    const std::string& name,
    const std::string& value,
    const std::string& what
) {
    if (!extracted.has_rejects) return;
    database.execute(
        "insert into sluice_rejects select null, to_json(r)::varchar, " +
        engine::literal("\"" + name + "\" is not " + what) + ", _sluice_source from (" +
        extracted.query + ") as r where " + quote(name) + " is not null and (" + value + ") is null"
    );
}

const ColumnSpec* find_column(const DatasetSpec& dataset, const std::string& name) {
    for (const ColumnSpec& column : dataset.columns) {
        if (column.name == name) return &column;
    }
    return nullptr;
}

/// DuckDB expression: the instant that a text says, by the column's formats, in order.
std::string time_of_text(const std::string& column, const ColumnSpec* spec) {
    const std::string text = quote(column);
    std::vector<std::string> formats;
    if (spec != nullptr) formats = spec->parse;
    if (formats.empty()) formats = {"iso"};
    std::string tries;
    for (const std::string& format : formats) {
        if (!tries.empty()) tries += ", ";
        if (format == "iso") {
            tries += "try_cast(" + text + " as timestamptz)";
        } else if (format == "epoch_s") {
            tries += "to_timestamp(try_cast(" + text + " as bigint))";
        } else if (format == "epoch_ms") {
            tries += "make_timestamptz(try_cast(" + text + " as bigint) * 1000)";
        } else {
            tries += "try_strptime(" + text + ", " + engine::literal(format) + ")::timestamptz";
        }
    }
    return "coalesce(" + tries + ")";
}

std::string of_interval(
    engine::Database& database,
    const Request& request,
    const Extracted& extracted,
    const std::vector<ColumnInfo>& found
) {
    const std::string& name = request.increment->column;
    if (!has(found, name)) engine::bad_schema("the source has no column \"" + name + "\"");
    std::string time = quote(name) + "::timestamptz";
    if (extracted.text) {
        time = time_of_text(name, find_column(request.dataset, name));
        set_aside(database, extracted, name, time, "a time");
    }
    const auto bound = [](Instant at) {
        return engine::literal(format_offset(at)) + "::timestamptz";
    };
    return "select * from (" + extracted.query + ") where " + time +
           " >= " + bound(request.increment->interval.start) + " and " + time + " < " +
           bound(request.increment->interval.end);
}

/// The cursor of a row as an expression, and its type.
std::pair<std::string, std::string> cursor_value(
    engine::Database& database,
    const Request& request,
    const Extracted& extracted,
    const std::vector<ColumnInfo>& found
) {
    const std::string& name = request.cursor->column;
    const auto column = std::ranges::find(found, name, &ColumnInfo::name);
    if (column == found.end()) engine::bad_schema("the source has no column \"" + name + "\"");
    const ColumnSpec* spec = find_column(request.dataset, name);
    if (!extracted.text || spec == nullptr || spec->type.empty())
        return {quote(name), column->type};
    const std::string type = engine::type_name(engine::Dialect::duckdb, spec->type);
    const std::string value = type == "TIMESTAMP WITH TIME ZONE" || type == "TIMESTAMPTZ"
                                  ? time_of_text(name, spec)
                                  : "try_cast(" + quote(name) + " as " + type + ")";
    set_aside(database, extracted, name, value, "a " + spec->type);
    return {value, type};
}

std::string of_cursor(
    task::TaskContext& context,
    engine::Database& database,
    const Request& request,
    const Extracted& extracted,
    const std::vector<ColumnInfo>& found
) {
    const auto [value, type] = cursor_value(database, request, extracted, found);
    const auto nulls = database.integer(
        "select count(*) from (" + extracted.query + ") where " + quote(request.cursor->column) +
        " is null"
    );
    if (nulls > 0)
        context.warn(
            std::to_string(nulls) + " rows have no \"" + request.cursor->column +
            "\": they are never read"
        );
    return cursor_rows(*request.cursor, extracted.query, value, type);
}

}  // namespace

void set_increment(task::TaskContext& context, const Json& params, Request& request) {
    if (!params.contains("incremental")) return;
    const Json& written = params["incremental"];
    const std::string dataset = params.at("to").get<std::string>();
    if (written.is_object() && written.contains("cursor")) {
        request.cursor = cursor_of(context, written, dataset);
    } else if (written.is_object() && written.contains("files")) {
        request.known_files = known_files(read_slices(context, dataset));
    } else {
        request.increment = increment_of(context, written);
    }
}

std::string narrowed(
    task::TaskContext& context,
    engine::Database& database,
    const Request& request,
    const Extracted& extracted,
    const std::vector<ColumnInfo>& found
) {
    if (request.cursor) return of_cursor(context, database, request, extracted, found);
    if (!request.increment || extracted.increment_done) return extracted.query;
    return of_interval(database, request, extracted, found);
}

std::string read_now(
    engine::Database& database,
    const Request& request,
    const Extracted& extracted,
    const std::string& rows
) {
    if (request.known_files) return Json{{"files", extracted.files_read}}.dump();
    if (!request.cursor) return {};
    const CursorRange range =
        range_read(database, *request.cursor, rows.empty() ? no_cursor_rows : rows);
    return to_json(request.cursor->column, range).dump();
}

}  // namespace sluice::extract
