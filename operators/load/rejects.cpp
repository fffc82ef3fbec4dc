#include "operators/load/rejects.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/load/partitions.hpp"

namespace sluice::load {

using engine::literal;
using engine::quote;
using engine::quoted_list;

namespace {

constexpr const char* refused_table = "pg_temp.sluice_refused";
constexpr std::size_t reasons_named = 3;

/// A kind of refusal: what the table of rejects says of such a row.
struct Refusal {
    std::string column;
    std::string reason;
};

/// "numeric(10,2)" -> {10, 2}; none for a numeric without limits.
std::optional<std::pair<int, int>> digits_of(const std::string& type) {
    if (!type.starts_with("numeric(")) return std::nullopt;
    const std::size_t comma = type.find(',');
    if (comma == std::string::npos) return std::nullopt;
    return std::pair{std::stoi(type.substr(8)), std::stoi(type.substr(comma + 1))};
}

/// "character varying(10)" -> 10
std::optional<int> length_of(const std::string& type) {
    for (const std::string begin : {"character varying(", "character("})
        if (type.starts_with(begin)) return std::stoi(type.substr(begin.size()));
    return std::nullopt;
}

struct WholeType {
    std::string_view name;
    std::string_view least;
    std::string_view most;
};
constexpr std::array<WholeType, 3> whole_types{
    {{"smallint", "-32768", "32767"},
     {"integer", "-2147483648", "2147483647"},
     {"bigint", "-9223372036854775808", "9223372036854775807"}}
};

const WholeType* whole_type(const std::string& type) {
    const auto* const found = std::ranges::find(whole_types, type, &WholeType::name);
    return found == whole_types.end() ? nullptr : found;
}

bool is_number(const std::string& type) {
    return whole_type(type) != nullptr || type == "numeric" || type.starts_with("numeric(");
}

/// A constraint of the target that only names columns of the source.
struct Constraint {
    std::string name;
    std::string what;  // CHECK: the expression; FOREIGN KEY: the other table
    std::vector<std::string> columns;
    std::vector<std::string> others;  // FOREIGN KEY: columns of the other table
};

class Refusals {
public:
    Refusals(
        task::TaskContext& context,
        Warehouse& warehouse,
        const Plan& plan,
        Stage& stage,
        const std::vector<Dimension>& dimensions
    )
        : context_(context),
          warehouse_(warehouse),
          sql_(warehouse.sql()),
          plan_(plan),
          stage_(stage),
          dimensions_(dimensions),
          source_(pg_columns(stage.columns)),
          target_(warehouse.columns(warehouse.table())) {}

    std::int64_t run() {
        sql_.execute(
            "create temp table sluice_refused (id tid primary key, kind int) on commit drop"
        );
        find_rows();
        for (const Constraint& key : foreign_keys()) find_orphans(key);
        for (const Dimension& dimension : dimensions_) find_without(dimension);
        find_twice();
        const std::int64_t refused =
            sql_.integer(std::string("select count(*) from ") + refused_table);
        if (refused == 0) return 0;
        const std::string reasons = counted_reasons();
        const std::string said = std::to_string(refused) + " of " + std::to_string(stage_.rows) +
                                 " rows for " + plan_.to;
        if (plan_.max_rejects->exceeded(refused, stage_.rows)) {
            engine::bad_data(
                said + " would be refused, max_rejects allows " +
                std::to_string(plan_.max_rejects->allowed(stage_.rows)) + ": " + reasons
            );
        }
        keep();
        take_out();
        context_.warn(said + " set aside in " + warehouse_.own("rejects") + ": " + reasons);
        return refused;
    }

private:
    [[nodiscard]] const std::string* type_in(
        const std::vector<PgColumn>& columns, const std::string& name
    ) const {
        const auto found = std::ranges::find(columns, name, &PgColumn::first);
        return found == columns.end() ? nullptr : &found->second;
    }

    [[nodiscard]] bool all_from_source(const std::vector<std::string>& columns) const {
        return std::ranges::all_of(columns, [&](const std::string& name) {
            return type_in(source_, name) != nullptr;
        });
    }

    std::string kind(const std::string& column, const std::string& reason) {
        kinds_.push_back({column, reason});
        return std::to_string(kinds_.size() - 1);
    }

    static std::string joined(const std::vector<std::string>& names) {
        std::string out;
        for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
        return out;
    }

    /// A row that says that the key is no more puts nothing into the table but that.
    [[nodiscard]] std::string shown() const {
        return plan_.observed() && !plan_.flag_deletes ? "_sluice_op is distinct from 'D'" : "true";
    }

    /// The stage with its columns as the target has them: NULL where a value does not fit.
    [[nodiscard]] std::string as_target() {
        std::string list = "ctid as sluice_id";
        if (plan_.observed()) list += ", _sluice_op, _sluice_eff";
        if (stage_.has_refused) list += ", _sluice_refused";
        for (const auto& [name, type] : source_) {
            const std::string column = quote(name);
            const std::string* wanted = type_in(target_, name);
            const auto wrong = wanted == nullptr ? std::nullopt : too_much(column, type, *wanted);
            if (!wrong) {
                list += ", " + column;
                continue;
            }
            list += ", case when not (" + *wrong + ") then " + column + "::" + *wanted +
                    " end as " + column + ", " + *wrong + " as " +
                    quote("sluice_wrong_" + std::to_string(wrong_.size()));
            wrong_.push_back({name, "no " + *wanted});
        }
        return "(select " + list + " from " + stage_rows + ") s";
    }

    /// What one look at each row shows.
    void find_rows() {
        const std::string from = as_target();
        std::string cases;
        const auto when = [&](const std::string& condition, const Refusal& refusal) {
            cases += " when " + condition + " then " + kind(refusal.column, refusal.reason);
        };
        if (stage_.has_refused)
            for (std::size_t i = 0; i < stage_.columns.size(); ++i)
                when(
                    "_sluice_refused = " + std::to_string(i),
                    {stage_.columns[i].name, "no value of PostgreSQL"}
                );
        for (const std::string& name : plan_.key) when(quote(name) + " is null", {name, "no key"});
        if (!plan_.updated_at.empty())
            when("_sluice_eff is null", {plan_.updated_at, "dates no version"});
        if (plan_.ranges)
            when(without_range(*plan_.ranges), {plan_.ranges->column, "in no partition"});
        const std::string if_shown = shown() == "true" ? "" : shown() + " and ";
        for (std::size_t i = 0; i < wrong_.size(); ++i)
            when(if_shown + quote("sluice_wrong_" + std::to_string(i)), wrong_[i]);
        for (const std::string& name : not_null())
            when(if_shown + quote(name) + " is null", {name, "not null"});
        for (const Constraint& check : checks())
            when(
                if_shown + "(" + check.what + ") is false",
                {joined(check.columns), "check " + check.name}
            );
        if (cases.empty()) return;
        sql_.execute(
            std::string("insert into ") + refused_table +
            " select sluice_id, kind from (select sluice_id, case" + cases + " end as kind from " +
            from + ") c where kind is not null"
        );
    }

    [[nodiscard]] std::vector<std::string> not_null() {
        std::vector<std::string> names;
        for (const auto& row : sql_.query(
                                       "select attname from pg_attribute where attrelid = "
                                       "to_regclass($1) and attnum > 0 and attnotnull and not "
                                       "attisdropped order by attnum",
                                       {warehouse_.table()}
             )
                                   .rows) {
            const std::string name = row.at(0).value();
            if (std::ranges::find(plan_.key, name) != plan_.key.end()) continue;
            if (type_in(source_, name) != nullptr) names.push_back(name);
        }
        return names;
    }

    [[nodiscard]] std::vector<Constraint> checks() {
        return constraints(
            "select conname, pg_get_expr(conbin, conrelid), attname, null from pg_constraint c "
            "cross join unnest(conkey) with ordinality k(num, place) join pg_attribute a on "
            "attrelid = conrelid and attnum = k.num where contype = 'c' and conrelid = "
            "to_regclass($1) order by conname, place",
            {warehouse_.table()}
        );
    }

    /// Those of the real table also hold for a trial, whose copy of it has none.
    [[nodiscard]] std::vector<Constraint> foreign_keys() {
        return constraints(
            "select conname, coalesce(to_regclass(case when n.nspname = $3 then quote_ident($4) "
            "|| '.' || quote_ident(o.relname) end), confrelid::regclass)::text, a.attname, "
            "b.attname from pg_constraint c join pg_class o on o.oid = confrelid join pg_namespace "
            "n on n.oid = o.relnamespace cross join unnest(conkey, confkey) with ordinality "
            "k(ours, theirs, place) join pg_attribute a on a.attrelid = conrelid and a.attnum = "
            "k.ours join pg_attribute b on b.attrelid = confrelid and b.attnum = k.theirs where "
            "contype = 'f' and confmatchtype = 's' and conparentid = 0 and confrelid <> conrelid "
            "and conrelid in (to_regclass($1), to_regclass($2)) and "
            "has_table_privilege(confrelid, 'select') order by conname, place",
            {warehouse_.table(),
             quote(warehouse_.schema()) + "." + quote(plan_.to.substr(plan_.to.find('.') + 1)),
             warehouse_.schema(),
             warehouse_.physical_schema()}
        );
    }

    /// Rows (name, what, column, other column); those with columns of others are left to the
    /// database.
    std::vector<Constraint> constraints(
        const std::string& query, const std::vector<connect::Cell>& parameters
    ) {
        std::vector<Constraint> found;
        for (const auto& row : sql_.query(query, parameters).rows) {
            if (found.empty() || found.back().name != row.at(0).value()) {
                found.push_back({row.at(0).value(), row.at(1).value(), {}, {}});
            }
            found.back().columns.push_back(row.at(2).value());
            if (row.at(3)) found.back().others.push_back(*row.at(3));
        }
        std::erase_if(found, [&](const Constraint& one) { return !all_from_source(one.columns); });
        return found;
    }

    void refuse(const std::string& number, const std::string& from, const std::string& where) {
        sql_.execute(
            std::string("insert into ") + refused_table + " select s.ctid, " + number + " from " +
            stage_rows + " s" + from + " where " + where + " on conflict (id) do nothing"
        );
    }

    void find_orphans(const Constraint& key) {
        std::string same;
        std::string where = shown();
        for (std::size_t i = 0; i < key.columns.size(); ++i) {
            same += (i == 0 ? "r." : " and r.") + quote(key.others[i]) + " = s." +
                    quote(key.columns[i]);
            where += " and s." + quote(key.columns[i]) + " is not null";
        }
        refuse(
            kind(joined(key.columns), "foreign key " + key.name),
            "",
            where + " and not exists (select 1 from " + key.what + " r where " + same + ")"
        );
    }

    /// A look-up that neither infers nor has an unknown member.
    void find_without(const Dimension& dimension) {
        if (dimension.missing != Missing::fail) return;
        refuse(
            kind(joined(dimension.fact_columns), "not in " + dimension.lookup.dimension),
            " left join " + dimension.table + " d on " +
                stage_join(context_, stage_, dimension, "d"),
            "d." + quote(dimension.primary) + " is null"
        );
    }

    /// Of rows that are the same in what must be unique, all but the first by their hash.
    void find_twice() {
        if (stage_.key_twice) refuse_twice(plan_.key, "key given twice", "true");
        if (plan_.mode == Mode::scd2) return;
        for (const Constraint& unique : constraints(
                 "select i.relname, '', attname, null from pg_index x join pg_class i on i.oid = "
                 "indexrelid cross join unnest(indkey::int[]) with ordinality k(num, place) join "
                 "pg_attribute a on attrelid = indrelid and attnum = k.num where indrelid = "
                 "to_regclass($1) and indisunique and indpred is null and indexprs is null and "
                 "k.place <= indnkeyatts order by 1, place",
                 {warehouse_.table()}
             )) {
            if (std::ranges::is_permutation(unique.columns, plan_.key)) continue;
            const std::string names = quoted_list(unique.columns);
            if (sql_.value(
                    "select exists (select from " + std::string(stage_rows) + " group by " + names +
                    " having count(*) > 1)"
                ) == "t")
                refuse_twice(unique.columns, "twice in unique " + unique.name, shown());
        }
    }

    void refuse_twice(
        const std::vector<std::string>& columns, const std::string& reason, const std::string& which
    ) {
        std::string present;
        for (const std::string& name : columns) present += " and s." + quote(name) + " is not null";
        sql_.execute(
            std::string("insert into ") + refused_table + " select id, " +
            kind(joined(columns), reason) +
            " from (select s.ctid as id, row_number() over (partition by " +
            quoted_list(columns, "s.") + " order by _sluice_row_hash, s.ctid) as n from " +
            stage_rows + " s where " + which + present + " and not exists (select 1 from " +
            refused_table + " r where r.id = s.ctid)) t where n > 1"
        );
    }

    [[nodiscard]] std::string counted_reasons() {
        std::string out;
        const auto rows = sql_.query(
            std::string("select kind, count(*) from ") + refused_table +
            " group by kind order by 2 desc, 1"
        );
        for (std::size_t i = 0; i < std::min(rows.rows.size(), reasons_named); ++i) {
            const Refusal& found = kinds_.at(std::stoul(rows.rows[i].at(0).value()));
            out += (out.empty() ? "" : "; ") + found.column + ": " + found.reason + " (" +
                   rows.rows[i].at(1).value() + " rows)";
        }
        return out + (rows.rows.size() > reasons_named ? "; ..." : "");
    }

    /// Columns without a class; what nobody knows is not shown.
    [[nodiscard]] std::set<std::string> open_columns() const {
        std::set<std::string> open;
        if (plan_.spine)
            for (const auto& [name, type] : source_) open.insert(name);
        if (!plan_.from) return open;
        for (const ColumnSpec& column : context_.dataset(plan_.from->dataset).columns)
            if (column.pii_class.empty()) open.insert(column.name);
        return open;
    }

    void keep() {
        std::string values;
        for (std::size_t i = 0; i < kinds_.size(); ++i)
            values += (i == 0 ? "(" : ", (") + std::to_string(i) + ", " +
                      literal(kinds_[i].column) + ", " + literal(kinds_[i].reason) + ")";
        const std::set<std::string> open = open_columns();
        std::string cells;
        for (const auto& [name, type] : source_) {
            const std::string column = "s." + quote(name);
            cells += (cells.empty() ? "" : ", ") +
                     (open.contains(name) ? column
                                          : "case when " + column +
                                                " is not null then '***' end as " + quote(name));
        }
        sql_.execute(
            "insert into " + warehouse_.own("rejects") +
                " (dataset, slice, generation, row_number, column_name, reason, row, dag_id, "
                "task_id, run_id, loaded_at) select $1, $2, $3::bigint, s.sluice_place, "
                "sluice_kind.name, sluice_kind.reason, to_jsonb(sluice_row), $4, $5, $6, now() "
                "from "
                "(select *, row_number() over (order by ctid) as sluice_place, ctid as sluice_id "
                "from " +
                stage_rows + ") s join " + refused_table +
                " r on r.id = s.sluice_id join (values " + values +
                ") sluice_kind(kind, name, reason) on sluice_kind.kind = r.kind cross join lateral "
                "(select " +
                cells + ") sluice_row",
            {plan_.to,
             warehouse_.slice(),
             std::to_string(warehouse_.generation()),
             context_.info().dag_id,
             context_.info().task_id,
             context_.info().run_id}
        );
    }

    void take_out() {
        const auto gone = sql_.query(
            std::string("delete from ") + stage_rows + " s using " + refused_table +
            " r where r.id = s.ctid returning s._sluice_row_hash"
        );
        std::vector<std::string> hashes;
        for (const auto& row : gone.rows) hashes.push_back(row.at(0).value());
        forget(stage_, hashes);
    }

    task::TaskContext& context_;
    Warehouse& warehouse_;
    connect::Postgres& sql_;
    const Plan& plan_;
    Stage& stage_;
    const std::vector<Dimension>& dimensions_;
    const std::vector<PgColumn> source_;
    const std::vector<PgColumn> target_;
    std::vector<Refusal> kinds_;
    std::vector<Refusal> wrong_;  // columns whose type is narrower than the source's
};

}  // namespace

std::optional<std::string> too_much(
    const std::string& column, const std::string& from, const std::string& to
) {
    if (from == to) return std::nullopt;
    if (const auto length = length_of(to); length && from == "text")
        return "char_length(" + column + ") > " + std::to_string(*length);
    if (!is_number(from) || !is_number(to)) return std::nullopt;
    const std::string number = column + "::numeric";
    if (const WholeType* whole = whole_type(to))
        return "(" + number + " <> trunc(" + number + ") or " + number + " not between " +
               std::string(whole->least) + " and " + std::string(whole->most) + ")";
    const auto digits = digits_of(to);
    if (!digits) return "false";
    return "(" + number + " <> round(" + number + ", " + std::to_string(digits->second) +
           ") or abs(" + number + ") >= 1e" + std::to_string(digits->first - digits->second) + ")";
}

std::int64_t set_aside(
    task::TaskContext& context,
    Warehouse& warehouse,
    const Plan& plan,
    Stage& stage,
    const std::vector<Dimension>& dimensions
) {
    if (!plan.max_rejects) return 0;
    return Refusals(context, warehouse, plan, stage, dimensions).run();
}

void drop_old_rejects(Warehouse& warehouse) {
    if (!warehouse.exists(warehouse.own("rejects"))) return;
    warehouse.sql().execute(
        "delete from " + warehouse.own("rejects") + " where dataset = $1 and slice in " +
            warehouse.replaced() + " and (slice <> $2 or generation <> $3::bigint)",
        {warehouse.dataset(), warehouse.slice(), std::to_string(warehouse.generation())}
    );
}

}  // namespace sluice::load
