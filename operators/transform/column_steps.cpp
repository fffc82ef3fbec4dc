// Steps that make columns from columns: every row stays a row.
#include <algorithm>
#include <map>
#include <set>

#include <nlohmann/json.hpp>

#include "base/json_text.hpp"
#include "operators/binding/cast.hpp"
#include "operators/engine/sql.hpp"
#include "operators/transform/step_tools.hpp"

namespace sluice::transform {

namespace {

using engine::quote;
using nlohmann::json;

/// Every column as it is, but those for which `change` has an expression.
template <class Change>
Relation changed(Work& work, Change&& change) {
    std::string items;
    for (const ColumnSpec& column : work.in.columns) {
        const std::string expression = change(column);
        items += (items.empty() ? "" : ", ") +
                 (expression.empty() ? quote(column.name) : as(expression, column.name));
    }
    return {select(items, work.in.sql), work.in.columns};
}

std::string normalized(const std::string& how, const std::string& text) {
    if (how == "trim") return "sluice_trim(" + text + ")";
    if (how == "lower" || how == "upper") return how + "(" + text + ")";
    if (how == "nfc") return "nfc_normalize(" + text + ")";
    if (how == "squeeze") return "regexp_replace(" + text + R"(, '\s+', ' ', 'g'))";
    if (how == "ascii")
        return "regexp_replace(strip_accents(" + text + R"(), '[^\x00-\x7F]', '', 'g'))";
    if (how == "title")
        return "array_to_string(list_transform(string_split(lower(" + text +
               "), ' '), lambda word_: upper(word_[1]) || word_[2:]), ' ')";
    throw StepError("E-STEP", "there is no normalization \"" + how + "\"");
}

std::string value_literal(const json& value) {
    if (value.is_string()) return engine::literal(value.get<std::string>());
    if (value.is_null()) return "null";
    return value.dump();
}

/// A cast that fails the task for what it cannot read, unless it may set null.
std::string strict_cast(
    const ColumnSpec& column, const binding::CastTarget& target, bool set_null
) {
    const std::string from = engine::is_language_type(column.type)
                                 ? engine::type_name(engine::Dialect::duckdb, column.type)
                                 : column.type;
    std::string value = binding::cast_sql(quote(column.name), from, target);
    if (set_null) return value;
    const std::string text = "cast(" + quote(column.name) + " as varchar)";
    const std::string message =
        engine::literal("column " + column.name + " cannot be cast to " + target.type + ": ");
    // Of a classified value only its form may be read: "999-99-9999".
    const std::string shown =
        column.pii_class.empty()
            ? text
            : "regexp_replace(regexp_replace(" + text +
                  R"(, '\p{L}', 'a', 'g'), '\p{N}', '9', 'g') || ' (its form)')";
    return "case when (" + value + ") is null and nullif(trim(" + text +
           "), '') is not null then error(" + message + " || " + shown + ") else " + value + " end";
}

}  // namespace

Relation rename(Work& work, const json& with) {
    std::map<std::string, std::string> names;
    if (with.is_object()) {
        for (const auto& [old, now] : with.items())
            names[column(work.in.columns, old).name] = now.get<std::string>();
    } else if (with == "snake_case") {
        std::set<std::string> taken;
        for (const ColumnSpec& one : work.in.columns) {
            const std::string base = snake_case(one.name);
            std::string name = base;
            for (int n = 2; !taken.insert(name).second; ++n) name = base + "_" + std::to_string(n);
            names[one.name] = name;
        }
    } else {
        throw StepError("E-STEP", "rename takes \"snake_case\" or {old: new}");
    }
    std::string items;
    binding::Columns columns = work.in.columns;
    for (ColumnSpec& one : columns) {
        const auto found = names.find(one.name);
        const std::string name = found == names.end() ? one.name : found->second;
        items += (items.empty() ? "" : ", ") + as(quote(one.name), name);
        one.name = name;
    }
    return {select(items, work.in.sql), std::move(columns)};
}

Relation select_columns(Work& work, const json& with) {
    std::string items;
    binding::Columns columns;
    if (with.is_object()) {
        for (const auto& [name, text] : with.items()) {
            const auto value = parsed(text, work.in.columns);
            if (value.aggregates())
                throw StepError("E-STEP", "an aggregate stands in the step `aggregate` only");
            items += (items.empty() ? "" : ", ") + as(duckdb(value), name);
            columns.push_back(shown(name, value, work.in.columns));
        }
    } else {
        for (const std::string& name : texts_of(with))
            columns.push_back(column(work.in.columns, name));
        items = list(columns);
    }
    return {select(items, work.in.sql), std::move(columns)};
}

Relation drop(Work& work, const json& with) {
    binding::Columns columns = work.in.columns;
    for (const std::string& name : texts_of(with)) {
        const std::string exact = column(work.in.columns, name).name;
        std::erase_if(columns, [&](const ColumnSpec& c) { return c.name == exact; });
    }
    return {select(list(columns), work.in.sql), std::move(columns)};
}

Relation normalize(Work& work, const json& with) {
    std::map<std::string, std::vector<std::string>> how;
    for (const auto& [name, methods] : with.items()) {
        const ColumnSpec& one = column(work.in.columns, name);
        if (!one.type.starts_with("varchar"))
            throw StepError(
                "E-STEP", "column \"" + name + "\" is " + one.type + ": only text can be normalized"
            );
        how[one.name] = texts_of(methods);
    }
    return changed(work, [&](const ColumnSpec& one) {
        std::string text = how.contains(one.name) ? quote(one.name) : "";
        for (const std::string& method : how[one.name]) text = normalized(method, text);
        return text;
    });
}

Relation cast(Work& work, const json& with) {
    if (with == "declared")
        return changed(work, [&](const ColumnSpec& one) {
            const ColumnSpec* declared = binding::find(work.declared, one.name);
            if (declared == nullptr) return std::string();
            return strict_cast(one, {declared->type, declared->parse}, false);
        });
    std::map<std::string, std::string> casts;
    for (const auto& [name, how] : with.items()) {
        const ColumnSpec& one = column(work.in.columns, name);
        binding::CastTarget target;
        bool set_null = false;
        if (how.is_string()) {
            target.type = how.get<std::string>();
        } else {
            target.type = how.at("type").get<std::string>();
            if (how.contains("parse")) target.parse = texts_of(how.at("parse"));
            set_null = how.value("on_error", "fail") == "set_null";
        }
        if (!engine::is_language_type(target.type))
            throw StepError("E-TYPE", "\"" + target.type + "\" is not a type");
        casts[one.name] = strict_cast(one, target, set_null);
    }
    return changed(work, [&](const ColumnSpec& one) { return casts[one.name]; });
}

Relation fill_null(Work& work, const json& with) {
    std::map<std::string, std::string> filled;
    for (const auto& [name, how] : with.items()) {
        const ColumnSpec& one = column(work.in.columns, name);
        std::string value;
        if (!how.is_object()) {
            value = value_literal(how);
        } else if (how.contains("expr")) {
            value = duckdb(parsed(how.at("expr"), work.in.columns));
        } else {
            const json& forward = how.at("forward");
            std::string by;
            if (forward.contains("by"))
                for (const std::string& key : texts_of(forward.at("by")))
                    by += (by.empty() ? "partition by " : ", ") +
                          quote(column(work.in.columns, key).name);
            const auto order =
                expression::parse_order(expression::source_of(forward.at("order_by")));
            if (!order.value)
                throw StepError(order.problems.front().code, order.problems.front().message);
            value = "last_value(" + quote(one.name) + " ignore nulls) over (" + by + " order by " +
                    expression::sql(*order.value, engine::Dialect::duckdb) + ", " + hidden_hash +
                    " rows between unbounded preceding and current row)";
        }
        filled[one.name] = "coalesce(" + quote(one.name) + ", " + value + ")";
    }
    return changed(work, [&](const ColumnSpec& one) { return filled[one.name]; });
}

Relation drop_null(Work& work, const json& with) {
    std::string condition;
    binding::Columns columns = work.in.columns;
    for (const std::string& name : texts_of(with)) {
        const std::string exact = column(columns, name).name;
        condition += (condition.empty() ? "" : " and ") + quote(exact) + " is not null";
        for (ColumnSpec& one : columns)
            if (one.name == exact) one.not_null = true;
    }
    return {select(list(columns), work.in.sql, "where " + condition), std::move(columns)};
}

Relation derive(Work& work, const json& with) {
    std::map<std::string, std::string> values;
    binding::Columns columns = work.in.columns;
    for (const auto& [name, text] : with.items()) {
        const auto value = parsed(text, work.in.columns);
        if (value.aggregates())
            throw StepError("E-STEP", "an aggregate stands in the step `aggregate` only");
        const ColumnSpec made = shown(name, value, work.in.columns);
        const ColumnSpec* old = binding::find(work.in.columns, name);
        const std::string exact = old == nullptr ? name : old->name;
        values[exact] = duckdb(value);
        if (old == nullptr) {
            columns.push_back(made);
        } else {
            for (ColumnSpec& one : columns)
                if (one.name == exact) {
                    one.pii_class = made.pii_class;
                    one.origins = made.origins;
                    one.not_null = false;
                }
        }
    }
    std::string items;
    for (const ColumnSpec& one : columns) {
        const auto value = values.find(one.name);
        items += (items.empty() ? "" : ", ") +
                 (value == values.end() ? quote(one.name) : as(value->second, one.name));
    }
    return {select(items, work.in.sql), std::move(columns)};
}

}  // namespace sluice::transform
