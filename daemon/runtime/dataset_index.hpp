// dataset_index.hpp — which DAG writes or declares which data set, over all files of a DAG folder.
// Not thread-safe.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "model/dag.hpp"
#include "spec/loader.hpp"

namespace sluice::runtime {

class DatasetIndex {
public:
    /// What the DAG of a file offers, in place of what the file offered before. Returns the names
    /// that came, went or look different now. A name that another file offers stays that file's.
    std::set<std::string> put(const std::string& file, const Dag& dag);
    /// The file is gone.
    std::set<std::string> remove(const std::string& file);
    /// For the loader of `file`: what all the other files offer.
    [[nodiscard]] spec::OtherDatasets others(const std::string& file) const;
    [[nodiscard]] bool contains_file(const std::string& file) const;

private:
    struct Offer {
        std::string file;
        DatasetSpec dataset;
    };
    std::map<std::string, Offer> offers_;                 // by name
    std::map<std::string, std::set<std::string>> names_;  // by file
};

/// The data sets of other DAGs that this one reads or waits for.
std::set<std::string> names_of_others(const Dag& dag);

/// True if nothing is wrong but names of data sets that another DAG may write: a file that is
/// loaded later may cure it.
bool waits_for_others(const std::vector<Problem>& problems);

}  // namespace sluice::runtime
