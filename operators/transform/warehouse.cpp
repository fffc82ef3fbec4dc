#include "operators/transform/warehouse.hpp"

#include <nlohmann/json.hpp>

#include "base/hash.hpp"
#include "base/json_text.hpp"
#include "operators/binding/columns.hpp"
#include "operators/binding/physical.hpp"
#include "operators/connect/postgres.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/lake/summary.hpp"
#include "operators/transform/step_tools.hpp"

namespace sluice::transform {

namespace {

using nlohmann::json;

/// One object of the warehouse and the statement that makes it.
struct Target {
    std::string name;    // quoted, physical
    std::string schema;  // physical
    std::string table;
    std::string sql;
    std::string mark;  // stands in the object's comment: which statement made it
    std::vector<std::string> key;
};

/// What is there now: "" for nothing, else pg_class.relkind (r, v, m).
std::string kind_of(connect::Postgres& postgres, const Target& target) {
    return postgres
        .value(
            "select c.relkind::text from pg_class c join pg_namespace n on n.oid = c.relnamespace "
            "where n.nspname = $1 and c.relname = $2",
            {target.schema, target.table}
        )
        .value_or("");
}

bool same_text(connect::Postgres& postgres, const Target& target) {
    return postgres.value("select obj_description(to_regclass($1), 'pg_class')", {target.name}) ==
           target.mark;
}

void mark(connect::Postgres& postgres, const Target& target, const std::string& kind) {
    postgres.execute(
        "comment on " + kind + " " + target.name + " is " + engine::literal(target.mark)
    );
}

void expect_kind(
    const std::string& found, const std::string& wanted, const Target& target, const char* words
) {
    if (!found.empty() && found != wanted)
        throw engine::Failure(
            ErrorClass::schema, target.name + " exists and is not a " + words + ": drop it first"
        );
}

void index_key(connect::Postgres& postgres, const Target& target) {
    if (target.key.empty()) return;
    postgres.execute(
        "create unique index on " + target.name + " (" + engine::quoted_list(target.key) + ")"
    );
}

void make_view(connect::Postgres& postgres, const Target& target) {
    const std::string kind = kind_of(postgres, target);
    expect_kind(kind, "v", target, "view");
    if (kind == "v" && same_text(postgres, target)) return;
    if (kind.empty()) {
        postgres.execute("create view " + target.name + " as " + target.sql);
    } else {
        // Columns that changed are no "or replace": then the view is made anew, unless another
        // object hangs on it.
        postgres.execute("savepoint replace_view");
        try {
            postgres.execute("create or replace view " + target.name + " as " + target.sql);
        } catch (const Error&) {
            postgres.execute("rollback to savepoint replace_view");
            postgres.execute("drop view " + target.name);
            postgres.execute("create view " + target.name + " as " + target.sql);
        }
    }
    mark(postgres, target, "view");
}

void make_materialized_view(connect::Postgres& postgres, const Target& target) {
    const std::string kind = kind_of(postgres, target);
    expect_kind(kind, "m", target, "materialized view");
    if (kind == "m" && same_text(postgres, target)) {
        postgres.execute(
            std::string("refresh materialized view ") +
            (target.key.empty() ? "" : "concurrently ") + target.name
        );
        return;
    }
    if (kind == "m") postgres.execute("drop materialized view " + target.name);
    postgres.execute("create materialized view " + target.name + " as " + target.sql);
    index_key(postgres, target);
    mark(postgres, target, "materialized view");
}

void make_table(connect::Postgres& postgres, const Target& target) {
    const std::string kind = kind_of(postgres, target);
    expect_kind(kind, "r", target, "table");
    if (kind == "r" && same_text(postgres, target)) {
        postgres.execute("delete from " + target.name);
        postgres.execute("insert into " + target.name + " " + target.sql);
        return;
    }
    if (kind == "r") postgres.execute("drop table " + target.name);
    postgres.execute("create table " + target.name + " as " + target.sql);
    index_key(postgres, target);
    mark(postgres, target, "table");
}

}  // namespace

Outcome run_in_warehouse(
    task::TaskContext& context, const json& params, const expression::Source& source
) {
    lake::Summary summary;
    const std::string to = params.at("to").get<std::string>();
    const std::string schema = binding::tier_of(to);
    const auto connection = context.schema_connection(schema);
    if (!connection)
        throw Error(ErrorCode::invalid, "the schema " + schema + " does not stand in `schemas`");
    const std::string materialized = params.value("materialized", "table");
    Target target;
    target.name = binding::physical_name(context, to);
    target.schema = context.physical_schema(schema);
    target.table = to.substr(schema.size() + 1);
    target.sql = binding::physical_sql(context, expression::with_literals(source));
    if (params.contains("key")) target.key = texts_of(params.at("key"));
    target.mark =
        "sluice " + sha256_hex(materialized + "|" + target.sql + "|" + json(target.key).dump());

    const auto postgres = connect::open_postgres(context, *connection, "sluice:" + to);
    connect::Transaction transaction(*postgres);
    // One writer at a time: tasks of several runs make the same object.
    postgres->execute(
        "select pg_advisory_xact_lock(hashtextextended($1, 0))", {"sluice:" + target.name}
    );
    postgres->execute("create schema if not exists " + engine::quote(target.schema));
    postgres->execute("set local timezone to " + engine::literal(context.info().timezone));
    if (materialized == "view")
        make_view(*postgres, target);
    else if (materialized == "materialized_view")
        make_materialized_view(*postgres, target);
    else
        make_table(*postgres, target);
    if (materialized != "view")
        summary.rows_out = postgres->integer("select count(*) from " + target.name);
    transaction.commit();
    return lake::finish(context, summary);
}

}  // namespace sluice::transform
