#include "operators/binding/select_flow.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace sluice::binding {

namespace {

using nlohmann::json;

std::string lower(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    return text;
}

std::string text_of(const json& node, const char* key) {
    const auto found = node.find(key);
    return found != node.end() && found->is_string() ? found->get<std::string>() : "";
}

bool is_star(const json& item) { return text_of(item, "class") == "STAR"; }

/// Its alias, or the column's own; "" = an expression without one.
std::string output_name(const json& item) {
    const std::string alias = text_of(item, "alias");
    if (!alias.empty() || text_of(item, "class") != "COLUMN_REF") return lower(alias);
    return lower(item.at("column_names").back().get<std::string>());
}

/// A function in FROM that reads no table.
bool makes_its_own_rows(const json& node) {
    const auto function = node.find("function");
    const std::string name = function == node.end() ? "" : text_of(*function, "function_name");
    return name == "range" || name == "generate_series" || name == "unnest";
}

/// The select lists that a set operation puts together, in order.
void gather_lists(const json& node, std::vector<const json*>& out) {
    if (node.is_array()) {
        for (const json& item : node) gather_lists(item, out);
    } else if (node.is_object() && node.contains("select_list")) {
        out.push_back(&node.at("select_list"));
    } else if (node.is_object()) {
        for (const char* key : {"children", "left", "right"})
            if (node.contains(key)) gather_lists(node.at(key), out);
    }
}

bool has_some(const json& node, const char* key) {
    const auto found = node.find(key);
    return found != node.end() && found->is_structured() && !found->empty();
}

}  // namespace

SelectFlow::SelectFlow(engine::Database& database, const std::string& sql) {
    const json tree =
        json::parse(database.text("select json_serialize_sql($1::varchar)::varchar", {sql}));
    if (tree.value("error", false))
        opaque_ = true;
    else
        walk(tree.at("statements"));
}

void SelectFlow::walk(const json& node) {
    if (node.is_array()) {
        for (const json& item : node) walk(item);
        return;
    }
    if (!node.is_object()) return;
    const std::string type = text_of(node, "type");
    if (type == "BASE_TABLE") add_table(node);
    // Names for columns in the order in which they come: "as x(a, b)", "with x(a, b) as".
    for (const char* renaming : {"column_name_alias", "aliases", "replace_list", "rename_list"})
        if (has_some(node, renaming)) opaque_ = true;
    if (type == "PIVOT" || (type == "TABLE_FUNCTION" && !makes_its_own_rows(node))) opaque_ = true;
    if (type == "SET_OPERATION_NODE" || type == "RECURSIVE_CTE_NODE") add_branches(node);
    if (node.contains("select_list"))
        for (const json& item : node.at("select_list")) add_item(output_name(item), item);
    for (const auto& [key, value] : node.items()) walk(value);
}

void SelectFlow::add_table(const json& node) {
    const std::string table = text_of(node, "table_name");
    const std::string schema = text_of(node, "schema_name");
    const std::string alias = text_of(node, "alias");
    qualifiers_[lower(alias.empty() ? table : alias)].insert(
        lower(schema.empty() ? table : schema + "." + table)
    );
}

void SelectFlow::add_branches(const json& node) {
    std::vector<const json*> lists;
    gather_lists(node, lists);
    if (lists.empty()) opaque_ = true;
    for (const json* list : lists) {
        // The first one gives the names, the others follow by place.
        if (list->size() != lists.front()->size() || std::ranges::any_of(*list, is_star)) {
            opaque_ = true;
            return;
        }
        for (std::size_t i = 0; i < list->size(); ++i)
            add_item(output_name(lists.front()->at(i)), list->at(i));
    }
}

void SelectFlow::add_item(const std::string& name, const json& item) {
    if (is_star(item)) {
        if (!name.empty()) opaque_ = true;  // columns('...') as name
        return;
    }
    std::set<Reference> found;
    collect(item, found);
    if (!name.empty()) items_[name].merge(found);
}

void SelectFlow::collect(const json& node, std::set<Reference>& out) {
    if (node.is_array()) {
        for (const json& item : node) collect(item, out);
        return;
    }
    if (!node.is_object()) return;
    if (is_star(node)) opaque_ = true;
    if (text_of(node, "class") == "COLUMN_REF") {
        const json& names = node.at("column_names");
        Reference made;
        made.column = lower(names.back().get<std::string>());
        if (names.size() > 1) made.of = lower(names[names.size() - 2].get<std::string>());
        out.insert(made);
        return;
    }
    for (const auto& [key, value] : node.items()) collect(value, out);
}

void SelectFlow::add_inputs(
    const Reference& reference,
    const std::vector<NamedColumns>& inputs,
    std::vector<const ColumnSpec*>& out
) const {
    const std::size_t before = out.size();
    std::vector<const NamedColumns*> whole;
    const auto known = qualifiers_.find(reference.of);
    const auto is_meant = [&](const NamedColumns& input) {
        return known != qualifiers_.end() && known->second.contains(lower(input.name));
    };
    const auto add = [&](const ColumnSpec* column) {
        if (column != nullptr && std::ranges::find(out, column) == out.end()) out.push_back(column);
    };
    const bool of_input = std::ranges::any_of(inputs, is_meant);
    for (const NamedColumns& input : inputs) {
        if (of_input && !is_meant(input)) continue;
        add(find(input.columns, reference.column));
        // s.field may be a field of the column s.
        if (!reference.of.empty() && known == qualifiers_.end())
            add(find(input.columns, reference.of));
        // The name of a table in the place of a column is its whole row.
        const auto rows = qualifiers_.find(reference.column);
        if (reference.of.empty() && rows != qualifiers_.end() &&
            rows->second.contains(lower(input.name)))
            whole.push_back(&input);
    }
    if (out.size() == before)
        for (const NamedColumns* input : whole)
            for (const ColumnSpec& column : input->columns) add(&column);
}

void SelectFlow::follow(
    const std::string& name,
    const std::vector<NamedColumns>& inputs,
    std::set<std::string>& seen,
    std::vector<const ColumnSpec*>& out
) const {
    if (!seen.insert(name).second) return;
    const auto items = items_.find(name);
    if (items == items_.end()) return add_inputs({"", name}, inputs, out);
    for (const Reference& reference : items->second) {
        add_inputs(reference, inputs, out);
        // A select list further in may have made it; a qualifier may name that as well as a table.
        if (items_.contains(reference.column)) follow(reference.column, inputs, seen, out);
    }
}

std::vector<const ColumnSpec*> SelectFlow::sources(
    const std::string& output, const std::vector<NamedColumns>& inputs
) const {
    std::vector<const ColumnSpec*> out;
    std::set<std::string> seen;
    follow(lower(output), inputs, seen, out);
    return out;
}

}  // namespace sluice::binding
