#include "operators/load/verify.hpp"

#include <algorithm>
#include <array>

#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "task/problem.hpp"

namespace sluice::load {

using engine::ColumnInfo;
using engine::literal;
using engine::quote;
using engine::quoted_list;

namespace {

constexpr const char* no_hash =
    ", whose text is not the same in engine and warehouse: it has no hash";

/// engine::canonical_text() in the words of PostgreSQL.
std::string canonical_in_postgres(const std::string& column, const std::string& type) {
    if (type == "VARCHAR") return column + "::text";
    if (type == "BOOLEAN") return "case when " + column + " then 't' else 'f' end";
    if (type == "BLOB") return "upper(encode(" + column + ", 'hex'))";
    // The engine writes (BC).
    if (type == "DATE") return "replace(" + column + "::text, 'BC', '(BC)')";
    if (type == "TIME" || type == "UUID") return column + "::text";
    if (type.starts_with("TIMESTAMP"))
        return "case when isfinite(" + column + ") then (extract(epoch from " + column +
               ") * 1000000)::bigint::text else " + column + "::text end";
    return "trim_scale(" + column + "::numeric)::text";
}

/// The hash of a row as the engine makes it (engine::row_hash()), as bytes in hexadecimal.
std::string row_hash_in_postgres(const std::vector<ColumnInfo>& columns) {
    std::string parts;
    for (const ColumnInfo& column : columns) {
        const std::string name = "t." + quote(column.name);
        const std::string text = canonical_in_postgres(name, column.type);
        parts += (parts.empty() ? "" : " || ") + std::string("case when ") + name +
                 " is null then 'n' else 'v' || octet_length(convert_to(" + text +
                 ", 'UTF8')) || ':' || (" + text + ") end";
    }
    if (parts.empty()) return "encode(sha256(''), 'hex')";
    return "encode(sha256(convert_to(" + parts + ", 'UTF8')), 'hex')";
}

/// Number and sum of hashes (SQL over `t`) of the rows of `from`.
struct Sum {
    std::int64_t rows{};
    std::string hash;
    bool operator==(const Sum&) const = default;
};

Sum sum_of(Warehouse& warehouse, const std::string& hash, const std::string& from) {
    std::string sums;
    for (const char* piece : {"1", "9", "17", "25"})
        sums += std::string(", coalesce(sum(('x' || substr(h, ") + piece +
                ", 8))::bit(32)::bigint), 0)::text";
    const auto answer = warehouse.sql().query(
        "select count(*)" + sums + " from (select " + hash + " as h from " + from + " offset 0) s"
    );
    const auto& row = answer.rows.at(0);
    std::array<std::string, 4> pieces;
    for (std::size_t i = 0; i < pieces.size(); ++i) pieces[i] = row.at(i + 1).value();
    return {std::stoll(row.at(0).value()), engine::content_hash(pieces)};
}

/// Columns whose values are not those of the stage, by rows that say that they are the same.
std::string changed_columns(
    Warehouse& warehouse, const Stage& stage, const std::string& table, const std::string& where
) {
    std::string tests;
    for (const ColumnInfo& column : stage.columns) {
        const std::string name = quote(column.name);
        tests += (tests.empty() ? "" : ", ") + std::string("bool_or(t.") + name +
                 "::text is distinct from s." + name + "::text)";
    }
    const auto answer = warehouse.sql().query(
        "select " + tests + " from " + table + " t join " + stage_table +
        " s using (_sluice_row_hash) where " + where
    );
    std::string names;
    for (std::size_t i = 0; i < stage.columns.size(); ++i)
        if (answer.rows.at(0).at(i) == "t")
            names += (names.empty() ? "" : ", ") + stage.columns[i].name;
    return names;
}

[[noreturn]] void differs(
    const Plan& plan, const std::string& what, const Sum& sent, const Sum& held, std::string names
) {
    if (!names.empty()) names = " in " + names;
    engine::bad_data(
        "verify: " + what + " of " + plan.to +
        " are not what was sent: " + std::to_string(sent.rows) + " rows, hash " + sent.hash +
        ", against " + std::to_string(held.rows) + " rows, hash " + held.hash + names +
        " (a trigger or a rule of the table?) [E-LOAD-VERIFY]"
    );
}

/// What is shown of the keys of this load, against what was derived of all observations.
void verify_derived(Warehouse& warehouse, const Plan& plan, const Stage& stage) {
    std::vector<ColumnInfo> columns = stage.columns;
    const bool scd2 = plan.mode == Mode::scd2;
    if (scd2) {
        columns.push_back({"valid_from", "TIMESTAMP"});
        columns.push_back({"valid_to", "TIMESTAMP"});
    } else if (plan.flag_deletes) {
        columns.push_back({"is_deleted", "BOOLEAN"});
    }
    const std::string hash = row_hash_in_postgres(columns);
    const Sum derived = sum_of(warehouse, hash, std::string(versions_table) + " t");
    const Sum held = sum_of(
        warehouse,
        hash,
        warehouse.table() + " t join " + keys_table + " k using (" + quoted_list(plan.key) + ")"
    );
    if (derived != held) differs(plan, scd2 ? "the versions" : "the rows", derived, held, "");
}

}  // namespace

std::optional<std::string> unhashable(const std::string& language_type) {
    if (language_type.ends_with("[]")) return "a list";
    for (const std::string type : {"real", "double", "interval", "json"})
        if (language_type == type) return "of type " + type;
    return std::nullopt;
}

void check_hashable(task::CheckResult& result, const DatasetSpec& source) {
    for (const ColumnSpec& column : source.columns) {
        const auto why = unhashable(column.type);
        if (!why) continue;
        task::problem(
            result,
            "E-LOAD-VERIFY",
            "/verify",
            source.name + "." + column.name + " is " + *why + no_hash,
            "use counts, or make it a decimal or text before"
        );
    }
}

void check_hashable(const std::vector<ColumnInfo>& columns) {
    for (const ColumnInfo& column : columns)
        if (const auto why = unhashable(engine::language_type(column.type).value_or("")))
            engine::bad_schema("verify: column \"" + column.name + "\" is " + *why + no_hash);
}

void verify_hash(
    Warehouse& warehouse, const Plan& plan, const Stage& stage, const LedgerEntry& entry
) {
    check_hashable(stage.columns);
    // What a deferred trigger does would come after the comparison.
    warehouse.sql().execute("set constraints all immediate");
    const std::string mine = "t._sluice_interval = " + literal(warehouse.slice());
    Sum sent{entry.rows, entry.content_hash};
    if (plan.mode == Mode::scd2) {
        // A history holds one of several observations of a key at one time.
        const std::string key = quoted_list(plan.key);
        sent = sum_of(
            warehouse,
            "t._sluice_row_hash",
            "(select distinct on (" + key + ", _sluice_eff) _sluice_row_hash from " +
                std::string(stage_rows) + " order by " + key +
                ", _sluice_eff, _sluice_op desc, _sluice_row_hash) t"
        );
    }
    const std::string table =
        plan.observed() ? warehouse.beside(plan.to, "obs") : warehouse.table();
    const Sum held =
        sum_of(warehouse, row_hash_in_postgres(stage.columns), table + " t where " + mine);
    if (sent != held)
        differs(
            plan,
            plan.observed() ? "the observations" : "the rows",
            sent,
            held,
            changed_columns(warehouse, stage, table, mine)
        );
    if (plan.observed()) verify_derived(warehouse, plan, stage);
}

}  // namespace sluice::load
