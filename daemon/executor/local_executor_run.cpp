// One attempt: ended at once if it is empty, else on a pool thread: prepared, run inline or in a
// worker process, settled and reported.
#include <cstdlib>
#include <filesystem>

#include "base/check.hpp"
#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/fault.hpp"
#include "executor/error_class.hpp"
#include "executor/local_executor_impl.hpp"
#include "executor/prepare.hpp"
#include "executor/supervisor.hpp"
#include "task/job.hpp"

namespace sluice::executor {
namespace {

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

}  // namespace

std::optional<AttemptResult> LocalExecutor::Impl::ends_at_once(const AttemptOrder& order) const {
    const Task& task = order.dag->tasks.at(static_cast<std::size_t>(order.key.task.task));
    // The name of a mapped instance is a template, whose values may have to be read.
    const bool named = !task.map_index_template.empty() || order.outer != unmapped;
    if (named || task.with != "{}" || task.isolation != Isolation::inline_) return std::nullopt;
    const task::Operator* op = find_operator(task.operator_name);
    if (op == nullptr || !op->traits.empty) return std::nullopt;
    AttemptResult result;
    result.key = order.key;
    result.outcome = task::success();
    result.end_date = SystemClock().now();
    return result;
}

void LocalExecutor::Impl::run(const AttemptPtr& attempt) {
    {
        const std::lock_guard lock(mutex_);
        --waiting_;
        ++running_;
    }
    wait_until_allowed(attempt);
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

void LocalExecutor::Impl::wait_until_allowed(const AttemptPtr& attempt) const {
    if (!settings_.may_start) return;
    while (!settings_.may_start()) {
        {
            const std::lock_guard lock(attempt->mutex);
            if (attempt->cancelled) return;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds{10});
    }
}

std::string LocalExecutor::Impl::path_of(const AttemptOrder& order) const {
    const task::TaskInfo info = info_of(order, settings_);
    return log_path(
        settings_.logs_root, info.dag_id, info.run_id, info.task_id, info.map_index, info.try_number
    );
}

const task::Operator* LocalExecutor::Impl::find_operator(const std::string& operator_name) const {
    const auto found =
        std::ranges::lower_bound(operators_, operator_name, {}, &task::Operator::name);
    return found != operators_.end() && found->name == operator_name ? &*found : nullptr;
}

void LocalExecutor::Impl::run_operator(const AttemptPtr& attempt) {
    const AttemptOrder& order = attempt->order;
    const std::string& operator_name =
        order.dag->tasks.at(static_cast<std::size_t>(order.key.task.task)).operator_name;
    const task::Operator* op = find_operator(operator_name);
    if (op != nullptr && op->traits.instant) {
        attempt->instant = true;
        run_with(attempt, op);
        return;
    }
    report_held();
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

void LocalExecutor::Impl::run_with(const AttemptPtr& attempt, const task::Operator* op) {
    Redactor redactor;
    TaskLog log(path_of(attempt->order), redactor);
    AttemptChannel channel(attempt->order, services_, redactor, log);
    Ending ending;
    ending.outcome = outcome_of_run([&] {
        Prepared prepared =
            prepare(attempt->order, *op, schemas_.at(op->name), settings_, services_, redactor);
        ending.rendered = std::move(prepared.rendered);
        ending.checkpointed = prepared.job.checkpoint != "null";
        // A command runs in a worker if it hands over data sets: the engine takes them in.
        const Task& task =
            attempt->order.dag->tasks.at(static_cast<std::size_t>(attempt->order.key.task.task));
        const bool in_line =
            op->traits.isolation == Isolation::inline_ && task.isolation == Isolation::inline_;
        Outcome outcome = in_line ? run_inline(attempt, *op, std::move(prepared.job), channel)
                                  : run_worker(attempt, prepared.job, channel, log);
        ending.xcoms = kept_xcoms(attempt->order, channel.take_xcoms(), services_.artefacts);
        return outcome;
    });
    ending.outcome->message = bounded(redactor.redact(ending.outcome->message));
    if (auto& wait = ending.outcome->wait)
        keep_small(*ending.outcome, redactor.redact(wait->resume));
    ending.outputs = channel.take_outputs();
    ending.metrics = channel.metrics();
    ending.checkpointed = ending.checkpointed || channel.checkpointed();
    finish(attempt, std::move(ending), &log);
}

Outcome LocalExecutor::Impl::run_inline(
    const AttemptPtr& attempt, const task::Operator& op, task::Job job, AttemptChannel& channel
) {
    const Json params = revealed_params(job);
    task::TaskContext context(std::move(job), channel, {"", &spawner_, settings_.scratch_root});
    const Attached attached(*attempt, channel, [&context] { context.cancel(); });
    return op.run(context, params);
}

Outcome LocalExecutor::Impl::run_worker(
    const AttemptPtr& attempt, const task::Job& job, AttemptChannel& channel, TaskLog& log
) {
    const ScratchFolder scratch(settings_.scratch_root);
    Supervisor supervisor(spawner_, warm_, settings_.program, scratch.path, channel, log);
    const Attached attached(*attempt, channel, [&supervisor] { supervisor.cancel(); });
    return supervisor.run(job);
}

void LocalExecutor::Impl::finish(const AttemptPtr& attempt, Ending ending, TaskLog* log) {
    const AttemptOrder& order = attempt->order;
    AttemptResult result;
    result.key = order.key;
    result.rendered = std::move(ending.rendered);
    result.checkpointed = ending.checkpointed;
    {
        const std::lock_guard lock(attempt->mutex);
        // Work that was done before the cancel arrived counts.
        const bool completed = ending.outcome && ending.outcome->kind != OutcomeKind::failed &&
                               ending.outcome->kind != OutcomeKind::waiting;
        if (attempt->cancelled && !completed)
            ending.outcome = cancelled_outcome(*attempt->cancelled, order, ending.outcome);
    }
    SLUICE_CHECK(ending.outcome.has_value());
    result.outcome = std::move(*ending.outcome);
    if (log != nullptr) keep_metrics(order, ending, result.outcome, *log);
    if (log != nullptr) note_end(result.outcome, *log);
    if (result.outcome.kind == OutcomeKind::success) {
        result.outputs = std::move(ending.outputs);
        result.xcoms = std::move(ending.xcoms);
    }
    // The failed one is the one that is looked for.
    if (result.outcome.kind != OutcomeKind::waiting && result.outcome.kind != OutcomeKind::lost)
        result.map_name = map_name(order, settings_, services_);
    result.end_date = SystemClock().now();
    {
        const std::lock_guard lock(attempt->mutex);
        attempt->result = result;
        if (attempt->abandoned) return;
    }
    if (attempt->instant) return hold(std::move(result));
    std::vector<AttemptResult> single;
    single.push_back(std::move(result));
    report(std::move(single));
}

void LocalExecutor::Impl::hold(AttemptResult result) {
    constexpr std::size_t most = 256;
    constexpr std::chrono::milliseconds longest{1};
    {
        const std::lock_guard lock(held_mutex_);
        const auto now = Steady::now();
        if (held_.empty()) held_since_ = now;
        held_.push_back(std::move(result));
        if (held_.size() < most && now - held_since_ < longest) return;
    }
    report_held();
}

void LocalExecutor::Impl::report_held() {
    std::vector<AttemptResult> results;
    {
        const std::lock_guard lock(held_mutex_);
        results.swap(held_);
    }
    report(std::move(results));
}

void LocalExecutor::Impl::report(std::vector<AttemptResult> results) const {
    if (results.empty()) return;
    fault_point("before_result_posted");
    report_(std::move(results));
    fault_point("after_result_posted");
}

void LocalExecutor::Impl::keep_metrics(
    const AttemptOrder& order, const Ending& ending, const Outcome& outcome, TaskLog& log
) const {
    if (ending.metrics.empty() || !services_.put_metrics || outcome.kind == OutcomeKind::waiting)
        return;
    const bool passed =
        outcome.kind == OutcomeKind::success || outcome.kind == OutcomeKind::skipped;
    try {
        services_.put_metrics(order, ending.metrics, passed);
    } catch (const std::exception& error) {
        // The work is done; that its numbers are missing is no reason to do it again.
        log.append(task::Level::warning, std::string("metrics are not kept: ") + error.what());
    }
}

void LocalExecutor::Impl::expand(ExpandOrder order, std::function<void(ExpandAnswer)> done) {
    pool_.push({[this, order = std::move(order), done = std::move(done)] {
        const ThreadPool::Blocking blocking(pool_);
        ExpandAnswer answer;
        const auto outcome = outcome_of_run([&] {
            answer = expand_now(order, settings_, services_);
            return Outcome{};
        });
        if (outcome.kind != OutcomeKind::success) {
            answer.length.reset();
            answer.error = bounded(outcome.message);
            answer.error_class = outcome.error_class;
        }
        done(std::move(answer));
    }});
}

}  // namespace sluice::executor
