// memory_ledger.hpp — the Ledger in memory, for `sluice dags test` and tests. Thread-safe.
#pragma once

#include <map>
#include <mutex>
#include <vector>

#include "model/turn.hpp"
#include "store/ledger.hpp"

namespace sluice::store {

class MemoryLedger final : public Ledger {
public:
    std::int64_t claim(const Claim& claim) override;
    std::vector<Slice> live(const SliceQuery& query) override;
    std::vector<Slice> history(const SliceKey& key) override;

    /// True if every output's generation is the newest of its slice and still being written.
    [[nodiscard]] bool may_commit(const std::vector<OutputWrite>& outputs) const;
    void commit(const std::vector<OutputWrite>& outputs, Instant now);
    /// What commit_x_slices of the database does.
    void keep(const SlicesKept& kept);

private:
    struct Entry {
        Claim claim;
        Slice slice;
    };
    mutable std::mutex mutex_;                       // guards slices_
    std::map<SliceKey, std::vector<Entry>> slices_;  // generations ascending
};

}  // namespace sluice::store
