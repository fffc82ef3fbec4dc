// flow.hpp — rows on their way, for terminals: the table of a run's data tasks, and the bar of one
// that runs.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "cli/client.hpp"

namespace sluice::cli {

/// 950, "12k", "3.4M"; 900 B, "1.5 MiB".
std::string short_number(double value);
std::string short_bytes(double value);

/// Prints what each data task of the run counted.
void show_flow(Client& client, const std::string& dag_id, const std::string& run_id);

/// "load.fact [######..................] 25% copying rows, 250k rows (90k/s), 31 MiB" of an item
/// of /ui/v1/dags/{dag}/runs/{run}/progress.
std::string progress_line(const nlohmann::json& progress);

}  // namespace sluice::cli
