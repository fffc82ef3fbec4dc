// sources.cpp — the table of all data sources: one line each.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "operators/extract/source.hpp"

namespace sluice::extract {

const std::vector<DataSource>& sources() {
    static const std::vector<DataSource> table{
        table_source(), mysql_source(), file_source(), remote_file_source(), http_source()
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
    std::vector<const DataSource*> meant;  // by the connection's type
    for (const DataSource& source : sources())
        if (std::ranges::find(source.conn_types, connection.type) != source.conn_types.end())
            meant.push_back(&source);
    const std::string begin =
        "connection \"" + connection.id + "\" is of type \"" + connection.type + "\", ";
    std::vector<std::string> names;
    if (meant.empty()) {
        for (const DataSource& source : sources())
            for (const std::string& type : source.conn_types)
                if (std::ranges::find(names, type) == names.end()) names.push_back(type);
        throw Error(ErrorCode::invalid, begin + "extract reads from " + listed(names));
    }
    for (const DataSource* source : meant) {
        if (std::ranges::any_of(source->reads, [&](const auto& key) { return from.contains(key); }))
            return *source;
        names.insert(names.end(), source->reads.begin(), source->reads.end());
    }
    throw Error(
        ErrorCode::invalid, begin + "so \"from\" must say what is read by one of " + listed(names)
    );
}

}  // namespace sluice::extract
