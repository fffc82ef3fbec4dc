#include "model/asset.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace sluice {
namespace {

void collect(const AssetCondition& condition, std::set<std::string>& names) {
    names.insert(condition.names.begin(), condition.names.end());
    for (const auto& part : condition.nested) collect(part, names);
}

nlohmann::json json_of(const AssetCondition& condition) {
    nlohmann::json parts = condition.names;
    for (const auto& part : condition.nested) parts.push_back(json_of(part));
    return {{condition.any ? "any" : "all", std::move(parts)}};
}

}  // namespace

std::set<std::string> asset_names(const AssetCondition& condition) {
    std::set<std::string> names;
    collect(condition, names);
    return names;
}

bool is_met(const AssetCondition& condition, const std::set<std::string>& updated) {
    const auto name_met = [&](const std::string& name) { return updated.contains(name); };
    const auto part_met = [&](const AssetCondition& part) { return is_met(part, updated); };
    if (condition.any)
        return std::ranges::any_of(condition.names, name_met) ||
               std::ranges::any_of(condition.nested, part_met);
    return std::ranges::all_of(condition.names, name_met) &&
           std::ranges::all_of(condition.nested, part_met);
}

std::set<std::string> enough(
    const AssetCondition& condition, const std::set<std::string>& updated
) {
    if (!is_met(condition, updated)) return {};
    if (condition.any) {
        for (const auto& name : condition.names)
            if (updated.contains(name)) return {name};
        for (const auto& part : condition.nested)
            if (is_met(part, updated)) return enough(part, updated);
    }
    std::set<std::string> out(condition.names.begin(), condition.names.end());
    for (const auto& part : condition.nested) out.merge(enough(part, updated));
    return out;
}

std::string asset_condition_json(const AssetCondition& condition) {
    return json_of(condition).dump();
}

}  // namespace sluice
