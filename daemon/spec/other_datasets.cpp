// Data sets across DAGs: one DAG writes or declares a name, every other one may read it and
// inherits its columns, types and classes. What a version inherits is kept in its bundle: a writer
// that changes its schema makes new versions of its readers, and a stored version needs nobody
// else.
#include <algorithm>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "model/dataset_json.hpp"
#include "spec/draft.hpp"

namespace sluice::spec {

using nlohmann::json;

namespace {

// Not a file of the folder: made by the loader.
constexpr const char* inherited_file = ".sluice/datasets.json";

}  // namespace

std::vector<DatasetSpec> own_datasets(const Dag& dag) {
    std::vector<DatasetSpec> out;
    for (const auto& dataset : dag.datasets) {
        if (!dataset.owner.empty() || (dataset.writer == no_task && !dataset.declared)) continue;
        DatasetSpec offered = dataset;
        offered.owner = dag.dag_id;
        offered.timezone = dag.timezone;
        offered.lake = dag.lake;
        offered.writer = no_task;
        offered.readers.clear();
        out.push_back(std::move(offered));
    }
    return out;
}

DatasetSpec* adopt_dataset(Draft& draft, const std::string& name) {
    const DatasetSpec* other = draft.others ? draft.others(name) : nullptr;
    if (other == nullptr || other->owner == draft.dag.dag_id) return nullptr;
    draft.dag.datasets.push_back(*other);
    return &draft.dag.datasets.back();
}

void check_only_writer(Draft& draft, const std::string& name, const std::string& pointer) {
    if (draft.stored || !draft.others) return;
    const DatasetSpec* other = draft.others(name);
    if (other == nullptr || other->owner == draft.dag.dag_id) return;
    draft.problems.error(
        "E-DATASET-WRITERS",
        pointer,
        fmt::format(
            "{} is written or declared by the DAG \"{}\" already; a data set has one writer over "
            "all "
            "DAGs",
            name,
            other->owner
        ),
        "a DAG that only reads it names it, and inherits its columns"
    );
}

void check_schedule_assets(Draft& draft) {
    const auto& schedule = draft.dag.schedule;
    if (draft.stored || !schedule.assets || !draft.operators_known) return;
    for (const auto& name : asset_names(*schedule.assets)) {
        const auto own = std::ranges::find(draft.dag.datasets, name, &DatasetSpec::name);
        if (own != draft.dag.datasets.end()) continue;
        if (draft.others && draft.others(name) != nullptr) continue;
        draft.problems.error(
            "E-DATASET-UNKNOWN",
            "/schedule",
            fmt::format("the asset {} is written and declared by no DAG", name),
            "declare it under \"datasets\" if it is updated from outside"
        );
    }
}

void keep_inherited(Draft& draft) {
    json inherited = json::array();
    for (auto& dataset : draft.dag.datasets) {
        if (dataset.owner.empty()) continue;
        if (!draft.stored && is_lake_tier(dataset.name.substr(0, dataset.name.find('.'))) &&
            dataset.lake != draft.dag.lake)
            draft.problems.error(
                "E-DATASET-LAKE",
                "/lake",
                fmt::format(
                    "{} lies in the lake \"{}\" of the DAG \"{}\", this DAG's lake is \"{}\"",
                    dataset.name,
                    dataset.lake,
                    dataset.owner,
                    draft.dag.lake
                )
            );
        DatasetSpec plain = dataset;
        plain.readers.clear();
        inherited.push_back(dataset_json(plain));
    }
    if (!inherited.empty()) draft.dag.files[inherited_file] = inherited.dump();
}

OtherDatasets inherited_in(const std::map<std::string, std::string>& files) {
    const auto found = files.find(inherited_file);
    if (found == files.end()) return {};
    auto known = std::make_shared<std::map<std::string, DatasetSpec>>();
    for (const auto& item : json::parse(found->second)) {
        DatasetSpec dataset = dataset_of_json(item);
        (*known)[dataset.name] = std::move(dataset);
    }
    return [known](const std::string& name) -> const DatasetSpec* {
        const auto dataset = known->find(name);
        return dataset == known->end() ? nullptr : &dataset->second;
    };
}

}  // namespace sluice::spec
