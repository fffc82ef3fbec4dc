// event_queue.hpp — many producers, one consumer that takes everything at once.
// Thread-safe. `close` wakes the consumer; what is pushed afterwards is dropped.
//
// To wake a thread on an idle core costs 30 to 50 us, more than an empty task takes. So a consumer
// whose last wait was short looks for a moment before it sleeps; one whose wait was long does not.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <iterator>
#include <mutex>
#include <utility>
#include <vector>

namespace sluice {

template <class T>
class EventQueue {
public:
    /// False if the queue is closed or holds `limit` items already (0 = no limit).
    bool push(T item, std::size_t limit = 0) {
        {
            const std::lock_guard lock(mutex_);
            if (closed_) return false;
            if (limit != 0 && items_.size() >= limit) return false;
            items_.push_back(std::move(item));
            filled_.store(true, std::memory_order_release);
        }
        ready_.notify_one();
        return true;
    }

    /// Many at once: the consumer is woken once, and takes them together.
    void push_all(std::vector<T> items) {
        {
            const std::lock_guard lock(mutex_);
            if (closed_) return;
            std::ranges::move(items, std::back_inserter(items_));
            filled_.store(true, std::memory_order_release);
        }
        ready_.notify_one();
    }

    /// Waits until there is something, the queue is closed or `deadline` has passed; swaps all
    /// items into `out` (cleared first). False when closed and empty.
    template <class Deadline>
    bool pop_all(std::vector<T>& out, Deadline deadline) {
        out.clear();
        const auto begin = Clock::now();
        if (was_short_) look(std::min<Clock::time_point>(begin + look_for, deadline));
        std::unique_lock lock(mutex_);
        ready_.wait_until(lock, deadline, [&] { return closed_ || !items_.empty(); });
        std::swap(out, items_);
        filled_.store(closed_, std::memory_order_relaxed);
        was_short_ = Clock::now() - begin < short_wait;
        return !(closed_ && out.empty());
    }

    /// Whether `pop_all` would return at once.
    [[nodiscard]] bool is_ready() const { return filled_.load(std::memory_order_acquire); }

    void close() {
        {
            const std::lock_guard lock(mutex_);
            closed_ = true;
            filled_.store(true, std::memory_order_release);
        }
        ready_.notify_all();
    }

private:
    using Clock = std::chrono::steady_clock;
    static constexpr std::chrono::microseconds look_for{100};
    static constexpr std::chrono::microseconds short_wait{250};

    void look(Clock::time_point until) const {
        while (!filled_.load(std::memory_order_acquire) && Clock::now() < until) {
#if defined(__x86_64__)
            __builtin_ia32_pause();
#endif
        }
    }

    std::mutex mutex_;  // guards items_ and closed_
    std::atomic<bool> filled_{false};
    bool was_short_{false};  // the consumer's own
    std::condition_variable ready_;
    std::vector<T> items_;
    bool closed_{false};
};

}  // namespace sluice
