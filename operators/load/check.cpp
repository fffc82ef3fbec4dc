#include "operators/load/check.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "operators/expression/expression.hpp"
#include "operators/lineage/sink.hpp"
#include "operators/load/outside.hpp"
#include "operators/load/partitions.hpp"
#include "operators/load/plan.hpp"
#include "operators/load/verify.hpp"
#include "task/problem.hpp"

namespace sluice::load {

const char* const schema = R"json({
  "type": "object",
  "required": ["from", "to"],
  "additionalProperties": false,
  "properties": {
    "from": {
      "x-dataset": "in",
      "description": "A data set, or {date_spine} for the date dimension. `where`: which of its rows, e.g. those of a mapped instance's item.",
      "oneOf": [
        {"type": "string", "x-template": "none"},
        {"type": "object", "required": ["dataset"], "additionalProperties": false, "properties": {
          "dataset": {"type": "string", "x-template": "none"},
          "partitions": {"enum": ["interval", "latest", "all"]},
          "lookback": {"type": "string"},
          "where": {"type": ["string", "array", "object"], "x-template": "sql"}}},
        {"type": "object", "required": ["date_spine"], "additionalProperties": false, "properties": {
          "date_spine": {"type": "object", "x-template": "none", "required": ["start", "end"], "additionalProperties": false, "properties": {
            "start": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
            "end": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
            "fiscal_year_start": {"type": "integer", "minimum": 1, "maximum": 12}}}}}
      ]
    },
    "to": {
      "description": "A table of a schema, made on first load and changed only by adding columns; or {conn_id, table} of MySQL, or {conn_id, path} for a file.",
      "oneOf": [
        {"type": "string", "x-dataset": "out", "x-template": "none"},
        {"type": "object", "required": ["conn_id"], "additionalProperties": false, "properties": {
          "conn_id": {"type": "string", "x-template": "none"},
          "table": {"type": "string", "x-template": "none", "pattern": "^[^.]+([.][^.]+)?$", "description": "MySQL: table, or database.table."},
          "path": {"type": "string", "minLength": 1, "description": "File under the connection's folder or bucket, written whole."},
          "format": {"enum": ["csv", "json", "jsonl", "parquet"], "description": "Files: default by the name's ending."},
          "compression": {"enum": ["none", "gzip", "zstd"], "description": "Files: default by the name's ending; Parquet zstd."},
          "delimiter": {"type": "string", "minLength": 1, "maxLength": 1, "description": "CSV: default a comma."},
          "header": {"type": "boolean", "description": "CSV: names in the first line; default true."}}}
      ]
    },
    "mode": {"enum": ["merge", "append", "replace", "scd2"], "description": "Default: merge with a key, replace for a date spine, else append. All replace exactly what this interval wrote before."},
    "key": {"type": ["string", "array"], "items": {"type": "string"}, "description": "Primary key, grain of a fact, natural key of a dimension."},
    "updated_at": {"type": "string", "description": "scd2: the column that dates a version; default is the interval's end."},
    "type1": {"type": ["string", "array"], "items": {"type": "string"}, "description": "scd2: columns overwritten in all versions."},
    "first_valid_from": {"enum": ["beginning", "observed"], "description": "scd2: when the first version begins; default beginning (1900-01-01)."},
    "history": {"enum": ["full", "changes"], "description": "scd2: what is kept of observations: full; changes is refused, as corrections need all."},
    "deletes": {
      "description": "What a delete looks like: ignore (default), absent (the source is a snapshot), {where}.",
      "oneOf": [
        {"enum": ["ignore", "absent"]},
        {"type": "object", "required": ["where"], "additionalProperties": false, "properties": {"where": {"type": ["string", "array", "object"], "x-template": "sql"}}}
      ]
    },
    "on_delete": {"enum": ["delete", "flag"], "description": "merge: delete (default), or a column is_deleted."},
    "dimensions": {
      "type": "array",
      "description": "Look-ups: each adds the surrogate key of a dimension.",
      "items": {"oneOf": [
        {"type": "string", "x-dataset": "in"},
        {"type": "object", "required": ["dimension"], "additionalProperties": false, "properties": {
          "dimension": {"type": "string", "x-dataset": "in", "x-template": "none"},
          "using": {"type": ["string", "array", "object"], "description": "{dimension column: fact column}"},
          "role": {"type": "string", "description": "The column is <role>_sk."},
          "at": {"type": "string", "description": "The time of the look-up; default event_time."},
          "missing": {"enum": ["infer", "unknown", "fail"], "description": "Default infer, of a date fail."}}}
      ]}
    },
    "event_time": {"type": "string", "description": "When the fact happened; makes the table a fact."},
    "max_rejects": {"type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]+(\\.[0-9]+)?%$", "description": "Rows that the table may refuse: a number or a share (\"0.5%\"); they are set aside in _sluice.rejects. Default 0: all rows or none."},
    "verify": {"enum": ["counts", "hash", "none"], "description": "Default counts: rows sent, staged and inserted must agree. hash: also what the table holds of the slice, or the new file, against what was sent."},
    "analyze": {"type": "boolean", "description": "Make the planner's statistics of the table anew once a tenth of it has changed, PostgreSQL's own rule (a table in partitions: after each load); default true."}
  }
})json";

namespace {

using Json = nlohmann::json;

bool has(const DatasetSpec& dataset, const std::string& name) {
    return std::any_of(dataset.columns.begin(), dataset.columns.end(), [&](const auto& column) {
        return column.name == name;
    });
}

void check_column(
    task::CheckResult& result,
    const DatasetSpec& source,
    const std::string& name,
    const std::string& pointer
) {
    if (source.columns.empty() || has(source, name)) return;
    task::problem(result, "E-COLUMN", pointer, source.name + " has no column \"" + name + "\"");
}

/// What a load does not do, and what does.
void check_never(task::CheckResult& result, const Json& params) {
    if (params.value("history", "full") == "changes") {
        task::problem(
            result,
            "E-LOAD-MODE",
            "/history",
            "a history of changes alone could not be derived anew when an interval is corrected: "
            "all observations are kept (full)"
        );
    }
    if (params.contains("max_rejects") && !lake::limit_of(params["max_rejects"])) {
        task::problem(result, "E-LOAD-MODE", "/max_rejects", "at most 100% can be set aside");
    }
}

void check_modes(task::CheckResult& result, const Json& params, const Plan& plan) {
    const bool scd2 = plan.mode == Mode::scd2;
    for (const char* key : {"updated_at", "type1", "first_valid_from", "history"}) {
        if (!scd2 && params.contains(key)) {
            task::problem(
                result,
                "E-LOAD-MODE",
                std::string("/") + key,
                std::string("\"") + key + "\" is for mode scd2"
            );
        }
    }
    if ((scd2 || plan.mode == Mode::merge) && plan.key.empty()) {
        task::problem(result, "E-LOAD-KEY", "/key", "this mode needs a key");
    }
    if (!plan.observed() && params.contains("deletes") && params["deletes"] != "ignore") {
        task::problem(
            result,
            "E-LOAD-MODE",
            "/deletes",
            "\"deletes\" is for scd2 and for merge without event_time"
        );
    }
    if (params.contains("on_delete") && (plan.mode != Mode::merge || !plan.observed())) {
        task::problem(result, "E-LOAD-MODE", "/on_delete", "\"on_delete\" is for merge");
    }
    if (!plan.lookups.empty() && (scd2 || plan.mode == Mode::replace)) {
        task::problem(
            result, "E-LOAD-MODE", "/dimensions", "\"dimensions\" is for facts: merge or append"
        );
    }
    if (plan.spine && plan.mode != Mode::replace) {
        task::problem(result, "E-LOAD-MODE", "/mode", "a date spine is loaded with mode replace");
    }
}

/// What instances of a mapped task cannot do beside each other.
void check_mapped(task::CheckResult& result, const Plan& plan) {
    if (plan.spine) {
        task::problem(
            result,
            "E-LOAD-MAPPED",
            "/from",
            "every instance of the mapped task would load the same dates; load them with a task of "
            "their own"
        );
    }
    if (plan.deletes == Deletes::absent) {
        task::problem(
            result,
            "E-LOAD-MAPPED",
            "/deletes",
            "each instance of the mapped task sees a part of the keys, so the keys of the others "
            "would be absent; use {where}, or load the whole snapshot with one task that is not "
            "mapped"
        );
    }
}

/// An expression of the parameters; false = it is wrong, and that is said.
bool check_where(task::CheckResult& result, const Json& where, const std::string& pointer) {
    auto parsed = expression::parse(expression::source_of(where));
    for (Problem& found : parsed.problems) {
        found.pointer = pointer;
        result.problems.push_back(found);
    }
    return parsed.value.has_value();
}

void check_columns(
    task::CheckResult& result, const Json& params, const Plan& plan, const DatasetSpec& source
) {
    for (const std::string& name : plan.key) check_column(result, source, name, "/key");
    for (const std::string& name : plan.type1) check_column(result, source, name, "/type1");
    if (!plan.updated_at.empty()) check_column(result, source, plan.updated_at, "/updated_at");
    if (!plan.event_time.empty()) check_column(result, source, plan.event_time, "/event_time");
    for (std::size_t i = 0; i < plan.lookups.size(); ++i) {
        const std::string pointer = "/dimensions/" + std::to_string(i);
        for (const auto& [theirs, ours] : plan.lookups[i].using_) {
            check_column(result, source, ours, pointer + "/using");
        }
        if (!plan.lookups[i].at.empty()) {
            check_column(result, source, plan.lookups[i].at, pointer + "/at");
        }
    }
    const auto check_expression = [&](const Json& where, const std::string& pointer) {
        auto parsed = expression::parse(expression::source_of(where));
        if (!parsed.value) return;
        for (const auto& column : parsed.value->columns()) {
            check_column(result, source, column.name, pointer);
        }
    };
    if (plan.deletes == Deletes::where) {
        check_expression(params["deletes"]["where"], "/deletes/where");
    }
    if (!plan.where.empty()) check_expression(params["from"]["where"], "/from/where");
}

ColumnSpec column_of(const std::string& name, const std::string& type, bool not_null) {
    ColumnSpec column;
    column.name = name;
    column.type = type;
    column.not_null = not_null;
    return column;
}

std::vector<ColumnSpec> spine_columns() {
    std::vector<ColumnSpec> columns;
    for (const auto& [name, type] :
         {std::pair{"date_sk", "integer"},
          std::pair{"date", "date"},
          std::pair{"year", "integer"},
          std::pair{"quarter", "integer"},
          std::pair{"month", "integer"},
          std::pair{"year_month", "varchar"},
          std::pair{"iso_week", "integer"},
          std::pair{"day_of_week", "integer"},
          std::pair{"is_weekend", "boolean"},
          std::pair{"fiscal_year", "integer"},
          std::pair{"fiscal_quarter", "integer"}}) {
        columns.push_back(column_of(name, type, name == std::string("date_sk")));
    }
    return columns;
}

/// True if some load of the DAG looks this table up.
bool is_looked_up(const Dag& dag, const std::string& table) {
    for (const Task& task : dag.tasks) {
        if (task.operator_name != "load") continue;
        const Json with = Json::parse(task.with, nullptr, false);
        if (!with.is_object() || !with.contains("dimensions")) continue;
        for (const Json& entry : with["dimensions"]) {
            if (entry == table) return true;
            if (entry.is_object() && entry.value("dimension", "") == table) return true;
        }
    }
    return false;
}

bool is_date_dimension(const task::CheckInput& input, const std::string& table) {
    const DatasetSpec* dataset = input.dataset(table);
    return dataset != nullptr && has(*dataset, "date_sk") && has(*dataset, "fiscal_quarter");
}

std::vector<ColumnSpec> target_columns(
    const task::CheckInput& input, const Plan& plan, const DatasetSpec& source
) {
    if (plan.spine) return spine_columns();
    std::vector<ColumnSpec> columns;
    const bool dimension = plan.observed() && (plan.has_sk || is_looked_up(input.dag, plan.to));
    if (dimension) columns.push_back(column_of(sk_name(plan.to), "bigint", true));
    for (const ColumnSpec& column : source.columns) columns.push_back(column);
    if (plan.mode == Mode::scd2) {
        columns.push_back(column_of("valid_from", "timestamptz", true));
        columns.push_back(column_of("valid_to", "timestamptz", true));
        columns.push_back(column_of("is_current", "boolean", true));
    }
    if (plan.observed() && plan.flag_deletes) {
        columns.push_back(column_of("is_deleted", "boolean", true));
    }
    if (dimension) columns.push_back(column_of("is_inferred", "boolean", false));
    for (const Lookup& lookup : plan.lookups) {
        const bool date = is_date_dimension(input, lookup.dimension);
        columns.push_back(column_of(lookup.sk_column(), date ? "integer" : "bigint", true));
    }
    return columns;
}

/// A declared table says its types; classes and origins are those of what is loaded.
void inherit(const std::vector<ColumnSpec>& loaded, std::vector<ColumnSpec>& declared) {
    for (ColumnSpec& column : declared) {
        const auto found = std::ranges::find(loaded, column.name, &ColumnSpec::name);
        if (found == loaded.end()) continue;
        column.origins = found->origins;
        if (column.pii_class.empty()) column.pii_class = found->pii_class;
    }
}

}  // namespace

task::CheckResult check(const task::CheckInput& input) {
    task::CheckResult result;
    const Json& params = input.params;
    if (is_outside(params)) return check_outside(input);
    const std::string to = params.at("to").get<std::string>();
    const DatasetSpec* known = input.dataset(to);
    check_never(result, params);
    if (params.contains("deletes") && params["deletes"].is_object() &&
        !check_where(result, params["deletes"]["where"], "/deletes/where")) {
        return result;
    }
    if (params["from"].is_object() && params["from"].contains("where") &&
        !check_where(result, params["from"]["where"], "/from/where")) {
        return result;
    }
    // Derived columns of an earlier pass must not decide what the columns are.
    DatasetSpec declared;
    if (known != nullptr) declared.key = known->key;
    if (known != nullptr) declared.partition_by = known->partition_by;
    Plan plan = plan_of(params, &declared);
    plan.has_sk = plan.has_sk || is_looked_up(input.dag, plan.to);
    check_modes(result, params, plan);
    if (input.task.mapping != no_map) check_mapped(result, plan);
    DatasetSpec source;
    if (plan.from) {
        result.reads.push_back(plan.from->dataset);
        if (const DatasetSpec* found = input.dataset(plan.from->dataset)) source = *found;
        check_columns(result, params, plan, source);
        if (plan.verify_hash) check_hashable(result, source);
    }
    check_partition(result, plan, source);
    for (const Lookup& lookup : plan.lookups) result.reads.push_back(lookup.dimension);
    const std::string schema_name = to.substr(0, to.find('.'));
    if (!input.dag.schemas.contains(schema_name)) {
        task::problem(
            result,
            "E-SCHEMA",
            "/to",
            "\"" + schema_name + "\" is not in the DAG's \"schemas\", so it has no connection"
        );
    }
    DatasetSpec target;
    if (known != nullptr) target = *known;
    target.name = to;
    target.partition = "none";
    if (plan.spine || !source.columns.empty()) {
        auto columns = target_columns(input, plan, source);
        lineage::check_sink(input, to, columns, result);
        if (!target.declared)
            target.columns = std::move(columns);
        else
            inherit(columns, target.columns);
    }
    if (target.key.empty()) target.key = plan.key;
    result.writes.push_back(std::move(target));
    return result;
}

}  // namespace sluice::load
