// ledger.hpp — the record of lake slices: who may write which generation, and which one is live.
// A slice goes live in the commit of its attempt's success (Turn::outputs), never here.
// PgLedger is thread-safe. Errors: Error.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/instant.hpp"

namespace sluice::store {

struct SliceKey {
    std::string dataset;
    std::string partition;  // "dt=2026-01-05", "" = unpartitioned
    std::string slice;      // "" = the whole partition
    friend auto operator<=>(const SliceKey&, const SliceKey&) = default;
};

/// An attempt asks for a place to write.
struct Claim {
    SliceKey key;
    AttemptKey attempt;
    std::string dag_id;
    std::string run_id;
    std::string task_id;
    int try_number{1};
    std::optional<Interval> interval;
    std::int64_t at_least{0};  // generations already seen in the target
};

/// One generation of a slice.
struct Slice {
    SliceKey key;
    std::int64_t generation{};
    std::string state;  // writing | committed | superseded | deleted
    std::int64_t rows{};
    std::int64_t bytes{};
    std::string content_hash;  // 32 hex digits
    std::string files;         // JSON array of {path, rows, bytes}
    std::string input;         // JSON array of {dataset, partition, slice, generation}
    std::string code_hash;
    std::optional<Instant> committed_at;
};

/// Which live slices: all partitions, or a range of labels (they sort by time), or of that range
/// the newest partition only.
struct SliceQuery {
    std::string dataset;
    std::optional<std::string> from;  // inclusive
    std::optional<std::string> to;    // inclusive
    bool latest_only{false};
};

class Ledger {
public:
    Ledger() = default;
    Ledger(const Ledger&) = delete;
    Ledger& operator=(const Ledger&) = delete;
    virtual ~Ledger() = default;

    /// A new generation, larger than any of the slice and not below `at_least`. Throws
    /// Error(conflict) if a later attempt of the same instance has claimed the slice.
    virtual std::int64_t claim(const Claim& claim) = 0;
    /// Committed slices in order of partition and slice.
    virtual std::vector<Slice> live(const SliceQuery& query) = 0;
    /// Every generation of a slice, newest first.
    virtual std::vector<Slice> history(const SliceKey& key) = 0;
};

class ConnectionPool;

class PgLedger final : public Ledger {
public:
    explicit PgLedger(ConnectionPool& pool) : pool_(pool) {}
    std::int64_t claim(const Claim& claim) override;
    std::vector<Slice> live(const SliceQuery& query) override;
    std::vector<Slice> history(const SliceKey& key) override;

private:
    ConnectionPool& pool_;
};

}  // namespace sluice::store
