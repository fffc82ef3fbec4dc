// observed.cpp — merge and scd2: the table is a pure function of the observations kept beside it,
// so any order of runs, repeats and corrections gives the same table (operators.md 3.5 and 5).
#include <algorithm>

#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/load/partitions.hpp"
#include "operators/load/statistics.hpp"

namespace sluice::load {

using engine::literal;
using engine::quote;
using engine::quoted_list;

namespace {

constexpr const char* changed_table = "pg_temp.sluice_changed";
constexpr const char* beginning = "timestamptz '1900-01-01+00'";

class ObservedLoad {
public:
    ObservedLoad(
        task::TaskContext& context, Warehouse& warehouse, const Plan& plan, const Stage& stage
    )
        : context_(context),
          warehouse_(warehouse),
          sql_(warehouse.sql()),
          plan_(plan),
          stage_(stage),
          scd2_(plan.mode == Mode::scd2),
          table_(warehouse.table()),
          obs_(warehouse.beside(plan.to, "obs")),
          dkey_(warehouse.beside(plan.to, "dkey")),
          key_(quoted_list(plan.key)),
          sk_(quote(sk_name(plan.to))) {
        for (const PgColumn& column : pg_columns(stage.columns)) {
            const bool is_key =
                std::find(plan.key.begin(), plan.key.end(), column.first) != plan.key.end();
            (is_key ? key_columns_ : attributes_).push_back(column);
        }
        for (const PgColumn& column : provenance()) kept_.push_back(column.first);
    }

    std::int64_t run() {
        check_names();
        make_tables();
        collect_keys();
        replace_observations();
        if (scd2_) {
            derive_versions();
        } else {
            derive_rows();
        }
        if (plan_.has_sk) {
            keep_inferred();
            remember_keys();
        }
        write_target();
        check_versions();
        if (plan_.has_sk) rekey_facts(context_, warehouse_, plan_, changed_table);
        return sql_.integer(std::string("select count(*) from ") + versions_table);
    }

private:
    void check_names() const {
        for (const PgColumn& column : attributes_) {
            for (const char* taken : {"valid_from", "valid_to", "is_current", "is_inferred"}) {
                if (plan_.has_sk && column.first == taken) {
                    engine::bad_schema(
                        "the source has a column \"" + column.first + "\", which " + plan_.to +
                        " has for its versions: rename it"
                    );
                }
            }
        }
    }

    /// Columns of the target beside key and attributes.
    [[nodiscard]] std::vector<PgColumn> derived_columns() const {
        std::vector<PgColumn> columns;
        if (scd2_) {
            columns.emplace_back("valid_from", "timestamp with time zone");
            columns.emplace_back("valid_to", "timestamp with time zone");
            columns.emplace_back("is_current", "boolean");
        }
        if (!scd2_ && plan_.flag_deletes) columns.emplace_back("is_deleted", "boolean");
        if (plan_.has_sk) columns.emplace_back("is_inferred", "boolean");
        return columns;
    }

    void make_tables() {
        std::vector<PgColumn> obs = key_columns_;
        obs.emplace_back("_sluice_eff", "timestamp with time zone");
        obs.emplace_back("_sluice_iv", "timestamp with time zone");
        obs.emplace_back("_sluice_op", "text");
        obs.emplace_back("_sluice_hd", "text");
        obs.insert(obs.end(), attributes_.begin(), attributes_.end());
        for (const PgColumn& column : provenance()) obs.push_back(column);
        const std::string order = scd2_ ? ", _sluice_eff, _sluice_iv, _sluice_interval"
                                        : ", _sluice_iv, _sluice_interval";
        if (warehouse_.make(obs_, obs, ", primary key (" + key_ + order + ")")) {
            sql_.execute("create index on " + obs_ + " (_sluice_interval)");
        }
        std::vector<PgColumn> target;
        if (plan_.has_sk) target.emplace_back(sk_name(plan_.to), "bigint");
        for (const auto* part : {&key_columns_, &attributes_}) {
            target.insert(target.end(), part->begin(), part->end());
        }
        for (const PgColumn& column : derived_columns()) target.push_back(column);
        for (const PgColumn& column : provenance()) target.push_back(column);
        const bool made =
            make_target(context_, warehouse_, plan_, stage_, target, target_constraints());
        if (!plan_.has_sk) return;
        if (made && scd2_) exclude_overlaps();
        const std::vector<PgColumn> dkey = key_columns_;
        if (!warehouse_.exists(dkey_)) {
            std::string columns;
            for (const auto& [name, type] : dkey) columns += quote(name) + " " + type + ", ";
            sql_.execute(
                "create table " + dkey_ + " (sk bigint generated always as identity primary key, " +
                columns + "valid_from timestamptz not null, unique (" + key_ + ", valid_from))"
            );
        }
        std::string names;
        for (const std::string& name : plan_.key)
            names += (names.empty() ? "" : ", ") + literal(name);
        sql_.execute(
            "insert into " + warehouse_.own("dimension") + " values ($1, $2, array[" + names +
                "]::text[]) on conflict (dimension) do update set kind = excluded.kind, key = "
                "excluded.key",
            {plan_.to, scd2_ ? "scd2" : "type1"}
        );
    }

    [[nodiscard]] std::string target_constraints() const {
        if (!plan_.has_sk) return ", primary key (" + key_ + ")";
        if (!scd2_) return ", primary key (" + sk_ + "), unique (" + key_ + ")";
        std::string with_equals;
        for (const std::string& name : plan_.key) {
            with_equals += (with_equals.empty() ? "" : ", ") + quote(name) + " with =";
        }
        // Deferred: rows change places within one statement, and their order is nobody's promise.
        return ", primary key (" + sk_ + "), unique (" + key_ +
               ", valid_from), check (valid_from < valid_to), exclude using btree (" + with_equals +
               ") where (is_current) deferrable initially deferred";
    }

    /// The database itself forbids overlapping versions where it has btree_gist; the load checks it
    /// in any case.
    void exclude_overlaps() {
        if (warehouse_.own_schema_of_test()) return;
        std::string with_equals;
        for (const std::string& name : plan_.key) with_equals += quote(name) + " with =, ";
        sql_.execute("savepoint no_overlap");
        try {
            sql_.execute("create extension if not exists btree_gist");
            sql_.execute(
                "alter table " + table_ + " add exclude using gist (" + with_equals +
                "tstzrange(valid_from, valid_to, '[)') with &&) deferrable initially deferred"
            );
        } catch (const engine::Failure& failure) {
            sql_.execute("rollback to savepoint no_overlap");
            context_.info(std::string("no constraint against overlaps: ") + failure.what());
        }
        sql_.execute("release savepoint no_overlap");
    }

    /// The keys whose rows may change: those of the old and of the new observations.
    void collect_keys() {
        const std::string slice = literal(warehouse_.slice());
        std::string select = "select " + key_ + " from " + obs_ + " where _sluice_interval in " +
                             warehouse_.replaced() + " union select " + key_ + " from " +
                             stage_table;
        if (plan_.deletes == Deletes::absent) {
            // Which load comes before which may change: their keys may have vanished.
            select += " union select " + key_ + " from " + obs_ +
                      (scd2_ ? " where _sluice_interval = (select slice from (" + loads() +
                                   ") l where (iv, slice) < (" + iv() + ", " + slice +
                                   ") order by iv desc, slice desc limit 1)"
                             : "");
        }
        const std::int64_t rows =
            sql_.execute(std::string("create temp table sluice_keys on commit drop as ") + select);
        analyze_if_large(sql_, keys_table, rows);
    }

    [[nodiscard]] std::string iv() const {
        const auto& info = context_.info();
        const Instant at =
            info.data_interval ? info.data_interval->end : info.logical_date.value_or(Instant{});
        return literal(format_offset(at)) + "::timestamptz";
    }

    /// SQL: every load of this table that counts, this one included.
    [[nodiscard]] std::string loads() const {
        return "select slice, coalesce(interval_end, '-infinity') as iv from " +
               warehouse_.own("ledger") + " where dataset = " + literal(plan_.to) +
               " and state = 'committed' and slice not in " + warehouse_.replaced() +
               " union all select " + literal(warehouse_.slice()) + ", " + iv();
    }

    [[nodiscard]] std::string obs_columns(const std::string& prefix) const {
        return quoted_list(plan_.key, prefix) + ", " + prefix + "_sluice_eff, " + prefix +
               "_sluice_iv, " + prefix + "_sluice_op, " + prefix + "_sluice_hd" +
               attribute_list(prefix) + ", " + quoted_list(kept_, prefix);
    }

    [[nodiscard]] std::string attribute_list(const std::string& prefix) const {
        std::string list;
        for (const auto& [name, type] : attributes_) list += ", " + prefix + quote(name);
        return list;
    }

    void replace_observations() {
        sql_.execute("delete from " + obs_ + " where _sluice_interval in " + warehouse_.replaced());
        const std::string unique = scd2_ ? "distinct on (" + key_ + ", _sluice_eff) " : "";
        const std::string order =
            scd2_ ? " order by " + key_ + ", _sluice_eff, _sluice_op desc, _sluice_row_hash" : "";
        sql_.execute(
            "insert into " + obs_ + " (" + obs_columns("") + ") select " + unique + key_ +
            ", _sluice_eff, " + iv() + ", _sluice_op, _sluice_hd" + attribute_list("") + ", " +
            quoted_list(kept_) + " from " + stage_table + order
        );
        // At once, as the table is derived from them; a few rows change no plan.
        if (plan_.analyze && stage_.rows > 1000 && analyze_is_due(sql_, obs_))
            sql_.execute("analyze " + obs_);
    }

    [[nodiscard]] std::string equal(const std::string& a, const std::string& b) const {
        std::string out;
        for (const std::string& name : plan_.key) {
            out += (out.empty() ? "" : " and ") + a + "." + quote(name) + " = " + b + "." +
                   quote(name);
        }
        return out;
    }

    /// Deletes that a snapshot says by leaving a key out: at the end of the first later load
    /// without it.
    [[nodiscard]] std::string absences() const {
        std::string nulls;
        for (const auto& [name, type] : attributes_) nulls += ", null::" + type;
        return " union all select " + quoted_list(plan_.key, "o.") +
               ", p.next_iv, p.next_iv, 'D', null" + nulls +
               ", null, null, p.next_slice, null, null, null::timestamptz from " + obs_ +
               " o join (select slice, lead(slice) over (order by iv, slice) as next_slice, "
               "lead(iv) over (order by iv, slice) as next_iv from (" +
               loads() + ") l) p on p.slice = o._sluice_interval join " + keys_table + " k on " +
               equal("k", "o") +
               " where o._sluice_op = 'U' and p.next_slice is not null and "
               "not exists (select 1 from " +
               obs_ + " x where " + equal("x", "o") + " and x._sluice_interval = p.next_slice)";
    }

    void derive_versions() {
        const std::string first = plan_.first_observed
                                      ? "_sluice_eff"
                                      : std::string("case when vn = 1 then least(_sluice_eff, ") +
                                            beginning + ") else _sluice_eff end";
        const std::string over = "(partition by " + key_ + " order by _sluice_eff)";
        const std::int64_t rows = sql_.execute(
            "create temp table sluice_versions on commit drop as with seen as (select " +
            obs_columns("o.") + " from " + obs_ + " o join " + keys_table + " k on " +
            equal("k", "o") + (plan_.deletes == Deletes::absent ? absences() : "") +
            "), latest as (select distinct on (" + key_ + ", _sluice_eff) * from seen order by " +
            key_ + ", _sluice_eff, _sluice_iv desc, _sluice_interval desc, _sluice_op desc), " +
            "marked as (select *, lag(_sluice_hd) over " + over + " as ph, lag(_sluice_op) over " +
            over + " as po from latest), kept as (select *, lead(_sluice_eff) over " + over +
            " as nx, row_number() over " + over +
            " as vn from marked where (_sluice_op, "
            "_sluice_hd) is distinct from (po, ph)) select " +
            key_ + attribute_list("") + ", " + first +
            " as valid_from, coalesce(nx, 'infinity') as valid_to, nx is null as "
            "is_current, false as is_inferred, " +
            quoted_list(kept_) + " from kept where _sluice_op = 'U'"
        );
        if (!plan_.type1.empty()) overwrite_type1();
        analyze_if_large(sql_, versions_table, rows);
    }

    /// Type 1 columns show the latest observation's value in every version.
    void overwrite_type1() {
        std::string sets;
        for (const std::string& name : plan_.type1) {
            sets += (sets.empty() ? "" : ", ") + quote(name) + " = l." + quote(name);
        }
        sql_.execute(
            std::string("update ") + versions_table + " v set " + sets +
            " from (select distinct on (" + quoted_list(plan_.key, "o.") + ") " +
            quoted_list(plan_.key, "o.") + ", " + quoted_list(plan_.type1, "o.") + " from " + obs_ +
            " o join " + keys_table + " k on " + equal("k", "o") +
            " where o._sluice_op = 'U' order by " + quoted_list(plan_.key, "o.") +
            ", o._sluice_eff desc, o._sluice_iv desc, o._sluice_interval desc) l where " +
            equal("l", "v")
        );
    }

    /// Merge: the row of the greatest interval that observes the key.
    void derive_rows() {
        std::string shown = "o._sluice_op = 'U'";
        if (plan_.deletes == Deletes::absent) {
            shown += " and o._sluice_interval = (select slice from (" + loads() +
                     ") l order by iv desc, slice desc limit 1)";
        }
        const std::int64_t rows = sql_.execute(
            "create temp table sluice_versions on commit drop as select " +
            quoted_list(plan_.key, "o.") + attribute_list("o.") +
            (plan_.flag_deletes ? ", not (" + shown + ") as is_deleted" : "") +
            (plan_.has_sk ? std::string(", ") + beginning + " as valid_from, false as is_inferred"
                          : "") +
            ", " + quoted_list(kept_, "o.") + " from " + keys_table +
            " k cross join lateral (select * from " + obs_ + " x where " + equal("x", "k") +
            " order by _sluice_iv desc, _sluice_interval desc limit 1) o" +
            (plan_.flag_deletes ? "" : " where " + shown)
        );
        analyze_if_large(sql_, versions_table, rows);
    }

    /// A key without any version that facts still name stays as an inferred member.
    void keep_inferred() {
        for (const Use& use : uses_of(warehouse_, plan_)) {
            if (use.dimension.missing != Missing::infer) continue;
            std::string same;
            for (std::size_t i = 0; i < use.dimension.key.size(); ++i) {
                same += (i == 0 ? "f." : " and f.") + quote(use.dimension.fact_columns[i]) +
                        " = k." + quote(use.dimension.key[i]);
            }
            sql_.execute(
                std::string("insert into ") + versions_table + " (" + key_ + ", valid_from, " +
                (scd2_ ? "valid_to, is_current, " : "") + "is_inferred) select " + key_ + ", " +
                beginning + (scd2_ ? ", 'infinity', true" : "") + ", true from " + keys_table +
                " k where not exists (select 1 from " + versions_table + " v where " +
                equal("v", "k") + ") and exists (select 1 from " + use.fact + " f where " + same +
                ")"
            );
        }
    }

    /// Surrogate keys are never deleted, so a version that comes back has its old one.
    void remember_keys() {
        sql_.execute(
            "insert into " + dkey_ + " (" + key_ + ", valid_from) select " + key_ +
            ", valid_from from " + versions_table + " v where not exists (select 1 from " + dkey_ +
            " y where " + equal("y", "v") + " and y.valid_from = v.valid_from) order by " + key_ +
            ", valid_from"
        );
    }

    void write_target() {
        std::vector<std::string> names;
        for (const auto& [name, type] : attributes_) names.push_back(name);
        for (const auto& [name, type] : derived_columns()) {
            if (name != "valid_from") names.push_back(name);
        }
        names.insert(names.end(), kept_.begin(), kept_.end());
        const std::string version = scd2_ ? " and v.valid_from = d.valid_from" : "";
        sql_.execute(
            std::string("create temp table sluice_changed on commit drop as select ") + key_ +
            " from " + keys_table + " limit 0"
        );
        sql_.execute(
            "with gone as (delete from " + table_ + " d using " + keys_table + " k where " +
            equal("d", "k") + " and not exists (select 1 from " + versions_table + " v where " +
            equal("v", "d") + version + ") returning " + quoted_list(plan_.key, "d.") +
            ") insert into " + changed_table + " select * from gone"
        );
        if (scd2_) {
            sql_.execute(
                std::string("insert into ") + changed_table + " select " +
                quoted_list(plan_.key, "v.") + " from " + versions_table + " v join " + table_ +
                " d on " + equal("v", "d") + version + " where v.valid_to <> d.valid_to"
            );
        }
        std::string sets;
        for (const std::string& name : names) {
            sets += (sets.empty() ? "" : ", ") + quote(name) + " = v." + quote(name);
        }
        sql_.execute(
            "update " + table_ + " d set " + sets + " from " + versions_table + " v where " +
            equal("v", "d") + version + " and (" + quoted_list(names, "d.") +
            ") is distinct from (" + quoted_list(names, "v.") + ")"
        );
        const std::string from_column = scd2_ ? "valid_from, " : "";
        sql_.execute(
            "with made as (insert into " + table_ + " (" + (plan_.has_sk ? sk_ + ", " : "") + key_ +
            ", " + from_column + quoted_list(names) + ") select " + (plan_.has_sk ? "y.sk, " : "") +
            quoted_list(plan_.key, "v.") + ", " + (scd2_ ? "v.valid_from, " : "") +
            quoted_list(names, "v.") + " from " + versions_table + " v" +
            (plan_.has_sk ? " join " + dkey_ + " y on " + equal("y", "v") +
                                " and y.valid_from = v.valid_from"
                          : "") +
            " where not exists (select 1 from " + table_ + " d where " + equal("d", "v") + version +
            ") returning " + key_ + ") insert into " + changed_table + " select * from made"
        );
    }

    void check_versions() {
        if (!scd2_) return;
        const auto overlaps = sql_.query(
            "select " + quoted_list(plan_.key, "a.") + " from " + table_ + " a join " + table_ +
            " b on " + equal("a", "b") +
            " and a.valid_from < b.valid_from and a.valid_to > "
            "b.valid_from join (select distinct " +
            key_ + " from " + changed_table + ") k on " + equal("k", "a") + " limit 1"
        );
        if (!overlaps.rows.empty()) {
            throw Error(ErrorCode::internal, "versions of a key overlap in " + plan_.to);
        }
    }

    task::TaskContext& context_;
    Warehouse& warehouse_;
    connect::Postgres& sql_;
    const Plan& plan_;
    const Stage& stage_;
    const bool scd2_;
    const std::string table_;
    const std::string obs_;
    const std::string dkey_;
    const std::string key_;
    const std::string sk_;
    std::vector<PgColumn> key_columns_;
    std::vector<PgColumn> attributes_;
    std::vector<std::string> kept_;  // provenance columns
};

}  // namespace

std::int64_t load_observed(
    task::TaskContext& context, Warehouse& warehouse, const Plan& plan, const Stage& stage
) {
    return ObservedLoad(context, warehouse, plan, stage).run();
}

}  // namespace sluice::load
