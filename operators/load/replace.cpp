// replace.cpp — the whole table is replaced by the stage.
#include "operators/engine/sql.hpp"
#include "operators/load/partitions.hpp"

namespace sluice::load {

using engine::quote;
using engine::quoted_list;

std::int64_t load_replace(
    task::TaskContext& context, Warehouse& warehouse, const Plan& plan, const Stage& stage
) {
    const std::string table = warehouse.table();
    std::vector<PgColumn> columns = pg_columns(stage.columns);
    for (const PgColumn& column : provenance()) columns.push_back(column);
    const std::string names = quoted_list(names_of(columns));
    const std::string primary =
        plan.key.empty() ? "" : ", primary key (" + quoted_list(plan.key) + ")";
    connect::Postgres& sql = warehouse.sql();
    const bool made = make_target(context, warehouse, plan, stage, columns, primary);
    if (plan.spine) {
        sql.execute(
            "insert into " + warehouse.own("dimension") +
                " values ($1, 'date', '{date}') on conflict (dimension) do update set kind = "
                "'date', "
                "key = '{date}'",
            {plan.to}
        );
    }
    // A mapped instance replaces what its item loaded before, else the table is the slice.
    std::string mine;
    if (warehouse.mapped()) {
        if (made) sql.execute("create index on " + table + " (_sluice_interval)");
        check_cross(warehouse, plan);
        mine = "t._sluice_interval in " + warehouse.replaced();
    }
    const std::string insert =
        "insert into " + table + " as t (" + names + ") select " + names + " from " + stage_table;
    if (plan.key.empty()) {
        sql.execute("delete from " + table + " t" + (mine.empty() ? "" : " where " + mine));
        return sql.execute(insert);
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
    if (plan.spine) mine = "t.date_sk > 0";
    sql.execute(
        "delete from " + table + " t where not exists (select 1 from " + stage_table + " s where " +
        same + ")" + (mine.empty() ? "" : " and " + mine)
    );
    sql.execute(
        insert + " on conflict (" + quoted_list(plan.key) + ") do update set " + sets + " where (" +
        quoted_list(names_of(columns), "t.") + ") is distinct from (" +
        quoted_list(names_of(columns), "excluded.") + ")"
    );
    return stage.rows;
}

}  // namespace sluice::load
