// shadow_ledger.hpp — the ledger of a dry run: what the run writes is in memory, what it reads and
// has not written itself is what is live in the real lake.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "store/ledger.hpp"
#include "store/memory_ledger.hpp"

namespace sluice {

class ShadowLedger final : public store::Ledger {
public:
    /// Brings a file of the real lake to where the run finds it.
    using Fetch = std::function<void(const std::string& file)>;
    /// Files of `real` are found under `prefix` of the run's own lake, once they are fetched.
    ShadowLedger(
        store::MemoryLedger& own, store::Ledger& real, std::string prefix, Fetch fetch = {}
    )
        : own_(own), real_(real), prefix_(std::move(prefix)), fetch_(std::move(fetch)) {}

    std::int64_t claim(const store::Claim& claim) override;
    std::vector<store::Slice> live(const store::SliceQuery& query) override;
    std::vector<store::Slice> history(const store::SliceKey& key) override;

private:
    [[nodiscard]] store::Slice from_real(store::Slice slice) const;
    void fetch(const std::vector<store::Slice>& slices) const;

    store::MemoryLedger& own_;
    store::Ledger& real_;
    std::string prefix_;
    Fetch fetch_;  // may be empty
};

}  // namespace sluice
