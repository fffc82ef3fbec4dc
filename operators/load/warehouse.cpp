#include "operators/load/warehouse.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "base/hash.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/lake/slice.hpp"
#include "operators/load/rejects.hpp"

namespace sluice::load {

using engine::Failure;
using engine::literal;
using engine::quote;

namespace {

constexpr const char* ledger_columns =
    "(dataset text, partition text, slice text, generation bigint, "
    "dag_id text, task_id text, map_index int, interval_start timestamptz, "
    "interval_end timestamptz, run_id text, attempt int, "
    "state text check (state in ('writing', 'committed', 'superseded', 'deleted')), "
    "rows bigint, bytes bigint, content_hash bytea, files jsonb, input jsonb, code_hash bytea, "
    "committed_at timestamptz, primary key (dataset, partition, slice, generation))";

constexpr const char* rejects_columns =
    "(dataset text, slice text, generation bigint, row_number bigint, column_name text not null, "
    "reason text not null, row jsonb not null, dag_id text, task_id text, run_id text, loaded_at "
    "timestamptz not null, primary key (dataset, slice, generation, row_number))";

std::string schema_part(const std::string& dataset) { return dataset.substr(0, dataset.find('.')); }
std::string table_part(const std::string& dataset) { return dataset.substr(dataset.find('.') + 1); }

/// PostgreSQL cuts names at 63 bytes without a word; ours end in a hash instead.
std::string fitting(const std::string& name) {
    if (name.size() <= 63) return name;
    return name.substr(0, 46) + "~" + sha256_hex(name).substr(0, 16);
}

std::string connection_of(const task::TaskContext& context, const std::string& dataset) {
    const auto conn_id = context.schema_connection(schema_part(dataset));
    if (!conn_id) {
        throw Error(
            ErrorCode::invalid,
            "the schema of " + dataset + " is not in the DAG's \"schemas\": it has no connection"
        );
    }
    return *conn_id;
}

std::string opt_instant(bool present, Instant at) {
    return present ? literal(format_offset(at)) + "::timestamptz" : "null";
}

}  // namespace

Warehouse::Warehouse(task::TaskContext& context, const Plan& plan)
    : context_(context),
      logical_(plan.to),
      slice_(context, plan.mode == Mode::replace),
      rejects_(plan.max_rejects.has_value()) {
    test_ = physical_schema() != schema();
    own_schema_ = test_ ? physical_schema() : "_sluice";
    postgres_ = connect::open_postgres(context, connection_of(context, logical_), "sluice");
    prepare();
    enter();
}

std::string Warehouse::schema() const { return schema_part(logical_); }
std::string Warehouse::physical_schema() const { return context_.physical_schema(schema()); }

bool Warehouse::find_gone(bool sure) {
    const auto rows = sql().query(
        "select slice from " + own("ledger") +
            " where dataset = $1 and state = 'committed' and slice <> $2 and (slice = $3::text or "
            "starts_with(slice, $3::text || '#')) order by slice",
        {logical_, slice(), slice_.base()}
    );
    std::vector<std::string> others;
    for (const auto& row : rows.rows) others.push_back(row.at(0).value());
    gone_ = slice_.gone(others, sure);
    return !gone_.empty();
}

std::string Warehouse::replaced() const {
    std::string list = literal(slice());
    for (const std::string& slice : gone_) list += ", " + literal(slice);
    return "(" + list + ")";
}

std::string Warehouse::session_name() const {
    const task::TaskInfo& info = context_.info();
    const std::string instance = logical_ + "|" + slice() + "|" + info.dag_id + "|" + info.run_id +
                                 "|" + info.task_id + "|" + std::to_string(info.map_index);
    return "sluice:" + sha256_hex(instance).substr(0, 16) + ":";
}

void Warehouse::enter() {
    const std::string name = session_name();
    const auto ended = sql().query(
        "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and "
        "datname = current_database() and application_name like $1",
        {name + "%"}
    );
    if (!ended.rows.empty()) {
        context_.warn("ended " + std::to_string(ended.rows.size()) + " sessions of older attempts");
    }
    sql().execute("set application_name = " + literal(name));
    // Indexes of a new table are built at once.
    sql().query(
        "select set_config('maintenance_work_mem', '256MB', false) where "
        "pg_size_bytes(current_setting('maintenance_work_mem')) < pg_size_bytes('256MB')"
    );
    // A slice that several runs write (a table that is replaced) has one writer at a time; the lock
    // goes with the session.
    sql().query(
        "select pg_advisory_lock(hashtextextended($1, 0))",
        {"sluice:writer:" + physical(logical_) + "|" + slice()}
    );
}

std::string Warehouse::physical(const std::string& dataset) const {
    return quote(context_.physical_schema(schema_part(dataset))) + "." + quote(table_part(dataset));
}

std::string Warehouse::own(const std::string& name) const {
    return quote(own_schema_) + "." + quote(test_ ? "_sluice_" + name : name);
}

std::string Warehouse::beside(const std::string& dataset, const std::string& what) const {
    const std::string name = fitting(dataset + "." + what);
    return quote(own_schema_) + "." + quote(name);
}

std::string Warehouse::partition_name(const std::string& label) const {
    return fitting(table_part(logical_) + "_" + label);
}

bool Warehouse::exists(const std::string& quoted_table) {
    return sql().value("select to_regclass($1) is not null", {quoted_table}) == "t";
}

void Warehouse::prepare() {
    const std::string schema = physical_schema();
    if (exists(own("dimension_use")) && (!rejects_ || exists(own("rejects"))) &&
        sql().value("select to_regnamespace($1) is not null", {quote(schema)}) == "t") {
        return;
    }
    connect::Transaction transaction(sql());
    // "if not exists" alone does not save two sessions from meeting in the catalogue.
    sql().execute("select pg_advisory_xact_lock(hashtextextended('sluice:setup', 0))");
    sql().execute("create schema if not exists " + quote(schema));
    sql().execute("create schema if not exists " + quote(own_schema_));
    sql().execute("create table if not exists " + own("ledger") + " " + ledger_columns);
    sql().execute(
        "create unique index if not exists one_live on " + own("ledger") +
        " (dataset, partition, slice) where state = 'committed'"
    );
    sql().execute(
        "create table if not exists " + own("dimension") +
        " (dimension text primary key, kind text not null check (kind in ('date', 'type1', "
        "'scd2')), key text[] not null)"
    );
    sql().execute(
        "create table if not exists " + own("dimension_use") +
        " (fact text, sk_column text, dimension text not null, key_columns text[] not null, "
        "fact_columns text[] not null, at_column text not null, missing text not null, "
        "primary key (fact, sk_column))"
    );
    if (rejects_) {
        sql().execute("create table if not exists " + own("rejects") + " " + rejects_columns);
    }
    transaction.commit();
}

bool Warehouse::same_as_live(const LedgerEntry& entry) {
    return exists(table()) &&
           sql().value(
               "select 1 from " + own("ledger") +
                   " where dataset = $1 and slice = $2 and state = 'committed' and "
                   "code_hash = decode($3, 'hex') and input = $4::jsonb",
               {logical_, slice(), entry.code_hash, entry.input}
           ) == "1";
}

void Warehouse::claim() {
    const std::int64_t least = sql().integer(
        "select coalesce(max(generation), 0) + 1 from " + own("ledger") +
            " where dataset = $1 and slice = $2",
        {logical_, slice()}
    );
    generation_ = context_.claim_output(logical_, "", slice(), least).generation;
    const task::TaskInfo& info = context_.info();
    const bool has = info.data_interval.has_value();
    const Interval interval = info.data_interval.value_or(Interval{});
    const std::int64_t inserted = sql().execute(
        "insert into " + own("ledger") +
            " (dataset, partition, slice, generation, dag_id, task_id, map_index, interval_start, "
            "interval_end, run_id, attempt, state) select $1, '', $2, $3::bigint, $4, $5, "
            "$6::int, " +
            opt_instant(has, interval.start) + ", " + opt_instant(has, interval.end) +
            ", $7, $8::int, 'writing' where not exists (select 1 from " + own("ledger") +
            " where dataset = $1 and slice = $2 and generation >= $3::bigint)",
        {logical_,
         slice(),
         std::to_string(generation_),
         info.dag_id,
         info.task_id,
         std::to_string(info.map_index),
         info.run_id,
         std::to_string(info.try_number)}
    );
    if (inserted == 0) {
        throw Failure(ErrorClass::transient, "a newer attempt writes this slice of " + logical_);
    }
    sql().execute(
        "set application_name = " + literal(session_name() + std::to_string(generation_))
    );
}

void Warehouse::confirm() {
    const auto states = sql().query(
        "select generation, state from " + own("ledger") +
            " where dataset = $1 and slice = $2 and generation >= $3::bigint "
            "order by generation desc for update",
        {logical_, slice(), std::to_string(generation_)}
    );
    if (states.rows.size() != 1 || states.rows[0][1] != "writing") {
        throw Failure(
            ErrorClass::transient, "a newer attempt has claimed this slice of " + logical_
        );
    }
}

void Warehouse::publish(const LedgerEntry& entry) {
    sql().execute(
        "update " + own("ledger") +
            " set state = case state when 'committed' then 'superseded' else 'deleted' end "
            "where dataset = $1 and slice = $2 and generation < $3::bigint and "
            "state in ('committed', 'writing')",
        {logical_, slice(), std::to_string(generation_)}
    );
    if (!gone_.empty()) {
        sql().execute(
            "update " + own("ledger") +
                " set state = case state when 'committed' then 'superseded' else 'deleted' end "
                "where dataset = $1 and slice in " +
                replaced() + " and slice <> $2 and state in ('committed', 'writing')",
            {logical_, slice()}
        );
        context_.info(
            "took away what " + std::to_string(gone_.size()) +
            " slices had that nobody writes any more"
        );
    }
    sql().execute(
        "update " + own("ledger") +
            " set state = 'committed', rows = $4::bigint, content_hash = decode($5, 'hex'), "
            "files = '[]', input = $6::jsonb, code_hash = decode($7, 'hex'), committed_at = now() "
            "where dataset = $1 and slice = $2 and generation = $3::bigint",
        {logical_,
         slice(),
         std::to_string(generation_),
         std::to_string(entry.rows),
         entry.content_hash,
         entry.input,
         entry.code_hash}
    );
}

void Warehouse::lock(std::vector<std::string> exclusive, std::vector<std::string> shared) {
    // One order for all loads: sorted by name, so that no two can wait for each other.
    std::set<std::string> strong(exclusive.begin(), exclusive.end());
    std::set<std::string> all = strong;
    all.insert(shared.begin(), shared.end());
    for (const std::string& dataset : all) {
        const std::string call =
            strong.contains(dataset) ? "pg_advisory_xact_lock" : "pg_advisory_xact_lock_shared";
        sql().query(
            "select " + call + "(hashtextextended($1, 0))", {"sluice:" + physical(dataset)}
        );
    }
}

std::vector<PgColumn> Warehouse::columns(const std::string& quoted_table) {
    std::vector<PgColumn> columns;
    const auto rows = sql().query(
        "select attname, format_type(atttypid, atttypmod) from pg_attribute where attrelid = "
        "to_regclass($1) and attnum > 0 and not attisdropped order by attnum",
        {quoted_table}
    );
    for (const auto& row : rows.rows) columns.emplace_back(row.at(0).value(), row.at(1).value());
    return columns;
}

namespace {

/// format_type() writes "character varying(10)" for varchar(10).
std::string normal(std::string type) {
    if (type.substr(0, 8) == "varchar(") type = "character varying" + type.substr(7);
    return type;
}

/// Whether every value of `from` is a value of `to`.
bool fits(const std::string& from, const std::string& to) {
    if (from == to) return true;
    static constexpr std::array<std::string_view, 4> integers{
        "smallint", "integer", "bigint", "numeric"
    };
    const auto a = std::find(integers.begin(), integers.end(), from);
    const auto b = std::find(integers.begin(), integers.end(), to);
    if (a != integers.end() && b != integers.end()) return a < b;
    if (to == "text") return from.substr(0, 17) == "character varying";
    return from == "real" && to == "double precision";
}

}  // namespace

bool Warehouse::make(
    const std::string& quoted_table,
    const std::vector<PgColumn>& wanted,
    const std::string& constraints,
    const std::string& how
) {
    const std::vector<PgColumn> present = columns(quoted_table);
    std::string list;
    for (const auto& [name, type] : wanted) {
        const auto found =
            std::find_if(present.begin(), present.end(), [&](const PgColumn& column) {
                return column.first == name;
            });
        if (found == present.end()) {
            list += (list.empty() ? "" : ", ") + std::string(present.empty() ? "" : "add column ") +
                    quote(name) + " " + type;
        } else if (!fits(normal(type), found->second) &&
                   !(rejects_ && quoted_table == table() &&
                     too_much(quote(name), normal(type), found->second))) {
            engine::bad_schema(
                "column \"" + name + "\" of " + quoted_table + " is " + found->second +
                ", the new rows have " + type + " (tables are changed by adding columns only)"
            );
        }
    }
    if (present.empty()) {
        sql().execute("create table " + quoted_table + " (" + list + constraints + ")" + how);
        return true;
    }
    if (!list.empty()) {
        sql().execute("alter table " + quoted_table + " " + list);
        context_.info("added columns to " + quoted_table + ": " + list);
    }
    return false;
}

std::vector<PgColumn> pg_columns(const std::vector<engine::ColumnInfo>& columns) {
    std::vector<PgColumn> out;
    for (const engine::ColumnInfo& column : columns) {
        out.emplace_back(column.name, engine::postgres_type(column.type));
    }
    return out;
}

}  // namespace sluice::load
