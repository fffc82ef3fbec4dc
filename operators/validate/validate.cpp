#include "operators/validate/validate.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/problem.hpp"
#include "operators/binding/check_inputs.hpp"
#include "operators/engine/failure.hpp"
#include "operators/lake/summary.hpp"
#include "operators/policy/policy.hpp"
#include "operators/privacy/scan.hpp"
#include "operators/validate/row_check.hpp"
#include "operators/validate/rules.hpp"
#include "operators/validate/schema.hpp"
#include "operators/validate/side.hpp"
#include "operators/validate/table_check.hpp"
#include "task/job.hpp"

namespace sluice::ops {

namespace {

using nlohmann::json;
using validate::Kind;
using validate::OnFail;
using validate::Rule;

bool is_gate(const json& params) { return !params.contains("to"); }

std::vector<std::string> sources(const json& params) {
    const json& from = params.at("from");
    if (from.is_string()) return {from.get<std::string>()};
    if (from.is_object()) return {from.at("dataset").get<std::string>()};
    return from.get<std::vector<std::string>>();
}

std::string quarantine_name(const json& params) {
    return params.value("quarantine", sources(params).front() + "_quarantine");
}

DatasetSpec quarantine_of(const json& params, const DatasetSpec& from) {
    DatasetSpec out;
    out.name = quarantine_name(params);
    out.partition = from.partition;
    out.columns = binding::with_origins(from);
    for (ColumnSpec& column : out.columns) {  // rows as they came: nothing is promised of them
        column.type = "varchar";
        column.not_null = false;
        column.parse.clear();
    }
    ColumnSpec reasons;
    reasons.name = "_reasons";
    reasons.type = "varchar[]";
    out.columns.push_back(std::move(reasons));
    return out;
}

void check_rows_task(
    const task::CheckInput& input, const DatasetSpec& from, task::CheckResult& out
) {
    const std::string to = input.params.at("to").get<std::string>();
    if (!binding::in_lake(from.name) || !binding::in_lake(to))
        out.problems.push_back(problem(
            "E-VALIDATE",
            "/to",
            "rows are set aside in the lake; a gate over a warehouse has no `to`"
        ));
    if (from.columns.empty())
        out.problems.push_back(problem(
            "E-VALIDATE",
            "/from",
            "the columns of " + from.name + " are not declared: there is no contract"
        ));
    DatasetSpec made;
    made.name = to;
    made.key = from.key;
    made.columns = binding::with_origins(from);
    for (ColumnSpec& column : made.columns) column.parse.clear();
    out.writes.push_back(std::move(made));
    out.writes.push_back(quarantine_of(input.params, from));
}

task::CheckResult check(const task::CheckInput& input) {
    task::CheckResult out;
    const bool gate = is_gate(input.params);
    const auto rules = validate::read_rules(input.params, gate, out.problems);
    const auto read = [&](const std::string& name,
                          const std::string& pointer) -> const DatasetSpec* {
        if (std::ranges::find(out.reads, name) == out.reads.end()) out.reads.push_back(name);
        const DatasetSpec* found = input.dataset(name);
        if (found == nullptr)
            out.problems.push_back(
                problem("E-DATASET", pointer, "nobody writes or declares the data set " + name)
            );
        return found;
    };
    for (std::size_t i = 0; i < rules.rules.size(); ++i)
        for (const std::string& name : validate::references(rules.rules[i]))
            read(name, "/checks/" + std::to_string(i));
    for (const std::string& name : sources(input.params)) {
        const DatasetSpec* from = read(name, "/from");
        if (from == nullptr) continue;
        if (!gate) check_rows_task(input, *from, out);
        if (from->columns.empty()) continue;
        for (Problem& one : validate::check_columns(rules, from->columns))
            out.problems.push_back(std::move(one));
    }
    if (gate && rules.rules.empty() && out.problems.empty())
        out.problems.push_back(problem("E-VALIDATE", "", "a gate without checks holds nothing back")
        );
    return out;
}

/// The results of all checks: logged, and kept as XCom `checks`.
class Report {
public:
    explicit Report(task::TaskContext& context) : context_(context) {}

    void add(
        const std::string& dataset, const std::string& rule, OnFail on_fail, const std::string& what
    ) {
        results_.push_back(
            {{"dataset", dataset},
             {"check", rule},
             {"on_fail", validate::name(on_fail)},
             {"found", what}}
        );
        const std::string line = dataset + ": " + rule + ": " + what;
        context_.log(on_fail == OnFail::fail ? task::Level::error : task::Level::warning, line);
        if (on_fail == OnFail::fail) failures_ += (failures_.empty() ? "" : "; ") + line;
    }
    /// Throws if anything failed; nothing is published then.
    void close() {
        context_.xcom("checks", results_);
        if (!failures_.empty()) engine::bad_data(failures_);
    }

private:
    task::TaskContext& context_;
    json results_ = json::array();
    std::string failures_;
};

validate::TableFacts facts_of(task::TaskContext& context, const std::string& dataset) {
    validate::TableFacts facts;
    facts.dataset = dataset;
    const DatasetSpec& spec = context.dataset(dataset);
    facts.key = spec.key;
    facts.contract = binding::names(spec.columns);
    if (context.info().data_interval) facts.interval_end = context.info().data_interval->end;
    facts.this_year = privacy::year_of(context);
    if (const std::string& path = context.job().policy; !path.empty())
        if (const auto policy = policy::read(context.file(path), path).value)
            facts.allowed = policy->allowed(binding::in_lake(dataset) ? "curated" : "warehouse");
    return facts;
}

void check_table_rules(
    const validate::Rules& rules,
    const validate::TableFacts& facts,
    validate::Side& side,
    validate::Sides& sides,
    Report& report,
    bool row_rules_too,
    std::int64_t total
) {
    for (const Rule& rule : rules.rules) {
        if (validate::of_rows(rule.kind) && !row_rules_too) continue;
        const auto broken = validate::check_table(rule, facts, side, sides, total);
        if (broken) report.add(facts.dataset, rule.id, rule.on_fail, *broken);
    }
}

Outcome run_gate(task::TaskContext& context, const json& params) {
    lake::Summary summary;
    std::vector<Problem> problems;
    const auto rules = validate::read_rules(params, true, problems);
    if (!problems.empty()) throw Error(ErrorCode::invalid, problems.front().message);
    const auto database = engine::open_database(context);
    validate::Sides sides(context, *database);
    Report report(context);
    summary.rows_in = 0;
    for (const std::string& dataset : sources(params)) {
        const auto side = sides.open(dataset);
        const std::int64_t total = side->count("select count(*) from " + side->from());
        summary.rows_in += total;
        check_table_rules(rules, facts_of(context, dataset), *side, sides, report, true, total);
        context.info(fmt::format("{}: {} checks over {} rows", dataset, rules.rules.size(), total));
    }
    report.close();
    summary.rows_out = summary.rows_in;
    return lake::finish(context, summary);
}

void report_rows(
    task::TaskContext& context,
    const validate::Rules& rules,
    const validate::RowResult& result,
    const std::string& dataset,
    Report& report
) {
    for (const validate::Finding& finding : result.findings)
        report.add(dataset, finding.reason, finding.on_fail, fmt::format("{} rows", finding.rows));
    if (result.ambiguous_dates > 0)
        context.warn(fmt::format("{} dates fit two of the formats listed", result.ambiguous_dates));
    if (rules.max_bad.exceeded(result.rows_bad, result.rows_in))
        report.add(
            dataset,
            "max_bad",
            OnFail::fail,
            fmt::format(
                "{} of {} rows are bad: more than may be set aside", result.rows_bad, result.rows_in
            )
        );
}

void warn_undeclared(task::TaskContext& context, const binding::Relation& input) {
    std::string extra;
    for (const ColumnSpec& column : input.columns)
        if (!input.declared.empty() && binding::find(input.declared, column.name) == nullptr)
            extra += (extra.empty() ? "" : ", ") + column.name;
    if (!extra.empty()) context.warn("columns that are not declared stay behind: " + extra);
}

Outcome run_rows(task::TaskContext& context, const json& params) {
    lake::Summary summary;
    std::vector<Problem> problems;
    const auto rules = validate::read_rules(params, false, problems);
    if (!problems.empty()) throw Error(ErrorCode::invalid, problems.front().message);
    const std::string from = sources(params).front();
    const auto database = engine::open_database(context);
    binding::RunInputs inputs(context, *database);
    const binding::Relation input = inputs.open(params.at("from"));
    warn_undeclared(context, input);
    const auto result = validate::check_rows(inputs, input, rules, params.value("contract", true));
    Report report(context);
    report_rows(context, rules, result, from, report);
    validate::Sides sides(context, *database);
    const auto good = sides.rows(result.good, binding::names(input.declared));
    check_table_rules(
        rules,
        facts_of(context, from),
        *good,
        sides,
        report,
        false,
        result.rows_in - result.rows_bad
    );
    report.close();
    const lake::Written written = lake::write(
        context,
        *database,
        {params.at("to").get<std::string>(), result.good, inputs.slices(), params.dump(), {}}
    );
    lake::write(
        context,
        *database,
        {quarantine_name(params), result.quarantine, inputs.slices(), params.dump(), {}}
    );
    summary.rows_in = result.rows_in;
    summary.rows_out = written.rows;
    summary.rows_quarantined = result.rows_quarantined;
    summary.files = written.files;
    summary.bytes = written.bytes;
    return lake::finish(context, summary);
}

Outcome run(task::TaskContext& context, const json& params) {
    return engine::guarded([&] {
        return is_gate(params) ? run_gate(context, params) : run_rows(context, params);
    });
}

}  // namespace

task::Operator validate_operator() {
    return {
        .name = "validate",
        .summary = "Rows that keep the contract go on, the others aside; without `to`, a gate.",
        .schema = validate::schema(),
        .traits = {.isolation = Isolation::process, .idempotent = true, .data = true},
        .check = check,
        .run = run,
    };
}

}  // namespace sluice::ops
