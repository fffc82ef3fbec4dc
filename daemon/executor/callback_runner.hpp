// callback_runner.hpp — carries out callbacks: an inline operator, its parameters rendered with the
// run's context, outside any attempt. Thread-safe; `run` blocks.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "executor/redactor.hpp"
#include "executor/services.hpp"
#include "executor/task_log.hpp"
#include "model/attempt.hpp"
#include "task/operator.hpp"

namespace sluice::task {
class Spawner;
}

namespace sluice::executor {

struct CallbackCall {
    /// Of the run; `key.task.task` is the task that it speaks of or no_task, `exception` why.
    AttemptOrder order;
    std::string kind;  // http, shell, email
    std::string with;  // JSON object, unrendered
    /// The same at every delivery: Idempotency-Key, Message-ID, $SLUICE_CALLBACK_ID.
    std::string delivery;
    std::string log;  // path of its log
};

struct CallbackAnswer {
    Outcome outcome;
    std::string target;  // where it went: address, command, recipients
};

class CallbackRunner {
public:
    /// `operators` (sorted by name) must outlive the runner.
    CallbackRunner(
        Settings settings, Services services, const std::vector<task::Operator>& operators
    );
    ~CallbackRunner();
    CallbackRunner(const CallbackRunner&) = delete;
    CallbackRunner& operator=(const CallbackRunner&) = delete;

    /// Never throws what a callback can cause.
    CallbackAnswer run(const CallbackCall& call);
    /// Ends the calls that take longer than a minute; with `all` every one, and those to come.
    enum class Which { overdue, all };
    void cancel(Which which);
    [[nodiscard]] const Settings& settings() const { return settings_; }

private:
    using Clock = std::chrono::steady_clock;
    Outcome run_with(
        const CallbackCall& call,
        const task::Operator& op,
        Redactor& redactor,
        TaskLog& log,
        std::string& target
    );

    const Settings settings_;
    const Services services_;
    const std::vector<task::Operator>& operators_;
    std::unique_ptr<task::Spawner> spawner_;
    std::mutex mutex_;  // guards all below
    bool stopped_{false};
    std::map<task::TaskContext*, Clock::time_point> running_;  // since when
};

}  // namespace sluice::executor
