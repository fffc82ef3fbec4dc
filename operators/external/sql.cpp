#include <chrono>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "operators/external/external.hpp"
#include "operators/external/look.hpp"
#include "operators/external/pg_session.hpp"
#include "operators/external/sql_text.hpp"

namespace sluice::ops {
namespace {

using Json = nlohmann::json;

constexpr const char* sql_schema = R"json({
  "type": "object",
  "properties": {
    "conn_id": {"type": "string", "minLength": 1, "description": "A postgres connection."},
    "sql": {"type": ["string", "array", "object"], "items": {"type": "string"}, "x-template": "sql", "description": "Statements, as one string or a list of lines; a template is a bound parameter."},
    "sql_file": {"type": "string", "minLength": 1, "x-file": true, "x-template": "none", "description": "A file with the statements, relative to the DAG file."},
    "autocommit": {"type": "boolean", "default": false, "description": "Each statement by itself; otherwise all are one transaction."},
    "expect": {
      "type": "object",
      "properties": {
        "rows": {"type": "integer", "minimum": 0, "description": "Rows that the last statement returns or changes."},
        "value": {"description": "First value of its first row."}
      },
      "additionalProperties": false,
      "description": "Anything else fails the task; nothing is committed then, unless autocommit."
    }
  },
  "required": ["conn_id"],
  "oneOf": [{"required": ["sql"]}, {"required": ["sql_file"]}],
  "additionalProperties": false
})json";

std::vector<SqlStatement> statements_of(task::TaskContext& ctx, const Json& params) {
    if (params.contains("sql_file")) return split_sql(ctx.file(params.at("sql_file")), {});
    const Json& sql = params.at("sql");
    if (sql.is_object()) {
        std::vector<SqlValue> values;
        for (const Json& value : sql.at("values")) values.push_back(sql_value(value));
        return split_sql(sql.at("text").get<std::string>(), values);
    }
    if (sql.is_string()) return split_sql(sql.get<std::string>(), {});
    std::string text;
    for (const Json& line : sql) text += line.get<std::string>() + '\n';
    return split_sql(text, {});
}

/// "" if the answer is as expected, else what is not.
std::string unmet(const Json& expect, const SqlAnswer& answer) {
    if (const auto rows = expect.find("rows");
        rows != expect.end() && rows->get<std::int64_t>() != answer.rows)
        return std::to_string(answer.rows) + " rows, expected " + rows->dump();
    if (const auto value = expect.find("value"); value != expect.end()) {
        const Json found = Json::parse(answer.first_value);
        if (found != *value) return "the value is " + found.dump() + ", expected " + value->dump();
    }
    return "";
}

SqlAnswer run_one(
    task::TaskContext& ctx, PgSession& session, const SqlStatement& statement, std::size_t number
) {
    const auto begin = std::chrono::steady_clock::now();
    try {
        const SqlAnswer answer = session.run(statement);
        const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(
            std::chrono::steady_clock::now() - begin
        );
        ctx.info(
            "statement " + std::to_string(number) + ": " + std::to_string(answer.rows) + " rows, " +
            std::to_string(took.count()) + " ms"
        );
        return answer;
    } catch (const SqlFailure& failure) {
        if (ctx.cancelled()) throw;
        throw SqlFailure(
            failure.error_class(), "statement " + std::to_string(number) + ": " + failure.what()
        );
    }
}

Outcome run_statements(task::TaskContext& ctx, const Json& params) {
    const auto connection = ctx.connection(params.at("conn_id"));
    if (connection.type != "postgres" && connection.type != "postgresql")
        return task::fail(
            ErrorClass::permanent,
            "connection \"" + connection.id + "\" is of type \"" + connection.type +
                "\"; `sql` needs a postgres one"
        );
    const auto statements = statements_of(ctx, params);
    if (statements.empty()) return task::fail(ErrorClass::permanent, "there is no statement");
    const bool autocommit = params.value("autocommit", false);
    PgSession session(ctx, connection);
    if (!autocommit) session.run({"begin", {}});
    SqlAnswer last;
    for (std::size_t i = 0; i < statements.size(); ++i)
        last = run_one(ctx, session, statements[i], i + 1);
    const std::string wrong = unmet(params.value("expect", Json::object()), last);
    // The connection goes with the failure, and the transaction with it.
    if (!wrong.empty()) return task::fail(ErrorClass::data_quality, wrong);
    if (!autocommit) session.run({"commit", {}});
    if (last.returns_rows && last.rows > 0) {
        if (last.first_row.size() > limits::artefact_bytes) {
            ctx.warn(
                "the first row is no XCom: it has more than artefact_bytes (" +
                std::to_string(limits::artefact_bytes) + ')'
            );
        } else {
            ctx.xcom("return_value", Json::parse(last.first_row));
        }
    }
    return task::success();
}

Outcome run(task::TaskContext& ctx, const Json& params) {
    try {
        return run_statements(ctx, params);
    } catch (const SqlFailure& failure) {
        return task::fail(failure.error_class(), failure.what());
    }
}

}  // namespace

Json look_sql(task::TaskContext& ctx, const Json& params) {
    const auto connection = ctx.connection(params.at("conn_id"));
    if (connection.type != "postgres" && connection.type != "postgresql")
        throw Error(
            ErrorCode::invalid,
            "connection \"" + connection.id + "\" is of type \"" + connection.type +
                "\", not postgres"
        );
    const auto statements = statements_of(ctx, params);
    if (statements.empty()) throw Error(ErrorCode::invalid, "there is no statement");
    PgSession session(ctx, connection);
    SqlAnswer last;
    for (const auto& statement : statements) last = session.run(statement);
    return Json::parse(last.first_value);
}

task::Operator sql_operator() {
    return {
        .name = "sql",
        .summary = "Runs SQL statements on a PostgreSQL connection.",
        .schema = sql_schema,
        .traits = {},
        .check = {},
        .run = run,
    };
}

}  // namespace sluice::ops
