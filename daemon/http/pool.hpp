// pool.hpp — a fixed number of threads that run blocking handlers. Thread-safe.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace sluice::http {

class BlockingPool {
public:
    BlockingPool(std::size_t threads, std::size_t limit);
    ~BlockingPool();
    BlockingPool(const BlockingPool&) = delete;
    BlockingPool& operator=(const BlockingPool&) = delete;

    /// False when `limit` jobs are waiting already, or after stop.
    bool post(std::function<void()> job);
    /// Runs what is waiting, then joins.
    void stop();

private:
    void work();

    const std::size_t limit_;
    std::mutex mutex_;  // guards jobs_ and stopping_
    std::condition_variable ready_;
    std::deque<std::function<void()>> jobs_;
    bool stopping_{false};
    std::vector<std::thread> threads_;
};

}  // namespace sluice::http
