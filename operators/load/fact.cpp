// fact.cpp — facts: the interval's own rows are replaced, and each row finds its dimensions.
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/load/partitions.hpp"

namespace sluice::load {

using engine::literal;
using engine::quote;
using engine::quoted_list;

namespace {

std::string array_literal(const std::vector<std::string>& names) {
    std::string list;
    for (const std::string& name : names) list += (list.empty() ? "" : ", ") + literal(name);
    return "array[" + list + "]::text[]";
}

std::string type_in(const Stage& stage, const std::string& column) {
    for (const auto& [name, type] : pg_columns(stage.columns)) {
        if (name == column) return type;
    }
    engine::bad_schema("the source has no column \"" + column + "\"");
}

std::string all_of(
    const std::vector<std::string>& columns,
    const std::string& alias,
    const std::string& test,
    const std::string& joined
) {
    std::string out;
    for (const std::string& column : columns) {
        out += (out.empty() ? "" : joined) + alias + "." + quote(column) + test;
    }
    return out;
}

std::string local_date(
    const std::string& instant, const std::string& type, const std::string& zone
) {
    const std::string local = type == "timestamp with time zone"
                                  ? "(" + instant + " at time zone " + literal(zone) + ")"
                                  : instant;
    return local + "::date";
}

}  // namespace

std::string stage_join(
    const task::TaskContext& context,
    const Stage& stage,
    const Dimension& dimension,
    const std::string& dim
) {
    const std::string at = "s." + quote(dimension.at);
    const std::string type = dimension.at.empty() ? "" : type_in(stage, dimension.at);
    const std::string& zone = context.info().timezone;
    if (dimension.kind == "date") return dim + ".date = " + local_date(at, type, zone);
    return join_condition(
        dimension, "s", dim, dimension.at.empty() ? "null" : instant_of(at, type, zone)
    );
}

namespace {

class FactLoad {
public:
    FactLoad(
        task::TaskContext& context,
        Warehouse& warehouse,
        const Plan& plan,
        const Stage& stage,
        const std::vector<Dimension>& dimensions
    )
        : context_(context),
          warehouse_(warehouse),
          sql_(warehouse.sql()),
          plan_(plan),
          stage_(stage),
          dimensions_(dimensions),
          table_(warehouse.table()) {}

    std::int64_t run() {
        make_table();
        for (const Dimension& dimension : dimensions_) {
            use(dimension);
            settle_missing(dimension);
        }
        if (!made_) check_cross(warehouse_, plan_);
        remember_inferred();
        if (!made_)
            sql_.execute(
                "delete from " + table_ + " where _sluice_interval in " + warehouse_.replaced()
            );
        const std::int64_t rows = insert();
        if (made_) add_keys();
        for (const Dimension& dimension : dimensions_) add_members(dimension);
        if (made_) add_references();
        for (const Dimension& dimension : dimensions_) {
            drop_inferred(dimension);
            // Loads that infer hold the dimension alone.
            if (dimension.kind != "date" && dimension.missing == Missing::infer)
                drop_unused_members(warehouse_, dimension.lookup.dimension);
        }
        return rows;
    }

private:
    [[nodiscard]] std::string on(const Dimension& dimension, const std::string& dim) const {
        return stage_join(context_, stage_, dimension, dim);
    }

    void make_table() {
        std::vector<PgColumn> columns = pg_columns(stage_.columns);
        for (const Dimension& dimension : dimensions_) {
            columns.emplace_back(
                dimension.lookup.sk_column(), dimension.kind == "date" ? "integer" : "bigint"
            );
        }
        for (const PgColumn& column : provenance()) columns.push_back(column);
        made_ = make_target(context_, warehouse_, plan_, stage_, columns, "");
    }

    /// Of a new table, with its first rows in it: an index that is built at once costs a fraction
    /// of one that grows row by row, and so does a reference that is checked once.
    void add_keys() {
        if (!plan_.key.empty())
            sql_.execute(
                "alter table " + table_ + " add primary key (" + quoted_list(plan_.key) + ")"
            );
        sql_.execute("create index on " + table_ + " (_sluice_interval)");
        for (const Dimension& dimension : dimensions_) {
            sql_.execute(
                "create index on " + table_ + " (" + quote(dimension.lookup.sk_column()) + ")"
            );
            if (dimension.kind != "date")
                sql_.execute(
                    "create index on " + table_ + " (" + quoted_list(dimension.fact_columns) + ")"
                );
        }
    }

    void add_references() {
        for (const Dimension& dimension : dimensions_)
            // Deferred, because a dimension's load may delete a version before it re-keys facts.
            sql_.execute(
                "alter table " + table_ + " add foreign key (" +
                quote(dimension.lookup.sk_column()) + ") references " + dimension.table + " (" +
                quote(dimension.primary) + ") deferrable initially deferred"
            );
    }

    /// Registers the look-up, so that later loads of the dimension re-key these facts.
    void use(const Dimension& dimension) {
        if (dimension.kind == "date") return;
        std::string missing = "infer";
        if (dimension.missing == Missing::unknown) missing = "unknown";
        if (dimension.missing == Missing::fail) missing = "fail";
        sql_.execute(
            "insert into " + warehouse_.own("dimension_use") +
                " (fact, sk_column, dimension, key_columns, fact_columns, at_column, missing) "
                "values ($1, $2, $3, " +
                array_literal(dimension.key) + ", " + array_literal(dimension.fact_columns) +
                ", $4, $5) on conflict (fact, sk_column) do update set dimension = "
                "excluded.dimension, key_columns = excluded.key_columns, fact_columns = "
                "excluded.fact_columns, at_column = excluded.at_column, missing = excluded.missing",
            {plan_.to,
             dimension.lookup.sk_column(),
             dimension.lookup.dimension,
             dimension.at,
             missing}
        );
    }

    void settle_missing(const Dimension& dimension) {
        if (dimension.missing == Missing::fail) fail_if_missing(dimension);
        if (dimension.missing == Missing::infer && dimension.kind != "date") infer(dimension);
    }

    void fail_if_missing(const Dimension& dimension) {
        const auto rows = sql_.query(
            "select " + all_of(dimension.fact_columns, "s", "", ", ") + ", count(*) over () from " +
            stage_table + " s left join " + dimension.table + " d on " + on(dimension, "d") +
            " where d." + quote(dimension.primary) + " is null limit 1"
        );
        if (rows.rows.empty()) return;
        std::string example;
        for (std::size_t i = 0; i + 1 < rows.columns.size(); ++i) {
            example += (i == 0 ? "" : ", ") + rows.rows[0][i].value_or("NULL");
        }
        engine::bad_data(
            rows.rows[0].back().value() + " rows have no row in " + dimension.lookup.dimension +
            ", e.g. " + quoted_list(dimension.fact_columns) + " = " + example +
            " [E-LOAD-DIMENSION]"
        );
    }

    /// Unknown keys get a member that the first real observation fills in place.
    void infer(const Dimension& dimension) {
        const std::string dkey = warehouse_.beside(dimension.lookup.dimension, "dkey");
        const std::string keys = quoted_list(dimension.key);
        std::string select;
        for (std::size_t i = 0; i < dimension.key.size(); ++i) {
            select += (i == 0 ? "s." : ", s.") + quote(dimension.fact_columns[i]) + " as " +
                      quote(dimension.key[i]);
        }
        std::string same;
        for (std::size_t i = 0; i < dimension.key.size(); ++i) {
            same += (i == 0 ? "d." : " and d.") + quote(dimension.key[i]) + " = s." +
                    quote(dimension.fact_columns[i]);
        }
        sql_.execute("drop table if exists pg_temp.sluice_unknown");
        const std::int64_t unknown = sql_.execute(
            "create temp table sluice_unknown on commit drop as select distinct " + select +
            " from " + stage_table + " s where " +
            all_of(dimension.fact_columns, "s", " is not null", " and ") +
            " and not exists (select 1 from " + dimension.table + " d where " + same + ")"
        );
        if (unknown == 0) return;
        context_.warn(
            std::to_string(unknown) + " keys are not in " + dimension.lookup.dimension +
            " yet: inferred members"
        );
        sql_.execute(
            "insert into " + dkey + " (" + keys + ", valid_from) select " + keys +
            ", '1900-01-01+00' from pg_temp.sluice_unknown order by " + keys +
            " on conflict do nothing"
        );
        const bool scd2 = dimension.kind == "scd2";
        sql_.execute(
            "insert into " + dimension.table + " (" + quote(dimension.primary) + ", " + keys +
            (scd2 ? ", valid_from, valid_to, is_current" : "") + ", is_inferred) select y.sk, " +
            all_of(dimension.key, "u", "", ", ") +
            (scd2 ? ", y.valid_from, 'infinity', true" : "") +
            ", true from pg_temp.sluice_unknown u join " + dkey + " y using (" + keys +
            ") where y.valid_from = '1900-01-01+00'"
        );
    }

    std::int64_t insert() {
        std::vector<std::string> names;
        for (const auto& column : stage_.columns) names.push_back(column.name);
        const std::vector<std::string> made_by = provenance_names();
        std::string columns = quoted_list(names);
        std::string values = quoted_list(names, "s.");
        std::string joins;
        for (std::size_t i = 0; i < dimensions_.size(); ++i) {
            const std::string alias = "d" + std::to_string(i);
            columns += ", " + quote(dimensions_[i].lookup.sk_column());
            values += ", " + looked_up(dimensions_[i], "s", alias);
            joins += " left join " + dimensions_[i].table + " " + alias + " on " +
                     on(dimensions_[i], alias);
        }
        const std::int64_t rows = sql_.execute(
            "insert into " + table_ + " (" + columns + ", " + quoted_list(made_by) + ") select " +
            values + ", " + quoted_list(made_by, "s.") + " from " + stage_table + " s" + joins
        );
        if (rows != stage_.rows) {
            engine::bad_data(
                "verify: " + std::to_string(stage_.rows) + " rows were staged, " +
                std::to_string(rows) + " inserted: a dimension has overlapping versions"
            );
        }
        return rows;
    }

    void add_members(const Dimension& dimension) {
        const std::string sk = quote(dimension.lookup.sk_column());
        const std::string ours =
            made_ ? "" : "_sluice_interval = " + literal(warehouse_.slice()) + " and ";
        const auto found = sql_.query(
            "select bool_or(" + sk + " = -1), bool_or(" + sk + " = -2) from " + table_ + " where " +
            ours + sk + " in (-1, -2)"
        );
        if (found.rows[0][0] == "t") ensure_member(warehouse_, dimension.lookup.dimension, -1);
        if (found.rows[0][1] == "t") ensure_member(warehouse_, dimension.lookup.dimension, -2);
    }

    /// Inferred members that the old rows of this slice stand on: they may be needed no more.
    void remember_inferred() {
        for (std::size_t i = 0; i < dimensions_.size(); ++i) {
            const Dimension& dimension = dimensions_[i];
            if (dimension.kind == "date") continue;
            const std::string name = "pg_temp." + quote("old_" + dimension.lookup.sk_column());
            sql_.execute("drop table if exists " + name);
            sql_.execute(
                "create temp table " + quote("old_" + dimension.lookup.sk_column()) +
                " on commit drop as select distinct d." + quote(dimension.primary) +
                " as sk from " + table_ + " f join " + dimension.table + " d on d." +
                quote(dimension.primary) + " = f." + quote(dimension.lookup.sk_column()) +
                " where d.is_inferred and f._sluice_interval in " + warehouse_.replaced()
            );
        }
    }

    void drop_inferred(const Dimension& dimension) {
        if (dimension.kind == "date") return;
        const std::string old = "pg_temp." + quote("old_" + dimension.lookup.sk_column());
        if (sql_.value("select exists (select 1 from " + old + ")") != "t") return;
        const auto uses = sql_.query(
            "select fact, sk_column from " + warehouse_.own("dimension_use") +
                " where dimension = $1",
            {dimension.lookup.dimension}
        );
        std::string unused;
        for (const auto& row : uses.rows) {
            unused += " and not exists (select 1 from " + warehouse_.physical(row.at(0).value()) +
                      " f where f." + quote(row.at(1).value()) + " = d." +
                      quote(dimension.primary) + ")";
        }
        sql_.execute(
            "delete from " + dimension.table + " d using " + old + " o where d." +
            quote(dimension.primary) + " = o.sk and d.is_inferred" + unused
        );
    }

    task::TaskContext& context_;
    Warehouse& warehouse_;
    connect::Postgres& sql_;
    const Plan& plan_;
    const Stage& stage_;
    const std::vector<Dimension>& dimensions_;
    const std::string table_;
    bool made_{false};  // the table is new
};

}  // namespace

void check_cross(Warehouse& warehouse, const Plan& plan) {
    if (plan.key.empty()) return;
    const auto crossing = [&] {
        return warehouse.sql().query(
            "select " + all_of(plan.key, "s", "", ", ") + ", f._sluice_interval from " +
            stage_table + " s join " + warehouse.table() + " f using (" + quoted_list(plan.key) +
            ") where f._sluice_interval not in " + warehouse.replaced() + " limit 1"
        );
    };
    auto rows = crossing();
    // A key may have moved here from an item that is no more.
    if (!rows.rows.empty() && warehouse.mapped() && warehouse.find_gone(true)) rows = crossing();
    if (rows.rows.empty()) return;
    std::string example;
    for (std::size_t i = 0; i + 1 < rows.columns.size(); ++i) {
        example += (i == 0 ? "" : ", ") + rows.rows[0][i].value_or("NULL");
    }
    engine::bad_data(
        std::string(
            warehouse.mapped() ? "a row belongs to one instance" : "a fact belongs to one interval"
        ) +
        ", but the key (" + example + ") of " + plan.to + " was loaded for " +
        rows.rows[0].back().value_or("?") + " [E-LOAD-CROSS]"
    );
}

std::int64_t load_fact(
    task::TaskContext& context,
    Warehouse& warehouse,
    const Plan& plan,
    const Stage& stage,
    const std::vector<Dimension>& dimensions
) {
    return FactLoad(context, warehouse, plan, stage, dimensions).run();
}

}  // namespace sluice::load
