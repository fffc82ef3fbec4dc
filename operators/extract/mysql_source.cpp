// mysql_source.cpp — from MySQL and MariaDB: unbuffered, row by row, at once in one snapshot or in
// ranges of a column over several connections.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/hash.hpp"
#include "base/json_text.hpp"
#include "operators/connect/mysql.hpp"
#include "operators/engine/constant.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/extract/chunks.hpp"
#include "operators/extract/mysql_cells.hpp"
#include "operators/extract/source.hpp"
#include "operators/extract/table_progress.hpp"

namespace sluice::extract {

namespace {

using connect::Mysql;
using connect::mysql_name;
using connect::MysqlField;
using connect::MysqlKind;
using Json = nlohmann::json;

std::string mysql_value(const Json& value) {
    if (value.is_null()) return "null";
    if (value.is_string()) return connect::mysql_text(value.get<std::string>());
    if (value.is_array()) {
        std::string list;
        for (const Json& one : value) list += (list.empty() ? "" : ", ") + mysql_value(one);
        return list;
    }
    if (value.is_object()) {
        // {"timestamptz": "2026-01-05T00:00:00+00:00"}: the session's times are UTC.
        const std::string text = text_of(value.begin().value());
        const auto time = parse_time(text);
        if (value.begin().key() != "timestamptz" || !time) return connect::mysql_text(text);
        std::string utc = format_z(time->at);
        utc.pop_back();
        return "timestamp'" + utc.replace(10, 1, " ") + "'";
    }
    return value.dump();  // numbers and booleans
}

std::string mysql_from(const task::TaskContext& context, const Json& from) {
    if (from.contains("query"))
        return "(" + engine::with_literals(from["query"], mysql_value) + "\n) as q";
    if (from.contains("query_file"))
        return "(" + context.file(from["query_file"].get<std::string>()) + "\n) as q";
    return connect::mysql_dotted(from.at("table").get<std::string>());
}

const MysqlField& mysql_field(const std::vector<MysqlField>& all, const std::string& name) {
    const auto found = std::ranges::find(all, name, &MysqlField::name);
    if (found == all.end()) engine::bad_schema("the source has no column \"" + name + "\"");
    return *found;
}

/// An instant as the column has it: a timestamp is UTC here, everything else the DAG's local time.
std::string mysql_time(
    engine::Database& database, const std::string& instant, MysqlKind kind, const std::string& zone
) {
    const std::string zone_of_column = kind == MysqlKind::timestamp ? "UTC" : zone;
    const std::string local = database.text(
        "select strftime(timezone(" + engine::literal(zone_of_column) + ", " +
        engine::literal(instant) + "::timestamptz), '%Y-%m-%d %H:%M:%S.%f')"
    );
    return "timestamp'" + local + "'";
}

/// A value of a column as the engine wrote it.
std::string mysql_cursor(
    engine::Database& database, const std::string& value, const MysqlField& field
) {
    switch (field.kind) {
        case MysqlKind::timestamp:
            return mysql_time(database, value, field.kind, "UTC");
        case MysqlKind::datetime:
            return "timestamp'" +
                   database.text(
                       "select strftime(" + engine::literal(value) +
                       "::timestamp, '%Y-%m-%d %H:%M:%S.%f')"
                   ) +
                   "'";
        case MysqlKind::date:
            return "date'" + database.text("select " + engine::literal(value) + "::date::varchar") +
                   "'";
        case MysqlKind::tiny1:
        case MysqlKind::integer:
        case MysqlKind::decimal:
        case MysqlKind::real:
        case MysqlKind::double_:
        case MysqlKind::year:
            return "(" + connect::mysql_text(value) + " + 0)";
        case MysqlKind::bit:
        case MysqlKind::text:
        case MysqlKind::json:
        case MysqlKind::uuid:
        case MysqlKind::blob:
        case MysqlKind::time:
            return connect::mysql_text(value);
    }
    return connect::mysql_text(value);
}

/// What is read, without how.
struct MysqlSelect {
    std::string source;
    std::string where;
    std::vector<MysqlColumn> columns;
    std::vector<MysqlField> fields;  // as they come
    MysqlTypes types;

    [[nodiscard]] std::string text(const std::string& more) const {
        std::string list;
        for (const MysqlColumn& column : columns)
            list += (list.empty() ? "" : ", ") + column.selected;
        std::string condition = where;
        if (!more.empty()) condition += (condition.empty() ? "" : " and ") + more;
        return "select " + list + " from " + source +
               (condition.empty() ? "" : " where " + condition);
    }
};

void same_columns(const std::vector<MysqlField>& were, const std::vector<MysqlField>& are) {
    if (were == are) return;
    for (std::size_t i = 0; i < std::min(were.size(), are.size()); ++i) {
        if (were[i] == are[i]) continue;
        engine::bad_schema(
            "column \"" + were[i].name + "\" changed while the table was read: it was " +
            connect::type_text(were[i]) + ", it is \"" + are[i].name + "\" " +
            connect::type_text(are[i])
        );
    }
    engine::bad_schema("the columns changed while the table was read");
}

std::size_t bytes_of(const std::vector<connect::MysqlCell>& cells) {
    std::size_t bytes = 0;
    for (const auto& cell : cells) bytes += cell ? cell->size() : 0;
    return bytes;
}

std::int64_t stream_rows(
    Mysql& mysql,
    const MysqlSelect& select,
    const std::string& condition,
    engine::RowAppender& into,
    TableProgress* progress = nullptr
) {
    MysqlRows rows(select.columns, select.types, into);
    bool ours = false;
    try {
        mysql.stream(
            select.text(condition),
            [&](const std::vector<MysqlField>& fields) {
                ours = true;
                same_columns(select.fields, fields);
                ours = false;
            },
            [&](const std::vector<connect::MysqlCell>& cells) {
                ours = true;
                rows.row(cells);
                if (progress != nullptr) progress->add(rows.rows(), bytes_of(cells));
                ours = false;
            }
        );
    } catch (const engine::Failure& failure) {
        if (ours) throw;
        throw engine::Failure(
            failure.error_class(),
            "after row " + std::to_string(rows.rows()) + ": " + failure.what()
        );
    }
    return rows.rows();
}

class MysqlRangeReader final : public RangeReader {
public:
    MysqlRangeReader(std::shared_ptr<Mysql> mysql, const MysqlSelect& select, const MysqlColumn& by)
        : mysql_(std::move(mysql)), select_(select), by_(by) {}

    std::int64_t read(const ChunkRange& range, engine::RowAppender& into) override {
        const std::string column = mysql_name(by_.field.name);
        const auto value = [&](const std::string& text) {
            const bool number =
                by_.field.kind == MysqlKind::integer || by_.field.kind == MysqlKind::decimal;
            return number ? text : connect::mysql_text(text);
        };
        return stream_rows(*mysql_, select_, condition_of(range, column, value), into);
    }
    void stop() noexcept override { mysql_->cancel(); }

private:
    std::shared_ptr<Mysql> mysql_;
    const MysqlSelect& select_;
    const MysqlColumn& by_;
};

class MysqlTable {
public:
    MysqlTable(task::TaskContext& context, engine::Database& database, const Request& request)
        : context_(context),
          database_(database),
          request_(request),
          conn_id_(request.from.at("conn_id").get<std::string>()),
          first_(open()) {
        select_.types = mysql_types(context.connection(conn_id_).extra);
        select_.source = mysql_from(context, request.from);
        all_ = first_->describe("select * from " + select_.source);
        if (request.from.contains("columns")) {
            for (const std::string& name : texts_of(request.from["columns"]))
                select_.columns.push_back(mysql_column(mysql_field(all_, name), select_.types));
        } else {
            for (const MysqlField& field : all_)
                select_.columns.push_back(mysql_column(field, select_.types));
        }
        select_.fields = first_->describe(select_.text(""));
        select_.where = condition();
    }

    Extracted read() {
        Extracted extracted;
        if (const auto options = chunk_options(request_)) {
            extracted = in_chunks(*options);
        } else {
            database_.execute(
                "create table sluice_rows (" + column_definitions(engine_columns()) + ")"
            );
            engine::RowAppender rows = database_.append_rows("sluice_rows");
            TableProgress progress(context_, estimated_rows());
            extracted.rows_in = stream_rows(*first_, select_, "", rows, &progress);
            rows.close();
            extracted.query = "select * from sluice_rows";
        }
        const std::string name = request_.from.contains("table")
                                     ? request_.from["table"].get<std::string>()
                                     : std::string("query");
        extracted.query = "select *, " + engine::constant_text(conn_id_ + ":" + name) +
                          " as _sluice_source from (" + extracted.query + ")";
        extracted.increment_done = true;
        return extracted;
    }

private:
    /// Its transaction sees one moment, and keeps the table as it is.
    std::shared_ptr<Mysql> open() {
        std::shared_ptr<Mysql> mysql = connect::open_mysql(context_, conn_id_);
        mysql->execute("set session transaction isolation level repeatable read");
        mysql->execute("start transaction with consistent snapshot, read only");
        return mysql;
    }

    std::string condition() {
        std::string where;
        const auto also = [&](const std::string& one) {
            where += (where.empty() ? "" : " and ") + one;
        };
        if (request_.from.contains("where"))
            also("(" + engine::with_literals(request_.from["where"], mysql_value) + ")");
        if (request_.increment) {
            const MysqlField& field = mysql_field(all_, request_.increment->column);
            const auto bound = [&](Instant at) {
                return mysql_time(database_, format_offset(at), field.kind, request_.timezone);
            };
            const std::string column = mysql_name(field.name);
            also(
                column + " >= " + bound(request_.increment->interval.start) + " and " + column +
                " < " + bound(request_.increment->interval.end)
            );
        }
        if (request_.cursor) {
            const MysqlField& field = mysql_field(all_, request_.cursor->column);
            also(cursor_condition(
                *request_.cursor,
                mysql_name(field.name),
                [&](const std::string& value) { return mysql_cursor(database_, value, field); },
                [](Duration back) {
                    return " - interval " + std::to_string(back.count()) + " microsecond";
                }
            ));
        }
        return where;
    }

    [[nodiscard]] std::vector<engine::ColumnInfo> engine_columns() const {
        std::vector<engine::ColumnInfo> columns;
        for (const MysqlColumn& column : select_.columns)
            columns.push_back({column.field.name, column.engine_type});
        return columns;
    }

    /// By the server's statistics; 0 = it has none, or a part of the table is read.
    std::int64_t estimated_rows() {
        if (!request_.from.contains("table") || !select_.where.empty()) return 0;
        const std::string name = connect::mysql_text(request_.from["table"].get<std::string>());
        const auto found = first_->query(
            "select coalesce(table_rows, 0) from information_schema.tables where "
            "concat(table_schema, '.', table_name) in (" +
            name + ", concat(database(), '.', " + name + "))"
        );
        return found.empty() ? 0 : std::stoll(found.front().at(0).value_or("0"));
    }

    Extracted in_chunks(const ChunkOptions& options) {
        const MysqlColumn by = chunk_column(options);
        ChunkedRead read;
        read.columns = engine_columns();
        read.parallel = options.parallel;
        const task::Connection connection = context_.connection(conn_id_);
        std::string types;
        for (const auto& [name, type] : read.columns) types += type + ",";
        const Json key{
            connection.host,
            connection.port,
            connection.login,
            connection.schema,
            connection.extra,
            select_.text(""),
            types,
            by.field.name,
            options.rows
        };
        read.key = sha256_hex(key.dump());
        read.bounds = [&] { return begins(by, options.rows); };
        read.open = [&]() -> std::unique_ptr<RangeReader> {
            // One connection has one snapshot for all ranges; the server lets none share it.
            auto mysql = options.parallel > 1 ? open() : first_;
            return std::make_unique<MysqlRangeReader>(std::move(mysql), select_, by);
        };
        return read_chunks(context_, database_, read);
    }

    MysqlColumn chunk_column(const ChunkOptions& options) {
        std::string name = options.column;
        if (name.empty() && request_.from.contains("table")) {
            const auto keys =
                first_->query("show keys from " + select_.source + " where key_name = 'PRIMARY'");
            if (!keys.empty()) name = keys.front().at(4).value_or("");
        }
        if (name.empty())
            engine::bad_schema(
                "\"chunk\" needs a column: the data set has no key and the source no primary key"
            );
        MysqlColumn by = mysql_column(mysql_field(all_, name), select_.types);
        if (!by.ordered)
            engine::bad_schema(
                "\"chunk\" cannot cut by \"" + name + "\", which is of type " +
                connect::type_text(by.field)
            );
        return by;
    }

    std::vector<std::string> begins(const MysqlColumn& by, std::int64_t rows) {
        const std::string column = mysql_name(by.field.name);
        const auto found = first_->query(
            "select b from (select " + column + " as b, row_number() over (order by " + column +
            ") as n from " + select_.source + " where " +
            (select_.where.empty() ? "" : select_.where + " and ") + column +
            " is not null) as o where n > 1 and n % " + std::to_string(rows) + " = " +
            std::to_string(rows == 1 ? 0 : 1) + " order by n"
        );
        std::vector<std::string> values;
        for (const auto& row : found) {
            std::string value = row.at(0).value_or("");
            if (values.empty() || values.back() != value) values.push_back(std::move(value));
        }
        return values;
    }

    task::TaskContext& context_;
    engine::Database& database_;
    const Request& request_;
    const std::string conn_id_;
    std::shared_ptr<Mysql> first_;
    MysqlSelect select_;
    std::vector<MysqlField> all_;
};

Extracted from_mysql(
    task::TaskContext& context, engine::Database& database, const Request& request
) {
    return MysqlTable(context, database, request).read();
}

}  // namespace

DataSource mysql_source() {
    return {
        .name = "MySQL",
        .conn_types = {"mysql"},
        .reads = {"table", "query", "query_file"},
        .keys = {"columns", "where", "chunk"},
        .has_rejects = false,
        .check = {},
        .read = from_mysql,
        .writes = {"table"},
        .modes = {"append", "replace", "merge"},
        .write = write_mysql,
    };
}

}  // namespace sluice::extract
