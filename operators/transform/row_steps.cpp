// Steps that change which rows there are, or what a row stands for.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/json_text.hpp"
#include "operators/binding/binder.hpp"
#include "operators/engine/sql.hpp"
#include "operators/transform/step_tools.hpp"

namespace sluice::transform {

namespace {

using engine::quote;
using nlohmann::json;

/// A row that was made of several has the hash of its text.
std::string new_hash(const std::string& columns) {
    return "sha256(cast(row(" + columns + ") as varchar)) as " + hidden_hash;
}

}  // namespace

Relation filter(Work& work, const json& with) {
    const auto condition = parsed(with, work.in.columns);
    if (condition.aggregates())
        throw StepError("E-STEP", "a filter looks at one row: it takes no aggregate");
    return {
        select(list(work.in.columns), work.in.sql, "where " + duckdb(condition)), work.in.columns
    };
}

namespace {

struct JoinPlan {
    std::string condition;
    std::string their_keys;  // "" if the condition is free
    std::string our_keys;
    std::vector<std::string> used;  // their columns that equal ours
};

JoinPlan plan_join(Work& work, const json& with, const Relation& theirs) {
    JoinPlan plan;
    if (with.contains("using")) {
        std::vector<std::pair<std::string, std::string>> pairs;  // theirs, ours
        const json& names = with.at("using");
        if (names.is_object()) {
            for (const auto& [their, our] : names.items())
                pairs.emplace_back(their, our.get<std::string>());
        } else {
            for (const std::string& name : texts_of(names)) pairs.emplace_back(name, name);
        }
        for (const auto& [their, our] : pairs) {
            const std::string r = quote(column(theirs.columns, their).name);
            const std::string l = quote(column(work.in.columns, our).name);
            plan.condition += (plan.condition.empty() ? "" : " and ") + ("l." + l + " = r." + r);
            plan.their_keys += (plan.their_keys.empty() ? "" : ", ") + r;
            plan.our_keys += (plan.our_keys.empty() ? "" : ", ") + l;
            plan.used.push_back(column(theirs.columns, their).name);
        }
        return plan;
    }
    const auto parsed = expression::parse(expression::source_of(with.at("condition")));
    if (!parsed.value)
        throw StepError(parsed.problems.front().code, parsed.problems.front().message);
    for (const expression::ColumnName& name : parsed.value->columns()) {
        if (name.qualifier.empty())
            throw StepError(
                "E-EXPR-COLUMN",
                "\"" + name.name + "\" in the condition of a join must be l." + name.name +
                    " or r." + name.name
            );
        column(name.qualifier == "l" ? work.in.columns : theirs.columns, name.name);
    }
    plan.condition = duckdb(*parsed.value);
    return plan;
}

/// The columns of theirs that come along: (theirs, new name).
std::vector<std::pair<std::string, std::string>> taken(
    const Work& work, const json& with, const Relation& theirs, const JoinPlan& plan
) {
    std::vector<std::pair<std::string, std::string>> out;
    if (!with.contains("select")) {
        for (const ColumnSpec& one : theirs.columns)
            if (std::ranges::find(plan.used, one.name) == plan.used.end() &&
                binding::find(work.in.columns, one.name) == nullptr)
                out.emplace_back(one.name, one.name);
        return out;
    }
    const json& wanted = with.at("select");
    if (wanted.is_object()) {
        for (const auto& [name, their] : wanted.items())
            out.emplace_back(column(theirs.columns, their.get<std::string>()).name, name);
    } else {
        for (const std::string& name : texts_of(wanted)) {
            const std::string exact = column(theirs.columns, name).name;
            out.emplace_back(exact, exact);
        }
    }
    return out;
}

void check_cardinality(Work& work, const json& with, const Relation& theirs, const JoinPlan& plan) {
    const std::string cardinality = with.value("cardinality", "many_to_one");
    if (cardinality == "many_to_many") return;
    const std::string name = with.at("dataset").is_string()
                                 ? with.at("dataset").get<std::string>()
                                 : with.at("dataset").at("dataset").get<std::string>();
    if (plan.their_keys.empty()) {
        work.out.checks.push_back(
            {work.prefix +
                 " select count(*) from (select 1 from (select row_number() over () as row_ , * "
                 "from " +
                 work.in.sql + ") as l join (" + theirs.sql + ") as r on " + plan.condition +
                 " group by l.row_ having count(*) > 1)",
             "{} rows find more than one row of " + name +
                 " by the condition of the join, whose cardinality is " + cardinality}
        );
        return;
    }
    const auto unique = [&](const std::string& from, const std::string& by, const std::string& whose
                        ) {
        return RowCheck{
            from + " group by " + by + " having count(*) > 1)",
            "{} keys (" + by + ") of " + whose + " are there more than once: the join is " +
                cardinality
        };
    };
    work.out.checks.push_back(
        unique("select count(*) from (select 1 from (" + theirs.sql + ")", plan.their_keys, name)
    );
    if (cardinality == "one_to_one")
        work.out.checks.push_back(unique(
            work.prefix + " select count(*) from (select 1 from " + work.in.sql,
            plan.our_keys,
            "the input"
        ));
}

}  // namespace

Relation join(Work& work, const json& with) {
    const Relation theirs = work.inputs.open(with.at("dataset"));
    const std::string how = with.value("how", "inner");
    const JoinPlan plan = plan_join(work, with, theirs);
    const bool narrows = how == "semi" || how == "anti";
    binding::Columns columns = work.in.columns;
    std::string items = list(columns, "l.");
    if (!narrows) {
        for (const auto& [their, name] : taken(work, with, theirs, plan)) {
            ColumnSpec made = column(theirs.columns, their);
            made.name = name;
            if (how == "left" || how == "asof") made.not_null = false;
            items += ", r." + as(quote(their), name);
            columns.push_back(std::move(made));
        }
        if (how != "asof") check_cardinality(work, with, theirs, plan);
    }
    const std::string words = how == "asof" ? "asof left join" : how + " join";
    const bool many = with.value("cardinality", "many_to_one") == "many_to_many" && !narrows;
    const std::string hash =
        many ? "sha256(l._sluice_row_hash || coalesce(r._sluice_row_hash, '')) as _sluice_row_hash"
             : "l._sluice_row_hash";
    return {
        "select " + items + ", " + hash + " from " + work.in.sql + " as l " + words + " (" +
            theirs.sql + ") as r on " + plan.condition,
        std::move(columns)
    };
}

Relation union_all(Work& work, const json& with) {
    std::string sql =
        "select " + list(work.in.columns) + ", " + hidden_hash + " from " + work.in.sql;
    binding::Columns columns = work.in.columns;
    for (const std::string& name : texts_of(with)) {
        const Relation other = work.inputs.open(name);
        std::string items;
        for (ColumnSpec& one : columns) {
            const ColumnSpec* theirs = binding::find(other.columns, one.name);
            if (theirs == nullptr)
                throw StepError("E-COLUMN", name + " has no column \"" + one.name + "\"");
            items += (items.empty() ? "" : ", ") + quote(theirs->name);
            ColumnSpec both = binding::made_from(one.name, {&one, theirs});
            one.pii_class = both.pii_class;
            one.origins = both.origins;
            one.not_null = one.not_null && theirs->not_null;
        }
        sql += " union all select " + items + ", " + hidden_hash + " from (" + other.sql + ")";
    }
    return {sql, std::move(columns)};
}

namespace {

/// Sums and averages of a classified number are no longer a person's.
ColumnSpec measured(
    const std::string& name, const expression::Expression& value, const binding::Columns& columns
) {
    ColumnSpec out = shown(name, value, columns);
    const expression::Node& root = value.root();
    const bool blurred = root.kind == expression::NodeKind::call &&
                         (root.name == "sum" || root.name == "avg" || root.name == "stddev");
    if (blurred && !out.pii_class.empty()) out.pii_class = "quasi";
    out.not_null = false;
    return out;
}

}  // namespace

Relation aggregate(Work& work, const json& with) {
    binding::Columns columns;
    std::string items;
    std::string by;
    if (with.contains("group_by"))
        for (const std::string& name : texts_of(with.at("group_by"))) {
            columns.push_back(column(work.in.columns, name));
            items += (items.empty() ? "" : ", ") + quote(columns.back().name);
        }
    by = items;
    for (const auto& [name, text] : with.at("measures").items()) {
        const auto value = parsed(text, work.in.columns);
        if (!value.aggregates())
            throw StepError(
                "E-STEP", "the measure \"" + name + "\" has no aggregate such as sum or count"
            );
        items += (items.empty() ? "" : ", ") + as(duckdb(value), name);
        columns.push_back(measured(name, value, work.in.columns));
    }
    const std::string hash = by.empty() ? "sha256('') as _sluice_row_hash" : new_hash(by);
    return {
        "select " + items + ", " + hash + " from " + work.in.sql +
            (by.empty() ? "" : " group by " + by),
        std::move(columns)
    };
}

Relation pivot(Work& work, const json& with) {
    const ColumnSpec& over = column(work.in.columns, with.at("column").get<std::string>());
    const auto measure = parsed(with.at("measure"), work.in.columns);
    const expression::Node& root = measure.root();
    if (root.kind != expression::NodeKind::call || !measure.aggregates())
        throw StepError("E-STEP", "the measure of a pivot is one aggregate, such as sum(x)");
    const auto used = measure.columns();
    binding::Columns columns;
    for (const ColumnSpec& one : work.in.columns) {
        const bool measured_one = std::ranges::any_of(used, [&](const expression::ColumnName& n) {
            return expression::same_name(n.name, one.name);
        });
        if (one.name != over.name && !measured_one) columns.push_back(one);
    }
    const std::string by = list(columns);
    std::string items = by;
    for (const json& value : with.at("values")) {
        const std::string text = text_of(value);
        const std::string name = snake_case(text);
        items += (items.empty() ? "" : ", ") +
                 as(duckdb(measure) + " filter (where cast(" + quote(over.name) +
                        " as varchar) = " + engine::literal(text) + ")",
                    name);
        columns.push_back(measured(name, measure, work.in.columns));
    }
    return {
        "select " + items + ", " + (by.empty() ? "sha256('') as _sluice_row_hash" : new_hash(by)) +
            " from " + work.in.sql + (by.empty() ? "" : " group by " + by),
        std::move(columns)
    };
}

Relation unpivot(Work& work, const json& with) {
    std::vector<const ColumnSpec*> turned;
    std::string names;
    std::string values;
    for (const std::string& name : texts_of(with.at("columns"))) {
        turned.push_back(&column(work.in.columns, name));
        names += (names.empty() ? "" : ", ") + engine::literal(turned.back()->name);
        values += (values.empty() ? "" : ", ") + quote(turned.back()->name);
    }
    binding::Columns columns;
    for (const ColumnSpec& one : work.in.columns)
        if (std::ranges::find(turned, &one) == turned.end()) columns.push_back(one);
    const std::string name = with.value("name", "name");
    const std::string value = with.value("value", "value");
    const std::string kept = list(columns);
    ColumnSpec name_column;
    name_column.name = name;
    columns.push_back(name_column);
    columns.push_back(binding::made_from(value, turned));
    return {
        "select " + kept + (kept.empty() ? "" : ", ") + "unnest([" + names + "]) as " +
            quote(name) + ", unnest([" + values + "]) as " + quote(value) + ", " + hidden_hash +
            " from " + work.in.sql,
        std::move(columns)
    };
}

Relation sql(Work& work, const json& with) {
    const std::string text = expression::with_literals(expression::source_of(with));
    const auto names = binding::names_in(work.inputs.database(), text);
    if (!names.value) throw StepError("E-SQL", names.error);
    work.inputs.open_names(*names.value);
    // The statement sees the rows so far as `input`; `*` never includes provenance columns.
    const std::string whole = "with input as (select " + list(work.in.columns) + " from " +
                              work.in.sql + ") select * from (" + text + ")";
    std::vector<binding::NamedColumns> sources{{"input", work.in.columns}};
    for (const std::string& name : *names.value)
        sources.push_back({name, work.inputs.columns_of(name)});
    std::vector<engine::ColumnInfo> outputs;
    try {
        outputs = work.inputs.database().describe(work.prefix + " select * from (" + whole + ")");
    } catch (const Error& error) {
        throw StepError("E-SQL", error.what());
    }
    binding::Columns columns =
        statement_columns(text, outputs, sources, work.inputs.database(), work.rules);
    return {
        "select " + list(columns) + ", " + new_hash(list(columns)) + " from (" + whole + ")",
        std::move(columns)
    };
}

}  // namespace sluice::transform
