#include "executor/thread_pool.hpp"

#include <algorithm>
#include <utility>

#include <pthread.h>

#include "base/check.hpp"

namespace sluice::executor {

ThreadPool::ThreadPool(std::size_t hot, std::size_t most, std::function<void()> pause)
    : hot_limit_(hot), most_(most), pause_(std::move(pause)) {
    SLUICE_CHECK(hot >= 1);
    SLUICE_CHECK(most >= hot);
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::push(std::vector<Work> work) {
    if (work.empty()) return;
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    std::ranges::move(work, std::back_inserter(queue_));
    if (hot_ < hot_limit_) wake_one();
}

std::size_t ThreadPool::threads() const {
    const std::lock_guard lock(mutex_);
    return threads_.size();
}

void ThreadPool::wake_one() {
    if (idle_ > permits_) {
        ++hot_;
        ++permits_;
        wake_.notify_one();
    } else if (threads_.size() < most_) {
        ++hot_;
        ++permits_;
        ++idle_;
        ++live_;
        threads_.emplace_back([this] { loop(); });
    }
}

void ThreadPool::leave() {
    const std::lock_guard lock(mutex_);
    --hot_;
    if (!queue_.empty() && hot_ < hot_limit_) wake_one();
}

void ThreadPool::enter() {
    const std::lock_guard lock(mutex_);
    ++hot_;
}

void ThreadPool::loop() {
    ::pthread_setname_np(::pthread_self(), "sluice-task");
    std::unique_lock lock(mutex_);
    for (;;) {
        wake_.wait(lock, [&] { return permits_ > 0 || (stopping_ && queue_.empty()); });
        if (permits_ == 0) break;
        --permits_;
        --idle_;
        while (work(lock) && pause_) {
            lock.unlock();
            pause_();
            lock.lock();
        }
        --hot_;
        ++idle_;
        if (!queue_.empty() && hot_ < hot_limit_) wake_one();
        if (stopping_ && queue_.empty()) wake_.notify_all();
    }
    --idle_;
    --live_;
    ended_.notify_all();
}

bool ThreadPool::work(std::unique_lock<std::mutex>& lock) {
    bool worked = false;
    while (!queue_.empty() && hot_ <= hot_limit_) {
        worked = true;
        Work work = std::move(queue_.front());
        queue_.pop_front();
        // The next thread is woken by the one that is up, not by the push.
        if (!queue_.empty() && hot_ < hot_limit_) wake_one();
        lock.unlock();
        work();
        work = nullptr;
        lock.lock();
    }
    return worked;
}

void ThreadPool::stop() {
    std::vector<std::thread> threads;
    {
        std::unique_lock lock(mutex_);
        stopping_ = true;
        wake_.notify_all();
        // Threads may still be made while the queue empties: none is joined before all are out.
        ended_.wait(lock, [&] { return live_ == 0; });
        threads.swap(threads_);
    }
    for (std::thread& thread : threads) thread.join();
}

}  // namespace sluice::executor
