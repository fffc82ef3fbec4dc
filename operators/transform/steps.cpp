#include "operators/transform/steps.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <set>

#include <nlohmann/json.hpp>
#include <utf8proc.h>

#include "base/fields.hpp"
#include "operators/engine/sql.hpp"
#include "operators/privacy/sql_functions.hpp"
#include "operators/transform/step_tools.hpp"

namespace sluice::transform {

using nlohmann::json;

std::string as(const std::string& expression, const std::string& name) {
    return expression + " as " + engine::quote(name);
}

const ColumnSpec& column(const binding::Columns& columns, const std::string& name) {
    const ColumnSpec* found = binding::find(columns, name);
    if (found == nullptr)
        throw StepError(
            "E-COLUMN",
            "there is no column \"" + name + "\" here",
            did_you_mean(name, binding::names(columns))
        );
    return *found;
}

expression::Expression parsed(const json& text, const binding::Columns& columns) {
    auto result = expression::parse(expression::source_of(text));
    if (!result.value) {
        const Problem& problem = result.problems.front();
        throw StepError(problem.code, problem.message, problem.suggestion);
    }
    for (const expression::ColumnName& name : result.value->columns()) {
        if (!name.qualifier.empty())
            throw StepError(
                "E-EXPR-COLUMN",
                "\"" + name.qualifier + "." + name.name +
                    "\": l and r stand in the condition of a join only"
            );
        column(columns, name.name);
    }
    return *result.value;
}

std::string duckdb(const expression::Expression& expression) {
    return expression.sql(engine::Dialect::duckdb);
}

ColumnSpec shown(
    const std::string& name, const expression::Expression& value, const binding::Columns& columns
) {
    std::vector<const ColumnSpec*> sources;
    for (const expression::ColumnName& source : value.visible_columns())
        sources.push_back(&column(columns, source.name));
    ColumnSpec out = binding::made_from(name, sources);
    if (value.only_column()) {
        out.not_null = sources.front()->not_null;
        out.description = sources.front()->description;
    }
    return out;
}

std::string list(const binding::Columns& columns, const std::string& prefix) {
    return engine::quoted_list(binding::names(columns), prefix);
}

std::string select(const std::string& items, const std::string& from, const std::string& tail) {
    return "select " + items + (items.empty() ? "" : ", ") + hidden_hash + " from " + from +
           (tail.empty() ? "" : " ") + tail;
}

namespace {

using Step = Relation (*)(Work&, const json&);

Step step_of(const std::string& name) {
    static constexpr std::array<std::pair<std::string_view, Step>, 16> table{{
        {"rename", rename},
        {"select", select_columns},
        {"drop", drop},
        {"normalize", normalize},
        {"cast", cast},
        {"fill_null", fill_null},
        {"drop_null", drop_null},
        {"dedup", dedup},
        {"filter", filter},
        {"derive", derive},
        {"join", join},
        {"union", union_all},
        {"aggregate", aggregate},
        {"pivot", pivot},
        {"unpivot", unpivot},
        {"sql", sql},
    }};
    const auto* found = std::ranges::find(table, name, &std::pair<std::string_view, Step>::first);
    if (found == table.end()) {
        std::vector<std::string> known;
        for (const auto& row : table) known.emplace_back(row.first);
        throw StepError("E-STEP", "there is no step \"" + name + "\"", did_you_mean(name, known));
    }
    return found->second;
}

/// A step that makes a row of each row, or none.
bool is_row_by_row(const std::string& name) {
    static constexpr std::array<std::string_view, 10> names{
        "rename",
        "select",
        "drop",
        "normalize",
        "cast",
        "fill_null",
        "drop_null",
        "derive",
        "filter",
        "dedup"
    };
    return std::ranges::find(names, name) != names.end();
}

void check_unique(const binding::Columns& columns) {
    std::set<std::string> seen;
    for (const ColumnSpec& column : columns) {
        std::string lower = column.name;
        for (char& c : lower)
            if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
        if (!seen.insert(lower).second)
            throw StepError("E-COLUMN", "there would be two columns \"" + column.name + "\"");
    }
    if (columns.empty()) throw StepError("E-COLUMN", "no column would be left");
}

}  // namespace

Compiled compile_steps(
    const json& steps, Relation input, Inputs& inputs, const SqlStepRules& rules, std::size_t& step
) {
    Compiled out;
    std::string parts = "with s0 as (" + input.sql + ")";
    Work work{
        Relation{"s0", std::move(input.columns)},
        out,
        inputs,
        rules,
        parts,
        std::move(input.declared)
    };
    for (step = 0; step < steps.size(); ++step) {
        const json& one = steps[step];
        if (!one.is_object() || one.size() != 1)
            throw StepError("E-STEP", "a step is an object of one key, the name of the step");
        Relation made = step_of(one.begin().key())(work, one.begin().value());
        work.row_by_row = work.row_by_row && is_row_by_row(one.begin().key());
        check_unique(made.columns);
        const std::string name = "s" + std::to_string(step + 1);
        const std::string so_far = parts + ", " + name + " as (" + made.sql + ")";
        try {
            binding::set_types(
                made.columns,
                engine::user_columns(inputs.database().describe(so_far + " select * from " + name))
            );
        } catch (const StepError&) {
            throw;
        } catch (const Error& error) {
            throw StepError("E-STEP-BIND", error.what());
        }
        parts = so_far;
        work.prefix = parts;
        work.in = {name, std::move(made.columns)};
    }
    out.result.sql =
        parts + " select " + list(work.in.columns) + ", " + hidden_hash + " from " + work.in.sql;
    out.result.columns = std::move(work.in.columns);
    return out;
}

namespace {

/// A classified column that an output might show.
std::string hidden_in(const std::vector<binding::NamedColumns>& inputs, const SqlStepRules& rules) {
    std::string hidden;
    for (const auto& [name, columns] : inputs)
        for (const ColumnSpec& column : columns)
            if (!column.pii_class.empty() &&
                std::ranges::find(rules.allowed, column.pii_class) == rules.allowed.end())
                hidden = column.name + " (" + column.pii_class + ")";
    return hidden;
}

}  // namespace

binding::Columns statement_columns(
    const std::string& sql,
    const std::vector<engine::ColumnInfo>& outputs,
    const std::vector<binding::NamedColumns>& inputs,
    engine::Database& database,
    const SqlStepRules& rules
) {
    const std::string hidden = hidden_in(inputs, rules);
    const std::set<std::string> masked = privacy::masked_outputs(database, sql);
    const binding::SelectFlow flow(database, sql);
    binding::Columns out;
    for (const engine::ColumnInfo& output : engine::user_columns(outputs)) {
        const bool is_masked = masked.contains(output.name);
        std::vector<const ColumnSpec*> called;
        for (const auto& [name, columns] : inputs)
            if (const ColumnSpec* found = binding::find(columns, output.name))
                called.push_back(found);
        const bool known = is_masked || (!called.empty() && !flow.opaque());
        if (!known && !hidden.empty() && !rules.attested)
            throw StepError(
                "E-ATTEST",
                "the output \"" + output.name +
                    "\" of the SQL has no name of its inputs, which hold " + hidden +
                    ": it might show it",
                "keep the column's name, mask it (mask_hmac(...) as name), use declarative steps, "
                "or write "
                "`attest` with the reason"
            );
        const auto shown = flow.sources(output.name, inputs);
        ColumnSpec column = binding::made_from(output.name, shown.empty() ? called : shown);
        // What the expression shows, and what the name says; with a reason to trust it, the name.
        auto classified = called;
        if (!rules.attested) classified.insert(classified.end(), shown.begin(), shown.end());
        column.pii_class = is_masked ? "" : binding::made_from(output.name, classified).pii_class;
        column.type = engine::language_type(output.type).value_or(output.type);
        out.push_back(std::move(column));
    }
    return out;
}

std::string snake_case(std::string_view name) {
    // Accents are split off and dropped with everything else that is not ASCII.
    const std::string text(name);
    const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> folded{
        utf8proc_NFKD(reinterpret_cast<const utf8proc_uint8_t*>(text.c_str())), &std::free
    };
    const std::string plain = folded ? reinterpret_cast<const char*>(folded.get()) : text;
    const auto is_upper = [](char c) { return c >= 'A' && c <= 'Z'; };
    const auto is_lower = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
    std::string ascii;
    for (const char c : plain)
        if (static_cast<unsigned char>(c) < 0x80) ascii += c;
    std::string out;
    for (std::size_t i = 0; i < ascii.size(); ++i) {
        const char c = ascii[i];
        if (!is_upper(c) && !is_lower(c)) {
            if (!out.empty() && out.back() != '_') out += '_';
            continue;
        }
        const bool after_lower = i > 0 && is_lower(ascii[i - 1]);
        const bool last_of_acronym = i > 0 && is_upper(ascii[i - 1]) && i + 1 < ascii.size() &&
                                     ascii[i + 1] >= 'a' && ascii[i + 1] <= 'z';
        if (is_upper(c) && (after_lower || last_of_acronym) && !out.empty() && out.back() != '_')
            out += '_';
        out += is_upper(c) ? static_cast<char>(c + 32) : c;
    }
    while (!out.empty() && out.back() == '_') out.pop_back();
    if (out.empty()) return "column";
    return out.front() >= '0' && out.front() <= '9' ? "c_" + out : out;
}

}  // namespace sluice::transform
