// task_services.hpp — what running tasks get from the daemon: connections, secrets, XComs, and the
// catalogue that resolves (data set, run) to partitions, slices and places. The only code that
// does.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "base/secret.hpp"
#include "executor/services.hpp"
#include "model/attempt.hpp"
#include "store/ledger.hpp"
#include "store/map_items.hpp"

namespace sluice {

/// Label of the partition of a data set that an order's run covers: "dt=2026-01-05", "" when the
/// data set has no partitions. A run without a data interval has that of its logical date or
/// run_after.
std::string partition_of(const AttemptOrder& order, const std::string& dataset);
/// The same as templates see it: "2026-01-05".
std::string partition_key_of(const AttemptOrder& order);

/// Where the parts of Services come from; all references outlive the executor.
struct ServiceSources {
    store::Ledger& ledger;
    std::function<std::optional<task::Connection>(const std::string&)> connection;
    std::function<std::map<std::string, Secret>()> secrets;
    std::function<std::optional<std::string>(const std::string&)> variable;
    /// As stored: artefacts are resolved here.
    std::function<std::map<std::string, std::string>(const TaskKey&)> xcoms;
    Artefacts& artefacts;
    std::function<std::string(const TaskKey&)> load_checkpoint;
    std::function<void(const AttemptKey&, const std::string& state)> save_checkpoint;
    /// The events that made a run, by id.
    std::function<std::vector<AssetEvent>(RunKey)> asset_events;
    /// Of the instances of a mapped task: key -> JSON list without nulls, of those that are named,
    /// in their order; null = of all by map index.
    std::function<std::map<std::string, std::string>(RunKey, TaskNo, const std::vector<MapIndex>*)>
        xcom_lists{};
    store::MapItems* map_items{nullptr};  // null: mappings are not expanded here
    /// The DAG's latest successful run with an earlier logical date than the order's.
    std::function<std::optional<DagRun>(const AttemptOrder&)> previous_success{};
    /// The last updates of an asset, the oldest first.
    std::function<std::vector<AssetEvent>(const std::string& asset)> updates_of{};
    /// "" = the schema itself; `dags test` writes to a throw-away one.
    std::string schema_suffix;
};
executor::Services task_services(ServiceSources sources);

}  // namespace sluice
