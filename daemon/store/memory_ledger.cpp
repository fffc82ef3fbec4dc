#include "store/memory_ledger.hpp"

#include <algorithm>
#include <set>
#include <string>

#include "base/error.hpp"

namespace sluice::store {

std::int64_t MemoryLedger::claim(const Claim& claim) {
    const std::lock_guard lock(mutex_);
    auto& entries = slices_[claim.key];
    for (const Entry& entry : entries) {
        const AttemptKey& other = entry.claim.attempt;
        if (other.task == claim.attempt.task && other.start > claim.attempt.start) {
            throw Error(
                ErrorCode::conflict,
                "a later attempt of this task has claimed " + claim.key.dataset + " " +
                    claim.key.partition
            );
        }
    }
    const std::int64_t newest = entries.empty() ? 0 : entries.back().slice.generation;
    Entry entry{claim, {}};
    entry.slice.key = claim.key;
    entry.slice.generation = std::max(newest + 1, claim.at_least);
    entry.slice.state = "writing";
    entries.push_back(std::move(entry));
    return entries.back().slice.generation;
}

std::vector<Slice> MemoryLedger::live(const SliceQuery& query) {
    const std::lock_guard lock(mutex_);
    std::vector<Slice> found;
    for (const auto& [key, entries] : slices_) {
        if (key.dataset != query.dataset) continue;
        if (query.from && key.partition < *query.from) continue;
        if (query.to && key.partition > *query.to) continue;
        const auto live = std::ranges::find_if(entries, [](const Entry& entry) {
            return entry.slice.state == "committed";
        });
        if (live != entries.end()) found.push_back(live->slice);
    }
    if (query.latest_only && !found.empty()) {
        const std::string latest = found.back().key.partition;
        std::erase_if(found, [&](const Slice& slice) { return slice.key.partition != latest; });
    }
    return found;
}

std::vector<Slice> MemoryLedger::history(const SliceKey& key) {
    const std::lock_guard lock(mutex_);
    std::vector<Slice> found;
    const auto entries = slices_.find(key);
    if (entries == slices_.end()) return found;
    for (const Entry& entry : entries->second) found.push_back(entry.slice);
    std::ranges::reverse(found);
    return found;
}

bool MemoryLedger::may_commit(const std::vector<OutputWrite>& outputs) const {
    const std::lock_guard lock(mutex_);
    return std::ranges::all_of(outputs, [&](const OutputWrite& write) {
        const OutputCommit& output = write.output;
        const auto found = slices_.find({output.dataset, output.partition, output.slice});
        if (found == slices_.end()) return false;
        const Entry& newest = found->second.back();
        return newest.slice.generation == output.generation && newest.slice.state == "writing" &&
               newest.claim.attempt == write.key;
    });
}

void MemoryLedger::commit(const std::vector<OutputWrite>& outputs, Instant now) {
    const std::lock_guard lock(mutex_);
    for (const OutputWrite& write : outputs) {
        const OutputCommit& output = write.output;
        auto& entries = slices_[{output.dataset, output.partition, output.slice}];
        for (Entry& entry : entries) entry.slice.state = "superseded";
        Slice& live = entries.back().slice;
        live.state = "committed";
        live.rows = output.rows;
        live.bytes = output.bytes;
        live.content_hash = output.content_hash;
        live.files = output.files;
        live.input = output.input;
        live.code_hash = output.code_hash;
        live.committed_at = now;
    }
}

void MemoryLedger::keep(const SlicesKept& kept) {
    const std::lock_guard lock(mutex_);
    const auto base_of = [](const std::string& slice) { return slice.substr(0, slice.find('#')); };
    const auto is_mapped = [](const std::string& slice) {
        return slice.find('#') != std::string::npos;
    };
    const bool mapped = kept.length >= 0;
    // Slices of a warehouse are named by items; of two of one index the later is the instance's.
    const auto is_latest = [&](const SliceKey& place, const Entry& own) {
        for (const auto& [key, entries] : slices_)
            for (const Entry& other : entries)
                if (key.dataset == place.dataset && key.partition == place.partition &&
                    base_of(key.slice) == place.slice && is_mapped(key.slice) &&
                    other.slice.state == "committed" &&
                    other.claim.attempt.task.map_index == own.claim.attempt.task.map_index &&
                    other.slice.committed_at > own.slice.committed_at)
                    return false;
        return true;
    };
    std::set<SliceKey> places;  // with the base of the slice
    for (const auto& [key, entries] : slices_)
        for (const Entry& entry : entries) {
            const TaskKey& writer = entry.claim.attempt.task;
            if (entry.slice.state == "committed" && writer.run == kept.run &&
                writer.task == kept.task && is_mapped(key.slice) == mapped)
                places.insert({key.dataset, key.partition, base_of(key.slice)});
        }
    for (const SliceKey& place : places)
        for (auto& [key, entries] : slices_) {
            if (key.dataset != place.dataset || key.partition != place.partition) continue;
            const bool same = base_of(key.slice) == place.slice;
            if (key.partition.empty() && !same) continue;
            for (Entry& entry : entries) {
                if (entry.slice.state != "committed") continue;
                const int index = entry.claim.attempt.task.map_index;
                const auto is_there = [&] {
                    return index < kept.length && std::ranges::count(kept.gone, index) == 0 &&
                           is_latest(place, entry);
                };
                const bool keeps =
                    same && is_mapped(key.slice) == mapped && (!mapped || is_there());
                if (!keeps) entry.slice.state = "superseded";
            }
        }
}

}  // namespace sluice::store
