// asset.hpp — assets: names (each data set is one) that successful tasks update, the conditions
// that make runs of their updates, and the rows that say which run took which update.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/instant.hpp"

namespace sluice {

/// `all` or `any` of names and of nested conditions.
struct AssetCondition {
    bool any{false};
    std::vector<std::string> names;
    std::vector<AssetCondition> nested;
    friend bool operator==(const AssetCondition&, const AssetCondition&) = default;
};
/// Every name in it.
std::set<std::string> asset_names(const AssetCondition& condition);
/// Whether the names that are updated are enough.
bool is_met(const AssetCondition& condition, const std::set<std::string>& updated);
/// A part of `updated` that is enough by itself and has no name too many; empty if there is none.
/// Of several ways the one that comes first in the condition is taken.
std::set<std::string> enough(const AssetCondition& condition, const std::set<std::string>& updated);
/// {"all": [...]} or {"any": [...]}, canonical.
std::string asset_condition_json(const AssetCondition& condition);

/// One update of an asset. Ids grow by one and are given by core.
struct AssetEvent {
    std::int64_t id{0};
    std::string asset;
    Instant at;
    std::string extra{"{}"};  // JSON object
    // The task whose success it is; empty for an event that a user has pushed.
    std::string dag_id;
    std::string run_id;
    std::string task_id;
    MapIndex map_index{unmapped};
    std::optional<Interval> interval;  // data interval of that run
    std::string user;                  // who pushed it
};

/// Events of the asset up to `seen` are no concern of the DAG any more: taken by a run, deleted,
/// or older than its interest.
struct AssetMark {
    std::string dag_id;
    std::string asset;
    std::int64_t seen{0};
    bool forgotten{false};  // in a Turn: the row is to go
};

/// A run was made of this event, among others.
struct AssetUse {
    RunKey run;
    std::int64_t event{0};
};

}  // namespace sluice
