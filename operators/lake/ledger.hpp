// ledger.hpp — what the keeper of the lake asks the daemon's ledger: which generations there are,
// and to delete, replace or roll back. The other end is daemon/lake_service.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/instant.hpp"
#include "model/attempt.hpp"
#include "task/context.hpp"

namespace sluice::lake {

/// One generation of a slice whose files are, or may be, there.
struct Generation {
    std::string dataset;
    std::string partition;
    std::string slice;
    std::int64_t number{};
    std::string state;  // writing | committed | superseded | deleted
    std::int64_t rows{};
    std::int64_t bytes{};
    std::string content_hash;
    std::vector<std::string> files;  // relative to the lake's root
    std::string folder;              // where they lie; of `writing`, where they may lie
    std::string writer;              // "dag_id.task_id"
    std::optional<Instant> interval_end;
    std::optional<Instant> committed_at;
    std::optional<Instant> superseded_at;
    bool over{false};  // `writing`, and nobody will commit it
};

/// The generations of one slice, by number; and those of a data set, cut into slices.
using Slice = std::span<const Generation>;
std::vector<Slice> slices_of(const std::vector<Generation>& generations);

/// "raw.orders dt=2026-01-05 generation 3".
std::string told(const Generation& generation);

struct Hold {
    std::string dataset;  // a name or a glob
    std::string reason;
};

/// The lake as a whole, as of the run.
struct Lake {
    std::vector<std::string> datasets;
    std::vector<Hold> holds;
    Instant as_of;  // ages count from here: the end of the run's interval, never in the future
    Instant now;
};

struct Deletion {
    Generation generation;
    std::string reason;
};

class Ledger {
public:
    explicit Ledger(task::TaskContext& context) : context_(context) {}
    [[nodiscard]] Lake lake();
    /// By partition, slice and number.
    [[nodiscard]] std::vector<Generation> generations(const std::string& dataset);
    /// Per element, whether it is deleted now: one that changed meanwhile stays.
    std::vector<bool> remove(const std::vector<Deletion>& deletions);
    void files_removed(const std::vector<Generation>& generations);
    /// `with` becomes live in place of `from`, at once. `delete_reason` "" = `from` is superseded.
    /// Throws Error(conflict) if `from` is no longer live.
    void replace(
        const Generation& from, const OutputCommit& with, const std::string& delete_reason
    );
    void roll_back(const Generation& to);

private:
    task::TaskContext& context_;
};

}  // namespace sluice::lake
