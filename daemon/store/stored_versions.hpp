// stored_versions.hpp — DAG definitions in the database. Included by .cpp files of this folder
// only.
#pragma once

#include <vector>

#include "store/journal.hpp"
#include "store/pq.hpp"

namespace sluice::store {

std::vector<Journal::StoredVersion> read_versions(
    Connection& connection, const std::vector<VersionId>& ids
);

/// Journal::put_version, fenced by `epoch` (SqlError SL001 when it is over).
Journal::StoredVersion store_version(Connection& connection, const Dag& dag, std::int64_t epoch);

/// Journal::put_form, fenced alike.
Journal::StoredVersion store_form(Connection& connection, const Dag& dag, std::int64_t epoch);

}  // namespace sluice::store
