#include "store/rows.hpp"

namespace sluice::store {
namespace {

std::optional<Interval> read_interval(const Result& result, int row, int column) {
    if (result.is_null(row, column)) return std::nullopt;
    return Interval{result.time(row, column), result.time(row, column + 1)};
}

}  // namespace

DagRun read_run(const Result& result, int row, int c) {
    DagRun run;
    run.key = RunKey{result.int8(row, c)};
    run.dag_id = result.text(row, c + 1);
    run.version = VersionId{result.int8(row, c + 2)};
    run.run_id = result.text(row, c + 3);
    run.type = static_cast<RunType>(result.int2(row, c + 4));
    run.triggered_by = static_cast<TriggeredBy>(result.int2(row, c + 5));
    run.triggering_user = result.text(row, c + 6);
    run.state = static_cast<RunState>(result.int2(row, c + 7));
    run.logical_date = result.maybe_time(row, c + 8);
    run.data_interval = read_interval(result, row, c + 9);
    run.run_after = result.time(row, c + 11);
    run.queued_at = result.time(row, c + 12);
    run.start_date = result.maybe_time(row, c + 13);
    run.end_date = result.maybe_time(row, c + 14);
    run.conf = result.text(row, c + 15);
    run.note = result.text(row, c + 16);
    run.reason = result.text(row, c + 17);
    if (!result.is_null(row, c + 18)) run.backfill = BackfillId{result.int8(row, c + 18)};
    run.backfill_ordinal = result.int4(row, c + 19);
    run.clear_number = result.int4(row, c + 20);
    return run;
}

TaskInstance read_task(const Result& result, int row, int c) {
    TaskInstance task;
    task.key = {RunKey{result.int8(row, c)}, result.int4(row, c + 1), result.int4(row, c + 2)};
    task.state = static_cast<TaskState>(result.int2(row, c + 3));
    task.try_number = result.int4(row, c + 4);
    task.max_tries = result.int4(row, c + 5);
    task.starts = result.int4(row, c + 6);
    task.lost_in_a_row = result.int4(row, c + 7);
    task.attempts_since_clear = result.int4(row, c + 8);
    task.scheduled_at = result.maybe_time(row, c + 9);
    task.queued_at = result.maybe_time(row, c + 10);
    task.start_date = result.maybe_time(row, c + 11);
    task.end_date = result.maybe_time(row, c + 12);
    task.next_try_at = result.maybe_time(row, c + 13);
    task.error_class = static_cast<ErrorClass>(result.int2(row, c + 14));
    task.error = result.text(row, c + 15);
    task.note = result.text(row, c + 16);
    return task;
}

Backfill read_backfill(const Result& result, int row, int c) {
    Backfill backfill;
    backfill.id = BackfillId{result.int8(row, c)};
    backfill.dag_id = result.text(row, c + 1);
    backfill.from_date = result.time(row, c + 2);
    backfill.to_date = result.time(row, c + 3);
    backfill.reprocess = static_cast<ReprocessBehavior>(result.int2(row, c + 4));
    backfill.max_active_runs = result.int4(row, c + 5);
    backfill.run_backwards = result.boolean(row, c + 6);
    backfill.is_paused = result.boolean(row, c + 7);
    backfill.conf = result.text(row, c + 8);
    backfill.created_by = result.text(row, c + 9);
    backfill.created_at = result.time(row, c + 10);
    backfill.completed_at = result.maybe_time(row, c + 11);
    backfill.updated_at = result.time(row, c + 12);
    return backfill;
}

DagState read_dag_state(const Result& result, int row) {
    DagState state;
    state.dag_id = result.text(row, 0);
    state.current = VersionId{result.int8(row, 1)};
    state.is_paused = result.boolean(row, 2);
    state.is_stale = result.boolean(row, 3);
    state.last_automated = read_interval(result, row, 4);
    state.next_run_after = result.maybe_time(row, 6);
    state.next_interval = read_interval(result, row, 7);
    state.next_logical_date = result.maybe_time(row, 9);
    return state;
}

WaitRow read_wait(const Result& result, int row, int c) {
    WaitRow wait;
    wait.key = {RunKey{result.int8(row, c)}, result.int4(row, c + 1), result.int4(row, c + 2)};
    wait.kind = static_cast<WaitKind>(result.int2(row, c + 3));
    wait.first_at = result.time(row, c + 4);
    wait.until = result.maybe_time(row, c + 5);
    wait.event = result.text(row, c + 6);
    wait.resume = result.text(row, c + 7);
    wait.over = result.boolean(row, c + 8);
    return wait;
}

sluice::Pool read_pool(const Result& result, int row) {
    sluice::Pool pool;
    pool.name = result.text(row, 0);
    pool.slots = result.int8(row, 1);
    pool.description = result.text(row, 2);
    pool.include_deferred = result.boolean(row, 3);
    return pool;
}

}  // namespace sluice::store
