#include "executor/worker.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.hpp"
#include "base/fault.hpp"
#include "executor/error_class.hpp"
#include "executor/frames.hpp"
#include "task/job.hpp"
#include "task/process.hpp"

namespace sluice::executor {
namespace {

using Json = nlohmann::json;

ErrorCode code_of(const Json& reply) {
    const int code = reply.value("code", static_cast<int>(ErrorCode::internal));
    return code >= 0 && code <= static_cast<int>(ErrorCode::internal) ? static_cast<ErrorCode>(code)
                                                                      : ErrorCode::internal;
}

/// Nobody listens any more: nothing of this attempt may go on.
[[noreturn]] void end_group() {
    // Only as leader of a group of our own: by hand one may be started in somebody else's.
    if (::getpgrp() == ::getpid()) ::kill(0, SIGKILL);
    ::_exit(1);
}

/// The worker's end of the socket. Writes are whole messages; one thread reads.
class Socket final : public task::Channel {
public:
    explicit Socket(int fd) : fd_(fd) {}

    Json call(const Json& request) override {
        Json message = request;
        std::unique_lock lock(mutex_);
        const std::int64_t id = ++last_id_;
        message["id"] = id;
        lock.unlock();
        write(message);
        lock.lock();
        answered_.wait(lock, [&] { return answers_.contains(id); });
        Json answer = std::move(answers_.extract(id).mapped());
        lock.unlock();
        if (answer.at("type") == "error")
            throw Error(code_of(answer), answer.value("message", "the daemon refused"));
        return std::move(answer.at("body"));
    }

    void send(const Json& notice) override { write(notice); }

    void answer(const Json& message) {
        const std::lock_guard lock(mutex_);
        answers_[message.at("id").get<std::int64_t>()] = message;
        answered_.notify_all();
    }

    /// The next message; ends the process group at end of file.
    Json read() {
        for (;;) {
            if (auto message = reader_.next()) return std::move(*message);
            std::array<char, 64 * 1'024> buffer;
            const ssize_t count = ::read(fd_, buffer.data(), buffer.size());
            if (count < 0 && errno == EINTR) continue;
            if (count <= 0) end_group();
            reader_.feed({buffer.data(), static_cast<std::size_t>(count)});
        }
    }

private:
    void write(const Json& message) {
        const std::string bytes = encode_message(message);
        const std::lock_guard lock(write_mutex_);
        std::string_view rest = bytes;
        while (!rest.empty()) {
            const ssize_t count = ::send(fd_, rest.data(), rest.size(), MSG_NOSIGNAL);
            if (count < 0 && errno == EINTR) continue;
            if (count < 0) end_group();
            rest.remove_prefix(static_cast<std::size_t>(count));
        }
    }

    const int fd_;
    MessageReader reader_;    // of the reading thread
    std::mutex write_mutex_;  // one message at a time
    std::mutex mutex_;        // guards all below
    std::condition_variable answered_;
    std::map<std::int64_t, Json> answers_;
    std::int64_t last_id_{0};
};

Outcome run_operator(
    task::TaskContext& context, const std::vector<task::Operator>& operators, const task::Job& job
) {
    const auto found =
        std::ranges::lower_bound(operators, job.operator_name, {}, &task::Operator::name);
    if (found == operators.end() || found->name != job.operator_name)
        return task::fail(
            ErrorClass::permanent,
            "operator \"" + job.operator_name + "\" is not known to the worker"
        );
    return outcome_of_run([&] { return found->run(context, revealed_params(job)); });
}

std::vector<std::string> own_environment() {
    std::vector<std::string> out;
    for (char** entry = ::environ; *entry != nullptr; ++entry) out.emplace_back(*entry);
    return out;
}

}  // namespace

int worker_main(int fd, const std::vector<task::Operator>& operators) {
    try {
        struct stat status{};
        if (::fstat(fd, &status) != 0 || !S_ISSOCK(status.st_mode))
            throw Error(ErrorCode::invalid, "a worker is started by a daemon, with its socket");
        Socket socket(fd);
        const Json start = socket.read();
        if (start.at("type") != "start")
            throw Error(ErrorCode::invalid, "expected a start message");
        const task::Job job = task::job_of(start.at("job"));
        task::Spawner spawner(own_environment());
        task::TaskContext context(
            job, socket, {std::filesystem::current_path().string(), &spawner}
        );
        std::thread reader([&] {
            for (;;) {
                const Json message = socket.read();
                const std::string type = message.at("type");
                if (type == "cancel") context.cancel();
                if (type == "reply" || type == "error") socket.answer(message);
            }
        });
        fault_point("worker_started");
        Outcome outcome = run_operator(context, operators, job);
        fault_point("worker_before_result");
        socket.send({{"type", "result"}, {"outcome", task::to_json(outcome)}});
        std::cout.flush();
        std::cerr.flush();
        // The reader waits for ever and engines may have threads: nothing is taken apart.
        ::_exit(0);
    } catch (const std::exception& error) {
        std::cerr << "worker: " << error.what() << '\n';
        return 2;
    }
}

}  // namespace sluice::executor
