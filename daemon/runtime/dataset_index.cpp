#include "runtime/dataset_index.hpp"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include "model/dataset_json.hpp"

namespace sluice::runtime {

std::set<std::string> DatasetIndex::put(const std::string& file, const Dag& dag) {
    std::set<std::string> before = std::exchange(names_[file], {});
    std::set<std::string> changed;
    for (auto& dataset : spec::own_datasets(dag)) {
        const std::string name = dataset.name;
        const auto known = offers_.find(name);
        if (known != offers_.end() && known->second.file != file) continue;
        if (known == offers_.end() || dataset_json(known->second.dataset) != dataset_json(dataset))
            changed.insert(name);
        offers_[name] = {file, std::move(dataset)};
        names_[file].insert(name);
        before.erase(name);
    }
    for (const auto& name : before) {
        offers_.erase(name);
        changed.insert(name);
    }
    return changed;
}

std::set<std::string> DatasetIndex::remove(const std::string& file) {
    const auto found = names_.find(file);
    if (found == names_.end()) return {};
    std::set<std::string> gone = std::move(found->second);
    names_.erase(found);
    for (const auto& name : gone) offers_.erase(name);
    return gone;
}

spec::OtherDatasets DatasetIndex::others(const std::string& file) const {
    return [this, file](const std::string& name) -> const DatasetSpec* {
        const auto found = offers_.find(name);
        if (found == offers_.end() || found->second.file == file) return nullptr;
        return &found->second.dataset;
    };
}

bool DatasetIndex::contains_file(const std::string& file) const { return names_.contains(file); }

std::set<std::string> names_of_others(const Dag& dag) {
    std::set<std::string> names;
    for (const auto& dataset : dag.datasets)
        if (!dataset.owner.empty()) names.insert(dataset.name);
    if (dag.schedule.assets) names.merge(asset_names(*dag.schedule.assets));
    return names;
}

bool waits_for_others(const std::vector<Problem>& problems) {
    bool any = false;
    for (const auto& problem : problems) {
        if (problem.severity != Severity::error) continue;
        if (problem.code != "E-DATASET-UNKNOWN" && problem.code != "E-DATASET-WRITERS")
            return false;
        any = true;
    }
    return any;
}

}  // namespace sluice::runtime
