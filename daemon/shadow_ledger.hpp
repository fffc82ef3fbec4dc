// shadow_ledger.hpp — the ledger of a dry run: what the run writes is in memory, what it reads and
// has not written itself is what is live in the real lake.
#pragma once

#include <string>

#include "store/ledger.hpp"
#include "store/memory_ledger.hpp"

namespace sluice {

class ShadowLedger final : public store::Ledger {
public:
    /// Files of `real` are found under `prefix` of the run's own lake.
    ShadowLedger(store::MemoryLedger& own, store::Ledger& real, std::string prefix)
        : own_(own), real_(real), prefix_(std::move(prefix)) {}

    std::int64_t claim(const store::Claim& claim) override;
    std::vector<store::Slice> live(const store::SliceQuery& query) override;
    std::vector<store::Slice> history(const store::SliceKey& key) override;

private:
    [[nodiscard]] store::Slice from_real(store::Slice slice) const;

    store::MemoryLedger& own_;
    store::Ledger& real_;
    std::string prefix_;
};

}  // namespace sluice
