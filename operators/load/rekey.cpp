// rekey.cpp — facts follow the changes of a dimension.
#include "operators/engine/sql.hpp"
#include "operators/load/target.hpp"

namespace sluice::load {

using engine::quote;

std::vector<Use> uses_of(Warehouse& warehouse, const Plan& plan) {
    const bool scd2 = plan.mode == Mode::scd2;
    std::vector<Use> found;
    const auto rows = warehouse.sql().query(
        "select u.fact, u.sk_column, u.at_column, u.missing, k.place, k.theirs, k.ours from " +
            warehouse.own("dimension_use") +
            " u, unnest(u.key_columns, u.fact_columns) with ordinality as k(theirs, ours, "
            "place) where u.dimension = $1 order by 1, 2, 5",
        {plan.to}
    );
    for (const auto& row : rows.rows) {
        if (row.at(4) == "1") {
            Use use;
            use.fact = warehouse.physical(row.at(0).value());
            use.sk_column = row.at(1).value();
            use.dimension.kind = scd2 ? "scd2" : "type1";
            use.dimension.table = warehouse.table();
            use.dimension.primary = sk_name(plan.to);
            use.dimension.at = row.at(2).value();
            use.dimension.missing = row.at(3) == "infer" ? Missing::infer : Missing::unknown;
            found.push_back(use);
        }
        found.back().dimension.key.push_back(row.at(5).value());
        found.back().dimension.fact_columns.push_back(row.at(6).value());
    }
    return found;
}

void rekey_facts(
    task::TaskContext& context, Warehouse& warehouse, const Plan& plan, const std::string& changed
) {
    const std::string table = warehouse.table();
    if (warehouse.sql().value("select exists (select 1 from " + changed + ")") != "t") {
        return;
    }
    for (const Use& use : uses_of(warehouse, plan)) {
        // A row that another dimension's load changes at the same time would get a new ctid, and
        // this update pass it over. Always the last locks of a load, in the order of the facts.
        warehouse.sql().query(
            "select pg_advisory_xact_lock(hashtextextended($1, 0))", {"sluice:rekey:" + use.fact}
        );
        std::string ours;
        for (std::size_t i = 0; i < use.dimension.key.size(); ++i) {
            ours += (i == 0 ? "k." : " and k.") + quote(use.dimension.key[i]) + " = f." +
                    quote(use.dimension.fact_columns[i]);
        }
        std::string at = "null::timestamptz";
        if (!use.dimension.at.empty()) {
            std::string type;
            for (const auto& [name, column_type] : warehouse.columns(use.fact)) {
                if (name == use.dimension.at) type = column_type;
            }
            at = instant_of("f." + quote(use.dimension.at), type, context.info().timezone);
        }
        const std::string sk = quote(use.sk_column);
        const auto members = warehouse.sql().query(
            "with moved as (update " + use.fact + " t set " + sk +
            " = x.sk from (select "
            "f.tableoid as part, f.ctid as id, " +
            looked_up(use.dimension, "f", "d") + " as sk from " + use.fact +
            " f join (select distinct * from " + changed + ") k on " + ours + " left join " +
            table + " d on " + join_condition(use.dimension, "f", "d", at) +
            ") x where t.ctid = x.id and t.tableoid = x.part and t." + sk +
            " is distinct from x.sk returning t." + sk +
            " as sk) select count(*), bool_or(sk = -1), bool_or(sk = -2) from moved"
        );
        const auto& row = members.rows.at(0);
        if (row.at(0) != "0")
            context.info(row.at(0).value() + " facts of " + use.fact + " re-keyed");
        if (row.at(1) == "t") ensure_member(warehouse, plan.to, -1);
        if (row.at(2) == "t") ensure_member(warehouse, plan.to, -2);
    }
    drop_unused_members(warehouse, plan.to);
}

}  // namespace sluice::load
