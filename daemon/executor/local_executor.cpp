#include "executor/local_executor.hpp"

#include <algorithm>
#include <filesystem>

#include <spdlog/spdlog.h>

#include "base/clock.hpp"
#include "executor/local_executor_impl.hpp"

namespace sluice::executor {

LocalExecutor::Impl::Impl(
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
      warm_(spawner_, settings_.program),
      pool_(hot_threads(), std::max<std::size_t>(settings_.threads, hot_threads()), [this] {
          report_held();
      }) {
    if (settings_.instance.empty()) return;
    const int ended = task::end_instance(settings_.instance, std::chrono::seconds{2});
    if (ended != 0) spdlog::warn("{} processes of an earlier daemon were ended", ended);
    remove_scratch();
    std::string how;
    memory_groups_ = task::MemoryGroups::detect(settings_.instance, how);
    spawner_.limit_memory_by(memory_groups_.get());
    spdlog::info(
        "memory limits of tasks: {}{}", memory_groups_ ? "" : "watched every 50 ms, as ", how
    );
}

void LocalExecutor::Impl::start(std::vector<AttemptOrder> orders) {
    std::vector<ThreadPool::Work> work;
    work.reserve(orders.size());
    std::vector<AttemptPtr> refused;
    std::vector<AttemptResult> ended;
    const bool allowed = !settings_.may_start || settings_.may_start();
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
            if (auto end = allowed ? ends_at_once(attempt->order) : std::nullopt) {
                const std::lock_guard attempt_lock(attempt->mutex);
                attempt->result = *end;
                ended.push_back(*std::move(end));
                continue;
            }
            if (attempt->order.deadline) add_deadline(attempt);
            work.emplace_back([this, attempt = std::move(attempt)] { run(attempt); });
        }
        waiting_ += work.size();
    }
    pool_.push(std::move(work));
    report(std::move(ended));
    for (const AttemptPtr& attempt : refused) {
        attempt->cancel(CancelReason::shutdown);
        finish(attempt, {}, nullptr);
    }
}

void LocalExecutor::Impl::cancel(const CancelOrder& order) {
    if (const AttemptPtr attempt = find(order.key)) attempt->cancel(order.reason);
}

std::vector<AttemptKey> LocalExecutor::Impl::alive() const {
    const std::lock_guard lock(mutex_);
    std::vector<AttemptKey> keys;
    keys.reserve(attempts_.size());
    for (const auto& [key, attempt] : attempts_) keys.push_back(key);
    return keys;
}

void LocalExecutor::Impl::acknowledge(const AttemptKey& key) {
    const std::lock_guard lock(mutex_);
    const auto found = attempts_.find(key);
    if (found == attempts_.end()) return;
    const AttemptPtr attempt = found->second;
    const std::lock_guard attempt_lock(attempt->mutex);
    if (attempt->result) attempts_.erase(found);
}

void LocalExecutor::Impl::repost() {
    std::vector<AttemptResult> results;
    {
        const std::lock_guard lock(mutex_);
        for (const auto& [key, attempt] : attempts_) {
            const std::lock_guard attempt_lock(attempt->mutex);
            if (attempt->result) results.push_back(*attempt->result);
        }
    }
    report_(std::move(results));
}

void LocalExecutor::Impl::abandon() {
    std::vector<AttemptPtr> all;
    {
        const std::lock_guard lock(mutex_);
        for (const auto& [key, attempt] : attempts_) all.push_back(attempt);
        attempts_.clear();
    }
    for (const AttemptPtr& attempt : all) {
        {
            const std::lock_guard lock(attempt->mutex);
            attempt->abandoned = true;
        }
        attempt->cancel(CancelReason::shutdown);
    }
    {
        const std::lock_guard lock(held_mutex_);
        held_.clear();
    }
    // An inline operator returns within a second of its cancel; a worker is ended by force.
    const auto deadline = Steady::now() + std::chrono::seconds{10};
    for (auto now = load(); now.running + now.waiting > 0 && Steady::now() < deadline; now = load())
        std::this_thread::sleep_for(std::chrono::milliseconds{5});
    if (!settings_.instance.empty())
        task::end_instance(settings_.instance, std::chrono::seconds{2});
}

void LocalExecutor::Impl::stop() {
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

std::vector<std::pair<TaskKey, Progress>> LocalExecutor::Impl::progress() const {
    std::vector<AttemptPtr> all;
    {
        const std::lock_guard lock(mutex_);
        for (const auto& [key, attempt] : attempts_) all.push_back(attempt);
    }
    std::vector<std::pair<TaskKey, Progress>> said;
    for (const AttemptPtr& attempt : all) {
        const std::lock_guard lock(attempt->mutex);
        if (attempt->channel == nullptr) continue;
        Progress progress = attempt->channel->progress();
        if (!progress.what.empty()) said.emplace_back(attempt->order.key.task, std::move(progress));
    }
    return said;
}

LocalExecutor::Load LocalExecutor::Impl::load() const {
    const std::lock_guard lock(mutex_);
    return {running_, waiting_, pool_.threads()};
}

std::size_t LocalExecutor::Impl::hot_threads() {
    return std::max(2U, std::thread::hardware_concurrency()) - 1;
}

std::map<std::string, Json> LocalExecutor::Impl::read_schemas(
    const std::vector<task::Operator>& operators
) {
    std::map<std::string, Json> out;
    for (const task::Operator& op : operators) out[op.name] = Json::parse(op.schema);
    return out;
}

void LocalExecutor::Impl::remove_scratch() const {
    if (settings_.scratch_root.empty()) return;
    namespace fs = std::filesystem;
    std::error_code ignored;
    for (fs::directory_iterator it(settings_.scratch_root, ignored), end; !ignored && it != end;
         it.increment(ignored)) {
        std::error_code kept;
        if (it->path().filename().string().starts_with("sluice-")) fs::remove_all(*it, kept);
    }
}

AttemptPtr LocalExecutor::Impl::find(const AttemptKey& key) const {
    const std::lock_guard lock(mutex_);
    const auto found = attempts_.find(key);
    return found == attempts_.end() ? nullptr : found->second;
}

void LocalExecutor::Impl::add_deadline(const AttemptPtr& attempt) {
    const auto left = *attempt->order.deadline - SystemClock().now();
    attempt->deadline = deadlines_.emplace(Steady::now() + left, attempt);
    if (!timer_.joinable()) timer_ = std::thread([this] { watch_deadlines(); });
    timer_wake_.notify_all();
}

void LocalExecutor::Impl::watch_deadlines() {
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

std::optional<AttemptResult> LocalExecutor::ends_at_once(const AttemptOrder& order) const {
    return impl_->ends_at_once(order);
}
void LocalExecutor::start(std::vector<AttemptOrder> orders) { impl_->start(std::move(orders)); }
void LocalExecutor::expand(ExpandOrder order, std::function<void(ExpandAnswer)> done) {
    impl_->expand(std::move(order), std::move(done));
}
void LocalExecutor::cancel(const CancelOrder& order) { impl_->cancel(order); }
std::vector<AttemptKey> LocalExecutor::alive() const { return impl_->alive(); }
void LocalExecutor::acknowledge(const AttemptKey& key) { impl_->acknowledge(key); }
void LocalExecutor::repost() { impl_->repost(); }
void LocalExecutor::abandon() { impl_->abandon(); }
void LocalExecutor::stop() { impl_->stop(); }
std::vector<std::pair<TaskKey, Progress>> LocalExecutor::progress() const {
    return impl_->progress();
}
LocalExecutor::Load LocalExecutor::load() const { return impl_->load(); }

}  // namespace sluice::executor
