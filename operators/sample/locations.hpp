// locations.hpp — locations.parquet, written by DuckDB.
#pragma once

#include <filesystem>

#include "operators/sample/plan.hpp"

namespace sluice::sample {

void write_locations(const Plan& plan, const std::filesystem::path& file);

}  // namespace sluice::sample
