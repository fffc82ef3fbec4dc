// migrate.hpp — brings a database's schema up to this program's.
#pragma once

#include <cstdint>

namespace sluice::store {

class Connection;

/// Applies what is missing, under a lock: of several daemons that start at once one works and the
/// others wait. Throws Error(invalid) if the database is newer than this program.
void migrate(Connection& connection);
/// The same as far as migration `last`: what an earlier program left.
void migrate(Connection& connection, int last);

/// Number of the newest migration of this program.
int newest_migration();

/// Runs that a partition holds.
inline constexpr std::int64_t partition_runs = 65'536;

/// Makes run partitions until `run_key` and some room after it are covered.
void make_partitions(Connection& connection, std::int64_t run_key);

}  // namespace sluice::store
