// run_partitions.hpp — the run partitions there are, and which commit_turn serves a turn. Included
// by .cpp files of this folder only.
#pragma once

#include <string>
#include <vector>

#include "model/turn.hpp"
#include "store/pq.hpp"

namespace sluice::store {

class RunPartitions {
public:
    struct Partition {
        std::int64_t lo{};
        std::int64_t hi{};
        std::string function;  // "commit_turn_p7"
        std::string call;      // "select commit_turn_p7($1, ..., $15)"
    };

    RunPartitions();
    void read(Connection& connection);
    /// Whether `cover` has nothing to do.
    [[nodiscard]] bool covers(std::int64_t run_key) const;
    /// Makes partitions when less than an eighth of the last one is left after `run_key`. Stops
    /// nobody else; the caller, who holds the lease's `epoch`, pays some 30 ms once in 57,000 runs.
    /// Open runs are then looked for behind those there are (0022_cheaper_commits.sql).
    void cover(Connection& connection, std::int64_t epoch, std::int64_t run_key);

    /// Most turns touch one partition and use its own function, which spares the server the
    /// routing of rows and a plan over all partitions. Valid until the next `read` or `cover`.
    [[nodiscard]] const Partition& of(const Turn& turn) const;

private:
    std::vector<Partition> partitions_;
    Partition across_;  // goes through the partitioned tables
};

}  // namespace sluice::store
