#include "task/child.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <optional>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.hpp"
#include "task/lines.hpp"
#include "task/memory_group.hpp"

namespace sluice::task {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds memory_tick{50};
/// Output that a background process of the task still holds open after the task's own end.
constexpr std::chrono::milliseconds drain_patience{200};

void unblock(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

class Run {
public:
    Run(TaskContext& ctx,
        const ChildOrder& order,
        const std::function<void(Stream, std::string_view)>& on_line)
        : ctx_(ctx),
          order_(order),
          // The last line may be a value that a log would cut.
          out_lines_(
              [&on_line](std::string_view line) { on_line(Stream::out, line); },
              limits::artefact_bytes + 1
          ),
          err_lines_([&on_line](std::string_view line) { on_line(Stream::err, line); }) {}

    ChildReport run() {
        cancel_fd_ = std::make_shared<Fd>(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        ctx_.on_cancel([fd = cancel_fd_] {
            const std::uint64_t one = 1;
            [[maybe_unused]] const auto ignored = ::write(fd->get(), &one, sizeof one);
        });
        Child child = start();
        while (!child.ended()) {
            wait(child, timeout());
            if (order_.memory_bytes != 0) watch_memory(child);
            if (kill_at_ && Clock::now() >= *kill_at_) child.signal_group(SIGKILL);
        }
        look_at_group(child);
        report_.exit = child.reap();
        drain();
        out_lines_.finish();
        err_lines_.finish();
        return report_;
    }

private:
    Child start() {
        Pipe out = make_pipe();
        Pipe err = make_pipe();
        Pipe in = make_pipe();
        Command command{order_.argv, order_.environment, order_.cwd};
        command.stdin_fd = in.read.get();
        command.stdout_fd = out.write.get();
        command.stderr_fd = err.write.get();
        Child child = ctx_.spawner().spawn(command);
        if (const MemoryGroups* groups = ctx_.spawner().memory_groups();
            groups != nullptr && order_.memory_bytes != 0) {
            group_ = groups->make(order_.memory_bytes);
            if (group_ && !group_->add(child.pid())) group_.reset();
        }
        out_ = std::move(out.read);
        err_ = std::move(err.read);
        if (!order_.input.empty()) in_ = std::move(in.write);
        for (const Fd* fd : {&out_, &err_}) unblock(fd->get());
        if (in_) unblock(in_.get());
        return child;
    }

    [[nodiscard]] std::chrono::milliseconds timeout() const {
        auto wait = std::chrono::milliseconds{1'000};
        if (order_.memory_bytes != 0) wait = memory_tick;
        if (kill_at_)
            wait = std::min(
                wait,
                std::chrono::duration_cast<std::chrono::milliseconds>(*kill_at_ - Clock::now()) +
                    std::chrono::milliseconds{1}
            );
        return std::max(wait, std::chrono::milliseconds{0});
    }

    void wait(Child& child, std::chrono::milliseconds patience) {
        std::array<pollfd, 5> fds{
            {{out_.get(), POLLIN, 0},
             {err_.get(), POLLIN, 0},
             {in_.get(), POLLOUT, 0},
             {report_.cancelled ? -1 : cancel_fd_->get(), POLLIN, 0},
             {child.exit_fd(), POLLIN, 0}}
        };
        // Without a pidfd the end is seen by looking.
        if (child.exit_fd() < 0) patience = std::min(patience, std::chrono::milliseconds{20});
        ::poll(fds.data(), fds.size(), static_cast<int>(patience.count()));
        if (fds[0].revents != 0) read_lines(out_, out_lines_);
        if (fds[1].revents != 0) read_lines(err_, err_lines_);
        if (fds[2].revents != 0) write_some();
        if (fds[3].revents != 0) {
            report_.cancelled = true;
            child.signal_group(SIGTERM);
            kill_at_ = Clock::now() + order_.grace;
        }
    }

    void write_some() {
        const std::string_view rest = std::string_view(order_.input).substr(written_);
        const ssize_t count = ::write(in_.get(), rest.data(), rest.size());
        if (count > 0) written_ += static_cast<std::size_t>(count);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (count < 0 || written_ == order_.input.size()) in_.reset();
    }

    void watch_memory(const Child& child) {
        const auto now = Clock::now();
        if (now < next_look_) return;
        next_look_ = now + memory_tick;
        look_at_group(child);
        const std::int64_t used = resident_bytes(child.pid());
        report_.peak_bytes = std::max(report_.peak_bytes, used);
        if (used <= memory_ceiling(order_.memory_bytes)) return;
        report_.over_memory = true;
        child.signal_group(SIGKILL);
    }

    /// The kernel ends one process of the tree; the others go with it. What it does not enforce
    /// (some containers only pretend to) is watched all the same.
    void look_at_group(const Child& child) {
        if (report_.over_memory || !group_) return;
        report_.peak_bytes = std::max(report_.peak_bytes, group_->peak_bytes());
        if (group_->killed() == 0) return;
        report_.over_memory = true;
        child.signal_group(SIGKILL);
    }

    /// What the ended process had written. Its group is gone; a process that left the group may
    /// hold the pipe open, and is not waited for.
    void drain() {
        const auto deadline = Clock::now() + drain_patience;
        while ((out_ || err_) && Clock::now() < deadline) {
            bool any = false;
            if (out_) any = read_lines(out_, out_lines_) || any;
            if (err_) any = read_lines(err_, err_lines_) || any;
            if (any || (!out_ && !err_)) continue;
            std::array<pollfd, 2> fds{{{out_.get(), POLLIN, 0}, {err_.get(), POLLIN, 0}}};
            ::poll(fds.data(), fds.size(), 20);
        }
    }

    TaskContext& ctx_;
    const ChildOrder& order_;
    LineSplitter out_lines_;
    LineSplitter err_lines_;
    std::shared_ptr<Fd> cancel_fd_;
    std::unique_ptr<MemoryGroup> group_;
    Fd out_;
    Fd err_;
    Fd in_;
    std::size_t written_{0};
    std::optional<Clock::time_point> kill_at_;
    Clock::time_point next_look_;
    ChildReport report_;
};

}  // namespace

ChildReport run_child(
    TaskContext& ctx,
    const ChildOrder& order,
    const std::function<void(Stream, std::string_view)>& on_line
) {
    return Run(ctx, order, on_line).run();
}

std::string size_text(std::int64_t bytes) {
    const double size = static_cast<double>(bytes);
    if (bytes >= std::int64_t{1} << 30) return fmt::format("{:.1f} GiB", size / (1U << 30U));
    return fmt::format("{:.0f} MiB", size / (1U << 20U));
}

std::int64_t memory_ceiling(std::int64_t limit_bytes) { return limit_bytes + limit_bytes / 5; }

std::string over_memory_text(std::int64_t limit_bytes, std::int64_t peak_bytes) {
    return "out of memory: the task's processes used " + size_text(peak_bytes) +
           " and the limit is " + size_text(limit_bytes) +
           "; raise resources.memory of the task, or let it read less at a time";
}

}  // namespace sluice::task
