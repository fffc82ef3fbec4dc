#include "operators/validate/row_check.hpp"

#include <nlohmann/json.hpp>

#include "operators/binding/cast.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"

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

/// A row of the input as it came is r0, r1, ... in `_checked`.
std::string raw_name(std::size_t index) { return "_raw_" + std::to_string(index); }

std::string cast_column(const binding::Relation& input, const ColumnSpec& column) {
    const ColumnSpec* raw = binding::find(input.columns, column.name);
    if (raw == nullptr) return "cast(null as " + duckdb_type(column) + ")";
    return binding::cast_sql(quote(raw->name), duckdb_type(*raw), {column.type, column.parse});
}

class RowCheck {
public:
    RowCheck(
        binding::Inputs& inputs, const binding::Relation& input, const Rules& rules, bool contract
    )
        : inputs_(inputs),
          database_(inputs.database()),
          input_(input),
          rules_(rules),
          contract_(contract) {}

    RowResult run() {
        require_columns();
        fill();
        database_.execute(
            "create or replace temp table _found (n bigint, reason varchar, aside boolean, kept "
            "boolean)"
        );
        if (contract_) check_contract();
        for (const Rule& rule : rules_.rules)
            if (of_rows(rule.kind)) check_rule(rule);
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
            items += ", " + quote(input_.columns[i].name) + " as " + raw_name(i);
        for (const ColumnSpec& column : target_columns(input_))
            items += ", " + cast_column(input_, column) + " as " + quote(column.name);
        database_.execute(
            "create or replace temp table _checked as select row_number() over () as _n, "
            "_sluice_row_hash as _hash" +
            items + " from (" + input_.sql + ")"
        );
        result_.rows_in = database_.integer("select count(*) from _checked");
        for (const ColumnSpec& column : target_columns(input_))
            if (const std::size_t raw = raw_index(column.name); raw < input_.columns.size()) {
                const std::string both = binding::ambiguous_sql(
                    raw_name(raw), duckdb_type(input_.columns[raw]), {column.type, column.parse}
                );
                if (!both.empty())
                    result_.ambiguous_dates +=
                        database_.integer("select count(*) from _checked where " + both);
            }
    }

    [[nodiscard]] std::size_t raw_index(const std::string& name) const {
        const ColumnSpec* found = binding::find(input_.columns, name);
        return found == nullptr ? input_.columns.size()
                                : static_cast<std::size_t>(found - input_.columns.data());
    }

    void check_contract() {
        for (const ColumnSpec& column : input_.declared) {
            const std::size_t raw = raw_index(column.name);
            const std::string typed = quote(column.name);
            const std::string present = binding::present_sql(
                raw_name(raw), duckdb_type(input_.columns[raw]), {column.type, column.parse}
            );
            const std::string word = is_time(column.type) ? "date_format" : "cast";
            note(word + ": " + column.name, present + " and " + typed + " is null", rules_.on_fail);
            if (column.not_null)
                note(
                    "not_null: " + column.name,
                    "not (" + present + ") and " + typed + " is null",
                    rules_.on_fail
                );
        }
    }

    void check_rule(const Rule& rule) {
        std::string where = where_sql(rule, engine::Dialect::duckdb);
        if (!where.empty()) where = " and " + where;
        if (rule.kind == Kind::unique) {
            std::string filled = "true";
            for (const std::string& column : rule.columns)
                filled += " and " + quote(column) + " is not null";
            const std::string again = "_n in (select _n from _checked where " + filled + where +
                                      " qualify row_number() over (partition by " +
                                      engine::quoted_list(rule.columns) +
                                      " order by _hash, _n) > 1)";
            note(rule.reason, again, rule.on_fail, &rule);
            return;
        }
        if (rule.kind == Kind::foreign_key) {
            const json keys = json::parse(rule.keys);
            json other{{"dataset", reference_of(keys.at("references").get<std::string>()).dataset}};
            if (keys.contains("lookback")) other["lookback"] = keys.at("lookback");
            const binding::Relation theirs = inputs_.open(other);
            note(
                rule.reason,
                orphan_sql(rule, "_checked", "(" + theirs.sql + ")") + where,
                rule.on_fail,
                &rule
            );
            return;
        }
        note(rule.reason, *broken_sql(rule, engine::Dialect::duckdb) + where, rule.on_fail, &rule);
    }

    void note(
        const std::string& reason,
        const std::string& condition,
        OnFail on_fail,
        const Rule* rule = nullptr
    ) {
        const bool aside = on_fail == OnFail::quarantine || on_fail == OnFail::drop;
        const bool kept = on_fail == OnFail::quarantine;
        const std::int64_t before = found_;
        database_.execute(
            "insert into _found select _n, " + engine::literal(reason) + ", " +
            (aside ? "true" : "false") + ", " + (kept ? "true" : "false") +
            " from _checked where " + condition
        );
        found_ = database_.integer("select count(*) from _found");
        const std::int64_t rows = found_ - before;
        if (rows == 0) return;
        result_.findings.push_back({reason, on_fail, rows});
        if (rule != nullptr && rule->max_bad && rule->max_bad->exceeded(rows, result_.rows_in))
            result_.findings.back().on_fail = OnFail::fail;
    }

    void finish() {
        database_.execute(
            "create or replace temp table _aside as select n, list(reason order by reason) as "
            "reasons, "
            "bool_or(kept) as kept from _found where n in (select n from _found where aside) group "
            "by n"
        );
        result_.rows_bad = database_.integer("select count(*) from _aside");
        result_.rows_quarantined = database_.integer("select count(*) from _aside where kept");
        std::string typed;
        for (const ColumnSpec& column : target_columns(input_))
            typed += (typed.empty() ? "" : ", ") + quote(column.name);
        result_.good = "select " + typed + " from _checked where _n not in (select n from _aside)";
        std::string raw;
        for (std::size_t i = 0; i < input_.columns.size(); ++i)
            raw += raw_name(i) + " as " + quote(input_.columns[i].name) + ", ";
        result_.quarantine = "select " + raw +
                             "_aside.reasons as _reasons from _checked join _aside on _aside.n = "
                             "_n where _aside.kept";
    }

    binding::Inputs& inputs_;
    engine::Database& database_;
    const binding::Relation& input_;
    const Rules& rules_;
    bool contract_;
    std::int64_t found_{0};
    RowResult result_;
};

}  // namespace

RowResult check_rows(
    binding::Inputs& inputs, const binding::Relation& input, const Rules& rules, bool contract
) {
    return RowCheck(inputs, input, rules, contract).run();
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
