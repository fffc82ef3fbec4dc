#include "operators/access/access.hpp"

#include <algorithm>
#include <set>

#include <nlohmann/json.hpp>

#include "base/hash.hpp"
#include "base/problem.hpp"
#include "operators/access/rules.hpp"
#include "operators/connect/postgres.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "task/context.hpp"
#include "task/job.hpp"

namespace sluice::ops {

namespace {

using access::Reader;
using access::Rules;
using engine::literal;
using engine::quote;
using nlohmann::json;

constexpr const char* schema_text = R"json({
  "type": "object",
  "required": ["schema", "rules"],
  "additionalProperties": false,
  "properties": {
    "schema": {"type": "string", "minLength": 1, "description": "A schema of the DAG's `schemas`."},
    "rules": {"type": "string", "minLength": 1, "x-file": true, "x-template": "none", "description": "A file of access rules in a folder `access`: `etl`, `owner`, `readers`: {role: {views, rows: {table: SQL}}}."}
  }
})json";

/// Whoever is none of the readers' but works with the table sees all of it: a superuser, its owner.
constexpr const char* policy_for_views = "sluice_read";
constexpr const char* policy_for_etl = "sluice_write";

class Apply {
public:
    Apply(
        task::TaskContext& context, connect::Postgres& sql, const Rules& rules, std::string schema
    )
        : context_(context), sql_(sql), rules_(rules), schema_(std::move(schema)) {}

    void run() {
        connect::Transaction transaction(sql_);
        sql_.query("select pg_advisory_xact_lock(hashtextextended('sluice:access', 0))");
        if (roles_are_there()) {
            dry_ = true;
            settle();
            dry_ = false;
        } else {
            ++changes_;
        }
        if (changes_ > 0) {
            changes_ = 0;
            lock_writers();
            settle();
        }
        for (const auto& [role, reader] : rules_.readers) verify(role, reader);
        transaction.commit();
        context_.info(
            std::to_string(changes_) + " changes for " + std::to_string(rules_.readers.size()) +
            " readers of " + schema_
        );
    }

private:
    void settle() {
        make_roles();
        open_schema();
        own_views();
        for (const auto& [role, reader] : rules_.readers) grant(role, reader);
        close_other_tables();
        for (const std::string& table : rules_.tables()) guard(table);
    }

    bool roles_are_there() {
        const auto roles = rules_.roles();
        return std::ranges::all_of(roles, [&](const std::string& role) {
            return holds("exists (select from pg_roles where rolname = " + literal(role) + ")");
        });
    }

    /// Loads and views that are being made write the catalogue's rows that a grant writes, which
    /// PostgreSQL refuses to both at once: their own locks, in their order. Most runs of this task
    /// find nothing to change and wait for nobody.
    void lock_writers() {
        for (const std::string& one : relations("{r,p,v,m}", "true"))
            sql_.query(
                "select pg_advisory_xact_lock(hashtextextended($1, 0))", {"sluice:" + named(one)}
            );
    }

    /// A statement that changes something, if it is time for it.
    void change(const std::string& statement) {
        if (!dry_) sql_.execute(statement);
        ++changes_;
    }
    [[nodiscard]] std::string named(const std::string& relation) const {
        return quote(schema_) + "." + quote(relation);
    }
    bool holds(const std::string& condition) { return sql_.value("select " + condition) == "t"; }

    /// Names of the schema's relations of these kinds for which the condition over pg_class c
    /// holds.
    std::vector<std::string> relations(const std::string& kinds, const std::string& condition) {
        std::vector<std::string> out;
        const auto rows = sql_.query(
            "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace where "
            "n.nspname = $1 and c.relkind = any ($2::\"char\"[]) and " +
                condition + " order by 1",
            {schema_, kinds}
        );
        for (const auto& row : rows.rows) out.push_back(row.at(0).value());
        return out;
    }

    void make_roles() {
        for (const std::string& role : rules_.roles()) {
            if (!holds("exists (select from pg_roles where rolname = " + literal(role) + ")"))
                change("create role " + quote(role) + " nologin");
            if (holds(
                    "(select rolsuper or rolbypassrls from pg_roles where rolname = " +
                    literal(role) + ")"
                ))
                throw engine::Failure(
                    ErrorClass::permanent,
                    "the role " + role + " goes past all rules (superuser or bypassrls) [E-ACCESS]"
                );
        }
        // Who gives a view away must belong to whom it is given to.
        if (!holds("pg_has_role(current_user, " + literal(rules_.owner) + ", 'member')"))
            change("grant " + quote(rules_.owner) + " to current_user");
    }

    void open_schema() {
        for (const std::string& role : rules_.roles()) {
            const bool owner = role == rules_.owner;
            if (!holds(
                    "has_schema_privilege(" + literal(role) + ", " + literal(schema_) + ", " +
                    (owner ? "'create'" : "'usage'") + ")"
                ))
                change(
                    "grant usage" + std::string(owner ? ", create" : "") + " on schema " +
                    quote(schema_) + " to " + quote(role)
                );
        }
        for (const std::string& one : relations(
                 "{r,p,v,m}",
                 "not has_table_privilege(" + literal(rules_.owner) + ", c.oid, 'select')"
             ))
            change("grant select on " + named(one) + " to " + quote(rules_.owner));
        if (rules_.etl.empty()) return;
        for (const char* privilege : {"select", "insert", "update", "delete"})
            for (const std::string& one : relations(
                     std::string_view(privilege) == "select" ? "{r,p,v,m}" : "{r,p}",
                     "not has_table_privilege(" + literal(rules_.etl) + ", c.oid, " +
                         literal(privilege) + ")"
                 ))
                change(
                    "grant " + std::string(privilege) + " on " + named(one) + " to " +
                    quote(rules_.etl)
                );
    }

    /// Behind a view the rights of its owner count: one for whom the rules of rows hold.
    void own_views() {
        for (const std::string& view :
             relations("{v}", "pg_get_userbyid(c.relowner) <> " + literal(rules_.owner)))
            change("alter view " + named(view) + " owner to " + quote(rules_.owner));
    }

    void grant(const std::string& role, const Reader& reader) {
        const auto present = relations("{v,m}", "true");
        const auto stored = relations("{m}", "true");
        for (const std::string& view : reader.views) {
            if (!std::ranges::binary_search(present, view))
                engine::bad_schema(named(view) + " is no view: readers read views only [E-ACCESS]");
            if (!reader.rows.empty() && std::ranges::binary_search(stored, view))
                engine::bad_schema(
                    named(view) +
                    " is a materialized view, which holds the rows of all: a reader "
                    "with rules of rows cannot have it [E-ACCESS]"
                );
            if (!holds(
                    "has_table_privilege(" + literal(role) + ", " + literal(named(view)) +
                    ", 'select')"
                ))
                change("grant select on " + named(view) + " to " + quote(role));
        }
        for (const std::string& one : relations(
                 "{r,p,v,m}",
                 "has_table_privilege(" + literal(role) +
                     ", c.oid, 'select, insert, update, delete, truncate')"
             ))
            if (std::ranges::find(reader.views, one) == reader.views.end())
                change("revoke all on " + named(one) + " from public, " + quote(role));
    }

    /// Rules that the file no longer has.
    void close_other_tables() {
        const auto tables = rules_.tables();
        for (const std::string& one : relations(
                 "{r,p}",
                 "exists (select from pg_policy p where p.polrelid = c.oid and p.polname = " +
                     literal(policy_for_views) + ")"
             )) {
            if (std::ranges::binary_search(tables, one)) continue;
            change("drop policy " + std::string(policy_for_views) + " on " + named(one));
            change("drop policy if exists " + std::string(policy_for_etl) + " on " + named(one));
            change("alter table " + named(one) + " disable row level security");
        }
    }

    /// SQL that is true of the rows that the session's user may see through the views. The
    /// sub-selects are worked out once a query.
    [[nodiscard]] std::string condition(const std::string& table) const {
        std::string out =
            "(select rolsuper or rolbypassrls from pg_catalog.pg_roles where rolname = "
            "current_user) or (select pg_has_role(current_user, c.relowner, 'usage') from "
            "pg_catalog.pg_class c where c.oid = " +
            literal(named(table)) + "::regclass)";
        if (!rules_.etl.empty())
            out += " or (select pg_has_role(current_user, " + literal(rules_.etl) + ", 'usage'))";
        for (const auto& [role, reader] : rules_.readers) {
            const auto rule = reader.rows.find(table);
            out += " or ((select pg_has_role(current_user, " + literal(role) + ", 'usage'))" +
                   (rule == reader.rows.end() ? "" : " and (" + rule->second + ")") + ")";
        }
        return out;
    }

    void guard(const std::string& table) {
        if (relations("{r,p}", "c.relname = " + literal(table)).empty())
            engine::bad_schema(named(table) + " is no table: rules of rows stand there [E-ACCESS]");
        const std::string wanted = condition(table);
        const std::string mark =
            "sluice " + sha256_hex(rules_.owner + "|" + rules_.etl + "|" + wanted);
        const auto found = sql_.value(
            "select obj_description(p.oid, 'pg_policy') from pg_policy p join pg_class c on c.oid "
            "= "
            "p.polrelid where p.polrelid = $1::regclass and p.polname = $2 and c.relrowsecurity",
            {named(table), policy_for_views}
        );
        if (found == mark) return;
        for (const char* policy : {policy_for_views, policy_for_etl})
            change("drop policy if exists " + std::string(policy) + " on " + named(table));
        change(
            "create policy " + std::string(policy_for_views) + " on " + named(table) +
            " for select to " + quote(rules_.owner) + " using (" + wanted + ")"
        );
        change(
            "comment on policy " + std::string(policy_for_views) + " on " + named(table) + " is " +
            literal(mark)
        );
        if (!rules_.etl.empty())
            change(
                "create policy " + std::string(policy_for_etl) + " on " + named(table) +
                " for all to " + quote(rules_.etl) + " using (true) with check (true)"
            );
        change("alter table " + named(table) + " enable row level security");
    }

    /// What a role has by way of another one is not ours to take: it is said.
    void verify(const std::string& role, const Reader& reader) {
        for (const std::string& one : relations(
                 "{r,p,v,m}",
                 "has_table_privilege(" + literal(role) +
                     ", c.oid, 'select, insert, update, delete, truncate')"
             ))
            if (std::ranges::find(reader.views, one) == reader.views.end())
                throw engine::Failure(
                    ErrorClass::permanent,
                    role + " can still use " + named(one) + ", by way of another role [E-ACCESS]"
                );
    }

    task::TaskContext& context_;
    connect::Postgres& sql_;
    const Rules& rules_;
    const std::string schema_;
    int changes_{0};
    bool dry_{false};  // changes are only counted
};

task::CheckResult check(const task::CheckInput& input) {
    task::CheckResult out;
    const std::string schema = input.params.at("schema").get<std::string>();
    const std::string path = input.params.at("rules").get<std::string>();
    if (!input.dag.schemas.contains(schema))
        out.problems.push_back(
            problem("E-ACCESS", "/schema", "the schema " + schema + " does not stand in `schemas`")
        );
    const auto text = input.dag.files.find(path);
    if (text == input.dag.files.end()) {
        out.problems.push_back(problem("E-ACCESS", "/rules", "there is no file " + path));
        return out;
    }
    const auto rules = access::read(text->second, path);
    for (const Problem& one : rules.problems)
        out.problems.push_back(problem("E-ACCESS", "/rules", path + ": " + one.message));
    if (!rules.value) return out;
    for (const auto& names : {rules.value->views(), rules.value->tables()})
        for (const std::string& name : names) {
            const std::string dataset = schema + "." + name;
            out.reads.push_back(dataset);
            if (input.dataset(dataset) == nullptr)
                out.problems.push_back(problem(
                    "E-DATASET",
                    "/rules",
                    path + ": nobody writes or declares the data set " + dataset
                ));
        }
    return out;
}

Outcome run_access(task::TaskContext& context, const json& params) {
    const std::string schema = params.at("schema").get<std::string>();
    const std::string path = params.at("rules").get<std::string>();
    const auto rules = access::read(context.file(path), path);
    if (!rules.value) throw Error(ErrorCode::invalid, path + ": " + rules.problems.front().message);
    if (context.physical_schema(schema) != schema) {
        context.info("a test run: roles belong to the whole server and stay as they are");
        return task::success();
    }
    const auto connection = context.schema_connection(schema);
    if (!connection)
        throw Error(ErrorCode::invalid, "the schema " + schema + " does not stand in `schemas`");
    const auto postgres = connect::open_postgres(context, *connection, "sluice:access");
    Apply(context, *postgres, *rules.value, schema).run();
    return task::success();
}

}  // namespace

task::Operator access_operator() {
    return {
        .name = "access",
        .summary =
            "Roles of a warehouse, the views each may read and the rows behind them, from one file "
            "of rules.",
        .schema = schema_text,
        .traits = {.isolation = Isolation::process, .idempotent = true, .data = true},
        .check = check,
        .run = [](task::TaskContext& context, const json& params
               ) { return engine::guarded([&] { return run_access(context, params); }); },
    };
}

}  // namespace sluice::ops
