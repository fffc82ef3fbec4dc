#include "model/dataset_json.hpp"

#include <nlohmann/json.hpp>

namespace sluice {
namespace {

using Json = nlohmann::json;

Json column_json(const ColumnSpec& column) {
    return {
        {"name", column.name},
        {"type", column.type},
        {"not_null", column.not_null},
        {"class", column.pii_class},
        {"parse", column.parse},
        {"origins", column.origins},
        {"description", column.description}
    };
}

ColumnSpec column_of(const Json& json) {
    ColumnSpec column;
    json.at("name").get_to(column.name);
    json.at("type").get_to(column.type);
    json.at("not_null").get_to(column.not_null);
    json.at("class").get_to(column.pii_class);
    json.at("parse").get_to(column.parse);
    json.at("origins").get_to(column.origins);
    json.at("description").get_to(column.description);
    return column;
}

}  // namespace

Json dataset_json(const DatasetSpec& dataset) {
    Json columns = Json::array();
    for (const auto& column : dataset.columns) columns.push_back(column_json(column));
    return {
        {"name", dataset.name},
        {"columns", std::move(columns)},
        {"declared", dataset.declared},
        {"key", dataset.key},
        {"partition", dataset.partition},
        {"partition_by", dataset.partition_by},
        {"indexes", dataset.indexes},
        {"description", dataset.description},
        {"writer", dataset.writer},
        {"readers", dataset.readers},
        {"owner", dataset.owner},
        {"timezone", dataset.timezone},
        {"lake", dataset.lake}
    };
}

DatasetSpec dataset_of_json(const Json& json) {
    DatasetSpec dataset;
    json.at("name").get_to(dataset.name);
    for (const auto& column : json.at("columns")) dataset.columns.push_back(column_of(column));
    json.at("declared").get_to(dataset.declared);
    json.at("key").get_to(dataset.key);
    json.at("partition").get_to(dataset.partition);
    json.at("partition_by").get_to(dataset.partition_by);
    json.at("indexes").get_to(dataset.indexes);
    json.at("description").get_to(dataset.description);
    json.at("writer").get_to(dataset.writer);
    json.at("readers").get_to(dataset.readers);
    // Reports of older versions know nothing of other DAGs.
    dataset.owner = json.value("owner", "");
    dataset.timezone = json.value("timezone", "");
    dataset.lake = json.value("lake", "");
    return dataset;
}

}  // namespace sluice
