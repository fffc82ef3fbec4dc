#include "executor/warm_workers.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <utility>

#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/error.hpp"
#include "executor/warm_message.hpp"

namespace sluice::executor {
namespace {

/// To be started, linked and prepared: on an idle host 50 ms.
constexpr timeval patience{20, 0};
/// After so many failures in a row every worker is started anew.
constexpr int failures_allowed = 3;

void wake(const task::Fd& event) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto ignored = ::write(event.get(), &one, sizeof one);
}

}  // namespace

WarmWorkers::WarmWorkers(task::Spawner& spawner, std::string program)
    : spawner_(spawner),
      program_(std::move(program)),
      changed_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

WarmWorkers::~WarmWorkers() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        end_process();
    }
    wake(changed_);
    if (watcher_.joinable()) watcher_.join();
}

std::optional<task::Child> WarmWorkers::start(
    const std::string& folder, int socket, int out, int err
) {
    const std::lock_guard lock(mutex_);
    if (failures_ >= failures_allowed || folder.size() >= warm_order_bytes) return std::nullopt;
    try {
        if (!send(folder, {socket, out, err})) return std::nullopt;
    } catch (const Error& error) {
        failed(error.what());
        return std::nullopt;
    }
    WarmAnswer answer;
    ssize_t count = 0;
    do {
        count = ::recv(socket_.get(), &answer, sizeof answer, 0);
    } while (count < 0 && errno == EINTR);
    if (count != sizeof answer || answer.pid <= 1) {
        const bool ended = count == 0 || (count < 0 && errno == ECONNRESET);
        failed(
            ended                    ? "it ended"
            : count != sizeof answer ? "it does not answer"
                                     : std::strerror(answer.error)
        );
        return std::nullopt;
    }
    failures_ = 0;
    // The worker does so as well; whoever comes first. From here on the group can be signalled.
    ::setpgid(answer.pid, answer.pid);
    return task::Child{answer.pid};
}

pid_t WarmWorkers::pid() const {
    const std::lock_guard lock(mutex_);
    return process_ ? process_->pid() : 0;
}

/// The order is with the process, which may have to be started for it.
bool WarmWorkers::send(const std::string& folder, const std::array<int, 3>& fds) {
    if (process_ && send_order(socket_.get(), folder, fds)) return true;
    // It has ended, idle: it never took the order.
    end_process();
    if (!start_process()) return false;
    if (send_order(socket_.get(), folder, fds)) return true;
    failed("it ended");
    return false;
}

bool WarmWorkers::start_process() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        failed(std::strerror(errno));
        return false;
    }
    task::Fd mine{ends[0]};
    const task::Fd theirs{ends[1]};
    ::setsockopt(mine.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    task::Command command;
    command.argv = {program_, "worker", "--warm"};
    command.environment = spawner_.environment();
    command.cwd = "/";
    command.stderr_fd = STDERR_FILENO;
    command.extra_fd = theirs.get();
    process_.emplace(spawner_.spawn(command));
    socket_ = std::move(mine);
    if (!watcher_.joinable()) watcher_ = std::thread([this] { watch(); });
    wake(changed_);
    return true;
}

void WarmWorkers::end_process() {
    socket_.reset();
    process_.reset();
}

void WarmWorkers::failed(const std::string& why) {
    end_process();
    ++failures_;
    spdlog::warn(
        "no warm worker: {}; {}",
        why,
        failures_ < failures_allowed ? "this one is started anew"
                                     : "from now on all are started anew"
    );
}

void WarmWorkers::watch() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        const int exit_fd = process_ ? process_->exit_fd() : -1;
        const pid_t pid = process_ ? process_->pid() : 0;
        std::array<pollfd, 2> fds{{{changed_.get(), POLLIN, 0}, {exit_fd, POLLIN, 0}}};
        lock.unlock();
        ::poll(fds.data(), fds.size(), -1);
        lock.lock();
        std::uint64_t ignored = 0;
        [[maybe_unused]] const auto count = ::read(changed_.get(), &ignored, sizeof ignored);
        if (process_ && process_->pid() == pid && process_->ended()) end_process();
    }
}

}  // namespace sluice::executor
