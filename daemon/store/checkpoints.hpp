// checkpoints.hpp — what a running attempt wants the next one to know. Written while it runs,
// outside the turns of the loop: durable when `save` returns, and only by the attempt that runs. A
// turn that ends the task well, or clears it, drops it. Thread-safe.
#pragma once

#include <string>

#include "base/ids.hpp"
#include "store/connection_pool.hpp"

namespace sluice::store {

class Checkpoints {
public:
    explicit Checkpoints(ConnectionPool& pool) : pool_(pool) {}

    /// `state` is JSON text. Throws Error: `conflict` when the attempt is no longer the running
    /// one, `limit` over inline_value_bytes, `unavailable`.
    void save(const AttemptKey& attempt, const std::string& state);
    /// "null" = there is none.
    std::string load(const TaskKey& task);

private:
    ConnectionPool& pool_;
};

/// Throws Error(limit) for a state over inline_value_bytes.
void check_checkpoint_size(const std::string& state);

}  // namespace sluice::store
