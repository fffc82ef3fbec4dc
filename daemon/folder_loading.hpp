// folder_loading.hpp — DAG files of a folder read without a daemon, for `sluice check` and
// `sluice dags test`: each knows the data sets of the others. Not thread-safe.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "dag_loading.hpp"
#include "runtime/dataset_index.hpp"

namespace sluice {

class FolderLoading {
public:
    FolderLoading(std::filesystem::path root, executor::DagChecks& checks);

    /// Every DAG file of the folder, relative to it, sorted.
    [[nodiscard]] const std::set<std::string>& files() const { return files_; }
    /// One of them in full, and of the others what it needs.
    const Parsed<Dag>& load(const std::string& file);

private:
    void read_all();
    const DatasetSpec* find(const std::string& file, const std::string& name);

    std::filesystem::path root_;
    DagLoading loading_;
    std::set<std::string> files_;
    std::map<std::string, std::string> texts_;
    std::map<std::string, Parsed<Dag>> loaded_;
    std::set<std::string> under_way_;
    std::map<std::string, std::string> file_of_;  // dag_id -> file
    runtime::DatasetIndex index_;                 // who writes what; columns as far as declared
    std::map<std::string, DatasetSpec> full_;     // with derived columns, by name
};

}  // namespace sluice
