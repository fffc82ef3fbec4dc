// stage.hpp — the rows of a load, computed in the engine and copied to a temporary table of the
// load's own session (unlogged by nature, and gone with the session whatever happens).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "operators/engine/database.hpp"
#include "operators/lake/slice.hpp"
#include "operators/load/plan.hpp"
#include "operators/load/warehouse.hpp"

namespace sluice::load {

inline constexpr const char* stage_table = "pg_temp.sluice_stage";      // a view, to read
inline constexpr const char* stage_rows = "pg_temp.sluice_stage_rows";  // what lies below it

struct Stage {
    std::vector<engine::ColumnInfo> columns;  // of the source, without `_sluice_*`
    std::int64_t rows{0};
    std::string content_hash;
    // Of a load with max_rejects:
    bool has_refused{false};  // a column says which column's value PostgreSQL has no way to hold
    bool key_twice{false};
};

/// Rows that are not loaded after all, by their hashes.
void forget(Stage& stage, const std::vector<std::string>& row_hashes);

/// The source's columns without `_sluice_*`. Throws Failure(schema) if a column that the plan
/// names is not there.
std::vector<engine::ColumnInfo> source_columns(
    const Plan& plan, const std::vector<engine::ColumnInfo>& columns
);

/// Checks keys (not null, not twice) and copies the rows. Columns of the stage: the source's, the
/// six of provenance, and for observed tables _sluice_eff, _sluice_op, _sluice_hd.
Stage fill_stage(
    task::TaskContext& context,
    engine::Database& database,
    Warehouse& warehouse,
    const Plan& plan,
    const lake::Source& source
);

/// The date dimension's rows as a relation.
lake::Source date_spine(engine::Database& database, const DateSpine& spine);

/// Provenance columns as PostgreSQL has them.
std::vector<PgColumn> provenance();
std::vector<std::string> provenance_names();
std::vector<std::string> names_of(const std::vector<PgColumn>& columns);

/// Some keys that several rows have, as text; "" = none.
std::string keys_given_twice(
    engine::Database& database, const Plan& plan, const lake::Source& source
);

/// E-LOAD-KEY: rows without a key or with the same one.
void check_key(engine::Database& database, const Plan& plan, const lake::Source& source);

}  // namespace sluice::load
