// deleting.cpp — runs that are deleted with all that is stored of them.
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

}  // namespace sluice::core
