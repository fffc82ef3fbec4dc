#include "operators/mask/mask.hpp"

#include <atomic>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "operators/binding/run_inputs.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/lake/summary.hpp"
#include "operators/mask/crypto.hpp"
#include "operators/mask/methods.hpp"
#include "operators/mask/plan.hpp"
#include "task/job.hpp"

namespace sluice::ops {

namespace {

using engine::quote;
using nlohmann::json;

constexpr const char* schema = R"json({
  "type": "object",
  "required": ["from", "to"],
  "additionalProperties": false,
  "properties": {
    "from": {"description": "The data set to mask.", "oneOf": [
      {"type": "string", "x-dataset": "in", "x-template": "none"},
      {"type": "object", "required": ["dataset"], "properties": {
        "dataset": {"type": "string", "x-dataset": "in", "x-template": "none"},
        "partitions": {"enum": ["interval", "latest", "all"]},
        "lookback": {"type": "string", "format": "duration"}}}]},
    "to": {"type": "string", "x-dataset": "out", "x-template": "none", "description": "The data set to write, in curated."},
    "policy": {"type": "string", "x-file": true, "x-template": "none", "description": "Path of the masking policy; default is the DAG's."},
    "rules": {"type": "object", "properties": {}, "additionalProperties": {"type": ["string", "object"]}, "x-template": "none", "description": "Rules for columns, over those of the policy."},
    "undeclared": {"enum": ["fail", "drop", "pass"], "default": "fail", "description": "What becomes of columns that nobody declared."},
    "detect": {"description": "false: values are not searched for personal data."},
    "k_anonymity": {"type": "object", "properties": {}, "additionalProperties": true}
  }
})json";

Problem problem(std::string code, std::string pointer, std::string message) {
    Problem out;
    out.code = std::move(code);
    out.pointer = std::move(pointer);
    out.message = std::move(message);
    return out;
}

std::string source_name(const json& params) {
    const json& from = params.at("from");
    return from.is_string() ? from.get<std::string>() : from.at("dataset").get<std::string>();
}

json own_rules(const json& params) { return params.value("rules", json::object()); }

void refuse_later(const json& params, std::vector<Problem>& problems) {
    if (params.contains("detect") && params.at("detect") != false)
        problems.push_back(
            problem("E-NOT-YET", "/detect", "the search for personal data is not there yet")
        );
    if (params.contains("k_anonymity"))
        problems.push_back(
            problem("E-NOT-YET", "/k_anonymity", "k_anonymity of a mask is not there yet")
        );
}

task::CheckResult check(const task::CheckInput& input) {
    task::CheckResult out;
    const std::string from = source_name(input.params);
    out.reads.push_back(from);
    refuse_later(input.params, out.problems);
    DatasetSpec made;
    made.name = input.params.at("to").get<std::string>();
    const DatasetSpec* spec = input.dataset(from);
    if (spec == nullptr) {
        out.problems.push_back(
            problem("E-DATASET", "/from", "nobody writes or declares the data set " + from)
        );
        return out;
    }
    const std::string path = input.params.value("policy", input.dag.policy);
    const auto text = input.dag.files.find(path);
    if (text == input.dag.files.end()) {
        out.problems.push_back(problem(
            "E-POLICY",
            "/policy",
            path.empty() ? "the DAG has no policy, and this task names none"
                         : "there is no file " + path
        ));
        return out;
    }
    const auto policy = policy::read(text->second, path);
    if (!policy.value) {
        out.problems.push_back(
            problem("E-POLICY", "/policy", path + ": " + policy.problems.front().message)
        );
        return out;
    }
    mask::Plan plan = mask::make_plan(
        *policy.value, own_rules(input.params), {from, made.name, binding::with_origins(*spec)}
    );
    for (Problem& one : plan.problems) out.problems.push_back(std::move(one));
    made.key = spec->key;
    for (mask::Output& output : plan.outputs) made.columns.push_back(std::move(output.column));
    out.writes.push_back(std::move(made));
    return out;
}

std::string duckdb_type(const std::string& type) {
    return engine::is_language_type(type) ? engine::type_name(engine::Dialect::duckdb, type) : type;
}

/// Registers the functions of the text masks and writes the select.
class Compiler {
public:
    Compiler(task::TaskContext& context, engine::Database& database, const policy::Policy& policy)
        : context_(context), database_(database), policy_(policy) {}

    std::string select(const mask::Plan& plan, const binding::Relation& input) {
        std::string items;
        for (const mask::Output& output : plan.outputs) {
            const ColumnSpec& source = *binding::find(input.columns, output.source);
            items += (items.empty() ? "" : ", ") +
                     (output.masked ? masked(output, source) : quote(source.name)) + " as " +
                     quote(output.column.name);
        }
        return "select " + items + " from (" + input.sql + ")";
    }
    [[nodiscard]] std::int64_t invalid() const { return *invalid_; }

private:
    std::string masked(const mask::Output& output, const ColumnSpec& source) {
        const std::string column = quote(source.name);
        const std::string type = duckdb_type(source.type);
        std::string out;
        switch (output.rule.method) {
            case policy::Method::sha256:
            case policy::Method::md5:
            case policy::Method::hmac:
            case policy::Method::partial:
            case policy::Method::email:
                out = add_function(output) + "(" +
                      (type == "VARCHAR"
                           ? column
                           : "cast(" + engine::canonical_text(column, type) + " as varchar)") +
                      ")";
                break;
            case policy::Method::year:
                out = "cast(year(try_cast(" + column + " as " +
                      (type.starts_with("TIMESTAMP") ? type : std::string("DATE")) +
                      ")) as integer)";
                break;
            case policy::Method::geo:
                out = "round(try_cast(" + column + " as double), " +
                      std::to_string(output.rule.digits) + ")";
                break;
            case policy::Method::nullify:
                return "cast(null as " + type + ")";
            case policy::Method::constant:
                out = "case when " + column + " is not null then " +
                      engine::literal(output.rule.value) + " end";
                break;
            case policy::Method::drop:
                break;  // no output has it
        }
        if (!output.rule.mask_nulls) return out;
        return "coalesce(cast(" + out + " as varchar), " +
               engine::literal(output.rule.value.empty() ? "***" : output.rule.value) + ")";
    }

    std::string add_function(const mask::Output& output) {
        mask::Keys keys;
        if (output.rule.keyed()) keys.master = mask::master_key(context_.secret(policy_.key));
        if (!output.rule.salt.empty()) keys.salt = context_.secret(output.rule.salt);
        const auto one = mask::text_mask(output.rule, output.domain, keys);
        const std::string name = "mask_" + std::to_string(functions_++);
        const auto invalid = invalid_;
        database_.add_function(
            {.name = name,
             .arguments = {engine::FunctionType::text},
             .result = engine::FunctionType::text,
             .body =
                 [mask = *one, invalid](const engine::Arguments& in, engine::Results& out) {
                     for (std::size_t row = 0; row < in.rows(); ++row) {
                         if (in.is_null(0, row)) {
                             out.null(row);
                             continue;
                         }
                         const mask::Masked result = mask(in.text(0, row));
                         if (result.invalid) ++*invalid;
                         out.text(row, result.text);
                     }
                 },
             .handles_null = false,
             .is_volatile = false}
        );
        return name;
    }

    task::TaskContext& context_;
    engine::Database& database_;
    const policy::Policy& policy_;
    int functions_{0};
    std::shared_ptr<std::atomic<std::int64_t>> invalid_{
        std::make_shared<std::atomic<std::int64_t>>(0)
    };
};

/// Columns of the files that nobody declared: refused, left out, or let through.
void settle_undeclared(
    task::TaskContext& context,
    const json& params,
    const DatasetSpec& spec,
    binding::Columns& columns
) {
    const std::string how = params.value("undeclared", "fail");
    std::string extra;
    for (const ColumnSpec& column : columns)
        if (binding::find(spec.columns, column.name) == nullptr)
            extra += (extra.empty() ? "" : ", ") + column.name;
    if (extra.empty()) return;
    if (how == "fail")
        engine::bad_schema(
            spec.name + " has columns that nobody declared or classified: " + extra +
            " (undeclared: drop leaves them out)"
        );
    context.warn(
        "undeclared columns " + extra + (how == "drop" ? " are left out" : " pass unmasked")
    );
    if (how == "drop")
        std::erase_if(columns, [&](const ColumnSpec& column) {
            return binding::find(spec.columns, column.name) == nullptr;
        });
}

Outcome run_mask(task::TaskContext& context, const json& params) {
    lake::Summary summary;
    const std::string path = params.value("policy", context.job().policy);
    if (path.empty())
        throw Error(ErrorCode::invalid, "the DAG has no policy, and this task names none");
    const auto policy = policy::read(context.file(path), path);
    if (!policy.value) throw Error(ErrorCode::invalid, format(policy.problems.front()));
    const auto database = engine::open_database(context);
    binding::RunInputs inputs(context, *database);
    const std::string from = source_name(params);
    binding::Relation input = inputs.open(params.at("from"));
    settle_undeclared(context, params, context.dataset(from), input.columns);
    const std::string to = params.at("to").get<std::string>();
    const mask::Plan plan =
        mask::make_plan(*policy.value, own_rules(params), {from, to, input.columns});
    for (const Problem& one : plan.problems)
        if (one.severity == Severity::error)
            throw engine::Failure(ErrorClass::permanent, one.message + " [" + one.code + "]");
    Compiler compiler(context, *database, *policy.value);
    const std::string query = compiler.select(plan, input);
    const lake::Written written = lake::write(
        context, *database, {to, query, inputs.slices(), params.dump() + context.file(path), {}}
    );
    summary.rows_in = inputs.rows();
    summary.rows_out = written.rows;
    summary.rows_masked = written.rows;
    summary.files = written.files;
    summary.bytes = written.bytes;
    std::string masked;
    for (const mask::Output& output : plan.outputs)
        if (output.masked)
            masked += (masked.empty() ? "" : ", ") + output.column.name + " by " +
                      std::string(policy::name(output.rule.method));
    context.info(masked.empty() ? "nothing to mask" : "masked " + masked);
    if (compiler.invalid() > 0)
        context.warn(fmt::format(
            "mask_invalid={}: values that are no address were hidden whole", compiler.invalid()
        ));
    return lake::finish(context, summary);
}

Outcome run(task::TaskContext& context, const json& params) {
    return engine::guarded([&] { return run_mask(context, params); });
}

}  // namespace

task::Operator mask_operator() {
    return {
        .name = "mask",
        .summary = "Masks personal data by a policy, on the way from processed to curated.",
        .schema = schema,
        .traits = {.isolation = Isolation::process, .idempotent = true, .data = true},
        .check = check,
        .run = run,
    };
}

}  // namespace sluice::ops
