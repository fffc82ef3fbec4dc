// statistics.hpp — when the planner's statistics of the tables of a load are made anew: reading a
// sample of a large table after every small load costs more than the load.
#pragma once

#include <cstdint>
#include <string>

#include "operators/connect/postgres.hpp"

namespace sluice::load {

/// Whether the server's own rule would have the table analyzed, by what changed since that was done
/// last, this transaction included: autovacuum_analyze_threshold and _scale_factor, by default 50
/// rows and a tenth of the table. A table that never was, and one in partitions, which autovacuum
/// leaves alone: always.
bool analyze_is_due(connect::Postgres& sql, const std::string& quoted_table);

/// Outside of a transaction, after analyze_is_due().
void analyze(connect::Postgres& sql, const std::string& quoted_table);

/// A temporary table that was just filled, which autovacuum never sees. Over few rows a worse plan
/// costs less than statistics.
void analyze_if_large(
    connect::Postgres& sql, const std::string& temporary_table, std::int64_t rows
);

}  // namespace sluice::load
