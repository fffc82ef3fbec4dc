// restore.cpp — from a Snapshot to the state in memory, and what a restart leaves to decide.
#include <algorithm>
#include <set>

#include "core/impl.hpp"

namespace sluice::core {
namespace {

TaskInstance row_of(const PlainInstance& plain) {
    TaskInstance row;
    row.key = plain.key;
    row.state = plain.state;
    row.try_number = plain.try_number;
    row.max_tries = plain.max_tries;
    row.starts = plain.starts;
    row.attempts_since_clear = plain.attempts_since_clear;
    row.scheduled_at = plain.scheduled_at;
    row.queued_at = plain.start_date;
    row.start_date = plain.start_date;
    row.end_date = plain.end_date;
    return row;
}

}  // namespace

Scheduler::Impl::Impl(const Settings& settings, const Snapshot& snapshot)
    : settings_(settings),
      pools_(settings.cpu, settings.memory_mb),
      last_seq_(snapshot.last_seq),
      last_run_(snapshot.last_run),
      last_backfill_(snapshot.last_backfill),
      now_(snapshot.now) {
    for (const auto& pool : snapshot.pools)
        if (!Pools::is_built_in(pool.name)) pools_.put(pool);
    std::unordered_map<VersionId, DagPtr> versions;
    for (const auto& version : snapshot.versions) versions.emplace(version->version, version);
    for (const auto& state : snapshot.dags) {
        auto& dag = dag_entry(state.dag_id);
        dag.state = state;
        if (const auto at = versions.find(state.current); at != versions.end())
            set_current(dag, at->second);
    }
    for (const auto& dag : snapshot.deleted_dags) {
        deleted_dags_[dag.dag_id] = dag.number;
        last_deletion_ = std::max(last_deletion_, dag.number);
    }
    for (const auto& subset : snapshot.subsets) subsets_[subset.backfill] = subset.tasks;
    for (const auto& backfill : snapshot.backfills) {
        backfills_[backfill.id].row = backfill;
        dag_entry(backfill.dag_id).backfills.insert(backfill.id);
    }
    for (const auto& row : snapshot.open_runs) {
        // A definition that cannot be read any more leaves its runs as they are.
        const auto version = versions.find(row.version);
        if (version == versions.end()) continue;
        auto& dag = dag_entry(row.dag_id);
        Run& run = add_run(row, plan_of(version->second, dag, row), dag);
        run.has_row = true;
        make_instances(run);
        if (row.type == RunType::scheduled) ++dag.open_automated;
        if (row.type == RunType::asset_triggered) ++dag.open_asset_runs;
    }
    for (const auto& length : snapshot.map_lengths)
        if (Run* run = find_run(length.run)) restore_length(*run, length);
    for (const auto& row : snapshot.open_runs)
        if (Run* run = find_run(row.key)) restore_nests(*run);
    for (const auto& range : snapshot.map_ranges)
        if (Run* run = find_run(range.run)) restore_range(*run, range);
    for (const auto& row : snapshot.instances)
        if (Run* run = find_run(row.key.run)) restore_instance(*run, row);
    for (const auto& wait : snapshot.waits)
        if (const Run* run = find_run(wait.key.run); run != nullptr && run->has(wait.key))
            waits_[wait.key] = {.row = wait, .pokes = 1};
    for (const auto& choice : snapshot.branches)
        if (Run* run = find_run(choice.key.run)) restore_choice(*run, choice);
    for (const auto& ending : snapshot.endings)
        if (Run* run = find_run(ending.run)) run->ending = ending;
    for (const auto& clearing : snapshot.clearings)
        if (Run* run = find_run(clearing.run)) run->clearing = clearing;
    for (const auto& failures : snapshot.failures)
        if (const auto at = dag_numbers_.find(failures.dag_id); at != dag_numbers_.end())
            dags_[static_cast<std::size_t>(at->second)]->failures = failures.count;
    for (const auto& plain : snapshot.plain)
        if (Run* run = find_run(plain.key.run)) restore_instance(*run, row_of(plain));
    for (const auto& row : snapshot.open_runs) {
        Run* run = find_run(row.key);
        if (run == nullptr) continue;
        recount(*run);
        run->active = 0;
        run->each_live([&](const Instance& instance) {
            if (holds_slots(instance.row.state)) occupy(*run, instance);
        });
        auto* backfill = backfill_of(*run);
        if (row.state == RunState::queued)
            enqueue(*run);
        else if (backfill != nullptr)
            ++backfill->running;
        else
            ++run->dag->running_runs;
    }
    restore_deadlines(snapshot);
    restore_assets(snapshot);
    for (auto& dag : dags_) mark_dirty(*dag);
}

Scheduler::Impl::~Impl() = default;

void Scheduler::Impl::recover(const std::vector<AttemptKey>& alive, Instant now, Turn& turn) {
    begin_turn(now, turn);
    const std::set<AttemptKey> living(alive.begin(), alive.end());
    adopt_pokes(living);
    std::vector<RunKey> keys;
    for (const auto& [key, run] : runs_) keys.push_back(key);
    std::ranges::sort(keys);  // the same decisions whatever the order of the map
    for (const RunKey key : keys) {
        Run& run = *find_run(key);
        ask_runtimes(run);
        if (run.row.state != RunState::running) continue;
        run.each_live([&](Instance& instance) {
            const auto& row = instance.row;
            if (!holds_slots(row.state)) return;
            const AttemptKey attempt{row.key, row.starts};
            const auto& timeout = run.task(row.key.task).execution_timeout;
            const bool lives = living.contains(attempt);
            if (row.state == TaskState::restarting && lives)
                turn_->cancels.push_back({attempt, CancelReason::user});
            else if (row.state == TaskState::restarting)
                end_restarting(run, instance, {"lost"});
            else if (!lives)
                lose_attempt(run, instance, "");
            else if (timeout)
                timers_.add(
                    {*row.start_date + *timeout, Timer::Kind::deadline, 0, row.key, row.starts}
                );
        });
        if (const auto& timeout = run.plan->dag->dagrun_timeout)
            timers_.add({*run.row.start_date + *timeout, Timer::Kind::run_timeout, 0, {key}, 0});
        resume_instances(run);
        if (run.ending && run.ending->stop) stopping_.push_back(key);
    }
    // Begun before: goes on in the next turn.
    for (const RunKey key : keys)
        if (find_run(key)->clearing) {
            clearing_.push_back(key);
            again_ = true;
        }
    // Attempts that nobody waits for: their rows say that they have ended, or they were marked.
    for (const AttemptKey& attempt : living) {
        Run* run = find_run(attempt.task.run);
        const Instance* instance =
            run != nullptr && run->has(attempt.task) ? &run->at(attempt.task) : nullptr;
        const bool known = is_poking(attempt) || (instance != nullptr && attempt.poke == 0 &&
                                                  instance->row.starts == attempt.start &&
                                                  holds_slots(instance->row.state));
        if (!known) turn_->cancels.push_back({attempt, CancelReason::user});
    }
    for (auto& [id, backfill] : backfills_)
        if (const auto at = dag_numbers_.find(backfill.row.dag_id); at != dag_numbers_.end())
            mark_dirty(*dags_[static_cast<std::size_t>(at->second)]);
}

}  // namespace sluice::core
