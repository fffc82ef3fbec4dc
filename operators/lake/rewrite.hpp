// rewrite.hpp — a live slice written anew: as one file, or without some rows.
#pragma once

#include <string>

#include "operators/engine/database.hpp"
#include "operators/lake/ledger.hpp"
#include "operators/lake/storage.hpp"

namespace sluice::lake {

/// Writes the rows of `from`, whose files are open as `relation`, for which `keep` (SQL; "" = all)
/// is true as a new generation, which becomes live at once. `delete_reason` as in Ledger::replace.
/// Returns its rows. Throws Failure(transient) if somebody writes the slice now: a retry finds it
/// done.
std::int64_t rewrite(
    task::TaskContext& context,
    Storage& storage,
    engine::Database& database,
    const Generation& from,
    const std::string& relation,
    const std::string& keep,
    const std::string& delete_reason
);

}  // namespace sluice::lake
