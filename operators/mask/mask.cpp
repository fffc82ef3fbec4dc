#include "operators/mask/mask.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/problem.hpp"
#include "operators/binding/run_inputs.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/lake/summary.hpp"
#include "operators/mask/compiler.hpp"
#include "operators/mask/gates.hpp"
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
    "detect": {"description": "How columns that stay readable and have no class are searched for personal data; false: not at all.", "oneOf": [
      {"const": false},
      {"type": "object", "additionalProperties": false, "properties": {
        "sample": {"type": "integer", "minimum": 1, "maximum": 1000000, "default": 10000, "description": "Distinct values of each column."},
        "fail_at": {"type": "number", "minimum": 0.01, "maximum": 1.3, "default": 0.6, "description": "Share of values of a class; a column's name that says so counts 0.3."}}}]},
    "k_anonymity": {"type": "object", "required": ["quasi", "k"], "additionalProperties": false, "description": "Rows that are alike in `quasi` must be many.", "properties": {
      "quasi": {"oneOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": {"type": "string"}}], "description": "Columns of the masked result."},
      "k": {"type": "integer", "minimum": 2, "description": "At least so many rows."},
      "sensitive": {"type": "string", "description": "A column of which they must have `l` different values."},
      "l": {"type": "integer", "minimum": 2},
      "enforce": {"enum": ["fail", "suppress"], "default": "fail", "description": "suppress: the quasi columns of small classes become null."},
      "max_suppressed": {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?%$", "default": "5%", "description": "More than this fails."},
      "force": {"type": "boolean", "default": false, "description": "Judge fewer than 1000 rows too."}}}
  }
})json";

std::string source_name(const json& params) {
    const json& from = params.at("from");
    return from.is_string() ? from.get<std::string>() : from.at("dataset").get<std::string>();
}

json own_rules(const json& params) { return params.value("rules", json::object()); }

task::CheckResult check(const task::CheckInput& input) {
    task::CheckResult out;
    const std::string from = source_name(input.params);
    out.reads.push_back(from);
    const auto gate = mask::anonymity_of(input.params, out.problems);
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
    if (gate) mask::check_anonymity(*gate, plan, out.problems);
    made.key = spec->key;
    for (mask::Output& output : plan.outputs) made.columns.push_back(std::move(output.column));
    out.writes.push_back(std::move(made));
    return out;
}

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
    mask::Compiler compiler(context, *database, *policy.value);
    mask::look_for_personal_data(context, *database, params, plan, input, inputs.rows());
    std::string query = compiler.select(plan, input);
    std::vector<Problem> problems;
    if (const auto gate = mask::anonymity_of(params, problems)) {
        query = mask::anonymous(context, *database, *gate, plan, query);
        compiler.settle(plan);
    }
    const lake::Written written = lake::write(
        context, *database, {to, query, inputs.slices(), params.dump() + context.file(path), {}}
    );
    compiler.settle(plan);
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
    if (policy.value->key_version > 1)
        context.info(fmt::format(
            "key version {}; partitions written with version {} keep theirs until they are run "
            "again",
            policy.value->key_version,
            policy.value->rekey_from
        ));
    context.info(masked.empty() ? "nothing to mask" : "masked " + masked);
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
