#include "operators/lineage/sink.hpp"

#include <set>

#include <nlohmann/json.hpp>

#include "operators/binding/columns.hpp"
#include "operators/lineage/graph.hpp"
#include "operators/policy/policy.hpp"
#include "task/problem.hpp"

namespace sluice::lineage {

namespace {

using nlohmann::json;

/// By the DAG's policy and those of its mask tasks.
std::set<std::string> allowed_in(const Dag& dag, const std::string& tier) {
    std::set<std::string> policies{dag.policy};
    for (const Task& task : dag.tasks) {
        if (task.operator_name != "mask") continue;
        const json with = json::parse(task.with, nullptr, false);
        if (with.is_object()) policies.insert(with.value("policy", dag.policy));
    }
    std::set<std::string> out;
    for (const std::string& path : policies) {
        const auto text = dag.files.find(path);
        if (text == dag.files.end()) continue;
        const auto policy = policy::read(text->second, path);
        if (!policy.value) continue;
        const auto allowed = policy.value->allowed(tier);
        out.insert(allowed.begin(), allowed.end());
    }
    return out;
}

}  // namespace

void check_sink(
    const task::CheckInput& input,
    const std::string& to,
    const std::vector<ColumnSpec>& written,
    task::CheckResult& result
) {
    const std::string tier = binding::tier_of(to);
    if (tier == "raw" || tier == "processed") return;
    const DatasetSpec* known = input.dataset(to);
    const bool trusted = !input.task.attest.empty() && known != nullptr && known->declared;
    const auto allowed = allowed_in(input.dag, tier == "curated" ? tier : "warehouse");
    DatasetSpec made;
    made.name = to;
    made.columns = trusted ? known->columns : written;
    made.writer = find_task(input.dag, input.task.id);
    for (const ColumnSpec& column : made.columns) {
        if (column.pii_class.empty() || allowed.contains(column.pii_class)) continue;
        task::problem(
            result,
            "E-PII",
            "/to",
            to + "." + column.name + " would hold readable personal data of the class " +
                column.pii_class + " (" + path(input.dag, input.dataset, made, column) + ")",
            "mask it before (a mask task, or a function mask_... in SQL), drop it, or list the "
            "class "
            "under `allow` of the policy"
        );
    }
}

}  // namespace sluice::lineage
