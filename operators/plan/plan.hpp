// plan.hpp — what `sluice dags plan` asks of the data plane: a copy of a warehouse's schema to run
// against, and what the run changed in a table or in slices of the lake. Samples show nothing that
// is classified.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/dag.hpp"
#include "task/context.hpp"

namespace sluice::plan {

/// Rows of one target: `changed` have a key that is on both sides with other values.
struct Difference {
    std::int64_t before{0};
    std::int64_t after{0};
    std::int64_t added{0};
    std::int64_t changed{0};
    std::int64_t removed{0};
    std::vector<std::string> samples;  // lines: "+ id=7 city=Bonn mail=***"
    std::vector<std::string> notes;
};

/// A schema and the throw-away one that stands for it.
struct Shadow {
    task::Connection place;
    std::string schema;
    std::string physical;
};

/// Fills the shadow with tables, views (as tables of their rows now) and Sluice's own tables of the
/// schema, as they are. `made` are names of views and materialized views that the run makes itself.
void copy_schema(const Shadow& shadow, const std::vector<std::string>& made);

/// A table or view of the schema against its shadow. Throws Error(not_found) if the shadow has
/// none.
Difference compare_table(const Shadow& shadow, const DatasetSpec& dataset);

/// Parquet files before and after; paths are whole.
struct Files {
    std::vector<std::string> before;
    std::vector<std::string> after;
};
Difference compare_files(
    const Files& files, const DatasetSpec& dataset, const std::string& scratch
);

}  // namespace sluice::plan
