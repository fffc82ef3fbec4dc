#include "runtime/deliveries.hpp"

#include <algorithm>
#include <filesystem>
#include <utility>

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "base/error.hpp"
#include "base/fault.hpp"
#include "base/hash.hpp"

namespace sluice::runtime {
namespace {

using Json = nlohmann::json;
using std::chrono::seconds;

constexpr std::size_t worker_count = 4;
constexpr seconds database_patience{2};
constexpr seconds tick{1};

Duration wait_after(int tries) {
    constexpr int doublings = 12;
    return std::min<Duration>(seconds{1L << std::min(tries, doublings)}, std::chrono::hours{1});
}

/// The same for every try of a row, and for no other row anywhere.
std::string delivery_of(const store::OutboxRow& row) {
    return uuid_of(
        "outbox\n" + std::to_string(row.id) + '\n' + format_z(row.created_at) + '\n' + row.dag_id +
        '\n' + row.run_id + '\n' + row.payload
    );
}

}  // namespace

Deliveries::Deliveries(World world) : world_(std::move(world)) {}
Deliveries::~Deliveries() { stop(); }

void Deliveries::start() {
    watcher_ = std::thread([this] { watch(); });
    for (std::size_t i = 0; i < worker_count; ++i) workers_.emplace_back([this] { work(); });
}

void Deliveries::wake() {
    const std::lock_guard lock(mutex_);
    look_ = true;
    woken_.notify_all();
}

void Deliveries::again(std::int64_t id) {
    const std::lock_guard lock(mutex_);
    std::erase_if(due_, [id](const auto& entry) { return entry.second == id; });
    if (!working_.contains(id)) due_.emplace(world_.clock.now(), id);
    woken_.notify_all();
}

void Deliveries::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    woken_.notify_all();
    world_.runner.cancel(executor::CallbackRunner::Which::all);
    if (watcher_.joinable()) watcher_.join();
    for (auto& worker : workers_) worker.join();
    workers_.clear();
}

/// Takes new rows in, and ends calls that take too long.
void Deliveries::watch() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        const bool owner = world_.is_owner();
        if (owner && !owned_) {
            // What an owner before us has left.
            look_ = true;
            seen_ = 0;
            due_.clear();
        }
        owned_ = owner;
        if (owner && std::exchange(look_, false)) {
            lock.unlock();
            read_new();
            lock.lock();
            continue;
        }
        const bool busy = !working_.empty();
        lock.unlock();
        if (busy) world_.runner.cancel(executor::CallbackRunner::Which::overdue);
        lock.lock();
        if (!stopping_ && !(look_ && owned_)) woken_.wait_for(lock, tick);
    }
}

void Deliveries::read_new() {
    std::int64_t after = 0;
    {
        const std::lock_guard lock(mutex_);
        after = seen_;
    }
    std::vector<store::OutboxRow> rows;
    try {
        rows = world_.outbox.waiting(after);
    } catch (const std::exception& error) {
        spdlog::warn("the outbox cannot be read: {}", error.what());
        std::unique_lock lock(mutex_);
        woken_.wait_for(lock, database_patience, [this] { return stopping_; });
        look_ = true;
        return;
    }
    const std::lock_guard lock(mutex_);
    for (const auto& row : rows) {
        seen_ = std::max(seen_, row.id);
        if (!working_.contains(row.id)) due_.emplace(row.next_try_at, row.id);
    }
    if (!rows.empty()) look_ = true;  // there may be more
    woken_.notify_all();
}

void Deliveries::work() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        if (!owned_ || due_.empty()) {
            woken_.wait(lock);
            continue;
        }
        const auto first = due_.begin();
        const Duration wait = first->first - world_.clock.now();
        if (wait > Duration::zero()) {
            woken_.wait_for(lock, std::min<Duration>(wait, std::chrono::minutes{1}));
            continue;
        }
        const std::int64_t id = first->second;
        due_.erase(first);
        working_.insert(id);
        lock.unlock();
        const auto next = deliver(id);
        lock.lock();
        working_.erase(id);
        if (next) due_.emplace(*next, id);
        woken_.notify_all();
    }
}

executor::CallbackCall Deliveries::call_of(
    const store::OutboxRow& row, const store::RunRow& run, const DagPtr& dag
) const {
    const Json payload = Json::parse(row.payload);
    executor::CallbackCall call;
    call.order.key = {{row.run, row.task, row.map_index}, payload.value("start", 0)};
    call.order.dag = dag;
    call.order.run = std::make_shared<const DagRun>(run.run);
    call.order.try_number = payload.value("try_number", 0);
    call.order.start_date = run.run.start_date.value_or(run.run.queued_at);
    call.order.exception = payload.value("reason", "");
    call.kind = row.kind;
    call.with = payload.at("with").dump();
    call.delivery = delivery_of(row);
    const std::filesystem::path task_log = executor::log_path(
        world_.runner.settings().logs_root, run.run.dag_id, run.run.run_id, "x", unmapped, 1
    );
    call.log =
        task_log.parent_path().parent_path() / "callbacks" / (std::to_string(row.id) + ".log");
    return call;
}

std::optional<Instant> Deliveries::deliver(std::int64_t id) {
    try {
        const auto row = world_.outbox.find(id);
        if (!row || row->delivered_at || row->gave_up) return std::nullopt;
        const auto run = world_.queries.run(row->run);
        const DagPtr dag = run ? world_.version(*run) : nullptr;
        if (dag == nullptr) {
            world_.outbox.failed(
                id,
                {.error = "its run, or the DAG version of the run, is gone",
                 .next = world_.clock.now(),
                 .gave_up = true}
            );
            return std::nullopt;
        }
        fault_point("before_delivery");
        const auto answer = world_.runner.run(call_of(*row, *run, dag));
        {
            // A call that our own stop has ended has not failed.
            const std::lock_guard lock(mutex_);
            if (stopping_ && answer.outcome.kind != OutcomeKind::success) return std::nullopt;
        }
        if (answer.outcome.kind == OutcomeKind::success ||
            answer.outcome.kind == OutcomeKind::skipped) {
            world_.outbox.delivered(id, answer.target);
            return std::nullopt;
        }
        const Instant next =
            world_.clock.now() + answer.outcome.retry_after.value_or(wait_after(row->tries));
        const bool gives_up = row->tries + 1 >= callback_tries;
        world_.outbox.failed(id, {answer.target, answer.outcome.message, next, gives_up});
        spdlog::warn(
            "callback {} ({} of {}) was not delivered{}: {}",
            id,
            row->event,
            row->dag_id,
            gives_up ? " and is given up" : "",
            answer.outcome.message
        );
        if (gives_up) return std::nullopt;
        return next;
    } catch (const std::exception& error) {
        spdlog::warn("callback {} waits: {}", id, error.what());
        return world_.clock.now() + database_patience;
    }
}

}  // namespace sluice::runtime
