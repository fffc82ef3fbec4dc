#include "operators/extract/extract.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include <nlohmann/json.hpp>

#include "base/fault.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/extract/check.hpp"
#include "operators/extract/increment.hpp"
#include "operators/extract/page_fetcher.hpp"
#include "operators/extract/source.hpp"
#include "operators/lake/slice.hpp"
#include "operators/lake/summary.hpp"

namespace sluice::ops {

namespace {

using engine::ColumnInfo;
using engine::quote;
using extract::Extracted;
using extract::Request;
using Json = nlohmann::json;

bool has(const std::vector<ColumnInfo>& columns, const std::string& name) {
    return std::any_of(columns.begin(), columns.end(), [&](const ColumnInfo& column) {
        return column.name == name;
    });
}

/// The columns of the slice: the declared ones in their order, then by on_schema_change.
std::vector<std::string> chosen_columns(
    task::TaskContext& context,
    const Request& request,
    const Json& params,
    const std::vector<ColumnInfo>& found
) {
    std::vector<std::string> chosen;
    std::vector<std::string> missing;
    std::vector<std::string> extra;
    std::set<std::string> declared;
    for (const ColumnSpec& column : request.dataset.columns) {
        declared.insert(column.name);
        (has(found, column.name) ? chosen : missing).push_back(column.name);
    }
    for (const ColumnInfo& column : engine::user_columns(found)) {
        if (!declared.contains(column.name)) extra.push_back(column.name);
    }
    if (!missing.empty()) {
        engine::bad_schema(
            "declared columns that the source does not have: " + engine::quoted_list(missing)
        );
    }
    const std::string on_change = params.value("on_schema_change", "fail");
    if (declared.empty() || (on_change == "evolve" && !extra.empty())) {
        if (!declared.empty()) {
            context.warn("new columns, unclassified until declared: " + engine::quoted_list(extra));
        }
        chosen.insert(chosen.end(), extra.begin(), extra.end());
    } else if (on_change == "ignore" && !extra.empty()) {
        context.warn("columns dropped, they are not declared: " + engine::quoted_list(extra));
    } else if (!extra.empty()) {
        engine::bad_schema(
            "the source has columns that are not declared: " + engine::quoted_list(extra) +
            " (on_schema_change: evolve keeps them, ignore drops them)"
        );
    }
    return chosen;
}

/// Throws Failure(data_quality) if more lines were rejected than are allowed.
void check_rejects(
    task::TaskContext& context,
    engine::Database& database,
    const Json& params,
    std::int64_t rejected,
    std::int64_t rows
) {
    if (rejected == 0) return;
    const auto first = database.query(
        "select _sluice_source, line_no, reason from sluice_rejects order by 1, 2 limit 5"
    );
    std::string examples;
    for (const auto& row : first.rows) {
        const std::string where =
            engine::to_text(row.at(0)) +
            (engine::is_null(row.at(1)) ? "" : ":" + engine::to_text(row.at(1)));
        context.warn("unreadable: " + where + ": " + engine::to_text(row.at(2)));
        examples += (examples.empty() ? "" : "; ") + where + ": " + engine::to_text(row.at(2));
    }
    std::int64_t allowed = 0;
    if (params.contains("max_rejects")) {
        const Json& written = params["max_rejects"];
        allowed = written.is_number() ? written.get<std::int64_t>()
                                      : static_cast<std::int64_t>(std::floor(
                                            std::stod(written.get<std::string>()) / 100 *
                                            static_cast<double>(rows + rejected)
                                        ));
    }
    if (rejected > allowed) {
        engine::bad_data(
            std::to_string(rejected) + " unreadable lines, max_rejects allows " +
            std::to_string(allowed) + ": " + examples
        );
    }
}

std::int64_t write_rejects(
    task::TaskContext& context, engine::Database& database, const Json& params
) {
    lake::WriteRequest request;
    request.dataset = extract::rejects_name(params);
    request.query =
        "select line_no, line, reason, _sluice_source from sluice_rejects "
        "order by _sluice_source, line_no";
    request.code = params.dump();
    return lake::write(context, database, request).rows;
}

Request request_of(task::TaskContext& context, const Json& params) {
    Request request;
    request.from = params.at("from");
    request.dataset = context.dataset(params.at("to").get<std::string>());
    if (!request.dataset.declared) request.dataset.columns.clear();
    extract::set_increment(context, params, request);
    request.timezone = context.info().timezone;
    return request;
}

/// What the source says, with the names of connection and object where it does not say them itself.
Extracted read(task::TaskContext& context, engine::Database& database, const Request& request) {
    const auto connection = context.connection(request.from.at("conn_id").get<std::string>());
    const extract::DataSource& source = extract::source_of(connection, request.from);
    try {
        return source.read(context, database, request);
    } catch (const engine::Failure& failure) {
        const std::string what = failure.what();
        if (what.find('"' + connection.id + '"') != std::string::npos) throw;
        std::string object;
        for (const std::string& key : source.reads)
            if (request.from.contains(key) && request.from[key].is_string())
                object = ", " + request.from[key].get<std::string>();
        throw engine::Failure(
            failure.error_class(), "connection \"" + connection.id + "\"" + object + ": " + what
        );
    }
}

Outcome run(task::TaskContext& context, const Json& params) {
    const Request request = request_of(context, params);
    lake::Summary summary;
    const auto database = engine::open_database(context);
    const Extracted extracted = read(context, *database, request);
    lake::WriteRequest write;
    write.dataset = params.at("to").get<std::string>();
    write.code = params.dump();
    std::string rows;
    if (extracted.query.empty()) {
        // No file, and on_missing says that this is no rows.
        std::string columns;
        for (const ColumnSpec& column : request.dataset.columns) {
            columns += "null::varchar as " + quote(column.name) + ", ";
        }
        if (columns.empty()) return lake::finish(context, {.rows_in = 0, .rows_out = 0});
        write.query = "select " + columns + "null::varchar as _sluice_source where false";
    } else {
        const auto found = database->describe(extracted.query);
        const auto chosen = chosen_columns(context, request, params, found);
        rows = extract::narrowed(context, *database, request, extracted, found);
        write.query =
            "select " + engine::quoted_list(chosen) + ", _sluice_source from (" + rows + ")";
    }
    write.read = extract::read_now(*database, request, extracted, rows);
    std::int64_t rejected = 0;
    if (extracted.has_rejects) {
        rejected = database->integer("select count(*) from sluice_rejects");
        check_rejects(context, *database, params, rejected, extracted.rows_in);
    }
    fault_point("extract_before_write");
    const lake::Written written = lake::write(context, *database, write);
    if (extracted.has_rejects) write_rejects(context, *database, params);
    if (extracted.written) extracted.written();
    summary.rows_in = extracted.rows_in + rejected;
    summary.rows_out = written.rows;
    summary.rows_rejected = rejected;
    summary.files = extracted.files;
    summary.bytes = written.bytes;
    return lake::finish(context, summary);
}

}  // namespace

task::Operator extract_operator() {
    task::Operator op;
    op.name = "extract";
    op.summary = "Reads a table, files or an HTTP API into a raw data set.";
    op.schema = extract::schema;
    op.traits.isolation = Isolation::process;
    op.traits.idempotent = true;
    op.traits.data = true;
    op.check = extract::check;
    op.run = [](task::TaskContext& context, const Json& params) {
        return engine::guarded([&] {
            try {
                return run(context, params);
            } catch (const extract::RateLimited& limited) {
                return task::rate_limited(limited.what(), limited.retry_after());
            }
        });
    };
    return op;
}

}  // namespace sluice::ops
