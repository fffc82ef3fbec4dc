// event_queue.hpp — many producers, one consumer that takes everything at once.
// Thread-safe. `close` wakes the consumer; what is pushed afterwards is dropped.
#pragma once

#include <chrono>
#include <condition_variable>
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
        }
        ready_.notify_one();
        return true;
    }

    /// Waits until there is something, the queue is closed or `deadline` has passed; swaps all
    /// items into `out` (cleared first). False when closed and empty.
    template <class Deadline>
    bool pop_all(std::vector<T>& out, Deadline deadline) {
        out.clear();
        std::unique_lock lock(mutex_);
        ready_.wait_until(lock, deadline, [&] { return closed_ || !items_.empty(); });
        std::swap(out, items_);
        return !(closed_ && out.empty());
    }

    void close() {
        {
            const std::lock_guard lock(mutex_);
            closed_ = true;
        }
        ready_.notify_all();
    }

private:
    std::mutex mutex_;  // guards items_ and closed_
    std::condition_variable ready_;
    std::vector<T> items_;
    bool closed_{false};
};

}  // namespace sluice
