// The step `dedup`: one row of each key.
#include <optional>
#include <set>

#include <nlohmann/json.hpp>

#include "base/json_text.hpp"
#include "operators/engine/sql.hpp"
#include "operators/transform/step_tools.hpp"

namespace sluice::transform {

namespace {

using engine::quote;
using nlohmann::json;

std::string keys(const binding::Columns& columns, const json& names) {
    std::string out;
    for (const std::string& name : texts_of(names))
        out += (out.empty() ? "" : ", ") + quote(column(columns, name).name);
    return out;
}

/// To number all rows by key costs as much as the rest of a transform, and nearly all of them are
/// alone. So the keys of several rows are looked for first, and only their rows are numbered; the
/// others pass. None = not a run, or too many rows have another of their key. The input is read
/// more than once, so it must be the same each time.
std::optional<Relation> dedup_few(
    Work& work, const std::vector<std::string>& key, const std::string& by, const std::string& first
) {
    if (work.inputs.rows() < 0 || !work.row_by_row) return std::nullopt;
    std::set<std::string> exact;
    for (const std::string& name : key) exact.insert(column(work.in.columns, name).name);
    if (exact.size() < key.size()) return std::nullopt;
    engine::Database& database = work.inputs.database();
    const std::string number = std::to_string(work.out.deduplicated.size());
    const std::string keys = "sluice_keys_" + number;
    const std::string kept = "sluice_kept_" + number;
    database.execute(
        "create temp table " + keys + " as " + work.prefix + " select " + by +
        ", count(*) as _sluice_rows from " + work.in.sql + " group by " + by +
        " having count(*) > 1"
    );
    const auto found = database.query(
        "select coalesce(sum(_sluice_rows), 0)::bigint, coalesce(sum(_sluice_rows - 1), 0)::bigint "
        "from " +
        keys
    );
    const auto rows = std::get<std::int64_t>(found.rows.at(0).at(0));
    if (rows > work.inputs.rows() / 4) {
        database.execute("drop table " + keys);
        return std::nullopt;
    }
    work.out.deduplicated.push_back(
        "select " + engine::to_text(found.rows.at(0).at(1)) + "::bigint"
    );
    if (rows == 0) return Relation{select(list(work.in.columns), work.in.sql), work.in.columns};
    std::string same;
    for (const std::string& name : exact) {
        const std::string quoted = quote(name);
        same += (same.empty() ? "i." : " and i.") + quoted + " is not distinct from k." + quoted;
    }
    const std::string from = work.in.sql + " as i ";
    database.execute(
        "create temp table " + kept + " as " + work.prefix + " " +
        select(list(work.in.columns, "i."), from + "semi join " + keys + " as k on " + same, first)
    );
    return Relation{
        select(list(work.in.columns, "i."), from + "anti join " + keys + " as k on " + same) +
            " union all " + select(list(work.in.columns), kept),
        work.in.columns
    };
}

}  // namespace

Relation dedup(Work& work, const json& with) {
    const bool all = with.at("key") == "*";
    const std::string by = all ? list(work.in.columns) : keys(work.in.columns, with.at("key"));
    std::string order;
    if (with.contains("order_by")) {
        const auto items = expression::parse_order(expression::source_of(with.at("order_by")));
        if (!items.value)
            throw StepError(items.problems.front().code, items.problems.front().message);
        for (const expression::OrderItem& item : *items.value)
            for (const expression::ColumnName& name : item.value.columns())
                column(work.in.columns, name.name);
        order = expression::sql(*items.value, engine::Dialect::duckdb) + ", ";
    }
    const std::string first = "qualify row_number() over (partition by " + by + " order by " +
                              order + hidden_hash + ") = 1";
    std::vector<std::string> names =
        all ? binding::names(work.in.columns) : texts_of(with.at("key"));
    if (auto few = dedup_few(work, names, by, first)) return *few;
    work.out.deduplicated.push_back(
        work.prefix +
        " select coalesce(sum(rows_ - 1), 0)::bigint from (select count(*) as rows_ from " +
        work.in.sql + " group by " + by + ")"
    );
    return {select(list(work.in.columns), work.in.sql, first), work.in.columns};
}

}  // namespace sluice::transform
