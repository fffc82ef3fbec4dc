// graph.hpp — where the columns of a DAG's data sets come from: which task makes a column, of which
// columns, and whether it masks them. Pure.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "model/dag.hpp"

namespace sluice::lineage {

struct Source {
    std::string dataset;
    std::string column;
    /// The method that hides it on this step: of a rule, or "sql" for a masking function; "" = it
    /// is as it was.
    std::string masked_by;
    /// The class was taken off by the task's `attest` alone.
    bool attested{false};
};

struct Made {
    TaskNo task{no_task};  // no_task: no task of this DAG writes the data set
    std::vector<Source> from;
};

/// A data set with its columns; nullptr if there is none.
using FindDataset = std::function<const DatasetSpec*(const std::string& name)>;

/// Of a column that is read from outside, or made by the task itself, `from` is empty.
Made made(const Dag& dag, const FindDataset& find, const DatasetSpec& of, const ColumnSpec& column);

/// The shortest way from outside to the column: "raw.customers.email -> curated.customers.email".
std::string path(
    const Dag& dag, const FindDataset& find, const DatasetSpec& of, const ColumnSpec& column
);

}  // namespace sluice::lineage
