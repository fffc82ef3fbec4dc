#include "operators/load/stage.hpp"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "base/fault.hpp"
#include "operators/engine/chunk.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/lake/progress.hpp"
#include "operators/load/copy_encoder.hpp"
#include "operators/load/copy_sender.hpp"
#include "operators/load/statistics.hpp"

namespace sluice::load {

using engine::ColumnInfo;
using engine::literal;
using engine::quote;
using engine::quoted_list;

namespace {

const ColumnInfo* find(const std::vector<ColumnInfo>& columns, const std::string& name) {
    const auto found = std::find_if(columns.begin(), columns.end(), [&](const ColumnInfo& column) {
        return column.name == name;
    });
    return found == columns.end() ? nullptr : &*found;
}

void need(const std::vector<ColumnInfo>& columns, const std::string& name, const std::string& why) {
    if (find(columns, name) == nullptr) {
        engine::bad_schema("the source has no column \"" + name + "\", which " + why + " names");
    }
}

bool in(const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

std::vector<PgColumn> provenance() {
    std::vector<PgColumn> columns;
    for (const std::string_view name : engine::provenance_columns) {
        columns.emplace_back(
            std::string(name), name == "_sluice_loaded_at" ? "timestamp with time zone" : "text"
        );
    }
    return columns;
}

std::vector<std::string> provenance_names() { return names_of(provenance()); }

std::vector<std::string> names_of(const std::vector<PgColumn>& columns) {
    std::vector<std::string> names;
    for (const auto& [name, type] : columns) names.push_back(name);
    return names;
}

std::vector<ColumnInfo> source_columns(const Plan& plan, const std::vector<ColumnInfo>& all) {
    const std::vector<ColumnInfo> columns = engine::user_columns(all);
    for (const std::string& name : plan.key) need(columns, name, "\"key\"");
    for (const std::string& name : plan.type1) need(columns, name, "\"type1\"");
    if (!plan.updated_at.empty()) need(columns, plan.updated_at, "\"updated_at\"");
    if (!plan.event_time.empty()) need(columns, plan.event_time, "\"event_time\"");
    for (const Lookup& lookup : plan.lookups) {
        for (const auto& [theirs, ours] : lookup.using_) need(columns, ours, "\"dimensions\"");
        if (!lookup.at.empty()) need(columns, lookup.at, "\"dimensions\"");
        if (find(columns, lookup.sk_column()) != nullptr) {
            engine::bad_schema(
                "the source has a column \"" + lookup.sk_column() + "\" already: give " +
                lookup.dimension + " a role"
            );
        }
    }
    return columns;
}

namespace {

std::string examples(const engine::Rows& rows) {
    std::string text;
    for (const auto& row : rows.rows) {
        std::string cells;
        for (const auto& cell : row) cells += (cells.empty() ? "" : ", ") + engine::to_text(cell);
        text += (text.empty() ? "(" : ", (") + cells + ")";
    }
    return text;
}

}  // namespace

void check_key(engine::Database& database, const Plan& plan, const lake::Source& source) {
    if (plan.key.empty()) return;
    std::string nulls;
    for (const std::string& name : plan.key) {
        nulls += (nulls.empty() ? "" : " or ") + quote(name) + " is null";
    }
    const std::int64_t missing =
        database.integer("select count(*) from " + source.relation + " where " + nulls);
    if (missing > 0) {
        engine::bad_data(
            std::to_string(missing) + " rows for " + plan.to + " have no value in the key " +
            quoted_list(plan.key) + " [E-LOAD-KEY]"
        );
    }
    if (const std::string twice = keys_given_twice(database, plan, source); !twice.empty()) {
        engine::bad_data(
            "rows for " + plan.to + " have the same key " + quoted_list(plan.key) + ": " + twice +
            " [E-LOAD-KEY]"
        );
    }
}

std::string keys_given_twice(
    engine::Database& database, const Plan& plan, const lake::Source& source
) {
    // A history may have several rows of a key; the same row twice is settled when it is derived.
    if (plan.key.empty() || plan.mode == Mode::scd2) return {};
    return examples(database.query(
        "select " + quoted_list(plan.key) + " from " + source.relation + " group by all having " +
        "count(*) > 1 order by all limit 3"
    ));
}

namespace {

/// The hash over what a version of a type 2 dimension is made of. NULLs are left out, so that a
/// column added later (NULL in all old rows) changes no hash.
std::string version_hash(const Plan& plan, const std::vector<ColumnInfo>& columns) {
    std::string parts;
    for (const ColumnInfo& column : columns) {
        const bool tracked = !in(plan.key, column.name) && !in(plan.type1, column.name) &&
                             column.name != plan.updated_at;
        if (!tracked) continue;
        const std::string name = quote(column.name);
        const std::string text = engine::canonical_text(name, column.type);
        parts += (parts.empty() ? "" : " || ") + std::string("case when ") + name +
                 " is null then '' else " +
                 literal(std::to_string(column.name.size()) + ":" + column.name) + " || strlen(" +
                 text + ") || ':' || (" + text + ") end";
    }
    return parts.empty() ? "sha256('')" : "sha256(" + parts + ")";
}

std::string end_literal(const task::TaskInfo& info) {
    if (info.data_interval) return literal(format_offset(info.data_interval->end));
    if (info.logical_date) return literal(format_offset(*info.logical_date));
    throw engine::Failure(
        ErrorClass::permanent,
        "this run has neither a data interval nor a logical date: its observations have no place "
        "in time"
    );
}

/// SQL that is true of a value that PostgreSQL has no way to hold; "" = it holds all of the type.
std::string unfit(const ColumnInfo& column) {
    const std::string name = quote(column.name);
    if (column.type == "VARCHAR") return "contains(" + name + ", chr(0))";
    if (column.type == "JSON")
        return "regexp_matches(" + name + "::varchar, '(^|[^\\\\])(\\\\\\\\)*\\\\u0000')";
    const bool date = column.type == "DATE";
    if (!date && !column.type.starts_with("TIMESTAMP")) return {};
    const std::string most = date ? "5874897-12-31" : "294246-12-31";
    return "isfinite(" + name + ") and " + name + " not between '4713-01-01 (BC)'::" + column.type +
           " and " + literal(most) + "::" + column.type;
}

/// The columns, those that PostgreSQL would not take as NULL, and the place of the first of these.
std::string fitting_columns(const std::vector<ColumnInfo>& columns) {
    std::string list;
    std::string places;
    for (std::size_t i = 0; i < columns.size(); ++i) {
        const std::string name = quote(columns[i].name);
        const std::string wrong = unfit(columns[i]);
        list += (list.empty() ? "" : ", ") +
                (wrong.empty() ? name : "case when not (" + wrong + ") then " + name + " end");
        if (!wrong.empty()) places += " when " + wrong + " then " + std::to_string(i);
    }
    return list + ", " + (places.empty() ? "null::integer" : "(case" + places + " end)::integer");
}

std::string stage_query(
    const task::TaskInfo& info,
    const Plan& plan,
    const lake::Source& source,
    const std::vector<ColumnInfo>& columns
) {
    std::vector<std::string> names;
    for (const ColumnInfo& column : columns) names.push_back(column.name);
    const std::string list = plan.max_rejects ? fitting_columns(columns) : quoted_list(names);
    std::string query = "select " + list + ", " + engine::row_hash(columns);
    if (plan.observed()) {
        const std::string end = end_literal(info) + "::timestamptz";
        query += ", " + (plan.updated_at.empty() ? end : quote(plan.updated_at) + "::timestamptz");
        query += plan.deletes == Deletes::where
                     ? ", case when " + plan.deletes_where + " then 'D' else 'U' end"
                     : std::string(", 'U'");
        query += ", " + (plan.mode == Mode::scd2 ? version_hash(plan, columns) : "null::varchar");
    }
    return query + " from " + source.relation;
}

/// The table that is copied into, and over it the view that has what is the same in every row:
/// some 130 bytes of each, which need not be sent, stored and read.
void make_stage(
    const task::TaskInfo& info,
    Warehouse& warehouse,
    const Plan& plan,
    const std::vector<PgColumn>& columns
) {
    std::string list;
    std::vector<std::string> names;
    for (const auto& [name, type] : columns) {
        list += (list.empty() ? "" : ", ") + quote(name) + " " + type;
        names.push_back(name);
    }
    // A date spine is the same whichever run loads it.
    const std::string loaded_at = info.logical_date && !plan.spine
                                      ? literal(format_offset(*info.logical_date))
                                      : std::string("null");
    warehouse.sql().execute(std::string("create temp table sluice_stage_rows (") + list + ")");
    warehouse.sql().execute(
        "create temp view sluice_stage as select " + quoted_list(names) + ", " +
        literal(info.run_id) + "::text as _sluice_run_id, " + literal(lake::writer_name(info)) +
        "::text as _sluice_task, " + literal(warehouse.slice()) + "::text as _sluice_interval, " +
        literal(plan.from ? plan.from->dataset : "date_spine") + "::text as _sluice_source, " +
        loaded_at + "::timestamptz as _sluice_loaded_at from " + stage_rows
    );
}

/// The sum of row hashes modulo 2^128, as 32 hex digits.
class HashSum {
public:
    void add(std::string_view hex) { sum_ += value_of(hex); }
    void take_away(std::string_view hex) { sum_ -= value_of(hex); }
    [[nodiscard]] std::string text() const {
        static constexpr char digits[] = "0123456789abcdef";
        std::string out(32, '0');
        engine::Uint128 rest = sum_;
        for (std::size_t i = 32; i-- > 0; rest >>= 4) {
            out[i] = digits[static_cast<unsigned>(rest & 15U)];
        }
        return out;
    }

private:
    static engine::Uint128 value_of(std::string_view hex) {
        engine::Uint128 value = 0;
        for (std::size_t i = 0; i < 32; ++i) {
            const char c = hex[i];
            value = (value << 4) + static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10);
        }
        return value;
    }
    engine::Uint128 sum_{0};
};

void copy_rows(
    task::TaskContext& context,
    engine::Database& database,
    Warehouse& warehouse,
    const std::string& query,
    std::int64_t total,
    std::size_t hash_column,
    Stage& stage
) {
    constexpr std::size_t piece_bytes = std::size_t{256} << 10;
    HashSum hash;
    lake::Progress progress(context, "copying rows", total);
    const auto begin = std::chrono::steady_clock::now();
    std::int64_t sent = 0;
    std::string buffer = copy_header();
    CopySender sender(
        warehouse.sql(), std::string("copy ") + stage_rows + " from stdin (format binary)"
    );
    const auto send = [&] {
        sent += static_cast<std::int64_t>(buffer.size());
        sender.put(buffer);
    };
    database.stream(query, [&](const engine::Chunk& chunk) {
        encode(chunk, buffer);
        const engine::Cells& hashes = chunk.column(hash_column);
        for (std::size_t row = 0; row < chunk.rows(); ++row) hash.add(hashes.text(row));
        stage.rows += static_cast<std::int64_t>(chunk.rows());
        if (buffer.size() >= piece_bytes) {
            send();
            progress.reach(stage.rows, sent);
        }
    });
    fault_point("load_mid_copy");
    buffer += copy_trailer();
    send();
    const std::int64_t copied = sender.end();
    if (copied != stage.rows) {
        throw engine::Failure(
            ErrorClass::permanent,
            "verify: " + std::to_string(stage.rows) + " rows were sent, " + std::to_string(copied) +
                " arrived"
        );
    }
    stage.content_hash = hash.text();
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
    context.info(
        fmt::format("staged {} rows, {} bytes, in {:.2f} s", stage.rows, sent, spent.count())
    );
}

}  // namespace

void forget(Stage& stage, const std::vector<std::string>& row_hashes) {
    HashSum hash;
    hash.add(stage.content_hash);
    for (const std::string& gone : row_hashes) hash.take_away(gone);
    stage.content_hash = hash.text();
    stage.rows -= static_cast<std::int64_t>(row_hashes.size());
}

Stage fill_stage(
    task::TaskContext& context,
    engine::Database& database,
    Warehouse& warehouse,
    const Plan& plan,
    const lake::Source& source
) {
    Stage stage;
    stage.columns = source_columns(plan, source.columns);
    if (plan.max_rejects) {
        stage.key_twice = !keys_given_twice(database, plan, source).empty();
    } else {
        check_key(database, plan, source);
    }
    if (!plan.max_rejects && !plan.updated_at.empty()) {
        const std::int64_t undated = database.integer(
            "select count(*) from " + source.relation + " where " + quote(plan.updated_at) +
            " is null"
        );
        if (undated > 0) {
            engine::bad_data(
                std::to_string(undated) + " rows have no \"" + plan.updated_at +
                "\", which dates their versions"
            );
        }
    }
    std::vector<PgColumn> columns = pg_columns(stage.columns);
    stage.has_refused = plan.max_rejects.has_value();
    if (stage.has_refused) columns.emplace_back("_sluice_refused", "integer");
    const std::size_t hash_column = columns.size();
    columns.emplace_back("_sluice_row_hash", "text");
    if (plan.observed()) {
        columns.emplace_back("_sluice_eff", "timestamp with time zone");
        columns.emplace_back("_sluice_op", "text");
        columns.emplace_back("_sluice_hd", "text");
    }
    fault_point("load_before_stage");
    make_stage(context.info(), warehouse, plan, columns);
    copy_rows(
        context,
        database,
        warehouse,
        stage_query(context.info(), plan, source, stage.columns),
        source.rows,
        hash_column,
        stage
    );
    analyze_if_large(warehouse.sql(), stage_rows, stage.rows);
    fault_point("load_after_stage");
    return stage;
}

lake::Source date_spine(engine::Database& database, const DateSpine& spine) {
    const std::string start = literal(spine.start) + "::date";
    const std::string end = literal(spine.end) + "::date";
    const std::string first = std::to_string(spine.fiscal_year_start);
    // A fiscal year is named after the calendar year in which it ends.
    const std::string fiscal_year =
        spine.fiscal_year_start == 1 ? "year(d)" : "year(d) + (month(d) >= " + first + ")::int";
    lake::Source source;
    source.relation =
        "(select (year(d) * 10000 + month(d) * 100 + day(d))::integer as date_sk, d as date, "
        "year(d)::integer as year, quarter(d)::integer as quarter, month(d)::integer as month, "
        "strftime(d, '%Y-%m') as year_month, weekofyear(d)::integer as iso_week, "
        "isodow(d)::integer as day_of_week, isodow(d) >= 6 as is_weekend, (" +
        fiscal_year + ")::integer as fiscal_year, ((month(d) + 12 - " + first +
        ") % 12 // 3 + 1)::integer as fiscal_quarter from (select unnest(generate_series(" + start +
        ", " + end + ", interval 1 day))::date as d))";
    source.columns = database.describe("select * from " + source.relation);
    source.rows = database.integer("select count(*) from " + source.relation);
    return source;
}

}  // namespace sluice::load
