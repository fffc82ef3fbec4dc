// services.hpp — what the daemon gives to tasks. Filled by wiring, so that the executor knows
// neither store nor spec. Every function may be called from any thread, may block and may throw
// Error; an empty one means there is nothing of the kind (tests).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/artefacts.hpp"
#include "base/secret.hpp"
#include "model/attempt.hpp"
#include "model/dag.hpp"
#include "model/run_facts.hpp"
#include "model/template.hpp"
#include "task/context.hpp"

namespace sluice {
struct Expansion;
}
namespace sluice::executor {

struct ClaimRequest {
    std::string dataset;
    std::string partition;
    std::string slice;
    std::int64_t at_least{0};
};

struct Services {
    std::function<std::optional<task::Connection>(const std::string& conn_id)> connection;
    std::function<std::optional<Secret>(const std::string& name)> secret;
    std::function<std::optional<std::string>(const std::string& name)> variable;
    /// All values a task of the same run has pushed: key -> JSON text. Of a mapped task a list, in
    /// the order of map indexes; within one mapped group the value of the same index. Artefacts are
    /// resolved.
    std::function<
        std::map<std::string, std::string>(const AttemptOrder&, const std::string& task_id)>
        xcoms;
    /// Keeps the items of a mapping; and what `map` is for a mapped instance, as JSON text.
    std::function<void(const ExpandOrder&, const Expansion&)> put_items;
    std::function<std::string(const AttemptOrder&)> map_value;
    /// What names the rows of a mapped instance in a warehouse: JSON in and out (map_keys.hpp).
    std::function<std::string(const AttemptOrder&, const std::string& question)> map_keys;
    /// Label of the run's partition ("2026-01-05"), and of one data set's ("dt=2026-01-05").
    std::function<std::string(const AttemptOrder&)> partition_key;
    std::function<std::string(const AttemptOrder&, const std::string& dataset)> partition;
    std::function<std::vector<task::InputSlice>(const AttemptOrder&, const task::InputQuery&)>
        inputs;
    std::function<task::OutputClaim(const AttemptOrder&, const ClaimRequest&)> claim;
    /// What the keeper of the lake asks of the ledger (operators/lake/ledger.hpp): JSON text in and
    /// out.
    std::function<std::string(const AttemptOrder&, const std::string& question)> lake;
    /// What a task measured, JSON {data set or "": {metric: number}}; `passed` = it succeeded.
    std::function<void(const AttemptOrder&, const std::string& metrics, bool passed)> put_metrics;
    /// One metric in the intervals before: JSON text in and out.
    std::function<std::string(const AttemptOrder&, const std::string& question)> metric_history;
    /// Where values over the inline limit go; null = they are refused.
    Artefacts* artefacts{nullptr};
    /// The events that made the run: JSON object, asset -> list of events.
    std::function<std::string(const AttemptOrder&)> asset_events;
    /// The DAG's latest successful run with an earlier logical date.
    std::function<std::optional<RenderPreviousRun>(const AttemptOrder&)> previous_success;
    /// The last updates of these assets, as JSON: {asset: [update]}, the oldest first.
    std::function<std::string(const std::vector<std::string>& assets)> updates_of;
    /// How many instances the order's mapped task has.
    std::function<std::optional<std::int64_t>(const AttemptOrder&)> map_length;
    /// JSON text; "null" = none.
    std::function<std::string(const AttemptOrder&)> load_checkpoint;
    std::function<void(const AttemptOrder&, const std::string& state)> save_checkpoint;
    /// How a run of some DAG stands; from then on core can be asked to wake the task when it ends.
    std::function<RunFacts(const RunQuestion&)> run_facts;
    /// Makes the run, or finds that this task has made it already. Returns its id. Throws Error.
    std::function<std::string(const AttemptOrder&, const RunWish&)> trigger_run;
    /// The schema to write instead of the one in the DAG file; empty = itself.
    std::function<std::string(const AttemptOrder&, const std::string& schema)> physical_schema;
    /// The DAG's data sets with derived columns; empty = those of the file.
    std::function<std::shared_ptr<const std::vector<DatasetSpec>>(const DagPtr&)> datasets;
};

struct Settings {
    std::size_t threads{128};  // pool threads: as many inline or supervised tasks at once
    std::string logs_root;     // the folder `logs`
    std::string scratch_root;  // "" = the system's folder for temporary files
    std::string instance;      // the daemon's SLUICE_INSTANCE id
    std::string program;       // this binary: workers are `program worker`
    bool test_mode{false};     // `sluice dags test`
    /// The lease is sure, so effects may be started; empty = always.
    std::function<bool()> may_start;
};

}  // namespace sluice::executor
