#include "owners_work.hpp"

#include <chrono>
#include <exception>
#include <utility>

#include <spdlog/spdlog.h>

namespace sluice {

OwnersWork::OwnersWork(std::function<void()> begin, std::function<void()> end)
    : begin_(std::move(begin)), end_(std::move(end)) {}

OwnersWork::~OwnersWork() { stop(); }

void OwnersWork::set(bool owner) {
    {
        const std::lock_guard lock(mutex_);
        wanted_ = owner;
    }
    wake_.notify_all();
}

void OwnersWork::begin() {
    const bool now = [&] {
        const std::lock_guard lock(mutex_);
        return wanted_;
    }();
    if (now) begin_();
    begun_ = now;
    thread_ = std::thread([this] { run(); });
}

void OwnersWork::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void OwnersWork::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        wake_.wait(lock, [this] { return stopping_ || wanted_ != begun_; });
        if (stopping_) return;
        const bool wanted = wanted_;
        lock.unlock();
        bool done = true;
        try {
            wanted ? begin_() : end_();
        } catch (const std::exception& error) {
            // The database went away, or the role changed meanwhile.
            spdlog::warn("what the owner of the run state does could not begin: {}", error.what());
            done = false;
        }
        lock.lock();
        if (done) {
            begun_ = wanted;
        } else {
            wake_.wait_for(lock, std::chrono::seconds{1}, [this] { return stopping_; });
        }
    }
}

}  // namespace sluice
