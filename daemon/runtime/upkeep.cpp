#include "runtime/upkeep.hpp"

#include <utility>

#include <spdlog/spdlog.h>

#include "executor/task_log.hpp"
#include "store/dag_removal.hpp"

namespace sluice::runtime {
namespace {

constexpr std::chrono::hours every{1};
constexpr std::chrono::hours delivered_kept{24 * 30};
/// A standby looks whether it has become the owner.
constexpr std::chrono::seconds standby_look{10};

}  // namespace

void remove_logs(
    const std::filesystem::path& logs, const std::string& dag_id, const std::string& run_id
) {
    const std::filesystem::path one = executor::log_path(logs.string(), dag_id, run_id, "x", -1, 1);
    std::error_code ignored;
    std::filesystem::remove_all(one.parent_path().parent_path(), ignored);
}

void remove_empty_logs(const std::filesystem::path& logs, const std::string& dag_id) {
    const std::filesystem::path one = executor::log_path(logs.string(), dag_id, "x", "x", -1, 1);
    std::error_code ignored;
    std::filesystem::remove(one.parent_path().parent_path().parent_path(), ignored);
}

Upkeep::Upkeep(World world) : world_(std::move(world)) {}
Upkeep::~Upkeep() { stop(); }

void Upkeep::start() {
    thread_ = std::thread([this] { run(); });
}

void Upkeep::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    stopped_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void Upkeep::wake() {
    {
        const std::lock_guard lock(mutex_);
        woken_ = true;
    }
    stopped_.notify_all();
}

void Upkeep::run() {
    auto due = std::chrono::steady_clock::now();
    for (;;) {
        const bool owner = world_.is_owner();
        const bool hourly = owner && std::chrono::steady_clock::now() >= due;
        if (owner) remove_deleted();
        if (hourly) {
            tidy();
            due = std::chrono::steady_clock::now() + every;
        }
        std::unique_lock lock(mutex_);
        const auto until = owner ? due : std::chrono::steady_clock::now() + standby_look;
        stopped_.wait_until(lock, until, [this] { return stopping_ || woken_; });
        if (stopping_) return;
        woken_ = false;
    }
}

bool Upkeep::goes_on() {
    const std::lock_guard lock(mutex_);
    return !stopping_ && world_.is_owner();
}

/// First what keeps an id from being taken again, of all DAGs; then the many rows of their runs.
void Upkeep::remove_deleted() {
    const auto gone = [this](const std::string& dag_id, const std::string& run_id) {
        remove_logs(world_.logs, dag_id, run_id);
    };
    const auto go_on = [this] { return goes_on(); };
    try {
        for (const auto& dag : store::remove_deleted_dags(world_.database_url, gone, go_on)) {
            remove_empty_logs(world_.logs, dag.dag_id);
            world_.dag_removed(dag);
            spdlog::info("DAG {} is deleted", dag.dag_id);
        }
        store::Retention retention(world_.database_url);
        const auto deleted = retention.sweep_deleted(gone, go_on);
        if (deleted > 0) spdlog::info("what was left of {} deleted runs is gone", deleted);
    } catch (const std::exception& error) {
        spdlog::warn("what was deleted is removed later: {}", error.what());
    }
}

void Upkeep::tidy() {
    try {
        store::Retention retention(world_.database_url);
        if (world_.keep_runs > Duration::zero()) {
            const auto runs = retention.apply(
                world_.keep_runs,
                [this](const std::string& dag_id, const std::string& run_id) {
                    remove_logs(world_.logs, dag_id, run_id);
                }
            );
            if (runs > 0) spdlog::info("retention: the state of {} old runs is gone", runs);
        }
        retention.forget_delivered(delivered_kept);
        const auto swept = world_.artefacts.sweep(artefact_grace, [&](const auto& hashes) {
            return retention.counted(hashes);
        });
        if (swept > 0) spdlog::info("{} artefacts that no run counts were removed", swept);
    } catch (const std::exception& error) {
        spdlog::warn("upkeep waits an hour: {}", error.what());
    }
}

}  // namespace sluice::runtime
