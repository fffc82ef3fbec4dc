// targets.cpp — which of the data sources can be written to, and by what.
#include <algorithm>
#include <set>

#include <nlohmann/json.hpp>

#include "operators/connect/files.hpp"
#include "operators/extract/source.hpp"
#include "task/problem.hpp"

namespace sluice::extract {

namespace {

using Json = nlohmann::json;

bool has(const std::vector<std::string>& names, const std::string& name) {
    return std::ranges::find(names, name) != names.end();
}

std::string named(const std::vector<std::string>& names, const std::string& last) {
    std::string out;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (i > 0) out += i + 1 == names.size() ? " " + last + " " : ", ";
        out += names[i];
    }
    return out;
}

/// The systems that `to` may be meant for: its connection's type is not known before the run.
std::vector<const DataSource*> meant_by(const Json& to) {
    std::vector<const DataSource*> out;
    for (const DataSource& source : sources())
        if (std::ranges::any_of(source.writes, [&](const auto& key) { return to.contains(key); }))
            out.push_back(&source);
    return out;
}

}  // namespace

const DataSource& target_of(
    const task::Connection& connection, const Json& to, const std::string& mode
) {
    const std::string begin =
        "connection \"" + connection.id + "\" is of type \"" + connection.type + "\", ";
    const auto found = std::ranges::find_if(sources(), [&](const DataSource& source) {
        return has(source.conn_types, connection.type);
    });
    if (connection.type == "postgres" || connection.type == "postgresql")
        throw Error(
            ErrorCode::invalid,
            begin +
                "which load writes as a warehouse: give its schema that connection in the DAG's "
                "\"schemas\", and let \"to\" be schema.table"
        );
    if (found == sources().end() || !found->write) {
        std::vector<std::string> types;
        for (const DataSource& source : sources())
            if (source.write)
                types.insert(types.end(), source.conn_types.begin(), source.conn_types.end());
        throw Error(
            ErrorCode::invalid,
            begin + "load writes to tables of a warehouse and to " + named(types, "and")
        );
    }
    if (std::ranges::none_of(found->writes, [&](const auto& key) { return to.contains(key); }))
        throw Error(
            ErrorCode::invalid,
            begin + "so \"to\" must say what is written by " + named(found->writes, "or")
        );
    if (!mode.empty() && !has(found->modes, mode))
        throw Error(
            ErrorCode::invalid,
            begin + "which load writes by " + named(found->modes, "or") + ", not by " + mode
        );
    return *found;
}

void check_target(task::CheckResult& result, const Json& to, const std::string& mode, bool mapped) {
    std::set<std::string> ways;
    for (const DataSource& source : sources())
        ways.insert(source.writes.begin(), source.writes.end());
    const auto meant = meant_by(to);
    if (std::ranges::count_if(ways, [&](const auto& key) { return to.contains(key); }) != 1) {
        task::problem(
            result,
            "E-LOAD-TARGET",
            "/to",
            "beside conn_id exactly one of " +
                named(std::vector<std::string>(ways.begin(), ways.end()), "and") +
                " says what is written"
        );
        return;
    }
    for (const auto& member : to.items()) {
        const std::string& key = member.key();
        const bool taken = std::ranges::any_of(meant, [&](const DataSource* source) {
            return has(source->write_keys, key);
        });
        if (key != "conn_id" && !ways.contains(key) && !taken)
            task::problem(
                result,
                "E-LOAD-TARGET",
                "/to/" + key,
                "\"" + key + "\" does not go with " + meant.front()->writes.front()
            );
    }
    if (!mode.empty() && std::ranges::none_of(meant, [&](const DataSource* source) {
            return has(source->modes, mode);
        }))
        task::problem(
            result,
            "E-LOAD-TARGET",
            "/mode",
            meant.front()->name + " are written by " + named(meant.front()->modes, "or") +
                ", not by " + mode + "; history and look-ups need a table of a schema in PostgreSQL"
        );
    if (!to.contains("path")) return;
    const std::string path = to.at("path").get<std::string>();
    if (mapped && path.find("map") == std::string::npos)
        task::problem(
            result,
            "E-LOAD-TARGET",
            "/to/path",
            "every instance of the mapped task would write the same file: let the path have its "
            "item, as {{ map.name }}"
        );
    try {
        connect::check_inside(path);
    } catch (const Error& error) {
        task::problem(result, "E-LOAD-TARGET", "/to/path", error.what());
    }
}

}  // namespace sluice::extract
