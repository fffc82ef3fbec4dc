// owners_work.hpp — work that is begun whenever this daemon becomes owner of the run state and
// ended whenever it is one no more, on a thread of its own, as neither may hold up the loop.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace sluice {

class OwnersWork {
public:
    /// `begin` may throw: it is tried again.
    OwnersWork(std::function<void()> begin, std::function<void()> end);
    ~OwnersWork();
    OwnersWork(const OwnersWork&) = delete;
    OwnersWork& operator=(const OwnersWork&) = delete;

    /// From any thread; returns at once.
    void set(bool owner);
    /// The first beginning, if this daemon is the owner, on the caller's thread and with its
    /// exceptions; then the thread takes over.
    void begin();
    /// No more beginnings; what was begun goes on. Idempotent.
    void stop();

private:
    void run();

    const std::function<void()> begin_;
    const std::function<void()> end_;
    std::mutex mutex_;  // guards all below
    std::condition_variable wake_;
    bool wanted_{false};
    bool begun_{false};
    bool stopping_{false};
    std::thread thread_;
};

}  // namespace sluice
