#include "executor/check_process.hpp"

#include <condition_variable>
#include <iostream>
#include <iterator>
#include <mutex>
#include <thread>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "task/child.hpp"
#include "task/job.hpp"

namespace sluice::executor {
namespace {

using Json = nlohmann::json;

/// What comes before is chatter of a library; the report follows, in lines short enough for the
/// line splitter, to be joined again.
constexpr std::string_view marker = "--- sluice check report ---";
constexpr std::size_t piece_bytes = 32 * 1'024;

constexpr std::int64_t memory_bytes = std::int64_t{1} << 30;

class Silence final : public task::Channel {
public:
    Json call(const Json&) override {
        throw Error(ErrorCode::unavailable, "a check has no daemon to ask");
    }
    void send(const Json&) override {}
};

/// Cancels the context unless it is destroyed before.
class Deadline {
public:
    Deadline(task::TaskContext& context, std::chrono::milliseconds patience)
        : thread_([this, &context, patience] {
              std::unique_lock lock(mutex_);
              if (!ended_.wait_for(lock, patience, [&] { return over_; })) context.cancel();
          }) {}
    ~Deadline() {
        {
            const std::lock_guard lock(mutex_);
            over_ = true;
        }
        ended_.notify_all();
        thread_.join();
    }
    Deadline(const Deadline&) = delete;
    Deadline& operator=(const Deadline&) = delete;

private:
    std::mutex mutex_;  // guards over_
    std::condition_variable ended_;
    bool over_{false};
    std::thread thread_;
};

}  // namespace

task::CheckReport check_in_worker(
    task::Spawner& spawner,
    const std::string& program,
    const Dag& dag,
    std::chrono::milliseconds patience
) {
    Silence channel;
    task::TaskContext context(task::Job{}, channel, {"", &spawner});
    task::ChildOrder order;
    order.argv = {program, "worker", "--check"};
    order.environment = spawner.environment();
    order.cwd = context.scratch();
    order.input = task::checkable_json(dag).dump(-1, ' ', false, Json::error_handler_t::replace);
    order.memory_bytes = memory_bytes;
    bool marked = false;
    std::string report;
    std::string last_error;
    const Deadline deadline(context, patience);
    const auto ended =
        task::run_child(context, order, [&](task::Stream stream, std::string_view line) {
            if (stream == task::Stream::err) {
                last_error = line;
            } else if (marked) {
                report += line;
            } else {
                marked = line == marker;
            }
        });
    const std::string who = "the check of DAG \"" + dag.dag_id + '"';
    if (ended.over_memory)
        throw Error(
            ErrorCode::limit,
            who + " used " + task::size_text(ended.peak_bytes) + ", its limit is " +
                task::size_text(memory_bytes)
        );
    if (ended.cancelled) throw Error(ErrorCode::unavailable, who + " took too long");
    if (ended.exit.exit_code != 0)
        throw Error(
            ErrorCode::internal,
            who + " ended with " +
                (ended.exit.signal != 0 ? task::signal_text(ended.exit.signal)
                                        : "exit code " + std::to_string(ended.exit.exit_code)) +
                (last_error.empty() ? "" : ": " + last_error)
        );
    return task::report_of(Json::parse(report, nullptr, false));
}

int check_main(const std::vector<task::Operator>& operators) {
    try {
        const std::string question{std::istreambuf_iterator<char>(std::cin), {}};
        const Dag dag = task::checkable_of(Json::parse(question, nullptr, false));
        const std::string report = to_json(task::check_dag(dag, operators))
                                       .dump(-1, ' ', false, Json::error_handler_t::replace);
        std::cout << '\n' << marker << '\n';
        for (std::size_t at = 0; at < report.size(); at += piece_bytes)
            std::cout << std::string_view(report).substr(at, piece_bytes) << '\n';
        std::cout.flush();
        return std::cout ? 0 : 2;
    } catch (const std::exception& error) {
        std::cerr << error.what() << '\n';
        return 2;
    }
}

}  // namespace sluice::executor
