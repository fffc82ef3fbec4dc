#include "executor/local_executor.hpp"

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "base/check.hpp"
#include "base/error.hpp"
#include "base/limits.hpp"
#include "executor/error_class.hpp"
#include "executor/prepare.hpp"
#include "executor/supervisor.hpp"
#include "executor/thread_pool.hpp"
#include "task/job.hpp"
#include "task/process.hpp"

template <>
struct std::hash<sluice::AttemptKey> {
    std::size_t operator()(const sluice::AttemptKey& key) const noexcept {
        return std::hash<sluice::TaskKey>{}(key.task) * 31 + static_cast<std::size_t>(key.start);
    }
};

namespace sluice::executor {
namespace {

using Json = nlohmann::json;
using Steady = std::chrono::steady_clock;

Instant wall_now() {
    return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
}

/// Cut to the limit, at a character.
std::string bounded(std::string text) {
    if (text.size() <= limits::error_text_bytes) return text;
    std::size_t keep = limits::error_text_bytes - 3;
    while (keep > 0 && (static_cast<unsigned char>(text[keep]) & 0xC0U) == 0x80U) --keep;
    return text.substr(0, keep) + "...";
}

std::string cancel_text(CancelReason reason, const AttemptOrder& order) {
    switch (reason) {
        case CancelReason::user:
            return "cancelled";
        case CancelReason::timeout:
            return "execution_timeout after " +
                   format_duration(order.dag->tasks[static_cast<std::size_t>(order.key.task.task)]
                                       .execution_timeout.value_or(Duration{}));
        case CancelReason::run_timeout:
            return "cancelled: the run is over its dagrun_timeout";
        case CancelReason::shutdown:
            return "the daemon stopped";
    }
    unreachable();
}

/// A private folder of an attempt in a worker: ours to remove, as the worker may be killed.
struct ScratchFolder {
    explicit ScratchFolder(const std::string& root) {
        const auto base =
            root.empty() ? std::filesystem::temp_directory_path() : std::filesystem::path(root);
        std::filesystem::create_directories(base);
        std::string pattern = (base / "sluice-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr)
            throw Error(ErrorCode::internal, "cannot make a scratch folder " + pattern);
        path = pattern;
    }
    ~ScratchFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
    }
    ScratchFolder(const ScratchFolder&) = delete;
    ScratchFolder& operator=(const ScratchFolder&) = delete;
    std::string path;
};

struct Attempt;
/// Running attempts by the time at which they are over their execution_timeout.
using Deadlines = std::multimap<Steady::time_point, std::weak_ptr<Attempt>>;

/// One attempt's life in this process.
struct Attempt {
    explicit Attempt(AttemptOrder the_order) : order(std::move(the_order)) {}

    const AttemptOrder order;
    std::optional<Deadlines::iterator> deadline;  // guarded by the executor's mutex
    std::mutex mutex;                             // guards all below
    std::optional<CancelReason> cancelled;
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

}  // namespace

class LocalExecutor::Impl {
public:
    Impl(
        Settings settings,
        Services services,
        const std::vector<task::Operator>& operators,
        Report report
    )
        : settings_(std::move(settings)),
          services_(std::move(services)),
          operators_(operators),
          report_(std::move(report)),
          schemas_(read_schemas(operators)),
          spawner_(task::Spawner::allowed_environment(settings_.instance)),
          pool_(hot_threads(), std::max<std::size_t>(settings_.threads, hot_threads())) {
        if (settings_.instance.empty()) return;
        const int ended = task::end_instance(settings_.instance, std::chrono::seconds{2});
        if (ended != 0) spdlog::warn("{} processes of an earlier daemon were ended", ended);
        remove_scratch();
    }

    ~Impl() { stop(); }

    void start(std::vector<AttemptOrder> orders) {
        std::vector<ThreadPool::Work> work;
        work.reserve(orders.size());
        std::vector<AttemptPtr> refused;
        {
            const std::lock_guard lock(mutex_);
            for (AttemptOrder& order : orders) {
                const AttemptKey key = order.key;
                if (attempts_.contains(key)) continue;  // told twice, after a reload
                auto attempt = std::make_shared<Attempt>(std::move(order));
                attempts_.emplace(key, attempt);
                if (stopping_) {
                    refused.push_back(std::move(attempt));
                    continue;
                }
                if (attempt->order.deadline) add_deadline(attempt);
                work.emplace_back([this, attempt = std::move(attempt)] { run(attempt); });
            }
            waiting_ += work.size();
        }
        pool_.push(std::move(work));
        for (const AttemptPtr& attempt : refused) {
            attempt->cancel(CancelReason::shutdown);
            finish(attempt, {}, nullptr);
        }
    }

    void cancel(const CancelOrder& order) {
        if (const AttemptPtr attempt = find(order.key)) attempt->cancel(order.reason);
    }

    std::vector<AttemptKey> alive() const {
        const std::lock_guard lock(mutex_);
        std::vector<AttemptKey> keys;
        keys.reserve(attempts_.size());
        for (const auto& [key, attempt] : attempts_) keys.push_back(key);
        return keys;
    }

    void acknowledge(const AttemptKey& key) {
        const std::lock_guard lock(mutex_);
        const auto found = attempts_.find(key);
        if (found == attempts_.end()) return;
        const AttemptPtr attempt = found->second;
        const std::lock_guard attempt_lock(attempt->mutex);
        if (attempt->result) attempts_.erase(found);
    }

    void repost() {
        std::vector<AttemptResult> results;
        {
            const std::lock_guard lock(mutex_);
            for (const auto& [key, attempt] : attempts_) {
                const std::lock_guard attempt_lock(attempt->mutex);
                if (attempt->result) results.push_back(*attempt->result);
            }
        }
        for (AttemptResult& result : results) report_(std::move(result));
    }

    void stop() {
        std::vector<AttemptPtr> all;
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
            for (const auto& [key, attempt] : attempts_) all.push_back(attempt);
        }
        timer_wake_.notify_all();
        for (const AttemptPtr& attempt : all) attempt->cancel(CancelReason::shutdown);
        // Attempts that still wait for a thread come to one, see the cancel and end as lost.
        pool_.stop();
        if (timer_.joinable()) timer_.join();
    }

    std::optional<Progress> progress(const AttemptKey& key) const {
        const AttemptPtr attempt = find(key);
        if (!attempt) return std::nullopt;
        const std::lock_guard lock(attempt->mutex);
        if (attempt->channel == nullptr) return std::nullopt;
        return attempt->channel->progress();
    }

    Load load() const {
        const std::lock_guard lock(mutex_);
        return {running_, waiting_, pool_.threads()};
    }

private:
    /// One thread is kept free for the loop and the database.
    static std::size_t hot_threads() {
        return std::max(2U, std::thread::hardware_concurrency()) - 1;
    }

    static std::map<std::string, Json> read_schemas(const std::vector<task::Operator>& operators) {
        std::map<std::string, Json> out;
        for (const task::Operator& op : operators) out[op.name] = Json::parse(op.schema);
        return out;
    }

    /// A killed daemon could not take its attempts' folders away.
    void remove_scratch() const {
        if (settings_.scratch_root.empty()) return;
        namespace fs = std::filesystem;
        std::error_code ignored;
        for (fs::directory_iterator it(settings_.scratch_root, ignored), end; !ignored && it != end;
             it.increment(ignored)) {
            std::error_code kept;
            if (it->path().filename().string().starts_with("sluice-")) fs::remove_all(*it, kept);
        }
    }

    AttemptPtr find(const AttemptKey& key) const {
        const std::lock_guard lock(mutex_);
        const auto found = attempts_.find(key);
        return found == attempts_.end() ? nullptr : found->second;
    }

    const task::Operator* find_operator(const std::string& operator_name) const {
        const auto found =
            std::ranges::lower_bound(operators_, operator_name, {}, &task::Operator::name);
        return found != operators_.end() && found->name == operator_name ? &*found : nullptr;
    }

    void run(const AttemptPtr& attempt) {
        {
            const std::lock_guard lock(mutex_);
            --waiting_;
            ++running_;
        }
        bool cancelled = false;
        {
            const std::lock_guard lock(attempt->mutex);
            cancelled = attempt->cancelled.has_value();
        }
        if (cancelled) {
            // A log says why it never began.
            Redactor redactor;
            TaskLog log(path_of(attempt->order), redactor);
            finish(attempt, {}, &log);
        } else {
            run_operator(attempt);
        }
        const std::lock_guard lock(mutex_);
        --running_;
        if (attempt->deadline) deadlines_.erase(*std::exchange(attempt->deadline, std::nullopt));
    }

    std::string path_of(const AttemptOrder& order) const {
        const task::TaskInfo info = info_of(order, settings_);
        return log_path(
            settings_.logs_root,
            info.dag_id,
            info.run_id,
            info.task_id,
            info.map_index,
            info.try_number
        );
    }

    void run_operator(const AttemptPtr& attempt) {
        const AttemptOrder& order = attempt->order;
        const std::string& operator_name =
            order.dag->tasks.at(static_cast<std::size_t>(order.key.task.task)).operator_name;
        const task::Operator* op = find_operator(operator_name);
        if (op != nullptr && op->traits.instant) {
            run_with(attempt, op);
            return;
        }
        const ThreadPool::Blocking blocking(pool_);
        if (op != nullptr) {
            run_with(attempt, op);
            return;
        }
        Redactor redactor;
        TaskLog log(path_of(order), redactor);
        Ending ending;
        ending.outcome = task::fail(
            ErrorClass::permanent,
            "operator \"" + operator_name + "\" is not known to this version of Sluice"
        );
        finish(attempt, std::move(ending), &log);
    }

    void run_with(const AttemptPtr& attempt, const task::Operator* op) {
        Redactor redactor;
        TaskLog log(path_of(attempt->order), redactor);
        AttemptChannel channel(attempt->order, services_, redactor, log);
        Ending ending;
        ending.outcome = outcome_of_run([&] {
            Prepared prepared =
                prepare(attempt->order, *op, schemas_.at(op->name), settings_, services_, redactor);
            ending.rendered = std::move(prepared.rendered);
            switch (op->traits.isolation) {
                case Isolation::inline_:
                    return run_inline(attempt, *op, std::move(prepared.job), channel);
                case Isolation::process:
                    return run_worker(attempt, prepared.job, channel, log);
            }
            unreachable();
        });
        ending.outcome->message = bounded(redactor.redact(ending.outcome->message));
        ending.xcoms = channel.take_xcoms();
        ending.outputs = channel.take_outputs();
        finish(attempt, std::move(ending), &log);
    }

    /// While it lives a cancel goes to `stop`; taken back before what `stop` uses is gone.
    class Attached {
    public:
        Attached(Attempt& attempt, AttemptChannel& channel, std::function<void()> stop)
            : attempt_(attempt) {
            const std::lock_guard lock(attempt_.mutex);
            attempt_.channel = &channel;
            attempt_.stop = std::move(stop);
            if (attempt_.cancelled) attempt_.stop();
        }
        ~Attached() {
            const std::lock_guard lock(attempt_.mutex);
            attempt_.channel = nullptr;
            attempt_.stop = nullptr;
        }
        Attached(const Attached&) = delete;
        Attached& operator=(const Attached&) = delete;

    private:
        Attempt& attempt_;
    };

    Outcome run_inline(
        const AttemptPtr& attempt, const task::Operator& op, task::Job job, AttemptChannel& channel
    ) {
        const Json params = revealed_params(job);
        task::TaskContext context(std::move(job), channel, {"", &spawner_, settings_.scratch_root});
        const Attached attached(*attempt, channel, [&context] { context.cancel(); });
        return op.run(context, params);
    }

    Outcome run_worker(
        const AttemptPtr& attempt, const task::Job& job, AttemptChannel& channel, TaskLog& log
    ) {
        const ScratchFolder scratch(settings_.scratch_root);
        Supervisor supervisor(spawner_, settings_.program, scratch.path, channel, log);
        const Attached attached(*attempt, channel, [&supervisor] { supervisor.cancel(); });
        return supervisor.run(job);
    }

    /// What an attempt left; no outcome = it never began.
    struct Ending {
        std::optional<Outcome> outcome;
        std::vector<XcomValue> xcoms;
        std::vector<OutputCommit> outputs;
        std::string rendered;
    };

    /// Settles how it ended, writes that into the log and reports it.
    void finish(const AttemptPtr& attempt, Ending ending, TaskLog* log) {
        const AttemptOrder& order = attempt->order;
        AttemptResult result;
        result.key = order.key;
        result.rendered = std::move(ending.rendered);
        {
            const std::lock_guard lock(attempt->mutex);
            // Work that was done before the cancel arrived counts.
            const bool completed = ending.outcome && ending.outcome->kind != OutcomeKind::failed;
            if (attempt->cancelled && !completed)
                ending.outcome = cancelled_outcome(*attempt->cancelled, order);
        }
        SLUICE_CHECK(ending.outcome.has_value());
        result.outcome = std::move(*ending.outcome);
        if (log != nullptr) note_end(result.outcome, *log);
        if (result.outcome.kind == OutcomeKind::success) {
            result.outputs = std::move(ending.outputs);
            result.xcoms = kept_xcoms(order, std::move(ending.xcoms));
        }
        result.end_date = wall_now();
        {
            const std::lock_guard lock(attempt->mutex);
            attempt->result = result;
        }
        report_(std::move(result));
    }

    /// do_xcom_push and multiple_outputs.
    static std::vector<XcomValue> kept_xcoms(
        const AttemptOrder& order, std::vector<XcomValue> xcoms
    ) {
        const Task& task = order.dag->tasks[static_cast<std::size_t>(order.key.task.task)];
        const auto is_return = [](const XcomValue& xcom) { return xcom.key == "return_value"; };
        if (!task.do_xcom_push) std::erase_if(xcoms, is_return);
        if (!task.multiple_outputs) return xcoms;
        const auto returned = std::ranges::find_if(xcoms, is_return);
        if (returned == xcoms.end()) return xcoms;
        const Json value = Json::parse(returned->value);
        if (!value.is_object()) return xcoms;
        for (const auto& [key, part] : value.items())
            if (key != "return_value") xcoms.push_back({key, part.dump()});
        return xcoms;
    }

    static Outcome cancelled_outcome(CancelReason reason, const AttemptOrder& order) {
        Outcome outcome = task::fail(
            reason == CancelReason::timeout ? ErrorClass::transient : ErrorClass::permanent,
            cancel_text(reason, order)
        );
        if (reason == CancelReason::shutdown) {
            outcome.kind = OutcomeKind::lost;
            outcome.error_class = ErrorClass::none;
        }
        return outcome;
    }

    static void note_end(const Outcome& outcome, TaskLog& log) {
        switch (outcome.kind) {
            case OutcomeKind::success:
                break;
            case OutcomeKind::skipped:
                log.append(task::Level::info, "skipped: " + outcome.message, "sluice");
                break;
            case OutcomeKind::failed:
                log.append(
                    task::Level::error,
                    outcome.message + " [" + std::string(name(outcome.error_class)) + ']',
                    "sluice"
                );
                break;
            case OutcomeKind::lost:
                log.append(task::Level::warning, "lost: " + outcome.message, "sluice");
                break;
        }
        log.close();
    }

    // mutex_ held
    void add_deadline(const AttemptPtr& attempt) {
        const auto left = *attempt->order.deadline - wall_now();
        attempt->deadline = deadlines_.emplace(Steady::now() + left, attempt);
        if (!timer_.joinable()) timer_ = std::thread([this] { watch_deadlines(); });
        timer_wake_.notify_all();
    }

    void watch_deadlines() {
        std::unique_lock lock(mutex_);
        while (!stopping_) {
            if (deadlines_.empty()) {
                timer_wake_.wait(lock);
                continue;
            }
            const auto first = deadlines_.begin();
            if (Steady::now() < first->first) {
                // A copy: the entry may go while the lock is away.
                const auto until = first->first;
                timer_wake_.wait_until(lock, until);
                continue;
            }
            const AttemptPtr attempt = first->second.lock();
            if (attempt) attempt->deadline.reset();
            deadlines_.erase(first);
            lock.unlock();
            if (attempt) attempt->cancel(CancelReason::timeout);
            lock.lock();
        }
    }

    const Settings settings_;
    const Services services_;
    const std::vector<task::Operator>& operators_;
    const Report report_;
    const std::map<std::string, Json> schemas_;  // of the operators' parameters, by name
    task::Spawner spawner_;
    mutable std::mutex mutex_;  // guards all below but pool_; taken before an attempt's
    std::unordered_map<AttemptKey, AttemptPtr> attempts_;
    Deadlines deadlines_;
    std::condition_variable timer_wake_;
    std::thread timer_;
    std::size_t running_{0};
    std::size_t waiting_{0};
    bool stopping_{false};
    ThreadPool pool_;
};

LocalExecutor::LocalExecutor(
    Settings settings,
    Services services,
    const std::vector<task::Operator>& operators,
    Report report
)
    : impl_(std::make_unique<Impl>(
          std::move(settings), std::move(services), operators, std::move(report)
      )) {}

LocalExecutor::~LocalExecutor() = default;

void LocalExecutor::start(std::vector<AttemptOrder> orders) { impl_->start(std::move(orders)); }
void LocalExecutor::cancel(const CancelOrder& order) { impl_->cancel(order); }
std::vector<AttemptKey> LocalExecutor::alive() const { return impl_->alive(); }
void LocalExecutor::acknowledge(const AttemptKey& key) { impl_->acknowledge(key); }
void LocalExecutor::repost() { impl_->repost(); }
void LocalExecutor::stop() { impl_->stop(); }
std::optional<Progress> LocalExecutor::progress(const AttemptKey& key) const {
    return impl_->progress(key);
}
LocalExecutor::Load LocalExecutor::load() const { return impl_->load(); }

}  // namespace sluice::executor
