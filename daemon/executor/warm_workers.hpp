// warm_workers.hpp — the daemon's end of the warm process (warm_process.hpp): started with the
// first worker that is wanted, again when it has gone. Thread-safe.
#pragma once

#include <array>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "task/process.hpp"

namespace sluice::executor {

class WarmWorkers {
public:
    /// `program` is the binary whose `worker --warm` is run. The spawner must outlive this.
    WarmWorkers(task::Spawner& spawner, std::string program);
    /// Ends the warm process; workers live on.
    ~WarmWorkers();
    WarmWorkers(const WarmWorkers&) = delete;
    WarmWorkers& operator=(const WarmWorkers&) = delete;

    /// A worker in `folder` with these ends. None if there is no warm process to be had: then the
    /// ends may have been given to a process that nobody knows; they are to be closed, and the
    /// worker is started anew with others.
    std::optional<task::Child> start(const std::string& folder, int socket, int out, int err);

    /// Of the warm process that runs now; 0 = none.
    [[nodiscard]] pid_t pid() const;

private:
    bool start_process();
    bool send(const std::string& folder, const std::array<int, 3>& fds);
    void end_process();
    void failed(const std::string& why);
    /// Reaps a process that has ended by itself, so that nothing of it stays.
    void watch();

    task::Spawner& spawner_;
    const std::string program_;
    mutable std::mutex mutex_;  // guards all below but watcher_
    std::optional<task::Child> process_;
    task::Fd socket_;
    int failures_{0};   // in a row
    task::Fd changed_;  // wakes the watcher
    bool stopping_{false};
    std::thread watcher_;
};

}  // namespace sluice::executor
