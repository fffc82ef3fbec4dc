// oracle.hpp — a small, slow, plain second opinion: what is in use, and what a trigger rule says.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/scheduler.hpp"
#include "store/memory_journal.hpp"

namespace sluice::sim {

/// Counted anew from the stored rows.
struct Usage {
    int attempts{0};
    std::map<std::string, std::int64_t> pools;
    std::map<RunKey, int> by_run;
    std::map<std::string, int> by_dag;
    std::map<std::pair<RunKey, std::string>, int> by_run_task;
    std::map<std::pair<std::string, std::string>, int> by_dag_task;
    std::map<std::pair<std::string, std::string>, int> by_limited;  // with max_active_tis_per_dag
    std::map<std::string, int> runs;  // running, of no backfill that is at work

    template <class Map, class Key>
    static auto look(const Map& map, const Key& key) {
        const auto found = map.find(key);
        return found == map.end() ? typename Map::mapped_type{} : found->second;
    }
    [[nodiscard]] std::int64_t used(const std::string& pool) const { return look(pools, pool); }
    [[nodiscard]] int run(RunKey key) const { return look(by_run, key); }
    [[nodiscard]] int dag(const std::string& id) const { return look(by_dag, id); }
    [[nodiscard]] int run_task(RunKey key, const std::string& task) const {
        return look(by_run_task, std::pair{key, task});
    }
    [[nodiscard]] int dag_task(const std::string& id, const std::string& task) const {
        return look(by_dag_task, std::pair{id, task});
    }
    [[nodiscard]] int running_runs(const std::string& id) const { return look(runs, id); }
};

using Versions = std::map<VersionId, DagPtr>;

Usage count_usage(
    const store::MemoryJournal& journal,
    const Versions& versions,
    const core::Settings& settings,
    const std::set<BackfillId>& at_work
);

/// Pool name -> amount that an attempt of the task takes.
std::map<std::string, std::int64_t> demand(const Task& task, const core::Settings& settings);

/// Slots of a pool; 0 if there is none of that name, -1 without limit.
std::int64_t slots_of(
    const std::string& pool,
    const std::map<std::string, Pool>& pools,
    const core::Settings& settings
);

/// Of which outer instance the instances of mappings inside mapped groups are, as it is stored.
class Places {
public:
    Places(const store::MemoryJournal& journal, RunKey run, const Dag& dag);
    [[nodiscard]] MapIndex outer(MapNo map, MapIndex index) const;

private:
    std::map<MapNo, std::vector<MapLength>> lists_;
};

/// The mapping, or the one around it.
MapNo top_in(const Dag& dag, MapNo map);

enum class Fate { wait, run, mark };
/// The table of trigger rules, read off the states of the direct upstreams; before it, what
/// branches and setups further up say.
Fate judge_slowly(
    const Dag& dag,
    const Places& places,
    const std::vector<TaskInstance>& rows,
    const std::vector<BranchChoice>& choices,
    const TaskKey& key
);

/// Whether the run before lets the task go (semantics 8), from the stored rows.
bool past_is_met(
    store::MemoryJournal& journal,
    const Versions& versions,
    const DagRun& run,
    const Dag& dag,
    TaskNo task
);

}  // namespace sluice::sim
