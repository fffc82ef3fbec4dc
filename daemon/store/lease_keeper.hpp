// lease_keeper.hpp — keeps the lease while the loop is busy for longer than a renewal may wait
// (a load of many runs, a long commit), and cuts the journal's connection when the database has not
// answered for a whole lease. A thread with a connection of its own, opened when first needed; an
// idle loop renews by itself and this one asks nothing. Thread-safe. Included by this folder only.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/instant.hpp"

namespace sluice::store {

class Connection;

class LeaseKeeper {
public:
    using Steady = std::chrono::steady_clock;

    LeaseKeeper(std::string url, Duration lease);
    ~LeaseKeeper();
    LeaseKeeper(const LeaseKeeper&) = delete;
    LeaseKeeper& operator=(const LeaseKeeper&) = delete;

    /// The loop has taken or renewed the lease with a statement that it sent at `sent`.
    void renewed(std::int64_t epoch, Steady::time_point sent);
    /// The lease is given up or lost: keeps nothing until the next `renewed`.
    void rest();
    /// The socket of the journal's connection, to be shut down when the database does not answer;
    /// -1 = it has none. Called before the socket is closed.
    void watch(int socket);
    /// The last renewal was sent less than half a lease ago: effects may be started. Monotonic.
    [[nodiscard]] bool fresh() const;

private:
    void run();
    /// False if the lease is another's. Throws when the database gives no answer.
    bool renew(std::int64_t epoch);

    const std::string url_;
    const Duration lease_;
    std::atomic<Steady::rep> sent_at_{0};  // of the last renewal that succeeded
    std::mutex mutex_;                     // guards all below but connection_
    std::condition_variable wake_;
    std::int64_t epoch_{0};           // 0 = resting
    Steady::time_point loop_did_at_;  // when the loop itself renewed
    Steady::time_point answered_at_;  // when the database last answered anybody here
    int socket_{-1};
    bool stopping_{false};
    std::unique_ptr<Connection> connection_;  // of the thread alone
    std::thread thread_;
};

}  // namespace sluice::store
