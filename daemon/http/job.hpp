// job.hpp — a request on its way through pool threads, and where its reply arrives if it comes
// later. For server.cpp and session.cpp only.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "http/later.hpp"

namespace sluice::http {

/// A request on its way through pool threads.
struct Job {
    explicit Job(Request incoming) : request(std::move(incoming)) {}
    Request request;
    std::string path;
    std::chrono::steady_clock::time_point begin{std::chrono::steady_clock::now()};
    Reply reply;
    std::mutex mutex;              // guards later
    std::shared_ptr<Later> later;  // where the reply comes from, if not from the handler

    // On the io thread.
    bool done{false};
    bool given_up{false};        // the server stops, nobody waits for the reply any more
    std::function<void()> wake;  // whoever waits looks at the two above
};

/// A reply that can be made now.
struct Ready {
    std::weak_ptr<Job> job;
    Later::Make make;
};

/// Where replies that come later arrive, from threads that may outlive the server.
class Desk {
public:
    explicit Desk(std::function<void()> come) : come_(std::move(come)) {}

    /// The first calls whoever makes them all.
    void put(Ready ready) {
        const std::lock_guard lock(mutex_);
        if (!come_) return;
        ready_.push_back(std::move(ready));
        if (ready_.size() == 1) come_();
    }
    std::vector<Ready> take() {
        const std::lock_guard lock(mutex_);
        return std::exchange(ready_, {});
    }
    void close() {
        const std::lock_guard lock(mutex_);
        come_ = nullptr;
    }
    bool closed() {
        const std::lock_guard lock(mutex_);
        return !come_;
    }

private:
    std::mutex mutex_;  // guards all below
    std::function<void()> come_;
    std::vector<Ready> ready_;
};

/// On a pool thread: what `make` throws is a 500 that tells nothing.
void make_reply(Job& job, const Later::Make& make) noexcept;

}  // namespace sluice::http
