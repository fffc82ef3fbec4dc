#include "operator_catalogue.hpp"

#include <algorithm>
#include <string_view>

#include "operators/operators.hpp"
#include "task/operator.hpp"

namespace sluice {
namespace {

/// What the language knows and this version does not: read, then refused by name.
constexpr std::string_view later[] = {
    "approval",   "branch",    "dbt",       "email",           "extract",       "hitl_branch",
    "hitl_entry", "http",      "lake",      "latest_only",     "load",          "mask",
    "python",     "reconcile", "report",    "sensor",          "short_circuit", "spark",
    "sql",        "stream",    "transform", "trigger_dag_run", "validate",
};

std::vector<OperatorInfo> operator_infos() {
    std::vector<OperatorInfo> infos;
    for (const auto& op : ops::all_operators())
        infos.push_back({
            .name = op.name,
            .summary = op.summary,
            .schema = op.schema,
            .isolation = op.traits.isolation,
            .idempotent = op.traits.idempotent,
            .data = op.traits.data,
            .hands_over = op.traits.hands_over,
        });
    for (const auto name : later) {
        const bool here =
            std::ranges::any_of(infos, [&](const auto& info) { return info.name == name; });
        if (here) continue;
        infos.push_back({
            .name = std::string(name),
            .summary = "comes with a later version",
            .schema = "{}",
            .not_yet = true,
        });
    }
    return infos;
}

}  // namespace

const Catalogue& operator_catalogue() {
    static const Catalogue catalogue{operator_infos()};
    return catalogue;
}

}  // namespace sluice
