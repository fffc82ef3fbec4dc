// pool.hpp — a fixed number of threads that run handlers, which may block. Thread-safe.
//
// One thread is woken at a time, and wakes the next before it begins when more is waiting: many
// short handlers are done by the few that are up, and one that blocks holds up nobody.
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
    void wake_one();  // mutex_ held

    const std::size_t limit_;
    std::mutex mutex_;  // guards all below but threads_
    std::condition_variable ready_;
    std::deque<std::function<void()>> jobs_;
    std::size_t idle_{0};  // threads that wait
    bool coming_{false};   // one of them has been woken
    bool stopping_{false};
    std::vector<std::thread> threads_;
};

}  // namespace sluice::http
