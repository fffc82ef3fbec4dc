#include "operators/transform/transform.hpp"

#include <algorithm>
#include <optional>

#include <nlohmann/json.hpp>

#include "base/problem.hpp"
#include "operators/binding/check_inputs.hpp"
#include "operators/binding/run_inputs.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/expression/expression.hpp"
#include "operators/lake/summary.hpp"
#include "operators/lineage/sink.hpp"
#include "operators/policy/policy.hpp"
#include "operators/privacy/sql_functions.hpp"
#include "operators/transform/schema.hpp"
#include "operators/transform/steps.hpp"
#include "operators/transform/warehouse.hpp"
#include "task/job.hpp"

namespace sluice::ops {

namespace {

using nlohmann::json;
using transform::StepError;

/// The statement of `sql` or `sql_file`.
expression::Source statement(
    const json& params, const std::function<const std::string&(const std::string&)>& file
) {
    if (params.contains("sql")) return expression::source_of(params.at("sql"));
    return expression::source_of(json(file(params.at("sql_file").get<std::string>())));
}

std::optional<policy::Policy> policy_of(const Dag& dag) {
    const auto text = dag.files.find(dag.policy);
    if (text == dag.files.end()) return std::nullopt;
    return policy::read(text->second, dag.policy).value;
}

/// What may stay readable where `to` lies, by the DAG's policy; nothing without one.
std::vector<std::string> allowed_classes(const Dag& dag, const std::string& to) {
    const auto policy = policy_of(dag);
    if (!policy) return {};
    return policy->allowed(binding::in_lake(to) ? "curated" : "warehouse");
}

/// True if the SQL may call the masking functions: they are there in the lake only.
bool masks(const json& params, const std::function<std::string(const std::string&)>& file) {
    std::string text = params.dump();
    if (params.contains("sql_file")) text += file(params.at("sql_file").get<std::string>());
    return privacy::mentions_mask(text);
}

bool is_scope(const json& from) { return from.is_object() && !from.contains("dataset"); }

/// Opens what a statement names and what `from` gives names to; the columns it can show.
std::vector<binding::NamedColumns> open_statement(
    const json& params, const std::vector<std::string>& names, binding::Inputs& inputs
) {
    std::vector<binding::NamedColumns> out;
    inputs.open_names(names);
    for (const std::string& name : names) out.push_back({name, inputs.columns_of(name)});
    if (params.contains("from") && is_scope(params.at("from")))
        for (const auto& [alias, dataset] : params.at("from").items()) {
            inputs.open_as(alias, dataset);
            out.push_back({alias, inputs.columns_of(alias)});
        }
    return out;
}

struct Statement {
    std::string sql;
    binding::Columns columns;
};

Statement compile_statement(
    const json& params,
    const expression::Source& source,
    binding::Inputs& inputs,
    const transform::SqlStepRules& rules
) {
    Statement out;
    out.sql = expression::with_literals(source);
    const auto names = binding::names_in(inputs.database(), out.sql);
    if (!names.value) throw StepError("E-SQL", names.error);
    const auto sources = open_statement(params, *names.value, inputs);
    out.columns = transform::statement_columns(
        out.sql, inputs.database().describe(out.sql), sources, inputs.database(), rules
    );
    return out;
}

void check_steps(
    const task::CheckInput& input, binding::CheckInputs& inputs, task::CheckResult& out
) {
    DatasetSpec made;
    made.name = input.params.at("to").get<std::string>();
    const transform::SqlStepRules rules{
        !input.task.attest.empty(), allowed_classes(input.dag, made.name)
    };
    std::size_t step = 0;
    try {
        const auto compiled = transform::compile_steps(
            input.params.at("steps"), inputs.open(input.params.at("from")), inputs, rules, step
        );
        made.columns = compiled.result.columns;
        out.compiled.push_back(compiled.result.sql);
    } catch (const StepError& error) {
        out.problems.push_back(problem(
            error.problem_code(), "/steps/" + std::to_string(step), error.what(), error.hint()
        ));
    }
    out.writes.push_back(std::move(made));
}

void check_sql(
    const task::CheckInput& input, binding::CheckInputs& inputs, task::CheckResult& out
) {
    DatasetSpec made;
    made.name = input.params.at("to").get<std::string>();
    const transform::SqlStepRules rules{
        !input.task.attest.empty(), allowed_classes(input.dag, made.name)
    };
    const std::string pointer = input.params.contains("sql") ? "/sql" : "/sql_file";
    try {
        const auto source =
            statement(input.params, [&](const std::string& path) -> const std::string& {
                const auto found = input.dag.files.find(path);
                if (found == input.dag.files.end())
                    throw Error(ErrorCode::not_found, "there is no file " + path);
                return found->second;
            });
        Statement compiled = compile_statement(input.params, source, inputs, rules);
        made.columns = std::move(compiled.columns);
        out.compiled.push_back(compiled.sql);
    } catch (const StepError& error) {
        // SQL of the warehouse may be right and yet unknown to the engine that binds it here.
        const bool foreign = !binding::in_lake(made.name) && error.problem_code() == "E-SQL";
        out.problems.push_back(problem(
            foreign ? "W-SQL-BIND" : error.problem_code(), pointer, error.what(), error.hint()
        ));
        if (foreign) out.problems.back().severity = Severity::warning;
    } catch (const Error& error) {
        const bool foreign = !binding::in_lake(made.name) && error.code() != ErrorCode::not_found;
        out.problems.push_back(problem(foreign ? "W-SQL-BIND" : "E-SQL", pointer, error.what()));
        if (foreign) {
            out.problems.back().severity = Severity::warning;
            out.problems.back().suggestion =
                "write the task's `upstream`: names could not be found";
        }
    }
    out.writes.push_back(std::move(made));
}

task::CheckResult check(const task::CheckInput& input) {
    task::CheckResult out;
    const json& params = input.params;
    const bool lake = binding::in_lake(params.at("to").get<std::string>());
    const int ways = static_cast<int>(params.contains("steps")) +
                     static_cast<int>(params.contains("sql")) +
                     static_cast<int>(params.contains("sql_file"));
    if (ways != 1) {
        out.problems.push_back(
            problem("E-TRANSFORM", "", "a transform has one of steps, sql and sql_file")
        );
        return out;
    }
    if (params.contains("steps") && !params.contains("from"))
        out.problems.push_back(
            problem("E-REQUIRED", "", "steps need `from`: the data set they work on")
        );
    if (params.contains("steps") && !lake)
        out.problems.push_back(
            problem("E-TRANSFORM", "/to", "steps write into the lake; inside a warehouse use sql")
        );
    if (!lake && input.task.mapping != no_map)
        out.problems.push_back(problem(
            "E-TRANSFORM",
            "/to",
            "each instance of the mapped task would make the whole of " +
                params.at("to").get<std::string>() +
                " anew; let it write a data set of the lake, which a load takes into the warehouse"
        ));
    const DatasetSpec* known = input.dataset(params.at("to").get<std::string>());
    if (!lake && known != nullptr && !known->partition_by.empty())
        out.problems.push_back(problem(
            "E-TRANSFORM",
            "/to",
            "partition_by is for tables of a load: SQL makes " + known->name + " anew in one piece"
        ));
    if (lake && params.value("materialized", "table") != "table")
        out.problems.push_back(
            problem("E-TRANSFORM", "/materialized", "a data set of the lake is always a table")
        );
    if (!out.problems.empty()) return out;
    try {
        binding::CheckInputs inputs(input);
        const auto file = [&](const std::string& path) {
            const auto found = input.dag.files.find(path);
            return found == input.dag.files.end() ? std::string() : found->second;
        };
        if (lake && masks(params, file))
            if (const auto policy = policy_of(input.dag))
                privacy::add_check_functions(inputs.database(), *policy);
        if (params.contains("steps"))
            check_steps(input, inputs, out);
        else
            check_sql(input, inputs, out);
        out.reads = inputs.reads();
        for (const DatasetSpec& made : out.writes)
            lineage::check_sink(input, made.name, made.columns, out);
    } catch (const Error& error) {
        out.problems.push_back(problem("E-TRANSFORM", "", error.what()));
    }
    return out;
}

/// Asks what must be true of the rows before they are written.
void check_rows(engine::Database& database, const std::vector<transform::RowCheck>& checks) {
    for (const transform::RowCheck& one : checks) {
        const std::int64_t found = database.integer(one.sql);
        if (found == 0) continue;
        std::string message = one.message;
        message.replace(message.find("{}"), 2, std::to_string(found));
        engine::bad_data(message);
    }
}

Outcome run_in_lake(task::TaskContext& context, const json& params) {
    lake::Summary summary;
    const auto database = engine::open_database(context);
    binding::RunInputs inputs(context, *database);
    const std::string policy_path = context.job().policy;
    const auto file = [&](const std::string& path) { return context.file(path); };
    if (!policy_path.empty() && masks(params, file)) {
        const auto policy = policy::read(context.file(policy_path), policy_path);
        if (!policy.value) throw Error(ErrorCode::invalid, format(policy.problems.front()));
        privacy::add_run_functions(context, *database, *policy.value);
    }
    // The classes were settled at load; here the statement only runs.
    const transform::SqlStepRules rules{true, {}};
    lake::WriteRequest request;
    request.dataset = params.at("to").get<std::string>();
    request.code = params.dump();
    if (params.contains("steps")) {
        std::size_t step = 0;
        const auto compiled = transform::compile_steps(
            params.at("steps"), inputs.open(params.at("from")), inputs, rules, step
        );
        summary.rows_in = inputs.rows();
        check_rows(*database, compiled.checks);
        if (!compiled.deduplicated.empty()) summary.rows_deduplicated = 0;
        for (const std::string& count : compiled.deduplicated)
            summary.rows_deduplicated += database->integer(count);
        request.query = "select " + engine::quoted_list(binding::names(compiled.result.columns)) +
                        " from (" + compiled.result.sql + ")";
    } else {
        const auto source = statement(params, [&](const std::string& path) -> const std::string& {
            return context.file(path);
        });
        request.query = compile_statement(params, source, inputs, rules).sql;
        summary.rows_in = inputs.rows();
    }
    request.inputs = inputs.slices();
    const lake::Written written = lake::write(context, *database, request);
    summary.rows_out = written.rows;
    summary.files = written.files;
    summary.bytes = written.bytes;
    return lake::finish(context, summary);
}

Outcome run(task::TaskContext& context, const json& params) {
    return engine::guarded([&] {
        if (binding::in_lake(params.at("to").get<std::string>()))
            return run_in_lake(context, params);
        const auto source = statement(params, [&](const std::string& path) -> const std::string& {
            return context.file(path);
        });
        return transform::run_in_warehouse(context, params, source);
    });
}

}  // namespace

task::Operator transform_operator() {
    return {
        .name = "transform",
        .summary = "Declarative steps on a data set, or SQL, into the lake or inside a warehouse.",
        .schema = transform::schema(),
        .traits = {.isolation = Isolation::process, .idempotent = true, .data = true},
        .check = check,
        .run = run,
    };
}

}  // namespace sluice::ops
