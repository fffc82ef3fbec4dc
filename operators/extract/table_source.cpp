// table_source.cpp — from PostgreSQL: COPY out into a scratch file, read by the engine with the
// server's types.
#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

#include "base/json_text.hpp"
#include "operators/connect/postgres.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/extract/source.hpp"

namespace sluice::extract {

namespace {

using engine::quote;

using Columns = std::vector<std::pair<std::string, std::string>>;

std::string source_query(const task::TaskContext& context, const nlohmann::json& from) {
    if (from.contains("query")) return "(" + engine::with_literals(from["query"]) + "\n) as q";
    if (from.contains("query_file")) {
        return "(" + context.file(from["query_file"].get<std::string>()) + "\n) as q";
    }
    return engine::quoted_name(from.at("table").get<std::string>());
}

std::string type_of(const Columns& columns, const std::string& name) {
    for (const auto& [column, type] : columns) {
        if (column == name) return type;
    }
    engine::bad_schema("the source has no column \"" + name + "\"");
}

std::string bounds(const Increment& increment, const std::string& type, const std::string& zone) {
    const auto bound = [&](Instant at) {
        std::string instant = "timestamptz " + engine::literal(format_offset(at));
        // A column without a zone holds the DAG's local time.
        if (type.find("without time zone") == std::string::npos && type != "date") return instant;
        return "(" + instant + " at time zone " + engine::literal(zone) + ")";
    };
    const std::string column = quote(increment.column);
    return column + " >= " + bound(increment.interval.start) + " and " + column + " < " +
           bound(increment.interval.end);
}

std::string csv_reader(const std::string& file, const Columns& columns) {
    std::string types;
    for (const auto& [name, type] : columns) {
        if (!types.empty()) types += ", ";
        const std::string mapped = engine::duckdb_type_of_postgres(type);
        const bool text = mapped == "BLOB" || mapped == "JSON";
        types += engine::literal(name) + ": " + engine::literal(text ? "VARCHAR" : mapped);
    }
    return "read_csv(" + engine::literal(file) +
           ", header = false, auto_detect = false, columns = {" + types +
           "}, delim = ',', quote = '\"', escape = '\"', nullstr = '\\N', "
           "allow_quoted_nulls = false, max_line_size = 268435456, buffer_size = 536870912)";
}

std::string read_back(const Columns& columns) {
    std::string select;
    for (const auto& [name, type] : columns) {
        const std::string mapped = engine::duckdb_type_of_postgres(type);
        if (!select.empty()) select += ", ";
        if (mapped == "BLOB") {
            select += "unhex(" + quote(name) + ") as " + quote(name);
        } else if (mapped == "JSON") {
            select += quote(name) + "::JSON as " + quote(name);
        } else {
            select += quote(name);
        }
    }
    return select;
}

std::string copied_columns(const Columns& columns) {
    std::string select;
    for (const auto& [name, type] : columns) {
        if (!select.empty()) select += ", ";
        select += type == "bytea" ? "encode(" + quote(name) + ", 'hex')" : quote(name);
    }
    return select;
}

Extracted from_table(
    task::TaskContext& context, engine::Database& database, const Request& request
) {
    const nlohmann::json& from = request.from;
    const auto postgres = connect::open_postgres(
        context,
        from.at("conn_id").get<std::string>(),
        "sluice:" + context.info().dag_id + "." + context.info().task_id
    );
    const std::string source = source_query(context, from);
    std::string list = "*";
    if (from.contains("columns")) list = engine::quoted_list(texts_of(from["columns"]));
    const Columns columns = postgres->describe("select " + list + " from " + source);
    std::string where;
    if (from.contains("where")) where = "(" + engine::with_literals(from["where"]) + ")";
    if (request.increment) {
        const Columns all = postgres->describe("select * from " + source);
        const std::string type = type_of(all, request.increment->column);
        where +=
            (where.empty() ? "" : " and ") + bounds(*request.increment, type, request.timezone);
    }
    if (request.cursor) {
        const Columns all = postgres->describe("select * from " + source);
        const std::string type = type_of(all, request.cursor->column);
        where += (where.empty() ? "" : " and ") +
                 cursor_condition(
                     *request.cursor,
                     quote(request.cursor->column),
                     [&](const std::string& value) { return engine::literal(value) + "::" + type; }
                 );
    }
    const std::string select = "select " + copied_columns(columns) + " from " + source +
                               (where.empty() ? "" : " where " + where);
    const std::string file = context.scratch() + "/table.csv";
    std::ofstream out(file, std::ios::binary);
    postgres->copy_out(
        "copy (" + select + ") to stdout (format csv, null '\\N')",
        [&](std::string_view bytes) {
            out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        }
    );
    out.close();
    if (!out) throw engine::Failure(ErrorClass::resource, "the scratch folder is full");

    Extracted extracted;
    const std::string name =
        from.contains("table") ? from["table"].get<std::string>() : std::string("query");
    database.execute(
        "create table sluice_rows as select " + read_back(columns) + ", " +
        engine::literal(from.at("conn_id").get<std::string>() + ":" + name) +
        " as _sluice_source from " + csv_reader(file, columns)
    );
    std::filesystem::remove(file);
    extracted.rows_in = database.integer("select count(*) from sluice_rows");
    extracted.query = "select * from sluice_rows";
    extracted.increment_done = true;
    return extracted;
}

}  // namespace

DataSource table_source() {
    return {
        .name = "PostgreSQL",
        .conn_types = {"postgres"},
        .reads = {"table", "query", "query_file"},
        .keys = {"columns", "where", "chunk"},
        .has_rejects = false,
        .check = {},
        .read = from_table,
    };
}

}  // namespace sluice::extract
