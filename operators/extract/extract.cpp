#include "operators/extract/extract.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <system_error>

#include <nlohmann/json.hpp>

#include "base/fault.hpp"
#include "operators/engine/error_number.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/extract/check.hpp"
#include "operators/extract/increment.hpp"
#include "operators/extract/page_fetcher.hpp"
#include "operators/extract/source.hpp"
#include "operators/lake/limit.hpp"
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
    std::vector<std::string> reserved;
    for (const ColumnInfo& column : found) {
        if (column.name == "_sluice_source") continue;
        const bool own = engine::is_provenance(column.name);
        if (!declared.contains(column.name)) (own ? reserved : extra).push_back(column.name);
    }
    if (!missing.empty()) {
        // Their names may be values, where a file has no header.
        engine::bad_schema(
            "declared columns that the source does not have: " + engine::quoted_list(missing) +
            " (of others it has " + std::to_string(extra.size()) + ")"
        );
    }
    const std::string on_change = params.value("on_schema_change", "fail");
    if (!reserved.empty() && on_change != "ignore")
        engine::bad_schema(
            "the source has columns with names that are Sluice's own: " +
            engine::quoted_list(reserved) + " (on_schema_change: ignore drops them)"
        );
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
        // 100 % and more take everything.
        const auto limit = lake::limit_of(params["max_rejects"]).value_or(lake::Limit{1, -1});
        allowed = limit.allowed(rows + rejected);
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

/// What is read from where, for messages.
class Place {
public:
    Place(const task::Connection& connection, const extract::DataSource& source, const Json& from)
        : id_('"' + connection.id + '"'), name_("connection " + id_) {
        for (const std::string& key : source.reads)
            if (from.contains(key) && from[key].is_string())
                name_ += ", " + from[key].get<std::string>();
    }

    /// Runs a step of the reading; what it throws names connection and object.
    template <class Step>
    auto named(const Step& step) const {
        try {
            return step();
        } catch (const engine::Failure& failure) {
            if (says_where(failure.what())) throw;
            throw engine::Failure(failure.error_class(), with_name(failure.what()));
        } catch (const Error& error) {
            if (says_where(error.what())) throw;
            throw Error(error.code(), with_name(error.what()));
        } catch (const std::system_error& error) {
            throw engine::Failure(
                engine::class_of_errno(error.code().value()), with_name(error.what())
            );
        }
    }

private:
    [[nodiscard]] bool says_where(const std::string& what) const {
        return what.find(id_) != std::string::npos;
    }
    [[nodiscard]] std::string with_name(const std::string& what) const {
        return name_ + ": " + what;
    }

    std::string id_;
    std::string name_;
};

struct Taken {
    Extracted extracted;
    lake::WriteRequest write;  // without a query if there is nothing to write
    std::int64_t rejected{0};
};

/// The query of the rows that are to be written; its text is also the cursor's.
std::string rows_to_write(
    task::TaskContext& context,
    engine::Database& database,
    const Request& request,
    const Json& params,
    Taken& taken
) {
    if (taken.extracted.query.empty()) {
        std::string columns;
        for (const ColumnSpec& column : request.dataset.columns)
            columns += "null::varchar as " + quote(column.name) + ", ";
        if (!columns.empty())
            taken.write.query = "select " + columns + "null::varchar as _sluice_source where false";
        return "";
    }
    const auto found = database.describe(taken.extracted.query);
    const auto chosen = chosen_columns(context, request, params, found);
    const std::string rows = extract::narrowed(context, database, request, taken.extracted, found);
    taken.write.query =
        "select " + engine::quoted_list(chosen) + ", _sluice_source from (" + rows + ")";
    return rows;
}

Taken take(
    task::TaskContext& context,
    engine::Database& database,
    const extract::DataSource& source,
    const Request& request,
    const Json& params
) {
    Taken taken;
    taken.extracted = source.read(context, database, request);
    const auto check = [&] {
        if (!taken.extracted.has_rejects) return;
        const auto rejected = database.integer("select count(*) from sluice_rejects");
        if (rejected == taken.rejected) return;
        taken.rejected = rejected;
        check_rejects(context, database, params, rejected, taken.extracted.rows_in);
    };
    // Before the columns: what could not be read may be what has them.
    check();
    taken.write.dataset = params.at("to").get<std::string>();
    taken.write.code = params.dump();
    taken.write.tells_progress = !taken.extracted.rows_read;
    const std::string rows = rows_to_write(context, database, request, params, taken);
    taken.write.read = extract::read_now(database, request, taken.extracted, rows);
    check();
    return taken;
}

lake::Written write(
    task::TaskContext& context, engine::Database& database, const Taken& taken, const Place& place
) {
    if (!taken.extracted.reads_late) return lake::write(context, database, taken.write);
    return place.named([&] {
        std::optional<lake::Written> written;
        try {
            written = lake::write(context, database, taken.write);
        } catch (const engine::Failure&) {
            // The engine does not keep what stopped the source.
            if (taken.extracted.check) taken.extracted.check();
            throw;
        }
        // It goes live only when the task has succeeded.
        if (taken.extracted.check) taken.extracted.check();
        return *written;
    });
}

Outcome run(task::TaskContext& context, const Json& params) {
    const Request request = request_of(context, params);
    lake::Summary summary;
    const auto database = engine::open_database(context);
    const auto connection = context.connection(request.from.at("conn_id").get<std::string>());
    const extract::DataSource& source = extract::source_of(connection, request.from);
    const Place place(connection, source, request.from);
    const Taken taken =
        place.named([&] { return take(context, *database, source, request, params); });
    const Extracted& extracted = taken.extracted;
    summary.rows_in = extracted.rows_in + taken.rejected;
    summary.rows_rejected = taken.rejected;
    summary.files = extracted.files;
    if (!taken.write.query.empty()) {
        fault_point("extract_before_write");
        const lake::Written written = write(context, *database, taken, place);
        summary.rows_out = written.rows;
        summary.bytes = written.bytes;
        if (extracted.rows_read) summary.rows_in = extracted.rows_read();
    }
    if (extracted.has_rejects) write_rejects(context, *database, params);
    if (extracted.written) extracted.written();
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
