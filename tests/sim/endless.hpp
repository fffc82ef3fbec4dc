// endless.hpp — ends a simulator whose core does not come back from a turn.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

namespace sluice::sim {

/// One step takes milliseconds. One that has worked for `most` seconds of CPU never ends: `tell`
/// is called, while the step goes on, and the program ends with 1.
class EndlessWatch {
public:
    explicit EndlessWatch(std::function<void()> tell, double most = 8)
        : tell_(std::move(tell)),
          most_(most),
          thread_([this](const std::stop_token& stop) { watch(stop); }) {}

    /// A step has ended.
    void moved() { moved_.fetch_add(1, std::memory_order_release); }

private:
    static double cpu_seconds() {
        timespec used{};
        ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
        return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
    }

    void watch(const std::stop_token& stop) {
        std::mutex mutex;
        std::condition_variable_any stopped;
        std::unique_lock lock(mutex);
        std::int64_t seen = -1;
        double since = 0;
        while (!stop.stop_requested()) {
            if (const auto now = moved_.load(std::memory_order_acquire); now != seen) {
                seen = now;
                since = cpu_seconds();
            } else if (cpu_seconds() - since > most_) {
                tell_();
                std::_Exit(1);
            }
            stopped.wait_for(lock, stop, std::chrono::milliseconds{200}, [] { return false; });
        }
    }

    std::function<void()> tell_;
    double most_;
    std::atomic<std::int64_t> moved_{0};
    std::jthread thread_;  // last: it uses the others
};

}  // namespace sluice::sim
