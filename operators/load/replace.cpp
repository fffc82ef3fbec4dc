// replace.cpp — the whole table is replaced by the stage.
#include "operators/engine/sql.hpp"
#include "operators/load/target.hpp"

namespace sluice::load {

using engine::quote;
using engine::quoted_list;

std::int64_t load_replace(Warehouse& warehouse, const Plan& plan, const Stage& stage) {
    const std::string table = warehouse.table();
    std::vector<PgColumn> columns = pg_columns(stage.columns);
    for (const PgColumn& column : provenance()) columns.push_back(column);
    const std::string names = quoted_list(names_of(columns));
    const std::string primary =
        plan.key.empty() ? "" : ", primary key (" + quoted_list(plan.key) + ")";
    warehouse.make(table, columns, primary);
    if (plan.spine) {
        warehouse.sql().execute(
            "insert into " + warehouse.own("dimension") +
                " values ($1, 'date', '{date}') on conflict (dimension) do update set kind = "
                "'date', "
                "key = '{date}'",
            {plan.to}
        );
    }
    if (plan.key.empty()) {
        warehouse.sql().execute("delete from " + table);
        return warehouse.sql().execute(
            "insert into " + table + " (" + names + ") select " + names + " from " + stage_table
        );
    }
    // Rows that others reference stay where they are: only what differs is touched.
    std::string same;
    for (const std::string& name : plan.key) {
        same += (same.empty() ? "s." : " and s.") + quote(name) + " = t." + quote(name);
    }
    std::string sets;
    for (const auto& [name, type] : columns) {
        sets += (sets.empty() ? "" : ", ") + quote(name) + " = excluded." + quote(name);
    }
    // Members of a date dimension (-1) are Sluice's own.
    const std::string own = plan.spine ? " and t.date_sk > 0" : "";
    warehouse.sql().execute(
        "delete from " + table + " t where not exists (select 1 from " + stage_table + " s where " +
        same + ")" + own
    );
    warehouse.sql().execute(
        "insert into " + table + " as t (" + names + ") select " + names + " from " + stage_table +
        " on conflict (" + quoted_list(plan.key) + ") do update set " + sets + " where (" +
        quoted_list(names_of(columns), "t.") + ") is distinct from (" +
        quoted_list(names_of(columns), "excluded.") + ")"
    );
    return stage.rows;
}

}  // namespace sluice::load
