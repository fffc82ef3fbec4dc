// dimension.cpp — look-ups: what the warehouse knows of a dimension, how a fact finds its row, and
// the members for what has none.
#include <algorithm>

#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/load/target.hpp"

namespace sluice::load {

using engine::literal;
using engine::quote;
using engine::quoted_list;

namespace {

/// PostgreSQL's text of a text[] -> its elements; ours hold plain column names.
std::vector<std::string> elements(Warehouse& warehouse, const std::string& array) {
    std::vector<std::string> out;
    const auto rows = warehouse.sql().query("select unnest($1::text[])", {array});
    for (const auto& row : rows.rows) out.push_back(row.at(0).value());
    return out;
}

}  // namespace

std::string instant_of(
    const std::string& column, const std::string& type, const std::string& zone
) {
    if (type == "timestamp with time zone") return column;
    return "(" + column + "::timestamp at time zone " + literal(zone) + ")";
}

std::string looked_up(const Dimension& dimension, const std::string& fact, const std::string& dim) {
    const std::string sk = dim + "." + quote(dimension.primary);
    if (dimension.kind != "scd2") return "coalesce(" + sk + ", -1)";
    // A key that is known, but not at that time, is member -2; NULL and unknown keys are -1.
    std::string same;
    for (std::size_t i = 0; i < dimension.key.size(); ++i) {
        same += (i == 0 ? "" : " and ") + std::string("known_.") + quote(dimension.key[i]) + " = " +
                fact + "." + quote(dimension.fact_columns[i]);
    }
    return "coalesce(" + sk + ", case when exists (select 1 from " + dimension.table +
           " known_ where " + same + ") then -2 else -1 end)";
}

std::string join_condition(
    const Dimension& dimension,
    const std::string& fact,
    const std::string& dim,
    const std::string& at
) {
    std::string on;
    for (std::size_t i = 0; i < dimension.key.size(); ++i) {
        on += (i == 0 ? "" : " and ") + dim + "." + quote(dimension.key[i]) + " = " + fact + "." +
              quote(dimension.fact_columns[i]);
    }
    if (dimension.kind == "scd2") {
        on += " and " + at + " >= " + dim + ".valid_from and " + at + " < " + dim + ".valid_to";
    }
    return on;
}

std::vector<Dimension> dimensions_of(Warehouse& warehouse, const Plan& plan) {
    std::vector<Dimension> dimensions;
    for (const Lookup& lookup : plan.lookups) {
        Dimension dimension;
        dimension.lookup = lookup;
        const auto rows = warehouse.sql().query(
            "select kind, key::text from " + warehouse.own("dimension") + " where dimension = $1",
            {lookup.dimension}
        );
        if (rows.rows.empty()) {
            engine::bad_schema(
                "the dimension " + lookup.dimension +
                " is not there: no load with a key or a date "
                "spine has made it yet"
            );
        }
        dimension.kind = rows.rows[0].at(0).value();
        dimension.key = elements(warehouse, rows.rows[0].at(1).value());
        dimension.table = warehouse.physical(lookup.dimension);
        dimension.primary = dimension.kind == "date" ? "date_sk" : sk_name(lookup.dimension);
        dimension.at = lookup.at.empty() ? plan.event_time : lookup.at;
        dimension.missing =
            lookup.missing.value_or(dimension.kind == "date" ? Missing::fail : Missing::infer);
        for (const std::string& column : dimension.key) {
            std::string ours = column;
            for (const auto& [theirs, fact_column] : lookup.using_) {
                if (theirs == column) ours = fact_column;
            }
            dimension.fact_columns.push_back(ours);
        }
        if (dimension.kind == "date") {
            if (!lookup.using_.empty()) dimension.at = lookup.using_.front().second;
            dimension.key = {"date_sk"};
            dimension.fact_columns = {dimension.at};
        }
        if (dimension.at.empty() && dimension.kind != "type1") {
            engine::bad_schema(
                "the look-up in " + lookup.dimension + " needs a time: write event_time or at"
            );
        }
        dimensions.push_back(std::move(dimension));
    }
    return dimensions;
}

void ensure_member(Warehouse& warehouse, const std::string& dimension, int member) {
    const std::string table = warehouse.physical(dimension);
    const auto kind = warehouse.sql().query(
        "select kind, key::text from " + warehouse.own("dimension") + " where dimension = $1",
        {dimension}
    );
    const bool date = kind.rows.at(0).at(0) == "date";
    const auto key = elements(warehouse, kind.rows[0].at(1).value());
    const std::string primary = date ? "date_sk" : sk_name(dimension);
    std::string names = quote(primary);
    std::string values = std::to_string(member);
    const std::string label = member == -1 ? "Unknown" : "Invalid";
    for (const auto& [name, type] : warehouse.columns(table)) {
        const bool is_key = std::find(key.begin(), key.end(), name) != key.end();
        std::string value;
        if (type == "text" && !is_key && !engine::is_provenance(name)) value = literal(label);
        if (kind.rows[0].at(0) == "scd2") {
            if (name == "valid_from") value = "'1900-01-01+00'";
            if (name == "valid_to") value = "'infinity'";
            if (name == "is_current") value = "true";
        }
        if (name == "is_inferred" && !date) value = "false";
        if (value.empty()) continue;
        names += ", " + quote(name);
        values += ", " + value;
    }
    warehouse.sql().execute(
        "insert into " + table + " (" + names + ") values (" + values + ") on conflict (" +
        quote(primary) + ") do nothing"
    );
}

void drop_unused_members(Warehouse& warehouse, const std::string& dimension) {
    const std::string sk = quote(sk_name(dimension));
    const auto uses = warehouse.sql().query(
        "select fact, sk_column from " + warehouse.own("dimension_use") + " where dimension = $1",
        {dimension}
    );
    std::string unused;
    for (const auto& row : uses.rows) {
        unused += " and not exists (select 1 from " + warehouse.physical(row.at(0).value()) +
                  " f where f." + quote(row.at(1).value()) + " = d." + sk + ")";
    }
    warehouse.sql().execute(
        "delete from " + warehouse.physical(dimension) + " d where d." + sk + " in (-1, -2)" +
        unused
    );
}

}  // namespace sluice::load
