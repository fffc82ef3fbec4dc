// upkeep.hpp — what a daemon tidies up once an hour, on a thread and a connection of its own: run
// state past its retention with its logs and artefacts, what is left of deleted DAGs (at once) and
// runs, artefacts that no run counts, delivered callbacks. Only the owner of the run state does it.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "base/artefacts.hpp"
#include "model/turn.hpp"
#include "store/retention.hpp"

namespace sluice::runtime {

class Upkeep {
public:
    struct World {
        std::string database_url;
        Artefacts& artefacts;
        std::filesystem::path logs;
        Duration keep_runs{};  // 0 = for ever
        std::function<bool()> is_owner;
        /// Nothing is stored of a deleted DAG any more.
        std::function<void(const DeletedDag&)> dag_removed;
    };
    explicit Upkeep(World world);
    ~Upkeep();
    Upkeep(const Upkeep&) = delete;
    Upkeep& operator=(const Upkeep&) = delete;

    /// The first look is at once.
    void start();
    void stop();
    /// DAGs were deleted. From any thread; returns at once.
    void wake();

private:
    void run();
    void tidy();
    void remove_deleted();
    [[nodiscard]] bool goes_on();

    const World world_;
    std::thread thread_;
    std::mutex mutex_;  // guards stopping_ and woken_
    std::condition_variable stopped_;
    bool stopping_{false};
    bool woken_{false};
};

/// Removes the logs of a run.
void remove_logs(
    const std::filesystem::path& logs, const std::string& dag_id, const std::string& run_id
);
/// Removes the folder of a DAG's logs, if it is empty.
void remove_empty_logs(const std::filesystem::path& logs, const std::string& dag_id);
/// Artefacts younger than this may belong to a commit that is on its way.
inline constexpr std::chrono::hours artefact_grace{1};

}  // namespace sluice::runtime
