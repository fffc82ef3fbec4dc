#include "operators/lake/retention.hpp"

#include <algorithm>

#include <fnmatch.h>

namespace sluice::lake {
namespace {

/// The generations that were committed once and have files, the newest first.
std::vector<const Generation*> whole(Slice slice) {
    std::vector<const Generation*> found;
    for (const Generation& one : slice)
        if (one.state == "committed" || one.state == "superseded") found.push_back(&one);
    std::ranges::reverse(found);
    return found;
}

std::optional<Duration> kept_for(const Retention& retention, const std::string& dataset) {
    const auto found = retention.keep.find(tier_of(dataset));
    return found == retention.keep.end() ? std::nullopt : found->second;
}

/// True: the slice's time is over.
bool expired(
    Slice slice,
    const std::vector<const Generation*>& generations,
    const Retention& retention,
    Instant as_of
) {
    const auto keep = kept_for(retention, slice.front().dataset);
    if (!keep || generations.empty()) return false;
    const bool being_written = std::ranges::any_of(slice, [](const Generation& one) {
        return one.state == "writing" && !one.over;
    });
    if (being_written) return false;
    std::optional<Instant> end;
    for (const Generation* one : generations) {
        const auto mine = one->interval_end ? one->interval_end : one->committed_at;
        if (mine && (!end || *mine > *end)) end = mine;
    }
    return end && *end + *keep <= as_of;
}

void judge(
    Slice slice, const Retention& retention, Instant as_of, Instant now, std::vector<Deletion>& out
) {
    const bool held = matches(slice.front().dataset, retention.holds);
    for (const Generation& one : slice) {
        if (one.state == "deleted") out.push_back({one, "its files were left"});
        if (one.state == "writing" && one.over) out.push_back({one, "never committed"});
    }
    if (held) return;
    const auto generations = whole(slice);
    if (expired(slice, generations, retention, as_of)) {
        const auto keep = kept_for(retention, slice.front().dataset);
        const std::string reason =
            tier_of(slice.front().dataset) + " is kept " + format_duration(keep.value());
        for (const Generation* one : generations) out.push_back({*one, reason});
        return;
    }
    const auto least = static_cast<std::size_t>(retention.min_generations);
    for (std::size_t i = least; i < generations.size(); ++i) {
        const Generation& one = *generations[i];
        // After a rollback the live one may stand behind the newest.
        if (one.state != "superseded") continue;
        if (one.superseded_at && *one.superseded_at + retention.grace > now) continue;
        out.push_back({one, "beyond the newest " + std::to_string(least)});
    }
}

}  // namespace

std::string tier_of(const std::string& dataset) { return dataset.substr(0, dataset.find('.')); }

bool matches(const std::string& dataset, const std::vector<std::string>& globs) {
    return std::ranges::any_of(globs, [&](const std::string& glob) {
        return ::fnmatch(glob.c_str(), dataset.c_str(), 0) == 0;
    });
}

std::vector<Deletion> outlived(
    const std::vector<Generation>& generations,
    const Retention& retention,
    Instant as_of,
    Instant now
) {
    std::vector<Deletion> out;
    for (const Slice slice : slices_of(generations)) judge(slice, retention, as_of, now, out);
    return out;
}

}  // namespace sluice::lake
