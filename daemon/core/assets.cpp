// assets.cpp — updates of assets, and the runs that they make.
//
// Every DAG has for each asset of its condition a mark: events up to it are no concern of the DAG
// any more. A run takes events and moves the marks in one turn, so in one commit: each event is
// taken once, whatever crashes.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/impl.hpp"

namespace sluice::core {
namespace {

/// The first event beyond the mark.
auto beyond(const std::deque<AssetEvent>& events, std::int64_t mark) {
    return std::ranges::upper_bound(events, mark, {}, &AssetEvent::id);
}

/// The hull of the data intervals behind the events; without one, the moment itself.
Interval interval_of(const std::vector<AssetEvent>& events, Instant now) {
    std::optional<Interval> hull;
    for (const auto& event : events) {
        if (!event.interval) continue;
        if (!hull) hull = event.interval;
        hull->start = std::min(hull->start, event.interval->start);
        hull->end = std::max(hull->end, event.interval->end);
    }
    return hull.value_or(Interval{now, now});
}

}  // namespace

void Scheduler::Impl::restore_assets(const Snapshot& snapshot) {
    last_asset_event_ = snapshot.last_asset_event;
    for (const auto& mark : snapshot.asset_marks) {
        auto& dag = dag_entry(mark.dag_id);
        dag.marks[mark.asset] = mark.seen;
        assets_[mark.asset].subscribers.insert(dag.no);
    }
    for (const auto& event : snapshot.asset_events)
        if (const auto at = assets_.find(event.asset); at != assets_.end())
            at->second.events.push_back(event);
    for (auto& [name, asset] : assets_) trim_asset(name);
}

/// A DAG waits for what happens after it has begun to wait.
void Scheduler::Impl::subscribe(DagEntry& dag) {
    const auto& condition = dag.current->dag->schedule.assets;
    const auto names = condition ? asset_names(*condition) : std::set<std::string>{};
    for (auto at = dag.marks.begin(); at != dag.marks.end();) {
        if (names.contains(at->first)) {
            ++at;
            continue;
        }
        turn_->asset_marks.push_back({dag.state.dag_id, at->first, at->second, true});
        assets_[at->first].subscribers.erase(dag.no);
        trim_asset(at->first);
        at = dag.marks.erase(at);
    }
    for (const auto& name : names) {
        if (dag.marks.contains(name)) continue;
        assets_[name].subscribers.insert(dag.no);
        put_mark(dag, name, last_asset_event_);
    }
}

void Scheduler::Impl::put_mark(DagEntry& dag, const std::string& asset, std::int64_t seen) {
    dag.marks[asset] = seen;
    for (auto& row : turn_->asset_marks)
        if (!row.forgotten && row.asset == asset && row.dag_id == dag.state.dag_id) {
            row.seen = seen;
            return;
        }
    turn_->asset_marks.push_back({dag.state.dag_id, asset, seen, false});
}

/// Forgets the events that every DAG has seen.
void Scheduler::Impl::trim_asset(const std::string& asset) {
    auto& entry = assets_.at(asset);
    std::int64_t seen = INT64_MAX;
    for (const DagNo no : entry.subscribers)
        seen = std::min(seen, dags_[static_cast<std::size_t>(no)]->marks.at(asset));
    while (!entry.events.empty() && entry.events.front().id <= seen) entry.events.pop_front();
}

void Scheduler::Impl::put_asset_event(AssetEvent event) {
    event.id = ++last_asset_event_;
    event.at = now_;
    turn_->asset_events.push_back(event);
    const auto at = assets_.find(event.asset);
    if (at == assets_.end() || at->second.subscribers.empty()) return;
    for (const DagNo no : at->second.subscribers) mark_dirty(*dags_[static_cast<std::size_t>(no)]);
    at->second.events.push_back(std::move(event));
}

/// A task that writes data sets has ended, a mapped one with its last instance.
void Scheduler::Impl::keep_slices(const Run& run, const TaskKey& key, TaskState to) {
    if (!run.plan->tasks[static_cast<std::size_t>(key.task)].writes_data || !is_finished(to))
        return;
    const Family& family = run.family(key.task);
    if (key.map_index == unmapped) {
        const bool mapped = family.mapping != no_map;  // none of its instances has worked
        if (to == TaskState::success && !mapped)
            turn_->slices_kept.push_back({run.row.key, key.task, -1});
        return;
    }
    std::int64_t ended = 0;
    for (int i = 0; i < task_state_count; ++i)
        if (const auto state = static_cast<TaskState>(i); is_finished(state))
            ended += family.count(state);
    if (ended < family.size()) return;
    for (const auto& row : turn_->slices_kept)
        if (row.run == run.row.key && row.task == key.task) return;
    auto& row = turn_->slices_kept.emplace_back();
    row = {run.row.key, key.task, family.length()};
    for (MapIndex i = 0; family.nest != nullptr && i < family.length(); ++i)
        if (family.state(i) == TaskState::removed) row.gone.push_back(i);
}

/// A task has succeeded: one event for each of its outputs.
void Scheduler::Impl::put_outputs(const Run& run, const TaskKey& key) {
    const auto number = static_cast<std::size_t>(key.task);
    for (const auto& asset : run.plan->tasks[number].outputs) {
        AssetEvent event;
        event.asset = asset;
        event.dag_id = run.row.dag_id;
        event.run_id = run.row.run_id;
        event.task_id = run.plan->dag->tasks[number].id;
        event.map_index = key.map_index;
        event.interval = run.row.data_interval;
        put_asset_event(std::move(event));
    }
}

/// As many runs as the events make, up to max_active_runs open ones: then events wait, and in a
/// batch come together.
void Scheduler::Impl::make_asset_runs(DagEntry& dag) {
    if (!dag.current->dag->schedule.assets) return;
    while (dag.open_asset_runs < dag.current->dag->max_active_runs && make_asset_run(dag)) {
    }
}

/// Those of its condition with events that no run has taken.
std::set<std::string> Scheduler::Impl::updated_assets(const DagEntry& dag) const {
    std::set<std::string> updated;
    for (const auto& [name, mark] : dag.marks)
        if (const auto& events = assets_.at(name).events; beyond(events, mark) != events.end())
            updated.insert(name);
    return updated;
}

void Scheduler::Impl::why_assets(const DagEntry& dag, Reasons& reasons) const {
    const Dag& version = *dag.current->dag;
    const auto updated = updated_assets(dag);
    if (!is_met(*version.schedule.assets, updated))
        for (const auto& name : asset_names(*version.schedule.assets))
            if (!updated.contains(name))
                reasons.push_back(
                    {"asset_not_updated", "waits for an update of " + name, name, {}, {}}
                );
    if (dag.open_asset_runs >= version.max_active_runs)
        reasons.push_back(
            {"max_active_runs",
             fmt::format(
                 "{} runs made by assets are open, of at most {} (max_active_runs)",
                 dag.open_asset_runs,
                 version.max_active_runs
             ),
             dag.state.dag_id,
             {},
             {}}
        );
}

bool Scheduler::Impl::make_asset_run(DagEntry& dag) {
    const Schedule& schedule = dag.current->dag->schedule;
    const auto updated = updated_assets(dag);
    const auto names = enough(*schedule.assets, updated);
    if (names.empty()) return false;
    std::vector<AssetEvent> taken;
    for (const auto& name : schedule.asset_batch ? updated : names) {
        const auto& events = assets_.at(name).events;
        const auto first = beyond(events, dag.marks.at(name));
        taken.insert(taken.end(), first, schedule.asset_batch ? events.end() : std::next(first));
    }
    std::ranges::sort(taken, {}, &AssetEvent::id);

    DagRun row;
    row.type = RunType::asset_triggered;
    row.triggered_by = TriggeredBy::asset;
    row.run_after = now_;
    row.data_interval = interval_of(taken, now_);
    // No other run of the DAG takes this event.
    row.run_id = fmt::format("asset_triggered__{}_{}", format_offset(now_), taken.back().id);
    const Run& run = create_run(std::move(row), dag);
    std::set<std::string> moved;
    for (const auto& event : taken) {
        turn_->asset_uses.push_back({run.row.key, event.id});
        put_mark(dag, event.asset, event.id);
        moved.insert(event.asset);
    }
    for (const auto& name : moved) trim_asset(name);
    return true;
}

Taken Scheduler::Impl::on(const CreateAssetEvent& event) {
    AssetEvent made;
    made.asset = event.asset;
    made.extra = event.extra;
    made.user = event.actor.user;
    put_asset_event(std::move(made));
    audit(event.actor, "create_asset_event", {}, fmt::format("{{\"asset\":\"{}\"}}", event.asset));
    answer(event.request).asset_event = turn_->asset_events.back();
    return Taken::yes;
}

Taken Scheduler::Impl::on(const ForgetAssetEvents& event) {
    std::int64_t forgotten = 0;
    std::set<std::string> moved;
    for (auto& entry : dags_) {
        DagEntry& dag = *entry;
        if (!event.dag_id.empty() && dag.state.dag_id != event.dag_id) continue;
        for (const auto& [name, mark] : dag.marks) {
            if (!event.asset.empty() && name != event.asset) continue;
            const auto& events = assets_.at(name).events;
            const auto first = beyond(events, mark);
            if (first == events.end()) continue;
            forgotten += events.end() - first;
            put_mark(dag, name, events.back().id);
            moved.insert(name);
        }
    }
    for (const auto& name : moved) trim_asset(name);
    audit(
        event.actor,
        "delete_asset_events",
        {event.dag_id},
        fmt::format("{{\"asset\":\"{}\",\"events\":{}}}", event.asset, forgotten)
    );
    answer(event.request).affected = forgotten;
    return Taken::yes;
}

std::vector<AssetEvent> Scheduler::Impl::queued_asset_events(
    const std::string& dag_id, const std::string& asset
) const {
    std::vector<AssetEvent> out;
    const auto at = dag_numbers_.find(dag_id);
    if (at == dag_numbers_.end()) return out;
    for (const auto& [name, mark] : dags_[static_cast<std::size_t>(at->second)]->marks) {
        if (!asset.empty() && name != asset) continue;
        const auto& events = assets_.at(name).events;
        out.insert(out.end(), beyond(events, mark), events.end());
    }
    std::ranges::sort(out, {}, &AssetEvent::id);
    return out;
}

std::vector<std::string> Scheduler::Impl::subscribers_of(const std::string& asset) const {
    std::vector<std::string> out;
    const auto at = assets_.find(asset);
    if (at == assets_.end()) return out;
    for (const DagNo no : at->second.subscribers)
        out.push_back(dags_[static_cast<std::size_t>(no)]->state.dag_id);
    std::ranges::sort(out);
    return out;
}

}  // namespace sluice::core
