#include "executor/supervisor.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>
#include <utility>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.hpp"
#include "executor/frames.hpp"
#include "task/child.hpp"
#include "task/lines.hpp"
#include "task/memory_group.hpp"
#include "task/operator.hpp"

namespace sluice::executor {
namespace {

using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds memory_tick{50};
constexpr milliseconds terminate_after{400};
constexpr milliseconds kill_after{800};
/// For a worker that has sent its result and does not go.
constexpr milliseconds leave_patience{2'000};
constexpr milliseconds drain_patience{200};

void unblock(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

std::pair<task::Fd, task::Fd> make_socket_pair() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
        throw Error(
            ErrorCode::internal, std::string("cannot make a socket pair: ") + std::strerror(errno)
        );
    return {task::Fd{ends[0]}, task::Fd{ends[1]}};
}

}  // namespace

class Supervisor::Session {
public:
    Session(Supervisor& owner, const task::Job& job)
        : owner_(owner),
          job_(job),
          out_lines_([this](std::string_view line) { captured(line, "stdout"); }),
          err_lines_([this](std::string_view line) { captured(line, "stderr"); }) {}

    Outcome run() {
        task::Child child = start();
        out_ += encode_message({{"type", "start"}, {"job", to_json(job_)}});
        while (!child.ended()) {
            wait(child);
            watch_memory(child);
            keep_deadlines(child);
        }
        look_at_group(child);
        const task::ChildExit exit = child.reap();
        drain();
        return settle(exit);
    }

private:
    task::Child start() {
        std::optional<task::Child> warm = start_warm();
        task::Child child = warm ? std::move(*warm) : start_anew();
        if (const task::MemoryGroups* groups = owner_.spawner_.memory_groups()) {
            group_ = groups->make(job_.resources.memory_bytes);
            if (group_ && !group_->add(child.pid())) group_.reset();
        }
        for (const int fd : {socket_.get(), stdout_.get(), stderr_.get()}) unblock(fd);
        return child;
    }

    /// The worker's ends; ours are kept.
    struct Ends {
        task::Fd socket;
        task::Fd out;
        task::Fd err;
    };
    Ends make_ends() {
        auto [mine, theirs] = make_socket_pair();
        task::Pipe out = task::make_pipe();
        task::Pipe err = task::make_pipe();
        socket_ = std::move(mine);
        stdout_ = std::move(out.read);
        stderr_ = std::move(err.read);
        return {std::move(theirs), std::move(out.write), std::move(err.write)};
    }

    std::optional<task::Child> start_warm() {
        const Ends ends = make_ends();
        return owner_.warm_.start(
            owner_.scratch_, ends.socket.get(), ends.out.get(), ends.err.get()
        );
    }

    task::Child start_anew() {
        const Ends ends = make_ends();
        task::Command command;
        command.argv = {owner_.program_, "worker"};
        command.environment = owner_.spawner_.environment();
        command.cwd = owner_.scratch_;
        command.stdout_fd = ends.out.get();
        command.stderr_fd = ends.err.get();
        command.extra_fd = ends.socket.get();
        return owner_.spawner_.spawn(command);
    }

    void wait(const task::Child& child) {
        std::array<pollfd, 5> fds{
            {{socket_.get(), static_cast<short>(out_.empty() ? POLLIN : POLLIN | POLLOUT), 0},
             {stdout_.get(), POLLIN, 0},
             {stderr_.get(), POLLIN, 0},
             {cancelled_at_ ? -1 : owner_.cancel_fd_.get(), POLLIN, 0},
             {child.exit_fd(), POLLIN, 0}}
        };
        ::poll(fds.data(), fds.size(), static_cast<int>(memory_tick.count()));
        if ((fds[0].revents & POLLOUT) != 0) write_some();
        if ((fds[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) read_socket();
        if (fds[1].revents != 0) task::read_lines(stdout_, out_lines_);
        if (fds[2].revents != 0) task::read_lines(stderr_, err_lines_);
        if (fds[3].revents != 0) {
            cancelled_at_ = Clock::now();
            out_ += encode_message({{"type", "cancel"}});
        }
    }

    void write_some() {
        while (!out_.empty()) {
            const ssize_t count = ::send(socket_.get(), out_.data(), out_.size(), MSG_NOSIGNAL);
            if (count <= 0) {
                if (count < 0 && errno != EAGAIN && errno != EINTR) out_.clear();
                return;
            }
            out_.erase(0, static_cast<std::size_t>(count));
        }
    }

    /// False when there was nothing to read now.
    bool read_socket() {
        std::array<char, 64 * 1'024> buffer;
        const ssize_t count = ::read(socket_.get(), buffer.data(), buffer.size());
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) return false;
        if (count <= 0) {
            socket_.reset();
            return false;
        }
        try {
            reader_.feed({buffer.data(), static_cast<std::size_t>(count)});
            while (auto message = reader_.next()) handle(*message);
        } catch (const std::exception& error) {
            // What it says cannot be trusted any more: at end of file it ends itself.
            fault_ = std::string("the worker broke the protocol: ") + error.what();
            socket_.reset();
        }
        return true;
    }

    void handle(const Json& message) {
        const std::string type = message.at("type");
        if (type == "result") {
            outcome_ = task::outcome_of(message.at("outcome"));
            result_at_ = Clock::now();
        } else if (message.contains("id")) {
            answer(message);
        } else {
            try {
                owner_.channel_.send(message);
            } catch (const Error& error) {
                // A notice has no answer: the attempt fails when it ends.
                if (!refused_) refused_ = error;
            }
        }
    }

    void answer(const Json& request) {
        Json reply;
        try {
            reply = {{"type", "reply"}, {"body", owner_.channel_.call(request)}};
        } catch (const Error& error) {
            reply = {
                {"type", "error"},
                {"code", static_cast<int>(error.code())},
                {"message", error.what()}
            };
        } catch (const std::exception& error) {
            reply = {
                {"type", "error"},
                {"code", static_cast<int>(ErrorCode::internal)},
                {"message", error.what()}
            };
        }
        reply["id"] = request.at("id");
        out_ += encode_message(reply);
    }

    void captured(std::string_view line, std::string_view source) {
        owner_.log_.append(task::Level::info, line, source);
        if (source == "stderr" && !line.empty()) last_error_ = line;
    }

    void watch_memory(const task::Child& child) {
        const auto now = Clock::now();
        if (now < next_look_ || over_memory_) return;
        next_look_ = now + memory_tick;
        look_at_group(child);
        const std::int64_t used = task::resident_bytes(child.pid());
        peak_bytes_ = std::max(peak_bytes_, used);
        if (used <= task::memory_ceiling(job_.resources.memory_bytes)) return;
        over_memory_ = true;
        child.signal_group(SIGKILL);
    }

    /// The kernel ends one process of the tree; the others go with it. What it does not enforce
    /// (some containers only pretend to) is watched all the same.
    void look_at_group(const task::Child& child) {
        if (over_memory_ || !group_) return;
        peak_bytes_ = std::max(peak_bytes_, group_->peak_bytes());
        if (group_->killed() == 0) return;
        over_memory_ = true;
        child.signal_group(SIGKILL);
    }

    void keep_deadlines(const task::Child& child) {
        const auto now = Clock::now();
        if (cancelled_at_ && !terminated_ && now >= *cancelled_at_ + terminate_after) {
            terminated_ = true;
            child.signal_group(SIGTERM);
        }
        if (cancelled_at_ && now >= *cancelled_at_ + kill_after) child.signal_group(SIGKILL);
        if (result_at_ && now >= *result_at_ + leave_patience) child.signal_group(SIGKILL);
    }

    /// What the worker had written before it ended.
    void drain() {
        const auto deadline = Clock::now() + drain_patience;
        while (socket_ && Clock::now() < deadline && read_socket()) {
        }
        while ((stdout_ || stderr_) && Clock::now() < deadline) {
            bool any = false;
            if (stdout_) any = task::read_lines(stdout_, out_lines_) || any;
            if (stderr_) any = task::read_lines(stderr_, err_lines_) || any;
            if (any || (!stdout_ && !stderr_)) continue;
            std::array<pollfd, 2> fds{{{stdout_.get(), POLLIN, 0}, {stderr_.get(), POLLIN, 0}}};
            ::poll(fds.data(), fds.size(), 20);
        }
        out_lines_.finish();
        err_lines_.finish();
    }

    Outcome settle(const task::ChildExit& exit) {
        if (over_memory_ && !outcome_)
            return task::fail(
                ErrorClass::resource,
                task::over_memory_text(job_.resources.memory_bytes, peak_bytes_)
            );
        if (refused_ && (!outcome_ || outcome_->kind != OutcomeKind::failed))
            return task::fail(ErrorClass::permanent, refused_->what());
        if (outcome_) return *outcome_;
        if (cancelled_at_) return task::fail(ErrorClass::permanent, "cancelled");
        if (!fault_.empty()) return task::fail(ErrorClass::permanent, fault_);
        return task::fail(ErrorClass::resource, death(exit));
    }

    [[nodiscard]] std::string death(const task::ChildExit& exit) const {
        std::string text = "the worker process ended without a result: ";
        if (exit.signal != 0) {
            text += task::signal_text(exit.signal);
            if (exit.signal == SIGKILL)
                text +=
                    "; not by Sluice, often by the kernel when the machine is out of memory "
                    "(peak of the task " +
                    task::size_text(peak_bytes_) + ", its limit " +
                    task::size_text(job_.resources.memory_bytes) + ')';
        } else {
            text += "exit code " + std::to_string(exit.exit_code);
        }
        if (!last_error_.empty()) text += "; last words: " + last_error_;
        return text;
    }

    Supervisor& owner_;
    const task::Job& job_;
    task::LineSplitter out_lines_;
    task::LineSplitter err_lines_;
    std::unique_ptr<task::MemoryGroup> group_;
    task::Fd socket_;
    task::Fd stdout_;
    task::Fd stderr_;
    MessageReader reader_;
    std::string out_;  // bytes on their way to the worker
    std::string last_error_;
    std::string fault_;
    std::optional<Error> refused_;
    std::optional<Outcome> outcome_;
    std::optional<Clock::time_point> result_at_;
    std::optional<Clock::time_point> cancelled_at_;
    bool terminated_{false};
    bool over_memory_{false};
    std::int64_t peak_bytes_{0};
    Clock::time_point next_look_;
};

Supervisor::Supervisor(
    task::Spawner& spawner,
    WarmWorkers& warm,
    std::string program,
    std::string scratch,
    AttemptChannel& channel,
    TaskLog& log
)
    : spawner_(spawner),
      warm_(warm),
      program_(std::move(program)),
      scratch_(std::move(scratch)),
      channel_(channel),
      log_(log),
      cancel_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Supervisor::~Supervisor() = default;

Outcome Supervisor::run(const task::Job& job) { return Session(*this, job).run(); }

void Supervisor::cancel() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto ignored = ::write(cancel_fd_.get(), &one, sizeof one);
}

}  // namespace sluice::executor
