// dataset_json.hpp — data sets as JSON: what a worker is told, and what a version keeps of other
// DAGs' data sets.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "model/dag.hpp"

namespace sluice {

nlohmann::json dataset_json(const DatasetSpec& dataset);
/// Throws nlohmann::json::exception.
DatasetSpec dataset_of_json(const nlohmann::json& json);

}  // namespace sluice
