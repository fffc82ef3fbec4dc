// deleting.cpp — runs and DAGs that are deleted with all that is stored of them.
//
// A deleted DAG is gone for everyone with the turn. Its rows may be millions: they go afterwards,
// bit by bit (store/dag_removal). Until the last one is gone no DAG of that id is taken, so that a
// file which is still there begins with nothing of the old one's.
#include <algorithm>

#include <fmt/format.h>

#include "core/impl.hpp"

namespace sluice::core {

Taken Scheduler::Impl::on(const DeleteRun& event) {
    Run* run = find_or_load(event.run, event.stored);
    if (run == nullptr) {
        refuse(event.request, ErrorCode::not_found, "no such DAG run");
        return Taken::yes;
    }
    if (is_touched(*run)) return Taken::next_turn;
    if (run->row.state == RunState::running || run->active > 0) {
        refuse(
            event.request, ErrorCode::conflict, "a run that is running is not deleted: end it first"
        );
        return Taken::yes;
    }
    DagEntry& dag = *run->dag;
    if (run->row.state == RunState::queued) {
        dequeue(*run);
        if (run->row.type == RunType::scheduled) --dag.open_automated;
        if (run->row.type == RunType::asset_triggered) --dag.open_asset_runs;
    }
    run->deleted = true;
    touch(*run);
    turn_->runs_deleted.push_back(run->row.key);
    note_end(*run);
    ask_past_again(dag);
    mark_dirty(dag);
    audit(event.actor, "delete_dag_run", {run->row.dag_id, run->row.run_id});
    answer(event.request).run = run->row;
    return Taken::yes;
}

/// What keeps the DAG from being deleted, in words; "" = nothing.
std::string Scheduler::Impl::open_work(const DagEntry& dag) const {
    constexpr std::size_t named = 3;
    std::string text;
    const auto list = [&](const char* one, const char* many, std::vector<std::string> names) {
        if (names.empty()) return;
        const std::size_t count = names.size();
        std::ranges::sort(names);
        names.resize(std::min(count, named));
        if (!text.empty()) text += " and ";
        text += fmt::format("{} {} (", count, count == 1 ? one : many);
        for (const auto& name : names) text += (&name == names.data() ? "" : ", ") + name;
        text += count > named ? ", ...)" : ")";
    };
    std::vector<std::string> runs;
    for (const auto& [id, key] : dag.open_run_ids) {
        const Run& run = *runs_.at(key);  // it may have been read, though it has ended
        if (!is_finished(run.row.state) && !run.deleted) runs.push_back(id);
    }
    list("open run", "open runs", std::move(runs));
    std::vector<std::string> backfills;
    for (const BackfillId id : dag.backfills) backfills.push_back(std::to_string(id.value));
    list("backfill at work", "backfills at work", std::move(backfills));
    return text;
}

/// Something of the DAG changes in this turn, or a run of it that has ended is in memory.
bool Scheduler::Impl::is_at_work_on(const DagEntry& dag) const {
    return dag.row_dirty || dag.failures_dirty ||
           std::ranges::any_of(touched_runs_, [&](const Run* run) { return run->dag == &dag; });
}

Taken Scheduler::Impl::on(const DeleteDag& event) {
    const auto at = dag_numbers_.find(event.dag_id);
    if (at == dag_numbers_.end()) {
        refuse(event.request, ErrorCode::not_found, "no DAG \"" + event.dag_id + "\"");
        return Taken::yes;
    }
    auto& dag = *dags_[static_cast<std::size_t>(at->second)];
    if (const auto open = open_work(dag); !open.empty()) {
        refuse(
            event.request,
            ErrorCode::conflict,
            fmt::format(
                "DAG \"{}\" has {}: pause it, wait for their end or end them (set the runs to "
                "failed, cancel the backfills), and delete it then",
                event.dag_id,
                open
            )
        );
        return Taken::yes;
    }
    if (is_at_work_on(dag)) return Taken::next_turn;
    forget_dag(dag);
    // By the time: no number comes again after a restart that knows of no deletion.
    last_deletion_ = std::max(last_deletion_ + 1, to_micros(now_));
    deleted_dags_[event.dag_id] = last_deletion_;
    turn_->dags_deleted.push_back({event.dag_id, last_deletion_});
    audit(event.actor, "delete_dag", {event.dag_id});
    (void)answer(event.request);
    return Taken::yes;
}

/// Its number stays behind, with nothing: timers may still name it.
void Scheduler::Impl::forget_dag(DagEntry& dag) {
    for (const auto& [asset, seen] : dag.marks) {
        turn_->asset_marks.push_back({dag.state.dag_id, asset, seen, true});
        assets_.at(asset).subscribers.erase(dag.no);
        trim_asset(asset);
    }
    if (Plan* plan = std::exchange(dag.current, nullptr)) forget_plan(plan, dag);
    std::erase(dirty_dags_, &dag);
    std::erase(dirty_next_turn_, &dag);
    dag_numbers_.erase(dag.state.dag_id);
    auto& place = dags_[static_cast<std::size_t>(dag.no)];
    auto nothing = std::make_unique<DagEntry>();
    nothing->no = dag.no;
    place = std::move(nothing);
}

Taken Scheduler::Impl::on(const DagRemoved& event) {
    // Told twice of one deletion, it may be about the DAG before the one that is deleted now.
    const auto at = deleted_dags_.find(event.dag.dag_id);
    if (at == deleted_dags_.end() || at->second != event.dag.number) return Taken::yes;
    deleted_dags_.erase(at);
    turn_->dags_removed.push_back(event.dag);
    return Taken::yes;
}

}  // namespace sluice::core
