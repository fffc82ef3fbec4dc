// sources.cpp — the table of all data sources: one line each.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "operators/extract/source.hpp"

namespace sluice::extract {

const std::vector<DataSource>& sources() {
    static const std::vector<DataSource> table{
        table_source(), mysql_source(), file_source(), http_source()
    };
    return table;
}

namespace {

std::string listed(const std::vector<std::string>& names) {
    std::string out;
    for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
    return out;
}

}  // namespace

const DataSource& source_of(const task::Connection& connection, const nlohmann::json& from) {
    const auto found = std::ranges::find_if(sources(), [&](const DataSource& source) {
        return std::ranges::find(source.conn_types, connection.type) != source.conn_types.end();
    });
    const std::string begin =
        "connection \"" + connection.id + "\" is of type \"" + connection.type + "\", ";
    if (found == sources().end()) {
        std::vector<std::string> types;
        for (const DataSource& source : sources())
            types.insert(types.end(), source.conn_types.begin(), source.conn_types.end());
        throw Error(ErrorCode::invalid, begin + "extract reads from " + listed(types));
    }
    if (std::ranges::none_of(found->reads, [&](const auto& key) { return from.contains(key); }))
        throw Error(
            ErrorCode::invalid,
            begin + "so \"from\" must say what is read by one of " + listed(found->reads)
        );
    return *found;
}

}  // namespace sluice::extract
