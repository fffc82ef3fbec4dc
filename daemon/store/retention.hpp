// retention.hpp — the end of old run state: a partition goes when all its runs are finished, old
// and not held; with it their runs' rows and all that is counted for them. On a connection of its
// own, and never in the way of commits: what is deleted is finished, partitions are detached
// concurrently. One user at a time of an object; several on one database do no harm.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/instant.hpp"

namespace sluice::store {

class Connection;

class Retention {
public:
    explicit Retention(std::string url);
    ~Retention();
    Retention(const Retention&) = delete;
    Retention& operator=(const Retention&) = delete;

    struct Part {
        int number{};
        std::int64_t lo{};  // run keys [lo, hi)
        std::int64_t hi{};
        std::int64_t runs{};
        bool may_go{false};
        std::string why;  // why it stays
    };
    /// Every partition, oldest first. Throws Error(unavailable).
    std::vector<Part> plan(Duration keep);

    /// A run whose state is gone: its logs may go too.
    using Gone = std::function<void(const std::string& dag_id, const std::string& run_id)>;
    /// Drops what may go and finishes what an earlier call was stopped in. Returns how many runs
    /// went.
    std::int64_t apply(Duration keep, const Gone& gone);

    /// Asked between two bits of work; false = the rest another time.
    using GoOn = std::function<bool()>;
    /// Removes what is left of runs that were deleted, bit by bit. Returns how many are gone whole.
    std::int64_t sweep_deleted(const Gone& gone, const GoOn& go_on);

    /// Those of the hashes that some run counts: for Artefacts::sweep.
    std::set<std::string> counted(const std::vector<std::string>& hashes);
    /// Delivered callbacks of finished runs, older than `age`.
    void forget_delivered(Duration age);

private:
    Connection& connected();
    template <class Work>
    auto guarded(Work work);
    std::int64_t drop(const Part& part, Duration keep, const Gone& gone);
    void drop_leftovers();

    const std::string url_;
    std::unique_ptr<Connection> connection_;
};

}  // namespace sluice::store
