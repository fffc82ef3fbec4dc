#include "store/cluster_process.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.hpp"
#include "base/error.hpp"

namespace sluice::store {
namespace {

using namespace std::chrono_literals;

// glibc 2.36 declares these without C linkage.
int open_process(pid_t pid) { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); }
void send_signal(int process, int number) {
    ::syscall(SYS_pidfd_send_signal, process, number, nullptr, 0);
}

// The child has its own session (a Ctrl-C in our terminal is not its business), default signals,
// and none of our files but `in` and, as standard output and error, `out`.
pid_t spawn_as(const Owner& owner, std::vector<std::string> command, int in, int out) {
    if (owner.drop_privileges) {
        command.insert(
            command.begin(),
            {"/usr/bin/setpriv",
             "--reuid=" + std::to_string(owner.uid),
             "--regid=" + std::to_string(owner.gid),
             "--init-groups",
             "--inh-caps=-all",
             "--"}
        );
    }
    std::vector<char*> arguments;
    for (std::string& argument : command) arguments.push_back(argument.data());
    arguments.push_back(nullptr);

    std::string path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    std::string locale = "LC_ALL=C";
    std::string zone = "TZ=UTC";
    char* environment[] = {path.data(), locale.data(), zone.data(), nullptr};

    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, in, 0);
    posix_spawn_file_actions_adddup2(&files, out, 1);
    posix_spawn_file_actions_adddup2(&files, out, 2);
    posix_spawn_file_actions_addclosefrom_np(&files, 3);
    // The current folder may be closed to the owner.
    posix_spawn_file_actions_addchdir_np(&files, "/");

    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
    );

    pid_t pid = 0;
    const int error =
        ::posix_spawn(&pid, arguments[0], &files, &attributes, arguments.data(), environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    if (error != 0) {
        throw Error(ErrorCode::unavailable, command[0] + ": " + std::strerror(error));
    }
    return pid;
}

struct Pipe {
    Pipe() {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) {
            throw Error(ErrorCode::unavailable, std::string{"pipe: "} + std::strerror(errno));
        }
        read_end = ends[0];
        write_end = ends[1];
    }
    ~Pipe() {
        ::close(read_end);
        close_write();
    }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;
    void close_write() {
        if (write_end >= 0) ::close(std::exchange(write_end, -1));
    }

    int read_end{-1};
    int write_end{-1};
};

}  // namespace

std::string run_and_wait(
    const Owner& owner, const std::vector<std::string>& command, const std::string& input
) {
    Pipe in;
    Pipe out;
    // It fits the pipe, so that this write does not wait for a reader.
    SLUICE_CHECK(input.size() <= 4096);
    if (::write(in.write_end, input.data(), input.size()) < 0) {
        throw Error(ErrorCode::unavailable, std::string{"pipe: "} + std::strerror(errno));
    }
    const pid_t pid = spawn_as(owner, command, in.read_end, out.write_end);
    in.close_write();
    out.close_write();
    std::string output;
    char buffer[4096];
    while (true) {
        const ssize_t got = ::read(out.read_end, buffer, sizeof buffer);
        if (got > 0) output.append(buffer, static_cast<std::size_t>(got));
        if (got == 0 || (got < 0 && errno != EINTR)) break;
    }
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return output;
}

Server::~Server() {
    if (handle_ >= 0) ::close(handle_);
}

Server& Server::operator=(Server&& other) noexcept {
    if (this == &other) return *this;
    if (handle_ >= 0) ::close(handle_);
    pid = std::exchange(other.pid, 0);
    handle_ = std::exchange(other.handle_, -1);
    child_ = std::exchange(other.child_, false);
    return *this;
}

Server Server::spawn(
    const Owner& owner, const std::vector<std::string>& command, const std::filesystem::path& log
) {
    // A log that nobody looked at for long starts anew; the old one is kept once.
    std::error_code error;
    if (std::filesystem::file_size(log, error) > (10U << 20) && !error) {
        std::filesystem::rename(log, log.string() + ".old", error);
    }
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (out < 0) throw Error(ErrorCode::invalid, log.string() + ": " + std::strerror(errno));
    const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    Server server;
    try {
        server.pid = spawn_as(owner, command, nothing, out);
    } catch (...) {
        ::close(nothing);
        ::close(out);
        throw;
    }
    ::close(nothing);
    ::close(out);
    server.handle_ = open_process(server.pid);
    server.child_ = true;
    return server;
}

Server Server::adopt(pid_t pid) {
    Server server;
    server.handle_ = open_process(pid);
    if (server.handle_ >= 0) server.pid = pid;
    return server;
}

bool Server::alive() const {
    if (handle_ < 0) return false;
    pollfd waiting{handle_, POLLIN, 0};
    return ::poll(&waiting, 1, 0) == 0;
}

bool Server::wait_for_end(std::chrono::milliseconds patience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (true) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(
            deadline - std::chrono::steady_clock::now()
        );
        pollfd waiting{handle_, POLLIN, 0};
        const int ready = ::poll(&waiting, 1, static_cast<int>(std::max(left, 0ms).count()));
        if (ready > 0) return true;
        if (ready == 0) return false;
    }
}

void Server::stop(std::chrono::milliseconds patience) {
    if (handle_ < 0) return;
    // SIGINT: end all sessions, write a checkpoint. SIGQUIT: end now, recover at the next start.
    send_signal(handle_, patience > 0ms ? SIGINT : SIGQUIT);
    if (!wait_for_end(patience > 0ms ? patience : 2s)) {
        send_signal(handle_, SIGQUIT);
        if (!wait_for_end(2s)) {
            send_signal(handle_, SIGKILL);
            // Nothing is left to try; a stuck disk may hold it.
            static_cast<void>(wait_for_end(5s));
        }
    }
    if (child_) ::waitpid(pid, nullptr, WNOHANG);
    ::close(std::exchange(handle_, -1));
    pid = 0;
    child_ = false;
}

}  // namespace sluice::store
