#include "http/pool.hpp"

#include <utility>

namespace sluice::http {

BlockingPool::BlockingPool(std::size_t threads, std::size_t limit) : limit_(limit) {
    threads_.reserve(threads);
    for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

BlockingPool::~BlockingPool() { stop(); }

bool BlockingPool::post(std::function<void()> job) {
    const std::lock_guard lock(mutex_);
    if (stopping_ || jobs_.size() >= limit_) return false;
    jobs_.push_back(std::move(job));
    wake_one();
    return true;
}

void BlockingPool::wake_one() {
    if (idle_ == 0 || coming_) return;
    coming_ = true;
    ready_.notify_one();
}

void BlockingPool::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    ready_.notify_all();
    for (std::thread& thread : threads_)
        if (thread.joinable()) thread.join();
}

void BlockingPool::work() {
    std::unique_lock lock(mutex_);
    while (true) {
        while (!stopping_ && jobs_.empty()) {
            ++idle_;
            ready_.wait(lock);
            --idle_;
            coming_ = false;
        }
        if (jobs_.empty()) return;
        std::function<void()> job = std::move(jobs_.front());
        jobs_.pop_front();
        if (!jobs_.empty()) wake_one();
        lock.unlock();
        job();
        job = nullptr;
        lock.lock();
    }
}

}  // namespace sluice::http
