// table_source.cpp — from PostgreSQL: binary COPY in one snapshot, at once or in ranges of a
// column over several connections.
#include <algorithm>
#include <mutex>

#include <nlohmann/json.hpp>

#include "base/hash.hpp"
#include "base/json_text.hpp"
#include "operators/connect/postgres.hpp"
#include "operators/engine/constant.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/extract/chunks.hpp"
#include "operators/extract/pg_copy.hpp"
#include "operators/extract/pg_scan.hpp"
#include "operators/extract/source.hpp"
#include "operators/extract/table_progress.hpp"

namespace sluice::extract {

namespace {

using connect::Postgres;
using engine::quote;

using Columns = std::vector<std::pair<std::string, std::string>>;

/// The first connection may have to wait long for the others.
constexpr const char* one_snapshot =
    "begin isolation level repeatable read read only; "
    "set local idle_in_transaction_session_timeout = 0";

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

std::string condition_of(const Request& request, const Columns& all) {
    std::string where;
    const auto also = [&](const std::string& condition) {
        where += (where.empty() ? "" : " and ") + condition;
    };
    if (request.from.contains("where"))
        also("(" + engine::with_literals(request.from["where"]) + ")");
    if (request.increment)
        also(bounds(*request.increment, type_of(all, request.increment->column), request.timezone));
    if (request.cursor) {
        const std::string type = type_of(all, request.cursor->column);
        also(cursor_condition(
            *request.cursor,
            quote(request.cursor->column),
            [&](const std::string& value) { return engine::literal(value) + "::" + type; },
            minus_interval
        ));
    }
    return where;
}

/// What is read, without how.
struct PgSelect {
    std::string source;  // stands after FROM
    std::string where;   // "" = all
    std::vector<PgColumn> columns;

    [[nodiscard]] std::string copy(const std::string& more) const {
        std::string list;
        for (const PgColumn& column : columns) list += (list.empty() ? "" : ", ") + column.selected;
        std::string condition = where;
        if (!more.empty()) condition += (condition.empty() ? "" : " and ") + more;
        return "copy (select " + list + " from " + source +
               (condition.empty() ? "" : " where " + condition) + ") to stdout (format binary)";
    }
};

std::vector<engine::ColumnInfo> engine_columns(const PgSelect& select) {
    std::vector<engine::ColumnInfo> columns;
    for (const PgColumn& column : select.columns)
        columns.push_back({column.name, column.engine_type});
    return columns;
}

class PgRangeReader final : public RangeReader {
public:
    /// The connection's transaction has the snapshot.
    PgRangeReader(std::shared_ptr<Postgres> postgres, const PgSelect& select, const PgColumn& by)
        : postgres_(std::move(postgres)), select_(select), by_(by) {}

    std::int64_t read(const ChunkRange& range, engine::RowAppender& into) override {
        const std::string column = quote(by_.name);
        const auto value = [&](const std::string& text) {
            return engine::literal(text) + "::" + by_.type;
        };
        const auto& columns = select_.columns;
        return copy_rows(
            *postgres_,
            select_.copy(condition_of(range, column, value)),
            columns.size(),
            [&](std::string_view fields, std::int64_t number) {
                put_row(into, columns, fields, number);
            }
        );
    }
    void stop() noexcept override { postgres_->cancel(); }

private:
    std::shared_ptr<Postgres> postgres_;
    const PgSelect& select_;
    const PgColumn& by_;
};

class PgTable {
public:
    PgTable(task::TaskContext& context, engine::Database& database, const Request& request)
        : context_(context),
          database_(database),
          request_(request),
          conn_id_(request.from.at("conn_id").get<std::string>()),
          first_(open()) {
        first_->execute(one_snapshot);
        select_.source = source_query(context, request.from);
        all_ = first_->describe("select * from " + select_.source);
        Columns chosen = all_;
        if (request.from.contains("columns")) {
            const std::string list = engine::quoted_list(texts_of(request.from["columns"]));
            chosen = first_->describe("select " + list + " from " + select_.source);
        }
        for (const auto& [name, type] : chosen) select_.columns.push_back(pg_column(name, type));
        select_.where = condition_of(request, all_);
    }

    Extracted read() {
        Extracted extracted;
        if (const auto options = chunk_options(request_)) {
            extracted = in_chunks(*options);
            first_->execute("commit");
        } else if (request_.cursor) {
            extracted = into_table();
        } else {
            extracted = while_written();
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
    std::shared_ptr<Postgres> open() {
        return connect::open_postgres(
            context_, conn_id_, "sluice:" + context_.info().dag_id + "." + context_.info().task_id
        );
    }

    /// By the server's statistics; 0 = it has none, or a part of the table is read.
    std::int64_t estimated_rows() {
        if (!request_.from.contains("table") || !select_.where.empty()) return 0;
        const auto rows = first_->value(
            "select greatest(reltuples, 0)::bigint::text from pg_class where oid = to_regclass($1)",
            {select_.source}
        );
        return rows ? std::stoll(*rows) : 0;
    }

    /// For more than one look at the rows.
    Extracted into_table() {
        database_.execute(
            "create table sluice_rows (" + column_definitions(engine_columns(select_)) + ")"
        );
        engine::RowAppender rows = database_.append_rows("sluice_rows");
        TableProgress progress(context_, estimated_rows());
        Extracted extracted;
        extracted.rows_in = copy_rows(
            *first_,
            select_.copy(""),
            select_.columns.size(),
            [&](std::string_view fields, std::int64_t number) {
                put_row(rows, select_.columns, fields, number);
            },
            &progress
        );
        rows.close();
        first_->execute("commit");
        extracted.query = "select * from sluice_rows";
        return extracted;
    }

    Extracted while_written() {
        const auto scan = std::make_shared<PgScan>(
            first_, select_.copy(""), select_.columns, TableProgress(context_, estimated_rows())
        );
        engine::RowSource source;
        source.name = "sluice_copied";
        source.columns = engine_columns(select_);
        source.begin = [scan] { scan->begin(); };
        source.next = [scan](engine::RowAppender& into) { scan->next(into); };
        // A table has no order, a query may have one.
        if (request_.from.contains("table") && context_.resources().threads > 1) {
            source.threads = context_.resources().threads;
            database_.forget_order();
        }
        database_.add_source(source);
        Extracted extracted;
        extracted.query = "select * from sluice_copied()";
        extracted.reads_late = true;
        extracted.check = [scan] { scan->check(); };
        extracted.rows_read = [scan] { return scan->rows(); };
        return extracted;
    }

    Extracted in_chunks(const ChunkOptions& options) {
        const PgColumn by = chunk_column(options);
        ChunkedRead read;
        read.columns = engine_columns(select_);
        read.parallel = options.parallel;
        const task::Connection connection = context_.connection(conn_id_);
        std::string types;
        for (const PgColumn& column : select_.columns) types += column.type + ",";
        const nlohmann::json key{
            connection.host,
            connection.port,
            connection.login,
            connection.schema,
            select_.copy(""),
            types,
            by.name,
            options.rows
        };
        read.key = sha256_hex(key.dump());
        read.bounds = [&] { return begins(by, options.rows); };
        if (read.parallel > 1) share_snapshot(read);
        read.open = [&]() -> std::unique_ptr<RangeReader> {
            return std::make_unique<PgRangeReader>(next_connection(), select_, by);
        };
        return read_chunks(context_, database_, read);
    }

    PgColumn chunk_column(const ChunkOptions& options) {
        std::string name = options.column;
        if (name.empty() && request_.from.contains("table")) {
            name = first_
                       ->value(
                           "select a.attname from pg_index i join pg_attribute a on a.attrelid = "
                           "i.indrelid and a.attnum = i.indkey[0] where i.indisprimary and "
                           "i.indrelid = to_regclass($1)",
                           {select_.source}
                       )
                       .value_or("");
        }
        if (name.empty())
            engine::bad_schema(
                "\"chunk\" needs a column: the data set has no key and the source no primary key"
            );
        PgColumn by = pg_column(name, type_of(all_, name));
        if (!by.ordered)
            engine::bad_schema(
                "\"chunk\" cannot cut by \"" + name + "\", which is of type " + by.type
            );
        return by;
    }

    std::vector<std::string> begins(const PgColumn& by, std::int64_t rows) {
        const std::string column = quote(by.name);
        const auto found = first_->query(
            "select distinct b, b::text as written from (select " + column +
            " as b, row_number() over (order by " + column + ") as n from " + select_.source +
            " where " + (select_.where.empty() ? "" : select_.where + " and ") + column +
            " is not null) as o where n > 1 and n % " + std::to_string(rows) + " = " +
            std::to_string(rows == 1 ? 0 : 1) + " order by b"
        );
        std::vector<std::string> values;
        for (const auto& row : found.rows) values.push_back(row.at(1).value_or(""));
        return values;
    }

    /// So that all connections see the same rows. Where the server has no such thing (a standby, a
    /// proxy) one connection reads all ranges.
    void share_snapshot(ChunkedRead& read) {
        try {
            snapshot_ = first_->value("select pg_export_snapshot()").value_or("");
        } catch (const engine::Failure& failure) {
            if (context_.cancelled()) throw;
            context_.warn(
                std::string("the server shares no snapshot, so one connection reads all chunks: ") +
                failure.what()
            );
            first_->execute("rollback");
            first_->execute(one_snapshot);
            read.parallel = 1;
        }
    }

    /// Called by each thread once.
    std::shared_ptr<Postgres> next_connection() {
        if (snapshot_.empty()) return first_;
        auto postgres = open();
        postgres->execute(one_snapshot);
        postgres->execute("set transaction snapshot " + engine::literal(snapshot_));
        return postgres;
    }

    task::TaskContext& context_;
    engine::Database& database_;
    const Request& request_;
    const std::string conn_id_;
    std::shared_ptr<Postgres> first_;  // its transaction holds the snapshot and the table's lock
    std::string snapshot_;
    PgSelect select_;
    Columns all_;
};

Extracted from_table(
    task::TaskContext& context, engine::Database& database, const Request& request
) {
    return PgTable(context, database, request).read();
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
