// local_executor_impl.hpp — the inside of LocalExecutor, for local_executor*.cpp only.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "executor/ending.hpp"
#include "executor/local_executor.hpp"
#include "executor/task_log.hpp"
#include "executor/thread_pool.hpp"
#include "executor/warm_workers.hpp"
#include "task/memory_group.hpp"
#include "task/process.hpp"

template <>
struct std::hash<sluice::AttemptKey> {
    std::size_t operator()(const sluice::AttemptKey& key) const noexcept {
        return std::hash<sluice::TaskKey>{}(key.task) * 31 + static_cast<std::size_t>(key.start);
    }
};

namespace sluice::executor {

using Json = nlohmann::json;
using Steady = std::chrono::steady_clock;

struct Attempt;
/// Running attempts by the time at which they are over their execution_timeout.
using Deadlines = std::multimap<Steady::time_point, std::weak_ptr<Attempt>>;

/// One attempt's life in this process.
struct Attempt {
    explicit Attempt(AttemptOrder the_order) : order(std::move(the_order)) {}

    const AttemptOrder order;
    bool instant{false};                          // of the thread that runs it
    std::optional<Deadlines::iterator> deadline;  // guarded by the executor's mutex
    std::mutex mutex;                             // guards all below
    std::optional<CancelReason> cancelled;
    bool abandoned{false};             // nobody wants to hear of it
    std::function<void()> stop;        // while it runs: makes it end, returns at once
    AttemptChannel* channel{nullptr};  // while it runs
    std::optional<AttemptResult> result;

    /// The first reason counts.
    void cancel(CancelReason reason) {
        const std::lock_guard lock(mutex);
        if (cancelled || result) return;
        cancelled = reason;
        if (stop) stop();
    }
};
using AttemptPtr = std::shared_ptr<Attempt>;

class LocalExecutor::Impl {
public:
    Impl(
        Settings settings,
        Services services,
        const std::vector<task::Operator>& operators,
        Report report
    );
    ~Impl() { stop(); }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    // local_executor.cpp: what the interface says, and deadlines
    [[nodiscard]] std::optional<AttemptResult> ends_at_once(const AttemptOrder& order) const;
    void start(std::vector<AttemptOrder> orders);
    void expand(ExpandOrder order, std::function<void(ExpandAnswer)> done);
    void cancel(const CancelOrder& order);
    std::vector<AttemptKey> alive() const;
    void acknowledge(const AttemptKey& key);
    void repost();
    void abandon();
    void stop();
    std::vector<std::pair<TaskKey, Progress>> progress() const;
    Load load() const;

private:
    /// Waits while the lease is not sure: then nothing may be started. Ends with a cancel.
    void wait_until_allowed(const AttemptPtr& attempt) const;
    /// One thread is kept free for the loop and the database.
    static std::size_t hot_threads();
    static std::map<std::string, Json> read_schemas(const std::vector<task::Operator>& operators);
    /// A killed daemon could not take its attempts' folders away.
    void remove_scratch() const;
    AttemptPtr find(const AttemptKey& key) const;
    /// With mutex_ held.
    void add_deadline(const AttemptPtr& attempt);
    void watch_deadlines();

    // local_executor_run.cpp: one attempt, on a pool thread
    void run(const AttemptPtr& attempt);
    std::string path_of(const AttemptOrder& order) const;
    const task::Operator* find_operator(const std::string& operator_name) const;
    void run_operator(const AttemptPtr& attempt);
    void run_with(const AttemptPtr& attempt, const task::Operator* op);
    Outcome run_inline(
        const AttemptPtr& attempt, const task::Operator& op, task::Job job, AttemptChannel& channel
    );
    Outcome run_worker(
        const AttemptPtr& attempt, const task::Job& job, AttemptChannel& channel, TaskLog& log
    );
    /// What the attempt measured, if it did; before its end is reported.
    void keep_metrics(
        const AttemptOrder& order, const Ending& ending, const Outcome& outcome, TaskLog& log
    ) const;
    /// Settles how it ended, writes that into the log and reports it.
    void finish(const AttemptPtr& attempt, Ending ending, TaskLog* log);
    /// Holds the end of an instant task until the thread has run those that started with it, or for
    /// a millisecond: they wake the loop once, and one commit takes them.
    void hold(AttemptResult result);
    void report_held();
    void report(std::vector<AttemptResult> results) const;

    const Settings settings_;
    const Services services_;
    const std::vector<task::Operator>& operators_;
    const Report report_;
    const std::map<std::string, Json> schemas_;          // of the operators' parameters, by name
    std::unique_ptr<task::MemoryGroups> memory_groups_;  // null = memory is watched
    task::Spawner spawner_;
    WarmWorkers warm_;
    mutable std::mutex mutex_;  // guards all below but pool_; taken before an attempt's
    std::unordered_map<AttemptKey, AttemptPtr> attempts_;
    Deadlines deadlines_;
    std::condition_variable timer_wake_;
    std::thread timer_;
    std::size_t running_{0};
    std::size_t waiting_{0};
    bool stopping_{false};
    std::mutex held_mutex_;  // guards held_ and held_since_
    std::vector<AttemptResult> held_;
    Steady::time_point held_since_;
    ThreadPool pool_;
};

}  // namespace sluice::executor
