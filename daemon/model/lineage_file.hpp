// lineage_file.hpp — where a DAG version keeps the lineage of its columns: a file of its bundle.
#pragma once

namespace sluice {

/// Not a file of the folder: JSON, made when the DAG is loaded (operators/lineage/view.hpp).
inline constexpr const char* lineage_file = ".sluice/lineage.json";

}  // namespace sluice
