// lake_store.hpp — the ledger as the keeper of the lake sees it: every generation there is, and
// what may be done to them outside a task's success: delete, replace, roll back; and the legal
// holds. Thread-safe. Errors: Error.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/turn.hpp"
#include "store/ledger.hpp"

namespace sluice::store {

/// A generation whose files are, or may be, still there.
struct Generation {
    Slice slice;
    AttemptKey attempt;
    std::string dag_id;
    std::string task_id;
    std::optional<Interval> interval;
    std::optional<Instant> superseded_at;
    bool over{false};  // `writing`, and its attempt has ended: nobody will commit it
};

struct GenerationKey {
    SliceKey key;
    std::int64_t generation{};
};

struct Deletion {
    GenerationKey what;
    std::string state;  // what it was when that was decided; another one now = it stays
    std::string reason;
};

/// A slice rewritten by the keeper: `with.generation` was claimed, `from` is what it was made of.
struct Replacement {
    GenerationKey from;
    OutputCommit with;
    AttemptKey attempt;
    std::string by;
    std::string delete_reason;  // "" = the old generation is superseded, else deleted for this
};

struct LakeHold {
    std::int64_t id{};
    std::string dataset;
    std::string reason;
    std::string placed_by;
    Instant placed_at;
    std::string lifted_by;  // "" = in force
    std::optional<Instant> lifted_at;
};

class LakeStore {
public:
    explicit LakeStore(ConnectionPool& pool) : pool_(pool) {}

    /// Names of the data sets of the lake that have generations, in order.
    std::vector<std::string> datasets();
    /// Those of a data set whose files are not known to be gone; by partition, slice, generation.
    std::vector<Generation> generations(const std::string& dataset);
    /// Per element, whether it is deleted now.
    std::vector<bool> remove(const std::vector<Deletion>& deletions, const std::string& by);
    /// Their files are gone.
    void files_removed(const std::vector<GenerationKey>& generations);
    /// Throws Error(conflict) if the slice changed since `from` was read.
    void replace(const Replacement& replacement);
    /// Makes a superseded generation the live one. Throws Error(conflict) if its files were
    /// removed.
    void roll_back(const GenerationKey& to);

    /// Those in force first, then the lifted ones; the newest first.
    std::vector<LakeHold> holds();
    std::int64_t place_hold(
        const std::string& dataset, const std::string& reason, const AuditEntry& audit
    );
    /// false = there is no such hold in force.
    bool lift_hold(std::int64_t id, const AuditEntry& audit);

private:
    ConnectionPool& pool_;
};

}  // namespace sluice::store
