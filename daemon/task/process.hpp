// process.hpp — child processes: one thread starts them all, each is the leader of its own group.
// Spawner is thread-safe; a Child belongs to one thread. Errors: Error, naming the program.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace sluice::task {

/// A file descriptor that closes itself.
class Fd {
public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(other.release()) {}
    Fd& operator=(Fd&& other) noexcept;
    ~Fd() { reset(); }
    [[nodiscard]] int get() const { return fd_; }
    [[nodiscard]] explicit operator bool() const { return fd_ >= 0; }
    int release();
    void reset();

private:
    int fd_{-1};
};

struct Pipe {
    Fd read;
    Fd write;
};
/// Both ends close on exec. Throws Error when the process has no descriptors left.
Pipe make_pipe();

struct Command {
    std::vector<std::string> argv;         // argv[0] is looked up in the PATH of `environment`
    std::vector<std::string> environment;  // "NAME=value", the whole of it
    std::string cwd;                       // "" = the daemon's
    int stdin_fd{-1};                      // -1 = /dev/null
    int stdout_fd{-1};
    int stderr_fd{-1};
    int extra_fd{-1};  // becomes descriptor 3
};

/// How a child ended.
struct ChildExit {
    int exit_code{-1};  // -1 = ended by `signal`
    int signal{0};
};

/// A started process. Its group is ended and it is reaped, at the latest, in the destructor.
class Child {
public:
    explicit Child(pid_t pid);
    Child(Child&& other) noexcept;
    Child& operator=(Child&&) = delete;
    ~Child();

    [[nodiscard]] pid_t pid() const { return pid_; }
    /// Readable when the process has ended; -1 where the kernel has no such thing.
    [[nodiscard]] int exit_fd() const { return pidfd_.get(); }
    /// Does not reap: the group stays addressable until `reap`.
    [[nodiscard]] bool ended() const;
    void signal_group(int signal) const;
    /// Ends what is left of the group, waits for the process and forgets it.
    ChildExit reap();

private:
    pid_t pid_;
    Fd pidfd_;
};

class MemoryGroups;

/// Starts processes from one thread that lives as long as the Spawner: the kernel's parent-death
/// signal of a child is tied to the thread that made it. A child gets its own process group, an
/// empty signal mask, no core dumps, a higher oom_score_adj, and dies with this process.
class Spawner {
public:
    /// `environment` is what every child starts from.
    explicit Spawner(std::vector<std::string> environment);
    ~Spawner();
    Spawner(const Spawner&) = delete;
    Spawner& operator=(const Spawner&) = delete;

    [[nodiscard]] const std::vector<std::string>& environment() const { return environment_; }
    /// Throws Error(not_found) if there is no such program, Error(internal) for other reasons.
    [[nodiscard]] Child spawn(const Command& command);

    /// Where children with a memory limit get a group; null = their memory is watched. Must outlive
    /// the Spawner.
    void limit_memory_by(const MemoryGroups* groups) { memory_groups_ = groups; }
    [[nodiscard]] const MemoryGroups* memory_groups() const { return memory_groups_; }

    /// PATH, HOME, LANG, LC_*, TZ, TMPDIR, USER, LOGNAME, SHELL, SSL_CERT_* of this process, and
    /// SLUICE_INSTANCE=`instance` if it is not "".
    static std::vector<std::string> allowed_environment(const std::string& instance);

private:
    class Impl;
    std::vector<std::string> environment_;
    const MemoryGroups* memory_groups_{nullptr};
    std::unique_ptr<Impl> impl_;
};

/// Resident bytes of a process and all its descendants; 0 when it is gone.
std::int64_t resident_bytes(pid_t pid);

/// Ends (SIGKILL) every process whose environment has SLUICE_INSTANCE=`instance`, but not this one,
/// and waits until they are gone, at most `patience`. Returns how many there were.
int end_instance(const std::string& instance, std::chrono::milliseconds patience);

/// "segmentation fault (signal 11)"
std::string signal_text(int signal);

}  // namespace sluice::task
