#include "operators/validate/validate.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/problem.hpp"
#include "operators/binding/check_inputs.hpp"
#include "operators/engine/failure.hpp"
#include "operators/lake/progress.hpp"
#include "operators/lake/summary.hpp"
#include "operators/lineage/sink.hpp"
#include "operators/policy/policy.hpp"
#include "operators/privacy/scan.hpp"
#include "operators/validate/quarantine.hpp"
#include "operators/validate/results.hpp"
#include "operators/validate/row_check.hpp"
#include "operators/validate/rules.hpp"
#include "operators/validate/samples.hpp"
#include "operators/validate/scan.hpp"
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
    lineage::check_sink(input, made.name, made.columns, out);
    out.writes.push_back(std::move(made));
    out.writes.push_back(
        validate::quarantine_of(validate::quarantine_name(input.params, from.name), from)
    );
}

/// Rows of a table lie in no order.
void check_order(
    const validate::Rules& rules, const std::string& dataset, std::vector<Problem>& problems
) {
    for (std::size_t i = 0; i < rules.rules.size(); ++i)
        if (rules.rules[i].kind == Kind::monotonic && !binding::in_lake(dataset) &&
            !json::parse(rules.rules[i].keys).contains("order_by"))
            problems.push_back(problem(
                "E-CHECK",
                "/checks/" + std::to_string(i),
                "rows of " + dataset + ", a table, have no order: monotonic needs `order_by`"
            ));
}

task::CheckResult check(const task::CheckInput& input) {
    task::CheckResult out;
    const bool gate = is_gate(input.params);
    const auto rules = validate::read_rules(input.params, gate, out.problems);
    const auto anomalies = validate::read_anomalies(input.params, out.problems);
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
        for (Problem& one : validate::check_anomalies(anomalies, from->columns))
            out.problems.push_back(std::move(one));
        check_order(rules, name, out.problems);
    }
    if (gate && rules.rules.empty() && anomalies.empty() && out.problems.empty())
        out.problems.push_back(problem("E-VALIDATE", "", "a gate without checks holds nothing back")
        );
    return out;
}

validate::TableFacts facts_of(task::TaskContext& context, const std::string& dataset) {
    validate::TableFacts facts;
    facts.dataset = dataset;
    const DatasetSpec& spec = context.dataset(dataset);
    facts.key = spec.key;
    facts.contract = binding::names(spec.columns);
    facts.columns = spec.columns;
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
    validate::Results& results,
    std::int64_t total
) {
    for (const Rule& rule : rules.rules) {
        if (validate::of_rows(rule.kind) || rule.kind == Kind::freshness) continue;
        const auto broken = validate::check_table(rule, facts, side, sides, total);
        if (broken) results.add(facts.dataset, rule.id, rule.on_fail, *broken);
    }
}

/// All that one pass over a side can tell.
class Pass {
public:
    /// `rows` = rules of rows are counted too: a gate.
    Pass(
        const validate::Rules& rules,
        const std::vector<validate::Anomaly>& anomalies,
        const validate::TableFacts& facts,
        validate::Side& side,
        bool rows
    )
        : facts_(facts), side_(side), scan_(side), measures_(scan_, anomalies) {
        for (const Rule& rule : rules.rules) {
            if (rule.kind == Kind::freshness && facts.interval_end)
                asked_.emplace_back(
                    &rule, scan_.add(validate::fresh_sql(rule, *facts.interval_end))
                );
            else if (rule.kind == Kind::freshness)
                asked_.emplace_back(&rule, 0);
            else if (rows && validate::of_rows(rule.kind))
                asked_.emplace_back(&rule, scan_.add(rule));
        }
        wanted_ = rows || !asked_.empty() || !anomalies.empty();
    }

    /// Returns the number of rows; `known` is it if nothing has to be asked.
    std::int64_t run(validate::Results& results, std::int64_t known) {
        if (wanted_) scan_.run();
        const std::int64_t total = wanted_ ? scan_.rows() : known;
        results.metric(facts_.dataset, "row_count", static_cast<double>(total));
        for (const auto& [rule, place] : asked_)
            if (rule->kind == Kind::freshness)
                judge_freshness(results, *rule, place);
            else
                judge_rows(results, *rule, scan_.count(place), total);
        measures_.judge(results, facts_.dataset);
        return total;
    }

private:
    void judge_freshness(validate::Results& results, const Rule& rule, std::size_t place) {
        if (!facts_.interval_end)
            results.add(
                facts_.dataset,
                rule.id,
                rule.on_fail,
                "this run has no data interval to be fresh for"
            );
        else if (scan_.count(place) == 0)
            results.add(
                facts_.dataset,
                rule.id,
                rule.on_fail,
                rule.columns.front() + " has no value since " +
                    format_offset(validate::fresh_since(rule, *facts_.interval_end))
            );
    }

    void judge_rows(
        validate::Results& results, const Rule& rule, std::int64_t bad, std::int64_t total
    ) {
        results.metric(facts_.dataset, "broken: " + rule.id, static_cast<double>(bad));
        if (!rule.max_bad.value_or(validate::Limit{0, 0}).exceeded(bad, total)) return;
        results.add(
            facts_.dataset,
            rule.id,
            rule.on_fail,
            fmt::format("{} of {} rows", bad, total),
            validate::samples_of(rule, side_, facts_.key, facts_.columns)
        );
    }

    const validate::TableFacts& facts_;
    validate::Side& side_;
    validate::Scan scan_;
    validate::Measures measures_;
    std::vector<std::pair<const Rule*, std::size_t>> asked_;
    bool wanted_{false};
};

/// Rules and anomalies as the task's parameters have them, which were checked at load.
struct Asked {
    validate::Rules rules;
    std::vector<validate::Anomaly> anomalies;
};

Asked asked_of(const json& params) {
    std::vector<Problem> problems;
    Asked out{
        validate::read_rules(params, is_gate(params), problems),
        validate::read_anomalies(params, problems)
    };
    if (!problems.empty()) throw Error(ErrorCode::invalid, problems.front().message);
    return out;
}

Outcome run_gate(task::TaskContext& context, const json& params) {
    lake::Summary summary;
    const Asked asked = asked_of(params);
    const auto database = engine::open_database(context);
    validate::Sides sides(context, *database);
    validate::Results results(context);
    summary.rows_in = 0;
    for (const std::string& dataset : sources(params)) {
        const auto side = sides.open(dataset);
        const validate::TableFacts facts = facts_of(context, dataset);
        validate::hiding_values(facts.columns, [&] {
            Pass pass(asked.rules, asked.anomalies, facts, *side, true);
            const std::int64_t total = pass.run(results, 0);
            summary.rows_in += total;
            check_table_rules(asked.rules, facts, *side, sides, results, total);
            context.info(
                fmt::format("{}: {} checks over {} rows", dataset, asked.rules.rules.size(), total)
            );
        });
    }
    results.close();
    summary.rows_out = summary.rows_in;
    return lake::finish(context, summary);
}

void report_rows(
    task::TaskContext& context,
    const validate::Rules& rules,
    const validate::RowResult& result,
    const std::string& dataset,
    validate::Results& results
) {
    for (const validate::Finding& finding : result.findings) {
        results.metric(dataset, "broken: " + finding.reason, static_cast<double>(finding.rows));
        results.add(
            dataset,
            finding.reason,
            finding.on_fail,
            fmt::format("{} rows", finding.rows),
            finding.samples
        );
    }
    if (result.ambiguous_dates > 0) {
        results.metric(dataset, "ambiguous_dates", static_cast<double>(result.ambiguous_dates));
        context.warn(fmt::format("{} dates fit two of the formats listed", result.ambiguous_dates));
    }
    if (rules.max_bad.exceeded(result.rows_bad, result.rows_in))
        results.add(
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

/// What `from` held is now in `to` or in the quarantine; both are handed over.
Outcome publish_rows(
    task::TaskContext& context,
    engine::Database& database,
    const json& params,
    const binding::RunInputs& inputs,
    const binding::Relation& input,
    const validate::RowResult& result,
    lake::Summary& summary
) {
    const lake::Written written = lake::write(
        context,
        database,
        {params.at("to").get<std::string>(), result.good, inputs.slices(), params.dump(), {}}
    );
    const std::string aside = validate::quarantine_name(params, sources(params).front());
    const validate::Traced traced =
        validate::traces_of(context, database, aside, input, result.quarantine);
    lake::write(context, database, {aside, result.quarantine, inputs.slices(), params.dump(), {}});
    if (traced.released > 0) {
        const std::string traces = validate::released_name(aside);
        lake::write(context, database, {traces, traced.query, {}, params.dump(), {}});
        context.info(fmt::format(
            "{} rows that were in quarantine are let in; their traces are in {}",
            traced.released,
            traces
        ));
        summary.rows_released = traced.released;
    }
    summary.rows_in = result.rows_in;
    summary.rows_out = written.rows;
    summary.rows_quarantined = result.rows_quarantined;
    summary.files = written.files;
    summary.bytes = written.bytes;
    return lake::finish(context, summary);
}

Outcome run_rows(task::TaskContext& context, const json& params) {
    lake::Summary summary;
    const Asked asked = asked_of(params);
    const std::string from = sources(params).front();
    const auto database = engine::open_database(context);
    binding::RunInputs inputs(context, *database);
    const binding::Relation input = inputs.open(params.at("from"));
    warn_undeclared(context, input);
    const validate::TableFacts facts = facts_of(context, from);
    validate::RowResult result;
    validate::Results results(context);
    validate::hiding_values(facts.columns, [&] {
        const lake::Watch watch(context, *database, "checking " + from, inputs.rows());
        result = validate::check_rows(
            inputs, input, asked.rules, {params.value("contract", true), facts.key}
        );
        report_rows(context, asked.rules, result, from, results);
        validate::Sides sides(context, *database);
        const auto good = sides.rows(result.good, binding::names(input.declared));
        Pass pass(asked.rules, asked.anomalies, facts, *good, false);
        const std::int64_t total = pass.run(results, result.rows_in - result.rows_bad);
        check_table_rules(asked.rules, facts, *good, sides, results, total);
    });
    results.close();
    return publish_rows(context, *database, params, inputs, input, result, summary);
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
