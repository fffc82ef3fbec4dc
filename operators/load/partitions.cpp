#include "operators/load/partitions.hpp"

#include <algorithm>
#include <set>

#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "task/problem.hpp"

namespace sluice::load {

using engine::literal;
using engine::quote;

namespace {

/// Each is a table with indexes of its own, and all are locked in one transaction.
constexpr std::size_t most_new_ranges = 500;

/// to_char() of what the name of a range ends in.
std::string label_format(const std::string& every) {
    if (every == "hour") return "YYYY_MM_DD_HH24";
    if (every == "day") return "YYYY_MM_DD";
    if (every == "month") return "YYYY_MM";
    return every == "quarter" ? "YYYY_\"q\"Q" : "YYYY";
}

std::string width_of(const std::string& every) {
    return every == "quarter" ? "interval '3 months'" : "interval '1 " + every + "'";
}

struct Range {
    std::string name;
    std::string from;
    std::string to;
};

/// The ranges of the stage's rows, in order. Those of instants are days of the DAG's zone; hours
/// are those of UTC, as an hour of the clock may happen twice.
std::vector<Range> ranges_needed(
    Warehouse& warehouse, const Ranges& ranges, const std::string& type, const std::string& zone
) {
    const bool instant = type == "timestamp with time zone";
    const std::string at =
        instant ? " at time zone " + literal(ranges.every == "hour" ? "UTC" : zone) : "";
    const std::string column = quote(ranges.column);
    const std::string back = at.empty() ? "::" + type : at;
    const auto rows = warehouse.sql().query(
        "select to_char(b, $1), (b" + back + ")::text, ((b + " + width_of(ranges.every) + ")" +
            back + ")::text from (select distinct date_trunc($2, " +
            (instant ? "(" + column + at + ")" : column + "::timestamp") + ") as b from " +
            stage_rows + ") s order by b",
        {label_format(ranges.every), ranges.every}
    );
    std::vector<Range> found;
    for (const auto& row : rows.rows)
        found.push_back(
            {warehouse.partition_name(row.at(0).value()), row.at(1).value(), row.at(2).value()}
        );
    return found;
}

void need_ranges(Warehouse& warehouse, const Plan& plan) {
    const std::int64_t lost = warehouse.sql().integer(
        std::string("select count(*) from ") + stage_rows + " where " + without_range(*plan.ranges)
    );
    if (lost > 0)
        engine::bad_data(
            std::to_string(lost) + " rows for " + plan.to + " have no \"" + plan.ranges->column +
            "\" (or an infinite one), which says the partition that they belong to "
            "[E-LOAD-PARTITION]"
        );
}

void add_ranges(
    task::TaskContext& context, Warehouse& warehouse, const Plan& plan, const Stage& stage
) {
    connect::Postgres& sql = warehouse.sql();
    std::string type;
    for (const auto& [name, column_type] : pg_columns(stage.columns))
        if (name == plan.ranges->column) type = column_type;
    std::set<std::string> present;
    for (const auto& row : sql.query(
                                  "select relname from pg_inherits join pg_class on oid = inhrelid "
                                  "where inhparent = to_regclass($1)",
                                  {warehouse.table()}
         )
                               .rows)
        present.insert(row.at(0).value());
    std::vector<Range> missing =
        ranges_needed(warehouse, *plan.ranges, type, context.info().timezone);
    std::erase_if(missing, [&](const Range& range) { return present.contains(range.name); });
    if (missing.size() > most_new_ranges)
        engine::bad_data(
            "the rows for " + plan.to + " need " + std::to_string(missing.size()) +
            " new partitions by " + plan.ranges->every + ", a load makes at most " +
            std::to_string(most_new_ranges) + ": choose wider ones [E-LOAD-PARTITION]"
        );
    for (const Range& range : missing) {
        // Attached, not made as a part: so those who read the table go on reading.
        const std::string part = quote(warehouse.physical_schema()) + "." + quote(range.name);
        sql.execute("create table " + part + " (like " + warehouse.table() + " including all)");
        sql.execute(
            "alter table " + warehouse.table() + " attach partition " + part +
            " for values from (" + literal(range.from) + ") to (" + literal(range.to) + ")"
        );
    }
    if (!missing.empty())
        context.info(
            "made " + std::to_string(missing.size()) + " partitions of " + plan.to + " by " +
            plan.ranges->every
        );
}

bool is_dated(const std::string& type) {
    return type == "date" || type == "timestamp" || type == "timestamptz";
}

}  // namespace

std::string without_range(const Ranges& ranges) {
    const std::string column = quote(ranges.column);
    return "(" + column + " is null or not isfinite(" + column + ") or " + column +
           " < '0001-01-01')";
}

void check_partition(task::CheckResult& result, const Plan& plan, const DatasetSpec& source) {
    if (!plan.ranges) return;
    const auto wrong = [&](const std::string& message, const std::string& hint) {
        task::problem(result, "E-LOAD-PARTITION", "/to", plan.to + message, hint);
    };
    const std::string& name = plan.ranges->column;
    if (plan.spine || plan.mode == Mode::scd2 || (plan.observed() && plan.has_sk)) {
        wrong(
            " is a dimension: its surrogate key must be unique over all partitions, which "
            "PostgreSQL promises of the partition's column only",
            "leave partition_by out"
        );
        return;
    }
    const auto column = std::ranges::find(source.columns, name, &ColumnSpec::name);
    if (column == source.columns.end()) {
        if (!source.columns.empty())
            wrong(" is partitioned by \"" + name + "\", which " + source.name + " has not", "");
    } else if (!is_dated(column->type) ||
               (column->type == "date" && plan.ranges->every == "hour")) {
        wrong(
            " is partitioned by " + plan.ranges->every + " of \"" + name + "\", which is " +
                column->type,
            "a date, timestamp or timestamptz"
        );
    }
    if (!plan.key.empty() && std::ranges::find(plan.key, name) == plan.key.end())
        wrong(
            " is partitioned by \"" + name +
                "\", which its key lacks: PostgreSQL keeps a key "
                "unique within a partition only",
            "add \"" + name + "\" to the key"
        );
}

bool make_target(
    task::TaskContext& context,
    Warehouse& warehouse,
    const Plan& plan,
    const Stage& stage,
    const std::vector<PgColumn>& columns,
    const std::string& constraints
) {
    const std::string table = warehouse.table();
    if (!plan.ranges) return warehouse.make(table, columns, constraints);
    const bool made = warehouse.make(
        table, columns, constraints, " partition by range (" + quote(plan.ranges->column) + ")"
    );
    const bool cut = warehouse.sql().value(
                         "select relkind = 'p' from pg_class where oid = to_regclass($1)", {table}
                     ) == "t";
    // The copy of a table that a trial works on is in one piece.
    if (!cut && warehouse.own_schema_of_test()) return made;
    if (!cut)
        engine::bad_schema(
            plan.to +
            " was made without partitions: copy it into a partitioned table of its name, "
            "or leave partition_by out [E-LOAD-PARTITION]"
        );
    need_ranges(warehouse, plan);
    add_ranges(context, warehouse, plan, stage);
    return made;
}

}  // namespace sluice::load
