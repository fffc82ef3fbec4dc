#include "operators/report/report.hpp"

#include <algorithm>
#include <filesystem>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/json_text.hpp"
#include "base/limits.hpp"
#include "base/problem.hpp"
#include "operators/binding/check_inputs.hpp"
#include "operators/binding/physical.hpp"
#include "operators/binding/run_inputs.hpp"
#include "operators/connect/postgres.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/expression/expression.hpp"
#include "operators/lake/storage.hpp"
#include "operators/lake/summary.hpp"
#include "operators/policy/policy.hpp"
#include "operators/report/table.hpp"
#include "task/job.hpp"

namespace sluice::ops {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* schema = R"json({
  "type": "object",
  "required": ["queries"],
  "additionalProperties": false,
  "properties": {
    "queries": {"type": "object", "minProperties": 1, "properties": {}, "propertyNames": {"pattern": "^[A-Za-z0-9_-]{1,100}$"}, "description": "{id: SQL}, each over one engine: names of one connection's schemas, or of the lake.",
      "additionalProperties": {"oneOf": [
        {"$ref": "#/definitions/sql"},
        {"type": "object", "properties": {"sql": {"$ref": "#/definitions/sql"}, "sql_file": {"type": "string", "x-file": true, "x-template": "none"}, "expect": {"$ref": "#/definitions/expect"}}}]}},
    "title": {"type": "string", "default": "{{ dag.dag_id }} {{ partition_key }}", "description": "Heading of the page."},
    "description": {"type": "string", "description": "A paragraph under it."},
    "format": {"oneOf": [{"enum": ["html", "csv", "json"]}, {"type": "array", "minItems": 1, "items": {"enum": ["html", "csv", "json"]}}], "default": "html", "description": "html (one page), csv (a file a query), json (one file)."},
    "to": {"type": "string", "default": "reports/{{ dag.dag_id }}/{{ partition_key }}/", "description": "Folder under the lake's root."}
  },
  "definitions": {
    "sql": {"type": ["string", "array", "object"], "items": {"type": "string"}, "x-template": "sql"},
    "expect": {"type": "object", "properties": {"rows": {"type": "integer", "minimum": 0}, "value": {"type": ["string", "number", "boolean", "null"]}}}
  }
})json";

bool is_spec(const json& query) {
    return query.is_object() && (query.contains("sql") || query.contains("sql_file"));
}

expression::Source source_of(
    const json& query, const std::function<const std::string&(const std::string&)>& file
) {
    if (!is_spec(query)) return expression::source_of(query);
    if (query.contains("sql")) return expression::source_of(query.at("sql"));
    return expression::source_of(json(file(query.at("sql_file").get<std::string>())));
}

/// The words that stand before a dot, outside of quotes: schemas and aliases.
std::vector<std::string> qualifiers(const std::string& sql) {
    std::vector<std::string> out;
    char quote = '\0';
    std::string word;
    for (const char c : sql) {
        if (quote != '\0') {
            if (c == quote) quote = '\0';
            continue;
        }
        if (c == '\'') quote = c;
        const bool letter = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
        if (c == '.' && !word.empty()) out.push_back(word);
        if (letter)
            word += c;
        else
            word.clear();
    }
    return out;
}

/// The connection that a query runs on; none = the lake.
std::optional<std::string> place_of(const task::TaskContext& context, const std::string& sql) {
    std::optional<std::string> out;
    bool lake = false;
    for (const std::string& word : qualifiers(sql)) {
        const auto connection = context.schema_connection(word);
        if (!connection) {
            lake = lake || binding::in_lake(word + ".");
            continue;
        }
        if (out && *out != *connection)
            throw Error(ErrorCode::invalid, "a query reads tables of one connection only");
        out = connection;
    }
    if (out && lake)
        throw Error(ErrorCode::invalid, "a query reads the lake or a warehouse, not both");
    return out;
}

void check_query(
    const task::CheckInput& input,
    const std::string& id,
    const json& query,
    binding::CheckInputs& inputs,
    const std::vector<std::string>& allowed,
    task::CheckResult& out
) {
    const std::string pointer = "/queries/" + id;
    try {
        const auto source = source_of(query, [&](const std::string& path) -> const std::string& {
            const auto found = input.dag.files.find(path);
            if (found == input.dag.files.end())
                throw Error(ErrorCode::not_found, "there is no file " + path);
            return found->second;
        });
        const std::string sql = expression::with_literals(source);
        const auto names = binding::names_in(inputs.database(), sql);
        if (!names.value) throw Error(ErrorCode::invalid, names.error);
        inputs.open_names(*names.value);
        out.compiled.push_back(sql);
        for (const engine::ColumnInfo& column : inputs.database().describe(sql))
            for (const std::string& name : *names.value) {
                const binding::Columns columns = inputs.columns_of(name);
                const ColumnSpec* found = binding::find(columns, column.name);
                if (found == nullptr || found->pii_class.empty()) continue;
                if (std::ranges::find(allowed, found->pii_class) != allowed.end()) continue;
                out.problems.push_back(problem(
                    "E-PII",
                    pointer,
                    "the report would show " + name + "." + found->name + " (" + found->pii_class +
                        ")"
                ));
            }
    } catch (const Error& error) {
        // The server's own SQL may be right and yet unknown to the engine that binds it here.
        out.problems.push_back(problem("W-SQL-BIND", pointer, error.what()));
        out.problems.back().severity = Severity::warning;
        if (error.code() == ErrorCode::not_found) {
            out.problems.back().code = "E-DATASET";
            out.problems.back().severity = Severity::error;
        }
    }
}

task::CheckResult check(const task::CheckInput& input) {
    task::CheckResult out;
    std::vector<std::string> allowed;
    if (const auto text = input.dag.files.find(input.dag.policy); text != input.dag.files.end())
        if (const auto policy = policy::read(text->second, input.dag.policy); policy.value)
            allowed = policy.value->allowed(
                policy.value->allow.contains("report") ? "report" : "warehouse"
            );
    binding::CheckInputs inputs(input);
    for (const auto& [id, query] : input.params.at("queries").items())
        check_query(input, id, query, inputs, allowed, out);
    out.reads = inputs.reads();
    return out;
}

class Runner {
public:
    explicit Runner(task::TaskContext& context)
        : context_(context),
          database_(engine::open_database(context)),
          inputs_(context, *database_) {}

    report::Table run(const std::string& id, const json& query) {
        const auto source = source_of(query, [&](const std::string& path) -> const std::string& {
            return context_.file(path);
        });
        const std::string sql = expression::with_literals(source);
        const auto place = place_of(context_, sql);
        report::Table table = place ? warehouse(*place, sql) : lake(sql);
        table.id = id;
        if (table.rows.size() > limits::report_rows)
            throw Error(
                ErrorCode::limit,
                fmt::format("{}: more than {} rows (report_rows)", id, limits::report_rows)
            );
        if (is_spec(query) && query.contains("expect")) expect(query.at("expect"), table);
        return table;
    }

private:
    static std::string limited(const std::string& sql) {
        return "select * from (" + sql + "\n) as report_ limit " +
               std::to_string(limits::report_rows + 1);
    }

    report::Table warehouse(const std::string& conn_id, const std::string& sql) {
        auto& postgres = warehouses_[conn_id];
        if (!postgres) {
            postgres = connect::open_postgres(context_, conn_id, "sluice:report");
            postgres->execute("set timezone to " + engine::literal(context_.info().timezone));
            postgres->execute("set default_transaction_read_only to on");
        }
        const auto answer = postgres->query(limited(binding::physical_sql(context_, sql)));
        return {"", answer.columns, answer.rows};
    }

    report::Table lake(const std::string& sql) {
        const auto names = binding::names_in(*database_, sql);
        if (!names.value) throw Error(ErrorCode::invalid, names.error);
        inputs_.open_names(*names.value);
        const auto answer = database_->query(limited(sql));
        report::Table out;
        for (const auto& column : answer.columns) out.columns.push_back(column.name);
        for (const auto& row : answer.rows) {
            auto& line = out.rows.emplace_back();
            for (const auto& cell : row)
                line.push_back(
                    engine::is_null(cell) ? std::nullopt : std::optional(engine::to_text(cell))
                );
        }
        return out;
    }

    static void expect(const json& wanted, const report::Table& table) {
        if (wanted.contains("rows") && wanted.at("rows").get<std::size_t>() != table.rows.size())
            engine::bad_data(fmt::format(
                "{}: {} rows, expected {}", table.id, table.rows.size(), wanted.at("rows").dump()
            ));
        if (!wanted.contains("value")) return;
        const json& value = wanted.at("value");
        const std::string text = text_of(value);
        const std::string found =
            table.rows.empty() || !table.rows[0][0] ? "null" : *table.rows[0][0];
        if (found != text)
            engine::bad_data(fmt::format("{}: the value is {}, expected {}", table.id, found, text)
            );
    }

    task::TaskContext& context_;
    std::unique_ptr<engine::Database> database_;
    binding::RunInputs inputs_;
    std::map<std::string, std::unique_ptr<connect::Postgres>> warehouses_;
};

/// The folder of the report, under the lake's root. Throws Error(invalid) for a path that leaves
/// it.
std::string folder_of(const std::string& to) {
    const fs::path relative = fs::path(to).lexically_normal();
    if (relative.is_absolute() || to.empty() || *relative.begin() == "..")
        throw Error(ErrorCode::invalid, "\"" + to + "\" is no folder under the lake's root");
    std::string folder = relative.string();
    if (!folder.ends_with('/')) folder += '/';
    return folder;
}

std::vector<std::string> formats_of(const json& params) {
    if (!params.contains("format")) return {"html"};
    if (params.at("format").is_string()) return {params.at("format").get<std::string>()};
    return params.at("format").get<std::vector<std::string>>();
}

Outcome run_report(task::TaskContext& context, const json& params) {
    lake::Summary summary;
    summary.rows_out = summary.files = summary.bytes = 0;
    report::Page page;
    page.title = params.value("title", context.info().dag_id);
    page.description = params.value("description", "");
    if (const auto& interval = context.info().data_interval)
        page.made_for = format_z(interval->start) + " to " + format_z(interval->end);
    Runner runner(context);
    const auto total = static_cast<double>(params.at("queries").size());
    for (const auto& [id, query] : params.at("queries").items()) {
        page.tables.push_back(runner.run(id, query));
        summary.rows_out += static_cast<std::int64_t>(page.tables.back().rows.size());
        context.info(fmt::format("{}: {} rows", id, page.tables.back().rows.size()));
        context.progress(static_cast<double>(page.tables.size()) / total, id);
    }
    const std::string to =
        params.value("to", "reports/" + context.info().dag_id + "/" + context.info().run_id);
    const std::string folder = folder_of(to);
    const auto storage = lake::open_storage(context);
    const auto put = [&](const std::string& name, const std::string& bytes) {
        storage->put(folder + name, bytes);
        ++summary.files;
        summary.bytes += static_cast<std::int64_t>(bytes.size());
    };
    for (const std::string& format : formats_of(params)) {
        if (format == "html") put("report.html", report::html(page));
        if (format == "json") put("report.json", report::json(page));
        if (format == "csv")
            for (const report::Table& table : page.tables)
                put(table.id + ".csv", report::csv(table));
    }
    context.info("written to " + to);
    context.xcom("report", {{"folder", to}, {"formats", formats_of(params)}});
    return lake::finish(context, summary);
}

Outcome run(task::TaskContext& context, const json& params) {
    return engine::guarded([&] { return run_report(context, params); });
}

}  // namespace

task::Operator report_operator() {
    return {
        .name = "report",
        .summary = "Queries over the warehouse or the lake, written as an HTML page, CSV and JSON.",
        .schema = schema,
        .traits = {.isolation = Isolation::process, .idempotent = true, .data = true},
        .check = check,
        .run = run,
    };
}

}  // namespace sluice::ops
