// trial_run.hpp — one whole DAG run without daemon or run-state database, which leaves nothing
// behind: the journal and the ledger are in memory, the lake and the logs are a temporary folder,
// warehouse tables go to throw-away schemas that are dropped. `dags test` runs a DAG so, and `dags
// plan` what a DAG would do to what is there.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "connections.hpp"
#include "core/scheduler.hpp"
#include "executor/local_executor.hpp"
#include "runtime/runtime.hpp"
#include "store/connection_pool.hpp"
#include "store/map_items.hpp"
#include "store/memory_journal.hpp"
#include "temporary_folder.hpp"
#include "test_schemas.hpp"

namespace sluice {

struct TrialOptions {
    std::string date;
    std::string home{".sluice"};
    std::string conf{"{}"};
    std::string database_url;  // "" = that of the home's private cluster
};

/// Connections from the environment, else from the home's store when its PostgreSQL runs; the lake
/// is always the temporary one.
class TrialConnections {
public:
    TrialConnections(const TrialOptions& options, std::filesystem::path lake);

    [[nodiscard]] std::optional<task::Connection> find(
        const std::string& conn_id, const std::string& lake_id
    ) const;
    /// As the home has it, the lake too.
    [[nodiscard]] std::optional<task::Connection> real(const std::string& conn_id) const;
    /// A variable of the home; none without its daemon.
    [[nodiscard]] std::optional<std::string> variable(const std::string& key) const;
    /// The home's database; null without it.
    [[nodiscard]] store::ConnectionPool* pool() const { return known_ ? pool_.get() : nullptr; }

private:
    std::filesystem::path lake_;
    std::unique_ptr<store::ConnectionPool> pool_;
    std::unique_ptr<store::Admin> admin_;
    std::unique_ptr<Connections> known_;
};

/// Reads a DAG file as `sluice check` does, its problems to standard error. Throws Error.
Dag read_trial_dag(const std::string& file);

class TrialRun {
public:
    /// What a plan puts around the ledger in memory, so that the run sees what is there.
    using Around = std::function<store::Ledger&(TrialRun&)>;

    explicit TrialRun(Dag dag, const TrialOptions& options, const Around& around = {});
    ~TrialRun();
    TrialRun(const TrialRun&) = delete;
    TrialRun& operator=(const TrialRun&) = delete;

    /// Runs to the end; true if it succeeded. Throws Error when `stop` says so meanwhile.
    bool run(const std::function<bool()>& stop = {});

    [[nodiscard]] const Dag& dag() const { return dag_; }
    [[nodiscard]] TrialConnections& connections() { return connections_; }
    [[nodiscard]] store::MemoryLedger& ledger() { return ledger_; }
    [[nodiscard]] const std::filesystem::path& folder() const { return folder_.path(); }
    /// Makes the throw-away schemas known as this process's; `run` does it too.
    void take_schemas();

private:
    executor::Services services(store::Ledger& ledger);
    void tell(const TaskInstance& instance, const std::string& run_id);

    TrialOptions options_;
    Dag dag_;
    DagPtr listed_;
    TemporaryFolder folder_;
    TrialConnections connections_;
    TestSchemas schemas_;
    bool has_schemas_{false};
    std::map<std::string, Secret> secrets_;
    SystemClock clock_;
    store::MemoryLedger ledger_;
    Artefacts artefacts_;
    std::mutex checkpoints_mutex_;  // guards checkpoints_
    std::map<TaskKey, std::string> checkpoints_;
    store::MemoryJournal journal_;
    store::MemoryMapItems map_items_{[this](RunKey run, MapNo map) {
        std::vector<MapLength> lengths;
        runtime_.query([&](const core::Scheduler&) { lengths = journal_.map_lengths(run, map); });
        return lengths;
    }};
    executor::LocalExecutor executor_;
    runtime::Runtime runtime_;
};

}  // namespace sluice
