// retention.hpp — which generations of the lake have had their time. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "operators/lake/ledger.hpp"

namespace sluice::lake {

struct Retention {
    std::map<std::string, std::optional<Duration>> keep;  // by tier; none = for ever
    int min_generations{2};  // newest ones of a slice, the live one counted, that no age removes
    Duration grace{std::chrono::hours{24}};  // readers of a replaced generation finish in it
    std::vector<std::string> holds;          // names or globs: nothing of them is deleted
};

/// "raw.orders" -> "raw".
std::string tier_of(const std::string& dataset);
/// `*`, `?` and `[...]` as in a shell.
bool matches(const std::string& dataset, const std::vector<std::string>& globs);

/// What of one data set goes, and why:
/// - a slice whose interval (or last write, if it has none) ended longer ago than its tier is kept,
///   with all its generations, unless somebody is writing it anew;
/// - what was replaced longer than `grace` ago, beyond the newest `min_generations`;
/// - what an attempt left that ended without committing it;
/// - what was deleted before and still has files.
/// `generations` are in order of partition, slice and number.
std::vector<Deletion> outlived(
    const std::vector<Generation>& generations,
    const Retention& retention,
    Instant as_of,
    Instant now
);

}  // namespace sluice::lake
