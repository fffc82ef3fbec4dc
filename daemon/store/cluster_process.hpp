// cluster_process.hpp — the processes of the private PostgreSQL. Included by .cpp files of this
// folder only.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include <sys/types.h>

#include "store/cluster_files.hpp"

namespace sluice::store {

/// Runs a program as the owner, with at most 4 KiB of input, and returns what it wrote. Throws
/// Error if it cannot be started.
std::string run_and_wait(
    const Owner& owner, const std::vector<std::string>& command, const std::string& input = ""
);

/// A running server: our child, or one that a dead daemon left behind.
class Server {
public:
    Server() = default;
    ~Server();
    Server(Server&& other) noexcept { *this = std::move(other); }
    Server& operator=(Server&& other) noexcept;

    /// Its output is appended to `log`. Throws Error.
    static Server spawn(
        const Owner& owner,
        const std::vector<std::string>& command,
        const std::filesystem::path& log
    );
    static Server adopt(pid_t pid);

    [[nodiscard]] bool alive() const;
    /// Asks it to end, after `patience` to end at once, and then ends it. Idempotent.
    void stop(std::chrono::milliseconds patience);

    pid_t pid{0};

private:
    [[nodiscard]] bool wait_for_end(std::chrono::milliseconds patience);

    int handle_{-1};  // pidfd: the process, whoever gets its number later
    bool child_{false};
};

}  // namespace sluice::store
