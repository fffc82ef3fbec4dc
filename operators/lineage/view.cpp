#include "operators/lineage/view.hpp"

#include <map>

#include <nlohmann/json.hpp>

#include "operators/lineage/graph.hpp"

namespace sluice::lineage {

namespace {

using nlohmann::json;

json or_null(const std::string& text) { return text.empty() ? json() : json(text); }

json column_json(
    const Dag& dag, const FindDataset& find, const DatasetSpec& dataset, const ColumnSpec& column
) {
    json from = json::array();
    for (const Source& source : made(dag, find, dataset, column).from)
        from.push_back(
            {{"dataset", source.dataset},
             {"column", source.column},
             {"masking", !source.masked_by.empty()},
             {"method", or_null(source.masked_by)},
             {"attested", source.attested}}
        );
    return {
        {"name", column.name},
        {"type", column.type},
        {"class", or_null(column.pii_class)},
        {"from", std::move(from)}
    };
}

}  // namespace

std::string view(const Dag& dag) {
    std::map<std::string, const DatasetSpec*> by_name;
    for (const DatasetSpec& dataset : dag.datasets) by_name[dataset.name] = &dataset;
    const FindDataset find = [&](const std::string& name) -> const DatasetSpec* {
        const auto found = by_name.find(name);
        return found == by_name.end() ? nullptr : found->second;
    };
    json out = json::array();
    for (const auto& [name, dataset] : by_name) {
        json one{{"dataset", name}, {"dag", or_null(dataset->owner)}, {"columns", json::array()}};
        const bool own = dataset->writer != no_task && dataset->owner.empty();
        const auto number = static_cast<std::size_t>(dataset->writer);
        one["task"] = own ? json(dag.tasks[number].id) : json();
        one["operator"] = own ? json(dag.tasks[number].operator_name) : json();
        for (const ColumnSpec& column : dataset->columns)
            one["columns"].push_back(column_json(dag, find, *dataset, column));
        out.push_back(std::move(one));
    }
    return out.dump();
}

}  // namespace sluice::lineage
