#include "operators/binding/binder.hpp"

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "operators/binding/columns.hpp"
#include "operators/engine/sql.hpp"

namespace sluice::binding {

namespace {

using nlohmann::json;

engine::DatabaseOptions options(const std::string& zone) {
    engine::DatabaseOptions out;
    out.memory_bytes = std::int64_t{256} << 20;
    out.timezone = zone;
    return out;
}

void collect(const json& node, std::set<std::string>& out) {
    if (node.is_array()) {
        for (const json& item : node) collect(item, out);
        return;
    }
    if (!node.is_object()) return;
    if (node.value("type", json()) == "BASE_TABLE" && node.contains("table_name")) {
        const std::string schema = node.value("schema_name", "");
        if (!schema.empty()) out.insert(schema + "." + node.at("table_name").get<std::string>());
    }
    for (const auto& [key, value] : node.items()) collect(value, out);
}

}  // namespace

Binder::Binder(const std::string& zone) : database_(options(zone)) {}

void Binder::add(const DatasetSpec& dataset) {
    if (dataset.columns.empty() || !tables_.insert(dataset.name).second) return;
    const std::string schema = tier_of(dataset.name);
    if (schemas_.insert(schema).second)
        database_.execute("create schema if not exists " + engine::quote(schema));
    std::string columns;
    for (const ColumnSpec& column : dataset.columns) {
        // A derived column may have a type of the engine that the language has no name for.
        const std::string type = engine::is_language_type(column.type)
                                     ? engine::type_name(engine::Dialect::duckdb, column.type)
                                     : column.type;
        columns += (columns.empty() ? "" : ", ") + engine::quote(column.name) + " " + type;
    }
    database_.execute("create table " + engine::quoted_name(dataset.name) + " (" + columns + ")");
}

Bound<std::vector<engine::ColumnInfo>> Binder::describe(const std::string& query) {
    try {
        return {database_.describe(query), ""};
    } catch (const Error& error) {
        return {std::nullopt, error.what()};
    }
}

Bound<std::vector<std::string>> names_in(engine::Database& database, const std::string& query) {
    try {
        const json tree =
            json::parse(database.text("select json_serialize_sql($1::varchar)::varchar", {query}));
        if (tree.value("error", false))
            return {std::nullopt, tree.value("error_message", "the statement cannot be read")};
        if (tree.at("statements").size() != 1)
            return {std::nullopt, "one select statement was expected"};
        std::set<std::string> found;
        collect(tree, found);
        return {std::vector<std::string>(found.begin(), found.end()), ""};
    } catch (const Error& error) {
        return {std::nullopt, error.what()};
    }
}

Bound<std::vector<std::string>> Binder::names(const std::string& query) {
    return names_in(database_, query);
}

}  // namespace sluice::binding
