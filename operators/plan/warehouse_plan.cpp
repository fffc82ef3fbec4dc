// Copies of warehouse schemas to run against, and tables compared with them.
#include <algorithm>

#include "base/error.hpp"
#include "operators/connect/postgres.hpp"
#include "operators/engine/sql.hpp"
#include "operators/plan/difference.hpp"

namespace sluice::plan {

using engine::literal;
using engine::quote;

namespace {

constexpr const char* own_schema = "_sluice";

class Copy {
public:
    Copy(connect::Postgres& sql, const Shadow& shadow) : sql_(sql), shadow_(shadow) {}

    void run(const std::vector<std::string>& made) {
        connect::Transaction transaction(sql_);
        sql_.execute("create schema if not exists " + quote(shadow_.physical));
        for (const auto& row :
             sql_.query(
                     "select c.relname, c.relkind::text from pg_class c join pg_namespace "
                     "n on n.oid = c.relnamespace where n.nspname = $1 and c.relkind in "
                     "('r', 'p', 'v', 'm', 'f') and not c.relispartition order by 1",
                     {shadow_.schema}
             )
                 .rows) {
            const std::string name = row[0].value_or("");
            const std::string kind = row[1].value_or("");
            const std::string from = quote(shadow_.schema) + "." + quote(name);
            if (kind == "r" || kind == "p")
                copy_table(from, name, "");
            else if (std::ranges::find(made, name) == made.end())
                sql_.execute(
                    "create unlogged table " + shadowed(name) + " as select * from " + from
                );
        }
        copy_own();
        transaction.commit();
    }

private:
    [[nodiscard]] std::string shadowed(const std::string& name) const {
        return quote(shadow_.physical) + "." + quote(name);
    }

    void copy_table(const std::string& from, const std::string& name, const std::string& where) {
        const std::string to = shadowed(name);
        sql_.execute("create unlogged table " + to + " (like " + from + " including all)");
        std::vector<std::string> columns;
        std::string identity;
        for (const auto& row :
             sql_.query(
                     "select attname, attidentity <> '' from pg_attribute where attrelid "
                     "= to_regclass($1) and attnum > 0 and not attisdropped and "
                     "attgenerated = '' order by attnum",
                     {from}
             )
                 .rows) {
            columns.push_back(row[0].value_or(""));
            if (row[1] == "t") identity = columns.back();
        }
        const std::string list = engine::quoted_list(columns);
        sql_.execute(
            "insert into " + to + " (" + list + ")" +
            (identity.empty() ? "" : " overriding system value") + " select " + list + " from " +
            from + where
        );
        if (identity.empty()) return;
        // New keys are the ones that the real table would give next.
        sql_.query(
            "select setval(pg_get_serial_sequence($1, $2), coalesce((select last_value from "
            "pg_sequences where (quote_ident(schemaname) || '.' || quote_ident(sequencename))"
            "::regclass = pg_get_serial_sequence($3, $2)::regclass), 1), coalesce((select "
            "last_value is not null from pg_sequences where (quote_ident(schemaname) || '.' || "
            "quote_ident(sequencename))::regclass = pg_get_serial_sequence($3, $2)::regclass), "
            "false))",
            {to, identity, from}
        );
    }

    void copy_own() {
        const std::string prefix = shadow_.schema + ".";
        const std::string mine = literal(prefix);
        const auto starts = [&](const char* column) {
            return std::string(" where left(") + column + ", length(" + mine + ")) = " + mine;
        };
        for (const auto& row : sql_.query(
                                       "select tablename from pg_tables where schemaname = $1 and "
                                       "left(tablename, length($2)) = $2 order by 1",
                                       {own_schema, prefix}
             )
                                   .rows)
            copy_table(
                quote(own_schema) + "." + quote(row[0].value_or("")), row[0].value_or(""), ""
            );
        for (const auto& [name, column] :
             {std::pair{"ledger", "dataset"}, {"dimension", "dimension"}, {"dimension_use", "fact"}
             }) {
            const std::string from = quote(own_schema) + "." + quote(name);
            if (sql_.value("select to_regclass($1) is not null", {from}) == "t")
                copy_table(from, std::string("_sluice_") + name, starts(column));
        }
    }

    connect::Postgres& sql_;
    const Shadow& shadow_;
};

bool exists(connect::Postgres& sql, const std::string& table) {
    return sql.value("select to_regclass($1) is not null", {table}) == "t";
}

/// Name and type of the columns, provenance left out.
std::vector<std::pair<std::string, std::string>> columns_of(
    connect::Postgres& sql, const std::string& table
) {
    std::vector<std::pair<std::string, std::string>> out;
    for (const auto& row :
         sql.query(
                "select attname, format_type(atttypid, null) from pg_attribute where "
                "attrelid = to_regclass($1) and attnum > 0 and not attisdropped order by "
                "attnum",
                {table}
         )
             .rows)
        if (!engine::is_provenance(row[0].value_or("")))
            out.emplace_back(row[0].value_or(""), row[1].value_or(""));
    return out;
}

/// The primary key, else a unique index's columns.
std::vector<std::string> key_of(connect::Postgres& sql, const std::string& table) {
    std::vector<std::string> key;
    for (const auto& row :
         sql.query(
                "select a.attname from (select indexrelid, indrelid, indkey from "
                "pg_index where indrelid = to_regclass($1) and indisunique and indpred "
                "is null and indexprs is null order by indisprimary desc, indexrelid "
                "limit 1) i cross join unnest(i.indkey) with ordinality k(n, o) join "
                "pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.n order by "
                "k.o",
                {table}
         )
             .rows)
        key.push_back(row[0].value_or(""));
    return key;
}

}  // namespace

void copy_schema(const Shadow& shadow, const std::vector<std::string>& made) {
    connect::Postgres sql(shadow.place, "sluice dags plan");
    if (sql.value("select to_regnamespace($1) is not null", {quote(shadow.schema)}) != "t") return;
    Copy(sql, shadow).run(made);
}

Difference compare_table(const Shadow& shadow, const DatasetSpec& dataset) {
    connect::Postgres sql(shadow.place, "sluice dags plan");
    const std::string table = dataset.name.substr(dataset.name.find('.') + 1);
    const std::string before = quote(shadow.schema) + "." + quote(table);
    const std::string after = quote(shadow.physical) + "." + quote(table);
    if (!exists(sql, after))
        throw Error(ErrorCode::not_found, dataset.name + " was not written by this run");
    const bool is_new = !exists(sql, before);
    const auto now = columns_of(sql, after);
    const auto then = is_new ? now : columns_of(sql, before);
    Compared compared;
    compared.ask = [&sql](const std::string& statement) { return sql.query(statement).rows; };
    compared.execute = [&sql](const std::string& statement) { sql.execute(statement); };
    std::vector<std::string> texts;
    for (const auto& [name, type] : now)
        if (type == "text" || type == "character varying") texts.push_back(name);
    const auto tokens = token_columns(compared.ask, after, texts);
    compared.before = is_new ? "" : before;
    compared.after = after;
    Difference notes;
    for (const auto& [name, type] : now) {
        const auto known =
            std::ranges::find(then, name, &std::pair<std::string, std::string>::first);
        if (known == then.end()) {
            notes.notes.push_back("new column " + name);
        } else if (std::ranges::find(tokens, name) != tokens.end()) {
            notes.notes.push_back("tokens are not compared: " + name);
        } else {
            compared.columns.push_back(name);
            compared.comparable.push_back(
                type == "json" || type == "xml" || type == "point"
                    ? "cast(" + quote(name) + " as text)"
                    : quote(name)
            );
        }
    }
    for (const std::string& column : key_of(sql, after))
        if (std::ranges::find(compared.columns, column) != compared.columns.end())
            compared.key.push_back(column);
    Difference out = difference_of(compared, dataset);
    out.notes = std::move(notes.notes);
    return out;
}

}  // namespace sluice::plan
