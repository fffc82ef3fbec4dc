#include "operators/binding/columns.hpp"

#include <algorithm>
#include <set>

#include "base/check.hpp"
#include "operators/engine/sql.hpp"

namespace sluice::binding {

namespace {

bool same_name(std::string_view a, std::string_view b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return std::ranges::equal(a, b, {}, lower, lower);
}

/// Two classes in one column: the one that is not merely quasi, else the strictest there is.
std::string joined_class(const std::string& a, const std::string& b) {
    if (a == b || b.empty()) return a;
    if (a.empty() || a == "quasi") return b;
    if (b == "quasi") return a;
    return "sensitive";
}

}  // namespace

std::string tier_of(std::string_view dataset) {
    return std::string(dataset.substr(0, dataset.find('.')));
}

bool in_lake(std::string_view dataset) {
    const std::string tier = tier_of(dataset);
    return tier == "raw" || tier == "processed" || tier == "curated";
}

const ColumnSpec* find(const Columns& columns, std::string_view name) {
    const auto found =
        std::ranges::find_if(columns, [&](const ColumnSpec& c) { return same_name(c.name, name); });
    return found == columns.end() ? nullptr : &*found;
}

std::vector<std::string> names(const Columns& columns) {
    std::vector<std::string> out;
    for (const ColumnSpec& column : columns) out.push_back(column.name);
    return out;
}

Columns with_origins(const DatasetSpec& dataset) {
    Columns out = dataset.columns;
    for (ColumnSpec& column : out)
        if (column.origins.empty()) column.origins = {dataset.name + "." + column.name};
    return out;
}

ColumnSpec made_from(const std::string& name, const std::vector<const ColumnSpec*>& sources) {
    ColumnSpec out;
    out.name = name;
    std::set<std::string> origins;
    for (const ColumnSpec* source : sources) {
        out.pii_class = joined_class(out.pii_class, source->pii_class);
        origins.insert(source->origins.begin(), source->origins.end());
    }
    out.origins.assign(origins.begin(), origins.end());
    return out;
}

void set_types(Columns& columns, const std::vector<engine::ColumnInfo>& bound) {
    SLUICE_CHECK(columns.size() == bound.size());
    for (std::size_t i = 0; i < columns.size(); ++i)
        columns[i].type = engine::language_type(bound[i].type).value_or(bound[i].type);
}

Columns of_engine(const std::string& dataset, const std::vector<engine::ColumnInfo>& columns) {
    Columns out;
    for (const engine::ColumnInfo& column : engine::user_columns(columns)) {
        ColumnSpec spec;
        spec.name = column.name;
        spec.type = engine::language_type(column.type).value_or(column.type);
        spec.origins = {dataset + "." + column.name};
        out.push_back(std::move(spec));
    }
    return out;
}

}  // namespace sluice::binding
