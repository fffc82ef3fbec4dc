// thread_pool.hpp — many tasks on few awake threads. Thread-safe.
//
// Only `hot` threads take work at a time, and a push wakes at most one of them: 64 empty tasks are
// done by the thread that is awake anyway. A task that is about to wait (for a child process, a
// server) says so with `Blocking`; its place among the hot threads goes to another thread, made if
// need be, up to `most`.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace sluice::executor {

class ThreadPool {
public:
    using Work = std::function<void()>;

    /// `pause` is called by a thread that has worked and finds nothing more to do.
    ThreadPool(std::size_t hot, std::size_t most, std::function<void()> pause = {});
    /// Same as stop().
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    /// After stop() the work is dropped.
    void push(std::vector<Work> work);
    /// Finishes everything that was pushed and joins.
    void stop();
    [[nodiscard]] std::size_t threads() const;

    /// While it lives the calling pool thread does not count as hot.
    class Blocking {
    public:
        explicit Blocking(ThreadPool& pool) : pool_(pool) { pool_.leave(); }
        ~Blocking() { pool_.enter(); }
        Blocking(const Blocking&) = delete;
        Blocking& operator=(const Blocking&) = delete;

    private:
        ThreadPool& pool_;
    };

private:
    void leave();
    void enter();
    void wake_one();  // mutex_ held
    void loop();
    /// Takes work until there is none for this thread. False: there was none at all.
    bool work(std::unique_lock<std::mutex>& lock);

    const std::size_t hot_limit_;
    const std::size_t most_;
    const std::function<void()> pause_;
    mutable std::mutex mutex_;  // guards all below
    std::condition_variable wake_;
    std::condition_variable ended_;
    std::deque<Work> queue_;
    std::vector<std::thread> threads_;
    std::size_t hot_{0};      // threads that take work, permits included
    std::size_t permits_{0};  // woken threads that are not up yet
    std::size_t idle_{0};     // threads that wait, those with a permit included
    std::size_t live_{0};     // threads that have not ended
    bool stopping_{false};
};

}  // namespace sluice::executor
