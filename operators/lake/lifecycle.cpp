// The rules of an object store that agree with the ledger's retention.
#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

#include "operators/connect/xml.hpp"
#include "operators/engine/failure.hpp"
#include "operators/lake/actions.hpp"

namespace sluice::lake {

using nlohmann::json;

namespace {

constexpr std::array<const char*, 3> all_tiers{"raw", "processed", "curated"};

std::string rule_id(const Task& task, const std::string& tier) {
    return "sluice-" + task.storage.prefix() + tier;
}

std::string rule_xml(const json& rule) {
    const auto element = [](const std::string& name, const std::string& content) {
        return '<' + name + '>' + content + "</" + name + '>';
    };
    const std::string prefix = rule.at("Filter").at("Prefix");
    return element(
        "Rule",
        element("ID", connect::xml_escape(rule.at("ID").get<std::string>())) +
            element("Status", "Enabled") +
            element("Filter", element("Prefix", connect::xml_escape(prefix))) +
            element("Expiration", element("Days", rule.at("Expiration").at("Days").dump())) +
            element(
                "AbortIncompleteMultipartUpload",
                element(
                    "DaysAfterInitiation",
                    rule.at("AbortIncompleteMultipartUpload").at("DaysAfterInitiation").dump()
                )
            )
    );
}

}  // namespace

std::string merged_lifecycle(
    const std::string& xml, const json& rules, const std::set<std::string>& own
) {
    std::string all;
    if (!xml.empty()) {
        const auto there = connect::parse_xml(xml, "the bucket's lifecycle");
        for (const auto& rule : connect::xml_elements(there, "Rule"))
            if (!own.contains(connect::xml_text(rule, "ID"))) all += connect::xml_source(rule);
    }
    for (const json& rule : rules) all += rule_xml(rule);
    if (all.empty()) return all;
    return "<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">" + all +
           "</LifecycleConfiguration>";
}

json lifecycle(const Task& task, const Retention& retention, bool put) {
    json rules = json::array();
    for (const auto& [tier, keep] : retention.keep) {
        if (!keep) continue;
        const bool held = std::ranges::any_of(task.lake.datasets, [&](const std::string& dataset) {
            return tier_of(dataset) == tier && matches(dataset, retention.holds);
        });
        if (held) continue;
        // The ledger decides first; the store's rule removes what the ledger cannot reach any more.
        const auto days = std::chrono::ceil<std::chrono::days>(*keep + retention.grace).count() + 1;
        rules.push_back(
            {{"ID", rule_id(task, tier)},
             {"Status", "Enabled"},
             {"Filter", {{"Prefix", task.storage.prefix() + tier + '/'}}},
             {"Expiration", {{"Days", days}}},
             {"AbortIncompleteMultipartUpload", {{"DaysAfterInitiation", 7}}}}
        );
    }
    if (!retention.holds.empty())
        task.context.warn(
            "there are holds: a store's rule knows none of them, so none is published for their "
            "tiers"
        );
    if (put && !task.dry_run) {
        std::set<std::string> own;
        for (const char* tier : all_tiers) own.insert(rule_id(task, tier));
        task.storage.put_lifecycle(merged_lifecycle(task.storage.lifecycle(), rules, own));
        task.context.info("the bucket has " + std::to_string(rules.size()) + " rules of ours");
    }
    return {{"Rules", std::move(rules)}};
}

}  // namespace sluice::lake
