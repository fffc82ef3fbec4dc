#include "executor/warm_process.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <exception>
#include <filesystem>
#include <iostream>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.hpp"
#include "base/fault.hpp"
#include "executor/warm_message.hpp"
#include "executor/worker.hpp"

namespace sluice::executor {
namespace {

/// Where the C library keeps the number of this thread: the copy's has to be set to its own.
int* thread_id_address() {
    int* address = nullptr;
    if (::prctl(PR_GET_TID_ADDRESS, &address, 0, 0, 0) != 0 || address == nullptr ||
        *address != static_cast<int>(::syscall(SYS_gettid)))
        throw Error(ErrorCode::unavailable, "the kernel does not tell the thread's address");
    return address;
}

bool single_threaded() {
    std::size_t threads = 0;
    for ([[maybe_unused]] const auto& thread :
         std::filesystem::directory_iterator("/proc/self/task"))
        ++threads;
    return threads == 1;
}

/// A copy of this process, of one thread, whose parent is the daemon. fork() cannot be told so; its
/// handlers (of locks that other threads may hold) are not needed, as there are no other threads.
pid_t copy_for_parent(int* thread_id) {
    constexpr unsigned long flags =
        CLONE_PARENT | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD;
#if defined(__x86_64__)
    return static_cast<pid_t>(::syscall(SYS_clone, flags, nullptr, nullptr, thread_id, 0UL));
#else
    return static_cast<pid_t>(::syscall(SYS_clone, flags, nullptr, nullptr, 0UL, thread_id));
#endif
}

class WarmProcess {
public:
    WarmProcess(
        int fd,
        const std::vector<task::Operator>& operators,
        char* flag,
        std::chrono::milliseconds idle
    )
        : fd_(fd), operators_(operators), flag_(flag), idle_(idle), daemon_(::getppid()) {}

    [[noreturn]] void serve() {
        int* const thread_id = thread_id_address();
        if (!single_threaded())
            throw Error(ErrorCode::unavailable, "a warm process has more than one thread");
        for (;;) {
            pollfd readable{fd_, POLLIN, 0};
            const int ready = ::poll(&readable, 1, static_cast<int>(idle_.count()));
            if (ready < 0 && errno == EINTR) continue;
            WarmOrder order;
            if (ready <= 0 || !receive_order(fd_, order)) ::_exit(0);
            fault_point("warm_before_copy");
            WarmAnswer answer;
            answer.pid = copy_for_parent(thread_id);
            if (answer.pid == 0) become_worker(order);
            if (answer.pid < 0) answer.error = errno;
            fault_point("warm_after_copy");
            if (::send(fd_, &answer, sizeof answer, MSG_NOSIGNAL) < 0) ::_exit(1);
        }
    }

private:
    /// What the spawner does for a process that is started anew (task/process.cpp); limits of core
    /// files and the oom score are inherited.
    [[noreturn]] void become_worker(const WarmOrder& order) {
        ::setpgid(0, 0);
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != daemon_) ::_exit(127);
        std::memset(flag_, 0, std::strlen(flag_));
        const auto [socket, out, err] =
            std::array{order.fds[0].get(), order.fds[1].get(), order.fds[2].get()};
        // The descriptors of the order are above these: 0 to 3 are open.
        if (::dup2(out, STDOUT_FILENO) < 0 || ::dup2(err, STDERR_FILENO) < 0 ||
            ::dup3(socket, worker_fd, O_CLOEXEC) < 0)
            ::_exit(127);
        for (const int fd : {socket, out, err}) ::close(fd);
        if (::chdir(order.folder.c_str()) != 0) {
            std::cerr << "worker: cannot enter " << order.folder << ": " << std::strerror(errno)
                      << std::endl;
            ::_exit(127);
        }
        ::_exit(worker_main(worker_fd, operators_));
    }

    const int fd_;
    const std::vector<task::Operator>& operators_;
    char* const flag_;
    const std::chrono::milliseconds idle_;
    const pid_t daemon_;
};

}  // namespace

void warm_main(
    int fd,
    const std::vector<task::Operator>& operators,
    const std::function<void()>& prepare,
    char* flag,
    std::chrono::milliseconds idle
) {
    try {
        prepare();
        WarmProcess(fd, operators, flag, idle).serve();
    } catch (const std::exception& error) {
        std::cerr << "worker --warm: " << error.what() << std::endl;
        ::_exit(2);
    }
}

}  // namespace sluice::executor
