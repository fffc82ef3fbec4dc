#include "executor/callback_runner.hpp"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "executor/attempt_channel.hpp"
#include "executor/ending.hpp"
#include "executor/error_class.hpp"
#include "executor/prepare.hpp"
#include "executor/redactor.hpp"
#include "task/job.hpp"
#include "task/process.hpp"

namespace sluice::executor {
namespace {

using Json = nlohmann::json;

constexpr std::chrono::seconds longest{60};

/// The parameters with the delivery's own name in them.
Json named(const std::string& kind, Json with, const std::string& delivery) {
    if (kind == "http") {
        if (!with.contains("headers")) with["headers"] = Json::object();
        with["headers"]["Idempotency-Key"] = delivery;
    } else if (kind == "email") {
        with["message_id"] = delivery;
    } else if (kind == "shell") {
        if (!with.contains("env")) {
            with["env"] = Json::object();
            with["append_env"] = true;
        }
        with["env"]["SLUICE_CALLBACK_ID"] = delivery;
    }
    return with;
}

/// The DAG with one more task: the callback, under the name of the task that it speaks of.
AttemptOrder order_of(const CallbackCall& call) {
    AttemptOrder order = call.order;
    auto dag = std::make_shared<Dag>(*order.dag);
    Task task;
    const TaskNo about = order.key.task.task;
    if (about >= 0 && static_cast<std::size_t>(about) < dag->tasks.size()) {
        const Task& original = dag->tasks[static_cast<std::size_t>(about)];
        task.id = original.id;
        task.owner = original.owner;
        task.params = original.params;
    }
    task.operator_name = call.kind;
    task.with = named(call.kind, Json::parse(call.with), call.delivery).dump();
    order.key.task.task = static_cast<TaskNo>(dag->tasks.size());
    dag->tasks.push_back(std::move(task));
    order.dag = std::move(dag);
    return order;
}

std::string target_of(const std::string& kind, const std::string& rendered) {
    const Json params = Json::parse(rendered, nullptr, false);
    const auto text = [&](const char* key) {
        const auto found = params.find(key);
        if (found == params.end()) return std::string{};
        return text_of(*found);
    };
    std::string out;
    if (!params.is_object()) return out;
    if (kind == "http") {
        out = params.contains("url") ? text("url") : text("conn_id") + ' ' + text("endpoint");
    } else if (kind == "email") {
        out = text("to");
    } else {
        out = params.contains("argv") ? text("argv") : text("bash_command");
    }
    return bounded(out.substr(0, 300));
}

}  // namespace

CallbackRunner::CallbackRunner(
    Settings settings, Services services, const std::vector<task::Operator>& operators
)
    : settings_(std::move(settings)),
      services_(std::move(services)),
      operators_(operators),
      spawner_(std::make_unique<task::Spawner>(task::Spawner::allowed_environment(settings_.instance
      ))) {}

CallbackRunner::~CallbackRunner() = default;

Outcome CallbackRunner::run_with(
    const CallbackCall& call,
    const task::Operator& op,
    Redactor& redactor,
    TaskLog& log,
    std::string& target
) {
    const AttemptOrder order = order_of(call);
    AttemptChannel channel(order, services_, redactor, log);
    Outcome outcome = outcome_of_run([&] {
        Services services = services_;
        services.load_checkpoint = nullptr;
        Prepared prepared =
            prepare(order, op, Json::parse(op.schema), settings_, services, redactor);
        target = target_of(call.kind, prepared.rendered);
        prepared.job.info.attempt_id = call.delivery;
        const Json params = revealed_params(prepared.job);
        task::TaskContext context(
            std::move(prepared.job), channel, {"", spawner_.get(), settings_.scratch_root}
        );
        {
            const std::lock_guard lock(mutex_);
            if (stopped_) return task::fail(ErrorClass::transient, "the daemon stops");
            running_.emplace(&context, Clock::now());
        }
        const struct Leave {
            ~Leave() {
                const std::lock_guard lock(runner->mutex_);
                runner->running_.erase(context);
            }
            CallbackRunner* runner;
            task::TaskContext* context;
        } leave{this, &context};
        return op.run(context, params);
    });
    outcome.message = bounded(redactor.redact(outcome.message));
    return outcome;
}

CallbackAnswer CallbackRunner::run(const CallbackCall& call) {
    CallbackAnswer answer;
    try {
        const auto op = std::ranges::lower_bound(operators_, call.kind, {}, &task::Operator::name);
        if (op == operators_.end() || op->name != call.kind ||
            op->traits.isolation != Isolation::inline_)
            throw Error(ErrorCode::invalid, "there are no callbacks of kind \"" + call.kind + '"');
        Redactor redactor;
        TaskLog log(call.log, redactor);
        answer.outcome = run_with(call, *op, redactor, log, answer.target);
        note_end(answer.outcome, log);
    } catch (const std::exception& error) {
        answer.outcome = task::fail(ErrorClass::permanent, bounded(error.what()));
    }
    return answer;
}

void CallbackRunner::cancel(Which which) {
    const std::lock_guard lock(mutex_);
    if (which == Which::all) stopped_ = true;
    for (const auto& [context, since] : running_)
        if (which == Which::all || Clock::now() - since > longest) context->cancel();
}

}  // namespace sluice::executor
