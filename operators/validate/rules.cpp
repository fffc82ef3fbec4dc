#include "operators/validate/rules.hpp"

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

#include "base/fields.hpp"
#include "base/instant.hpp"
#include "base/json_text.hpp"
#include "base/problem.hpp"
#include "model/names.hpp"
#include "operators/binding/cast.hpp"
#include "operators/expression/expression.hpp"

namespace sluice::validate {

using engine::Dialect;
using engine::quote;
using nlohmann::json;

namespace {

constexpr NameTable<Kind, 19> kinds{
    {{Kind::not_null, "not_null"},
     {Kind::unique, "unique"},
     {Kind::accepted_values, "accepted_values"},
     {Kind::range, "range"},
     {Kind::length, "length"},
     {Kind::regex, "regex"},
     {Kind::castable, "castable"},
     {Kind::foreign_key, "foreign_key"},
     {Kind::expr, "expr"},
     {Kind::row_count, "row_count"},
     {Kind::freshness, "freshness"},
     {Kind::schema, "schema"},
     {Kind::compare, "compare"},
     {Kind::monotonic, "monotonic"},
     {Kind::no_overlap, "no_overlap"},
     {Kind::scd2, "scd2"},
     {Kind::k_anonymity, "k_anonymity"},
     {Kind::l_diversity, "l_diversity"},
     {Kind::pii_scan, "pii_scan"}}
};
constexpr NameTable<OnFail, 4> actions{
    {{OnFail::quarantine, "quarantine"},
     {OnFail::drop, "drop"},
     {OnFail::warn, "warn"},
     {OnFail::fail, "fail"}}
};

std::string joined(const std::vector<std::string>& names) {
    std::string out;
    for (const std::string& one : names) out += (out.empty() ? "" : ", ") + one;
    return out;
}

/// The word that stands in `_reasons`: short, and without values of the row.
std::string reason_of(const Rule& rule, const json& keys) {
    if (keys.contains("id")) return keys.at("id").get<std::string>();
    const std::string word = rule.kind == Kind::foreign_key ? "fk" : std::string(name(rule.kind));
    if (rule.kind == Kind::expr) return word + ": " + expression::source_of(keys.at("expr")).text;
    return rule.columns.empty() ? word : word + ": " + joined(rule.columns);
}

void read_one(
    const json& check,
    const std::string& pointer,
    bool gate,
    Rules& out,
    std::vector<Problem>& problems
) {
    std::optional<Kind> kind;
    std::string key;
    for (const auto& [name, value] : check.items()) {
        const auto found = value_in(kinds, name);
        if (!found) continue;
        if (kind) {
            problems.push_back(problem(
                "E-CHECK", pointer, "a check has one rule, not both " + key + " and " + name
            ));
            return;
        }
        kind = found;
        key = name;
    }
    if (!kind) {
        std::vector<std::string> known;
        for (const auto& row : kinds) known.emplace_back(row.second);
        const std::string written = check.empty() ? "" : check.begin().key();
        problems.push_back(problem(
            "E-CHECK", pointer, "no rule stands in this check", did_you_mean(written, known)
        ));
        return;
    }
    Rule rule;
    rule.kind = *kind;
    rule.value = check.at(key).dump();
    rule.keys = check.dump();
    const bool named = rule.kind != Kind::expr && rule.kind != Kind::compare &&
                       rule.kind != Kind::row_count && rule.kind != Kind::schema &&
                       rule.kind != Kind::scd2;
    if (named) rule.columns = texts_of(check.at(key));
    rule.reason = reason_of(rule, check);
    rule.id = rule.reason;
    rule.on_fail = out.on_fail;
    if (!of_rows(rule.kind)) rule.on_fail = OnFail::fail;
    if (check.contains("on_fail")) {
        const auto action = value_in(actions, check.at("on_fail").get<std::string>());
        const bool aside = action == OnFail::quarantine || action == OnFail::drop;
        if (aside && (gate || !of_rows(rule.kind)))
            problems.push_back(problem(
                "E-CHECK",
                pointer + "/on_fail",
                gate ? "a gate sets no rows aside: it warns or fails"
                     : "a rule of tables warns or fails"
            ));
        if (action) rule.on_fail = *action;
    }
    if (check.contains("max_bad")) rule.max_bad = limit_of(check.at("max_bad"));
    out.rules.push_back(std::move(rule));
}

const ColumnSpec* column(
    const binding::Columns& columns,
    const std::string& name,
    const std::string& pointer,
    std::vector<Problem>& problems
) {
    const ColumnSpec* found = binding::find(columns, name);
    if (found == nullptr)
        problems.push_back(problem(
            "E-COLUMN",
            pointer,
            "there is no column \"" + name + "\"",
            did_you_mean(name, binding::names(columns))
        ));
    return found;
}

void check_expression(
    const json& text,
    const binding::Columns& columns,
    const std::string& pointer,
    std::vector<Problem>& problems
) {
    auto parsed = expression::parse(expression::source_of(text));
    for (Problem& one : parsed.problems) {
        one.pointer = pointer;
        problems.push_back(std::move(one));
    }
    if (!parsed.value) return;
    if (parsed.value->aggregates())
        problems.push_back(
            problem("E-EXPR", pointer, "a rule looks at one row: it takes no aggregate")
        );
    for (const auto& name : parsed.value->columns()) column(columns, name.name, pointer, problems);
}

std::string literal_of(const json& value) {
    return value.is_string() ? engine::literal(value.get<std::string>()) : value.dump();
}

std::string parsed_sql(const json& text, Dialect dialect) {
    const auto parsed = expression::parse(expression::source_of(text));
    if (!parsed.value) throw Error(ErrorCode::invalid, parsed.problems.front().message);
    return parsed.value->sql(dialect);
}

}  // namespace

std::string_view name(Kind kind) { return name_in(kinds, kind); }
std::string_view name(OnFail on_fail) { return name_in(actions, on_fail); }
bool of_rows(Kind kind) { return kind <= Kind::expr; }

std::optional<Tolerance> tolerance_of(const json& value) {
    if (value.is_number()) {
        const double absolute = value.get<double>();
        if (absolute < 0) return std::nullopt;
        return Tolerance{absolute, 0};
    }
    if (!value.is_string()) return std::nullopt;
    const auto share = lake::share_of(value.get<std::string>());
    if (!share) return std::nullopt;
    return Tolerance{0, *share};
}

Rules read_rules(const json& params, bool gate, std::vector<Problem>& problems) {
    Rules out;
    out.on_fail = gate ? OnFail::fail : OnFail::quarantine;
    if (params.contains("on_fail"))
        out.on_fail =
            value_in(actions, params.at("on_fail").get<std::string>()).value_or(out.on_fail);
    if (gate && (out.on_fail == OnFail::quarantine || out.on_fail == OnFail::drop))
        problems.push_back(
            problem("E-CHECK", "/on_fail", "a gate sets no rows aside: it warns or fails")
        );
    if (params.contains("max_bad")) {
        if (const auto limit = limit_of(params.at("max_bad")))
            out.max_bad = *limit;
        else
            problems.push_back(problem(
                "E-CHECK", "/max_bad", "max_bad is a number of rows or a share such as \"5%\""
            ));
    }
    if (!params.contains("checks")) return out;
    for (std::size_t i = 0; i < params.at("checks").size(); ++i)
        read_one(params.at("checks")[i], "/checks/" + std::to_string(i), gate, out, problems);
    return out;
}

std::vector<Problem> check_columns(const Rules& rules, const binding::Columns& columns) {
    std::vector<Problem> problems;
    for (std::size_t i = 0; i < rules.rules.size(); ++i) {
        const Rule& rule = rules.rules[i];
        const std::string pointer = "/checks/" + std::to_string(i);
        const json keys = json::parse(rule.keys);
        for (const std::string& name : rule.columns) {
            const ColumnSpec* found = column(columns, name, pointer, problems);
            const bool text = rule.kind == Kind::regex || rule.kind == Kind::length;
            if (found != nullptr && text && !found->type.starts_with("varchar"))
                problems.push_back(problem("E-CHECK", pointer, "column \"" + name + "\" is no text")
                );
        }
        if (keys.contains("where"))
            check_expression(keys.at("where"), columns, pointer + "/where", problems);
        if (rule.kind == Kind::expr)
            check_expression(keys.at("expr"), columns, pointer + "/expr", problems);
        if (rule.kind == Kind::freshness && !parse_duration(keys.at("max_age").get<std::string>()))
            problems.push_back(
                problem("E-CHECK", pointer + "/max_age", "max_age is a duration such as \"2d\"")
            );
        if (rule.kind == Kind::no_overlap || rule.kind == Kind::monotonic)
            for (const char* more : {"by", "order_by"})
                if (keys.contains(more))
                    for (const std::string& name : texts_of(keys.at(more)))
                        column(columns, name, pointer + "/" + more, problems);
        if (rule.kind == Kind::compare && !keys.contains("aggregates") && !keys.contains("key"))
            problems.push_back(problem("E-CHECK", pointer, "compare takes `aggregates` or `key`"));
        if (rule.kind == Kind::compare && keys.contains("tolerance") &&
            !tolerance_of(keys.at("tolerance")))
            problems.push_back(problem(
                "E-CHECK", pointer + "/tolerance", "tolerance is a number or a share as \"0.1%\""
            ));
        if (rule.kind == Kind::no_overlap && rule.columns.size() != 2)
            problems.push_back(problem("E-CHECK", pointer, "no_overlap takes [from, to]"));
        if (rule.kind == Kind::castable &&
            !engine::is_language_type(keys.at("as").get<std::string>()))
            problems.push_back(problem(
                "E-TYPE",
                pointer + "/as",
                "\"" + keys.at("as").get<std::string>() + "\" is not a type"
            ));
    }
    return problems;
}

Reference reference_of(const std::string& text) {
    Reference out;
    const std::size_t open = text.find('(');
    out.dataset = text.substr(0, open);
    if (open == std::string::npos) return out;
    std::string one;
    for (const char c : text.substr(open + 1)) {
        if (c == ' ') continue;
        if (c == ',' || c == ')') {
            if (!one.empty()) out.columns.push_back(one);
            one.clear();
        } else {
            one += c;
        }
    }
    return out;
}

std::vector<std::string> references(const Rule& rule) {
    const json keys = json::parse(rule.keys);
    if (rule.kind == Kind::foreign_key)
        return {reference_of(keys.at("references").get<std::string>()).dataset};
    if (rule.kind == Kind::compare) return {keys.at("compare").get<std::string>()};
    return {};
}

std::string where_sql(const Rule& rule, Dialect dialect) {
    const json keys = json::parse(rule.keys);
    return keys.contains("where") ? parsed_sql(keys.at("where"), dialect) : "";
}

std::optional<std::string> broken_sql(const Rule& rule, Dialect dialect) {
    const json keys = json::parse(rule.keys);
    const std::string one = rule.columns.empty() ? "" : quote(rule.columns.front());
    std::string out;
    const auto add = [&](const std::string& condition) {
        out += (out.empty() ? "" : " or ") + condition;
    };
    switch (rule.kind) {
        case Kind::not_null:
            for (const std::string& column : rule.columns) add(quote(column) + " is null");
            break;
        case Kind::accepted_values: {
            std::string list;
            for (const json& value : keys.at("values"))
                list += (list.empty() ? "" : ", ") + literal_of(value);
            add(one + " not in (" + list + ")");
            break;
        }
        case Kind::range:
            if (keys.contains("min")) add(one + " < " + literal_of(keys.at("min")));
            if (keys.contains("max")) add(one + " > " + literal_of(keys.at("max")));
            break;
        case Kind::length:
            if (keys.contains("min")) add("length(" + one + ") < " + keys.at("min").dump());
            if (keys.contains("max")) add("length(" + one + ") > " + keys.at("max").dump());
            break;
        case Kind::regex: {
            const std::string pattern = keys.at("pattern").get<std::string>();
            add(dialect == Dialect::duckdb
                    ? "not regexp_full_match(" + one + ", " + engine::literal(pattern) + ")"
                    : one + " !~ " + engine::literal("^(?:" + pattern + ")$"));
            break;
        }
        case Kind::castable: {
            if (dialect == Dialect::postgres)
                throw Error(ErrorCode::invalid, "castable cannot look at a table of a warehouse");
            binding::CastTarget target{keys.at("as").get<std::string>(), {}};
            if (keys.contains("parse")) target.parse = texts_of(keys.at("parse"));
            const std::string text = "cast(" + one + " as varchar)";
            add(binding::present_sql(text, "VARCHAR", target) + " and (" +
                binding::cast_sql(text, "VARCHAR", target) + ") is null");
            break;
        }
        case Kind::expr:
            add("not " + parsed_sql(keys.at("expr"), dialect));
            break;
        case Kind::unique:
        case Kind::foreign_key:
        case Kind::row_count:
        case Kind::freshness:
        case Kind::schema:
        case Kind::compare:
        case Kind::monotonic:
        case Kind::no_overlap:
        case Kind::scd2:
        case Kind::k_anonymity:
        case Kind::l_diversity:
        case Kind::pii_scan:
            return std::nullopt;
    }
    return "coalesce(" + (out.empty() ? std::string("false") : "(" + out + ")") + ", false)";
}

std::string duplicates_sql(const Rule& rule, Dialect dialect) {
    const std::string where = where_sql(rule, dialect);
    std::string filled;
    for (const std::string& column : rule.columns)
        filled += (filled.empty() ? "" : " and ") + quote(column) + " is not null";
    if (!where.empty()) filled += " and " + where;
    const std::string key = engine::quoted_list(rule.columns);
    return "count(*) filter (where " + filled + ") - count(distinct " +
           (rule.columns.size() == 1 ? key : "(" + key + ")") + ") filter (where " + filled + ")";
}

Instant fresh_since(const Rule& rule, Instant interval_end) {
    const json keys = json::parse(rule.keys);
    return interval_end -
           parse_duration(keys.at("max_age").get<std::string>()).value_or(Duration{});
}

std::string fresh_sql(const Rule& rule, Instant interval_end) {
    return "count(*) filter (where " + quote(rule.columns.front()) + " >= cast(" +
           engine::literal(format_offset(fresh_since(rule, interval_end))) + " as timestamptz))";
}

Orphans orphans_of(const Rule& rule, const std::string& theirs, const std::string& name) {
    const json keys = json::parse(rule.keys);
    Reference reference = reference_of(keys.at("references").get<std::string>());
    if (reference.columns.empty()) reference.columns = rule.columns;
    if (reference.columns.size() != rule.columns.size())
        throw Error(
            ErrorCode::invalid, "foreign_key: the two sides have different numbers of columns"
        );
    std::string select;
    std::string present;
    std::string equal;
    Orphans out;
    for (std::size_t i = 0; i < rule.columns.size(); ++i) {
        const std::string key = quote(name + "k" + std::to_string(i));
        const std::string column = quote(reference.columns[i]);
        select += (i > 0 ? ", " : "") + column + " as " + key;
        present += (i > 0 ? " and " : "") + column + " is not null";
        equal += (i > 0 ? " and " : "") + key + " = " + quote(rule.columns[i]);
        out.condition += quote(rule.columns[i]) + " is not null and ";
    }
    out.condition += quote(name + "k0") + " is null";
    out.join = " left join (select distinct " + select + " from " + theirs + " as f_ where " +
               present + ") as " + quote(name) + " on " + equal;
    return out;
}

}  // namespace sluice::validate
