// target.hpp — what happens to the target in the transaction of a load, by its kind. All of these
// are called inside the transaction, with the stage filled and the locks held.
#pragma once

#include <string>
#include <vector>

#include "operators/load/plan.hpp"
#include "operators/load/stage.hpp"
#include "operators/load/warehouse.hpp"

namespace sluice::load {

/// Temporary tables of a load that keeps observations: the keys that it touches, and what the table
/// shows of them.
inline constexpr const char* keys_table = "pg_temp.sluice_keys";
inline constexpr const char* versions_table = "pg_temp.sluice_versions";

/// A lookup with what the warehouse knows of its dimension.
struct Dimension {
    Lookup lookup;
    std::string kind;                       // date, type1, scd2
    std::vector<std::string> key;           // columns of the dimension
    std::vector<std::string> fact_columns;  // in the same order
    std::string table;                      // quoted
    std::string primary;                    // its surrogate key's column
    std::string at;                         // fact column
    Missing missing{Missing::infer};
};

/// Throws Failure(schema) if a dimension has not been loaded.
std::vector<Dimension> dimensions_of(Warehouse& warehouse, const Plan& plan);

/// Facts and appends: the interval's rows are replaced; look-ups; E-LOAD-CROSS. Returns the rows of
/// the slice.
std::int64_t load_fact(
    task::TaskContext& context,
    Warehouse& warehouse,
    const Plan& plan,
    const Stage& stage,
    const std::vector<Dimension>& dimensions
);

/// E-LOAD-CROSS: a staged key that is there in a slice which this load does not replace.
void check_cross(Warehouse& warehouse, const Plan& plan);

/// The whole table is replaced, by a mapped instance what its item loaded before: by upsert and
/// delete of the missing if it has a key.
std::int64_t load_replace(
    task::TaskContext& context, Warehouse& warehouse, const Plan& plan, const Stage& stage
);

/// Merge and scd2: observations are replaced, the table is derived from them, facts follow.
/// Returns the rows of the table that belong to this load's keys.
std::int64_t load_observed(
    task::TaskContext& context, Warehouse& warehouse, const Plan& plan, const Stage& stage
);

/// A fact table that looks up in a dimension.
struct Use {
    Dimension dimension;
    std::string fact;  // quoted
    std::string sk_column;
};
/// The facts that look up in the plan's target.
std::vector<Use> uses_of(Warehouse& warehouse, const Plan& plan);
/// Looks up again, in the target, the facts of the keys in the table `changed`.
void rekey_facts(
    task::TaskContext& context, Warehouse& warehouse, const Plan& plan, const std::string& changed
);

/// Adds member -1 or -2 to a dimension if it is not there.
void ensure_member(Warehouse& warehouse, const std::string& dimension, int member);
/// Takes members -1 and -2 away that no fact points to any more. Nobody else may be writing facts
/// of the dimension.
void drop_unused_members(Warehouse& warehouse, const std::string& dimension);

/// SQL: the surrogate key for a row of `fact` (an alias) looked up in the joined alias `dim`.
std::string looked_up(const Dimension& dimension, const std::string& fact, const std::string& dim);
/// SQL: the join condition of the same.
std::string join_condition(
    const Dimension& dimension,
    const std::string& fact,
    const std::string& dim,
    const std::string& at
);
/// SQL: the join of `s`, the stage, with a dimension as `dim`.
std::string stage_join(
    const task::TaskContext& context,
    const Stage& stage,
    const Dimension& dimension,
    const std::string& dim
);
/// SQL: a fact's time as an instant: naive times are of the DAG's zone.
std::string instant_of(const std::string& column, const std::string& type, const std::string& zone);

}  // namespace sluice::load
