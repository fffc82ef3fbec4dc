#include "runtime/upkeep.hpp"

#include <utility>

#include <spdlog/spdlog.h>

#include "executor/task_log.hpp"

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

void Upkeep::run() {
    for (;;) {
        const bool owner = world_.is_owner();
        if (owner) tidy();
        std::unique_lock lock(mutex_);
        const std::chrono::seconds wait = owner ? std::chrono::seconds{every} : standby_look;
        if (stopped_.wait_for(lock, wait, [this] { return stopping_; })) return;
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
        const auto deleted =
            retention.sweep_deleted([this](const std::string& dag_id, const std::string& run_id) {
                remove_logs(world_.logs, dag_id, run_id);
            });
        if (deleted > 0) spdlog::info("what was left of {} deleted runs is gone", deleted);
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
