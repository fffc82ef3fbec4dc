#include "operators/validate/row_check.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "operators/binding/cast.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/validate/samples.hpp"

namespace sluice::validate {

namespace {

using engine::quote;
using nlohmann::json;

std::string duckdb_type(const ColumnSpec& column) {
    return engine::is_language_type(column.type)
               ? engine::type_name(engine::Dialect::duckdb, column.type)
               : column.type;
}

bool is_time(const std::string& type) {
    return type == "date" || type == "timestamp" || type == "timestamptz" || type == "time";
}

/// The columns a task goes on with: the declared ones, or all there are if none is declared.
const binding::Columns& target_columns(const binding::Relation& input) {
    return input.declared.empty() ? input.columns : input.declared;
}

std::string cast_column(const binding::Relation& input, const ColumnSpec& column) {
    const ColumnSpec* raw = binding::find(input.columns, column.name);
    if (raw == nullptr) return "cast(null as " + duckdb_type(column) + ")";
    return binding::cast_sql(quote(raw->name), duckdb_type(*raw), {column.type, column.parse});
}

class RowCheck {
public:
    RowCheck(
        binding::Inputs& inputs,
        const binding::Relation& input,
        const Rules& rules,
        const RowTerms& terms
    )
        : inputs_(inputs),
          database_(inputs.database()),
          input_(input),
          rules_(rules),
          contract_(terms.contract),
          key_(terms.key) {}

    RowResult run() {
        require_columns();
        fill();
        if (contract_) plan_contract();
        for (const Rule& rule : rules_.rules)
            if (of_rows(rule.kind)) plan_rule(rule);
        look();
        count();
        finish();
        return std::move(result_);
    }

private:
    void require_columns() {
        std::string missing;
        for (const ColumnSpec& column : target_columns(input_))
            if (binding::find(input_.columns, column.name) == nullptr)
                missing += (missing.empty() ? "" : ", ") + column.name;
        if (!missing.empty() && contract_)
            engine::bad_schema("the data has not the declared columns: " + missing);
    }

    void fill() {
        std::string items;
        for (std::size_t i = 0; i < input_.columns.size(); ++i)
            items += ", " + quote(input_.columns[i].name) + " as " + raw_column(i);
        for (const ColumnSpec& column : target_columns(input_))
            items += ", " + cast_column(input_, column) + " as " + quote(column.name);
        database_.execute(
            "create or replace temp table _checked as select row_number() over () as _n, "
            "_sluice_row_hash as _hash" +
            items + " from (" + input_.sql + ")"
        );
        result_.rows_in = database_.integer("select count(*) from _checked");
        std::string ambiguous;
        for (const ColumnSpec& column : target_columns(input_))
            if (const std::size_t raw = raw_index(column.name); raw < input_.columns.size()) {
                const std::string both = binding::ambiguous_sql(
                    raw_column(raw), duckdb_type(input_.columns[raw]), {column.type, column.parse}
                );
                if (!both.empty())
                    ambiguous += std::string(ambiguous.empty() ? "" : " + ") +
                                 "count(*) filter (where " + both + ")";
            }
        if (!ambiguous.empty())
            result_.ambiguous_dates = database_.integer("select " + ambiguous + " from _checked");
    }

    [[nodiscard]] std::size_t raw_index(const std::string& name) const {
        const ColumnSpec* found = binding::find(input_.columns, name);
        return found == nullptr ? input_.columns.size()
                                : static_cast<std::size_t>(found - input_.columns.data());
    }

    void plan_contract() {
        for (const ColumnSpec& column : input_.declared) {
            const std::size_t raw = raw_index(column.name);
            const std::string typed = quote(column.name);
            const std::string present = binding::present_sql(
                raw_column(raw), duckdb_type(input_.columns[raw]), {column.type, column.parse}
            );
            const std::string word = is_time(column.type) ? "date_format" : "cast";
            plan(word + ": " + column.name, present + " and " + typed + " is null", {column.name});
            if (column.not_null)
                plan(
                    "not_null: " + column.name,
                    "not (" + present + ") and " + typed + " is null",
                    {column.name}
                );
        }
    }

    void plan_rule(const Rule& rule) {
        std::string where = where_sql(rule, engine::Dialect::duckdb);
        if (!where.empty()) where = " and " + where;
        if (rule.kind == Kind::unique) {
            std::string filled = "true";
            for (const std::string& column : rule.columns)
                filled += " and " + quote(column) + " is not null";
            filled += where;
            // Rows that the rule is not about are numbered among themselves.
            const std::string again = "(" + filled + ") and row_number() over (partition by " +
                                      engine::quoted_list(rule.columns) + ", (" + filled +
                                      ") order by _hash, _n) > 1";
            plan(rule.reason, again, rule.columns, &rule);
            return;
        }
        if (rule.kind == Kind::foreign_key) {
            const json keys = json::parse(rule.keys);
            json other{{"dataset", reference_of(keys.at("references").get<std::string>()).dataset}};
            if (keys.contains("lookback")) other["lookback"] = keys.at("lookback");
            const binding::Relation theirs = inputs_.open(other);
            const Orphans orphans =
                orphans_of(rule, "(" + theirs.sql + ")", "_f" + std::to_string(planned_.size()));
            joins_ += orphans.join;
            plan(rule.reason, orphans.condition + where, rule.columns, &rule);
            return;
        }
        plan(rule.reason, *broken_sql(rule, engine::Dialect::duckdb) + where, rule.columns, &rule);
    }

    void plan(
        std::string reason,
        std::string condition,
        std::vector<std::string> columns,
        const Rule* rule = nullptr
    ) {
        const OnFail on_fail = rule == nullptr ? rules_.on_fail : rule->on_fail;
        planned_.push_back(
            {std::move(reason), std::move(condition), std::move(columns), rule, on_fail}
        );
    }

    /// All rules in one pass over the rows: `_found` has (n, rule) for each row that breaks one.
    void look() {
        std::string flags;
        std::string any = "false";
        std::string broken;
        for (std::size_t i = 0; i < planned_.size(); ++i) {
            const std::string flag = "_r" + std::to_string(i);
            flags += ", coalesce(" + planned_[i].condition + ", false) as " + flag;
            any += " or " + flag;
            broken +=
                (i > 0 ? ", " : "") + ("case when " + flag + " then ") + std::to_string(i) + " end";
        }
        if (planned_.empty()) broken = "null::integer";
        result_.pass = "select _n as n, unnest([" + broken + "]) as rule from (select _n" + flags +
                       " from _checked" + joins_ + ") where " + any;
        database_.execute(
            "create or replace temp table _found as select n, rule from (" + result_.pass +
            ") where rule is not null"
        );
    }

    void count() {
        std::map<std::size_t, std::int64_t> rows;
        for (const auto& row :
             database_.query("select rule::bigint, count(*) from _found group by rule").rows)
            rows[static_cast<std::size_t>(std::get<std::int64_t>(row[0]))] =
                std::get<std::int64_t>(row[1]);
        for (const auto& [index, number] : rows) {
            const Planned& one = planned_[index];
            result_.findings.push_back({one.reason, one.on_fail, number, {}});
            if (one.rule != nullptr && one.rule->max_bad &&
                one.rule->max_bad->exceeded(number, result_.rows_in))
                result_.findings.back().on_fail = OnFail::fail;
        }
        if (!rows.empty()) take_samples(rows);
    }

    /// A few of the rows that break each rule, in the columns that may be shown.
    void take_samples(const std::map<std::size_t, std::int64_t>& rows) {
        std::vector<std::string> columns;
        const auto want = [&](const std::string& name) {
            const ColumnSpec* found = binding::find(input_.declared, name);
            if (found != nullptr && raw_index(name) < input_.columns.size() &&
                std::ranges::find(columns, found->name) == columns.end())
                columns.push_back(found->name);
        };
        for (const std::string& name : key_) want(name);
        for (const auto& [index, number] : rows)
            for (const std::string& name : planned_[index].columns) want(name);
        if (columns.empty()) return;
        std::string items;
        for (const std::string& name : columns)
            items += ", cast(" + raw_column(raw_index(name)) + " as varchar)";
        const auto found = database_.query(
            "select rule_::bigint" + items +
            " from (select rule as rule_, n as n_ from _found qualify row_number() over "
            "(partition by rule order by n) <= " +
            std::to_string(samples_shown) + ") join _checked on _n = n_ order by rule_, n_"
        );
        std::map<std::size_t, json> samples;
        for (const auto& row : found.rows) {
            const auto index = static_cast<std::size_t>(std::get<std::int64_t>(row[0]));
            json sample = json::object();
            for (std::size_t i = 0; i < columns.size(); ++i) {
                const bool shown = std::ranges::find(key_, columns[i]) != key_.end() ||
                                   std::ranges::find(planned_[index].columns, columns[i]) !=
                                       planned_[index].columns.end();
                if (!shown) continue;
                const bool open = binding::find(input_.declared, columns[i])->pii_class.empty();
                sample[columns[i]] = sample_value(row[i + 1], open);
            }
            samples[index].push_back(std::move(sample));
        }
        std::size_t finding = 0;
        for (const auto& [index, number] : rows)
            result_.findings[finding++].samples =
                samples[index].is_null() ? "" : samples[index].dump();
    }

    void finish() {
        std::string texts;
        std::string aside = "false";
        std::string kept = "false";
        for (std::size_t i = 0; i < planned_.size(); ++i) {
            const OnFail on_fail = planned_[i].on_fail;
            texts += (i > 0 ? ", " : "") + engine::literal(planned_[i].reason);
            if (on_fail == OnFail::quarantine) kept += " or rule = " + std::to_string(i);
            if (on_fail == OnFail::quarantine || on_fail == OnFail::drop)
                aside += " or rule = " + std::to_string(i);
        }
        database_.execute(
            "create or replace temp table _aside as select n, list(reason order by reason) as "
            "reasons, bool_or(kept) as kept from (select n, ([" +
            texts + "]::varchar[])[rule + 1] as reason, (" + kept + ") as kept, (" + aside +
            ") as aside from _found) group by n having bool_or(aside)"
        );
        result_.rows_bad = database_.integer("select count(*) from _aside");
        result_.rows_quarantined = database_.integer("select count(*) from _aside where kept");
        std::string typed;
        for (const ColumnSpec& column : target_columns(input_))
            typed += (typed.empty() ? "" : ", ") + quote(column.name);
        result_.good = "select " + typed + " from _checked where _n not in (select n from _aside)";
        std::string raw;
        for (std::size_t i = 0; i < input_.columns.size(); ++i)
            raw += raw_column(i) + " as " + quote(input_.columns[i].name) + ", ";
        result_.quarantine = "select " + raw +
                             "_aside.reasons as _reasons from _checked join _aside on _aside.n = "
                             "_n where _aside.kept";
    }

    struct Planned {
        std::string reason;
        std::string condition;  // SQL: true for a row that breaks it
        std::vector<std::string> columns;
        const Rule* rule{nullptr};  // null: the contract's
        OnFail on_fail{OnFail::fail};
    };

    binding::Inputs& inputs_;
    engine::Database& database_;
    const binding::Relation& input_;
    const Rules& rules_;
    bool contract_;
    std::vector<std::string> key_;
    std::vector<Planned> planned_;
    std::string joins_;
    RowResult result_;
};

}  // namespace

std::string raw_column(std::size_t index) { return "_raw_" + std::to_string(index); }

RowResult check_rows(
    binding::Inputs& inputs,
    const binding::Relation& input,
    const Rules& rules,
    const RowTerms& terms
) {
    return RowCheck(inputs, input, rules, terms).run();
}

std::string typed_sql(const binding::Relation& relation) {
    std::string items;
    for (const ColumnSpec& column : relation.columns) {
        const ColumnSpec* declared = binding::find(relation.declared, column.name);
        items +=
            (items.empty() ? "" : ", ") +
            (declared == nullptr ? quote(column.name)
                                 : cast_column(relation, *declared) + " as " + quote(column.name));
    }
    return "select " + items + " from (" + relation.sql + ")";
}

}  // namespace sluice::validate
