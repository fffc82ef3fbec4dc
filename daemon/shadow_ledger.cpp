#include "shadow_ledger.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace sluice {

store::Slice ShadowLedger::from_real(store::Slice slice) const {
    auto files = nlohmann::json::parse(slice.files.empty() ? "[]" : slice.files);
    for (auto& file : files) file["path"] = prefix_ + '/' + file.at("path").get<std::string>();
    slice.files = files.dump();
    return slice;
}

void ShadowLedger::fetch(const std::vector<store::Slice>& slices) const {
    if (!fetch_) return;
    for (const store::Slice& slice : slices)
        for (const auto& file : nlohmann::json::parse(slice.files.empty() ? "[]" : slice.files)) {
            const auto path = file.at("path").get<std::string>();
            if (path.starts_with(prefix_ + '/')) fetch_(path.substr(prefix_.size() + 1));
        }
}

std::int64_t ShadowLedger::claim(const store::Claim& claim) { return own_.claim(claim); }

std::vector<store::Slice> ShadowLedger::live(const store::SliceQuery& query) {
    std::vector<store::Slice> found = own_.live(query);
    const std::size_t own = found.size();
    for (store::Slice& slice : real_.live(query)) {
        const auto written = std::find_if(
            found.begin(),
            found.begin() + static_cast<std::ptrdiff_t>(own),
            [&](const auto& one) { return one.key == slice.key; }
        );
        if (written == found.begin() + static_cast<std::ptrdiff_t>(own))
            found.push_back(from_real(std::move(slice)));
    }
    std::ranges::sort(found, {}, &store::Slice::key);
    if (query.latest_only && !found.empty()) {
        const std::string latest = found.back().key.partition;
        std::erase_if(found, [&](const auto& slice) { return slice.key.partition != latest; });
    }
    fetch(found);
    return found;
}

std::vector<store::Slice> ShadowLedger::history(const store::SliceKey& key) {
    std::vector<store::Slice> found = own_.history(key);
    if (!found.empty()) return found;
    for (store::Slice& slice : real_.history(key)) found.push_back(from_real(std::move(slice)));
    return found;
}

}  // namespace sluice
