#include "core/scheduler.hpp"

#include "core/impl.hpp"

namespace sluice::core {

Scheduler::Scheduler(Settings settings, const Snapshot& snapshot)
    : impl_(std::make_unique<Impl>(settings, snapshot)) {}
Scheduler::~Scheduler() = default;
Scheduler::Scheduler(Scheduler&&) noexcept = default;
Scheduler& Scheduler::operator=(Scheduler&&) noexcept = default;

void Scheduler::recover(const std::vector<AttemptKey>& alive, Instant now, Turn& turn) {
    impl_->recover(alive, now, turn);
}
Taken Scheduler::step(const Event& event, Instant now, Turn& turn) {
    return impl_->step(event, now, turn);
}
void Scheduler::dispatch(Instant now, Turn& turn) { impl_->dispatch(now, turn); }
void Scheduler::hold_starts(bool held) { impl_->starts_held_ = held; }
std::optional<Instant> Scheduler::next_wakeup() const { return impl_->next_wakeup(); }
const DagState* Scheduler::find_dag(const std::string& dag_id) const {
    return impl_->find_dag(dag_id);
}
bool Scheduler::is_being_removed(const std::string& dag_id) const {
    return impl_->is_being_removed(dag_id);
}
const DagRun* Scheduler::find_open_run(RunKey run) const { return impl_->find_open_run(run); }
std::vector<TaskInstance> Scheduler::instances(RunKey run) const { return impl_->instances(run); }
std::optional<PastBlock> Scheduler::past_block(const TaskKey& task) const {
    return impl_->past_block(task);
}
std::vector<std::pair<TaskNo, Scheduler::StateCounts>> Scheduler::mapped_counts(RunKey run) const {
    return impl_->mapped_counts(run);
}
std::vector<Scheduler::PoolUse> Scheduler::pool_use() const { return impl_->pool_use(); }
Scheduler::Counts Scheduler::counts() const { return impl_->counts(); }
std::optional<Reasons> Scheduler::why(const std::string& dag_id) const {
    return impl_->why(dag_id);
}
std::optional<Reasons> Scheduler::why(RunKey run) const { return impl_->why(run); }
std::optional<Reasons> Scheduler::why(const TaskKey& task) const { return impl_->why(task); }
std::optional<Reasons> Scheduler::why(
    const std::string& dag_id, const Interval& asked, const std::vector<Instant>& made
) const {
    return impl_->why(dag_id, asked, made);
}
std::vector<AssetEvent> Scheduler::queued_asset_events(
    const std::string& dag_id, const std::string& asset
) const {
    return impl_->queued_asset_events(dag_id, asset);
}
std::vector<std::string> Scheduler::subscribers_of(const std::string& asset) const {
    return impl_->subscribers_of(asset);
}

Taken Scheduler::Impl::step(const Event& event, Instant now, Turn& turn) {
    begin_turn(now, turn);
    return std::visit([this](const auto& what) { return on(what); }, event);
}

Taken Scheduler::Impl::on(const Tick& /*event*/) { return Taken::yes; }  // begin_turn did it all

void Scheduler::Impl::dispatch(Instant now, Turn& turn) {
    begin_turn(now, turn);
    // The end of a run lets the next one start, which may end at once, and so on.
    do {
        stop_failed_runs();
        settle();
        check_runs();
        look_at_dirty_dags();
    } while (!unsettled_.empty() || !checks_.empty() || !dirty_dags_.empty());
    if (!starts_held_) dispatch_ready();
    seal();
}

std::optional<Instant> Scheduler::Impl::next_wakeup() const {
    if (again_ || !dirty_dags_.empty()) return now_;
    return timers_.next();
}

const DagState* Scheduler::Impl::find_dag(const std::string& dag_id) const {
    const auto at = dag_numbers_.find(dag_id);
    return at == dag_numbers_.end() ? nullptr : &dags_[static_cast<std::size_t>(at->second)]->state;
}

const DagRun* Scheduler::Impl::find_open_run(RunKey run) const {
    const auto at = runs_.find(run);
    return at == runs_.end() ? nullptr : &at->second->row;
}

std::vector<TaskInstance> Scheduler::Impl::instances(RunKey run) const {
    std::vector<TaskInstance> rows;
    const auto at = runs_.find(run);
    if (at == runs_.end()) return rows;
    rows.reserve(at->second->tasks.size());
    for (const auto& family : at->second->tasks) {
        if (!family.is_expanded()) rows.push_back(family.row(unmapped));
        for (MapIndex i = 0; i < family.length(); ++i) rows.push_back(family.row(i));
    }
    return rows;
}

std::optional<PastBlock> Scheduler::Impl::past_block(const TaskKey& task) const {
    const auto at = runs_.find(task.run);
    if (at == runs_.end() || !at->second->has(task)) return std::nullopt;
    return past_block(*at->second, task.task);
}

std::vector<std::pair<TaskNo, Scheduler::StateCounts>> Scheduler::Impl::mapped_counts(RunKey run
) const {
    std::vector<std::pair<TaskNo, StateCounts>> counts;
    const auto at = runs_.find(run);
    if (at == runs_.end()) return counts;
    for (const auto& family : at->second->tasks) {
        if (!family.is_expanded()) continue;
        auto& [task, states] = counts.emplace_back(family.one.row.key.task, StateCounts{});
        for (std::size_t state = 0; state < states.size(); ++state)
            states[state] = family.count(static_cast<TaskState>(state));
    }
    return counts;
}

std::vector<Scheduler::PoolUse> Scheduler::Impl::pool_use() const {
    std::vector<PoolUse> result;
    std::unordered_map<PoolNo, std::int64_t> scheduled;
    for (const auto& [key, run] : runs_)
        for (const auto& family : run->tasks) {
            const auto ready = family.ready_count() + (family.one.ready ? 1 : 0);
            if (ready == 0) continue;
            const auto task = static_cast<std::size_t>(family.one.row.key.task);
            const auto& demand = queue_.demand(run->plan->tasks[task].lane);
            for (std::size_t i = 0; i < static_cast<std::size_t>(demand.size); ++i)
                scheduled[demand.parts[i].pool] += demand.parts[i].amount * ready;
        }
    const auto& all = pools_.all();
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (!all[i].exists) continue;
        auto& use = result.emplace_back();
        use.pool = all[i].pool;
        use.running = all[i].used;
        use.deferred = all[i].deferred;
        use.scheduled = scheduled[static_cast<PoolNo>(i)];
    }
    return result;
}

Scheduler::Counts Scheduler::Impl::counts() const {
    Counts counts;
    counts.open_runs = runs_.size();
    counts.running_tasks = static_cast<std::size_t>(running_);
    counts.ready_tasks = ready_;
    counts.waits = waits_.size();
    return counts;
}

}  // namespace sluice::core
