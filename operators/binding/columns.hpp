// columns.hpp — columns of data sets as plans see them: looking one up, and what class and origins
// a column gets that was made from others.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/dag.hpp"
#include "operators/engine/database.hpp"

namespace sluice::binding {

using Columns = std::vector<ColumnSpec>;

/// True for raw.x, processed.x and curated.x.
bool in_lake(std::string_view dataset);
/// "raw" of "raw.orders".
std::string tier_of(std::string_view dataset);

/// By name, without regard to case; nullptr if there is none.
const ColumnSpec* find(const Columns& columns, std::string_view name);
std::vector<std::string> names(const Columns& columns);

/// The columns of a data set, each with its origins filled in.
Columns with_origins(const DatasetSpec& dataset);
/// A column called `name` that shows the values of `sources`: their classes and origins together.
ColumnSpec made_from(const std::string& name, const std::vector<const ColumnSpec*>& sources);

/// Sets the types of `columns` from what the engine says of them, by place. A type that the
/// language does not have is kept in the engine's spelling.
void set_types(Columns& columns, const std::vector<engine::ColumnInfo>& bound);

/// For data sets without declared columns: those of their files, unclassified.
Columns of_engine(const std::string& dataset, const std::vector<engine::ColumnInfo>& columns);

}  // namespace sluice::binding
