#include "operators/access/rules.hpp"

#include <set>

#include <nlohmann/json.hpp>

#include "base/fields.hpp"
#include "base/json_text.hpp"
#include "base/limits.hpp"

namespace sluice::access {

namespace {

using nlohmann::json;

Reader read_reader(const json& value, const std::string& pointer, Problems& problems) {
    Reader out;
    Fields fields(value, pointer, problems);
    out.views = fields.names("views").value_or(std::vector<std::string>{});
    if (out.views.empty())
        problems.error("E-ACCESS", pointer, "a reader without views can read nothing");
    if (const json* rows = fields.object("rows"))
        for (const auto& [table, rule] : rows->items()) {
            if (rule.is_string() && !rule.get<std::string>().empty())
                out.rows[table] = rule.get<std::string>();
            else
                problems.error(
                    "E-ACCESS",
                    pointer + "/rows/" + table,
                    "a rule is SQL over the table's columns that is true of the rows to be seen"
                );
        }
    fields.done();
    return out;
}

}  // namespace

std::vector<std::string> Rules::views() const {
    std::set<std::string> out;
    for (const auto& [role, reader] : readers) out.insert(reader.views.begin(), reader.views.end());
    return {out.begin(), out.end()};
}

std::vector<std::string> Rules::tables() const {
    std::set<std::string> out;
    for (const auto& [role, reader] : readers)
        for (const auto& [table, rule] : reader.rows) out.insert(table);
    return {out.begin(), out.end()};
}

std::vector<std::string> Rules::roles() const {
    std::vector<std::string> out{owner};
    if (!etl.empty()) out.push_back(etl);
    for (const auto& [role, reader] : readers) out.push_back(role);
    return out;
}

Parsed<Rules> read(std::string_view text, const std::string& file) {
    Parsed<Rules> out;
    TextDocument document = read_text(text, file, {limits::dag_file_bytes, limits::dag_file_depth});
    if (!document.value) {
        out.problems = std::move(document.problems);
        return out;
    }
    Problems problems(file, document.map);
    Rules rules;
    Fields fields(*document.value, "", problems);
    rules.etl = fields.string("etl").value_or("");
    rules.owner = fields.string("owner").value_or("sluice_views");
    if (const json* readers = fields.object("readers"))
        for (const auto& [role, value] : readers->items())
            rules.readers[role] = read_reader(value, "/readers/" + role, problems);
    fields.done();
    std::set<std::string> seen;
    for (const std::string& role : rules.roles())
        if (!seen.insert(role).second)
            problems.error(
                "E-ACCESS", "/readers", "the role \"" + role + "\" has two parts to play"
            );
    if (!problems.has_errors()) out.value = std::move(rules);
    out.problems = problems.take();
    return out;
}

}  // namespace sluice::access
