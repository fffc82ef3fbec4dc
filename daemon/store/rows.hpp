// rows.hpp — how rows of the run state are read: a list of columns and a reader for each kind.
// Included by .cpp files of this folder only.
#pragma once

#include "model/run.hpp"
#include "model/turn.hpp"
#include "store/pq.hpp"

namespace sluice::store {

// Text macros, so that statements stay constants.
#define SLUICE_RUN_COLUMNS                                                                      \
    "r.run_key, r.dag_id, r.version, r.run_id, r.run_type, r.triggered_by, r.triggering_user, " \
    "r.state, r.logical_date, r.interval_start, r.interval_end, r.run_after, r.queued_at, "     \
    "r.start_date, r.end_date, r.conf, r.note, r.reason, r.backfill_id, r.backfill_ordinal, "   \
    "r.clear_number"
inline constexpr int run_columns = 21;

#define SLUICE_TASK_COLUMNS                                                                \
    "t.run_key, t.task_no, t.map_index, t.state, t.try_number, t.max_tries, t.starts, "    \
    "t.lost_in_a_row, t.attempts_since_clear, t.scheduled_at, t.queued_at, t.start_date, " \
    "t.end_date, t.next_try_at, t.error_class, t.error, t.note"
inline constexpr int task_columns = 17;

#define SLUICE_BACKFILL_COLUMNS                                                                 \
    "b.id, b.dag_id, b.from_date, b.to_date, b.reprocess, b.max_active_runs, b.run_backwards, " \
    "b.is_paused, b.conf, b.created_by, b.created_at, b.completed_at, b.updated_at"
inline constexpr int backfill_columns = 13;

// A DAG whose version was replaced just before a crash points at nothing: then its newest one.
#define SLUICE_DAG_COLUMNS                                                                 \
    "d.dag_id, coalesce((select v.id from dag_version v where v.id = d.current_version), " \
    "(select v.id from dag_version v where v.dag_id = d.dag_id and not v.is_form "         \
    "order by v.number desc limit 1), d.current_version), d.is_paused, d.is_stale, "       \
    "d.last_automated_start, "                                                             \
    "d.last_automated_end, d.next_run_after, d.next_interval_start, d.next_interval_end, " \
    "d.next_logical_date"

#define SLUICE_WAIT_COLUMNS \
    "w.run_key, w.task_no, w.map_index, w.kind, w.first_at, w.until, w.event, w.resume, w.over"
WaitRow read_wait(const Result& result, int row, int column = 0);

DagRun read_run(const Result& result, int row, int column = 0);
TaskInstance read_task(const Result& result, int row, int column = 0);
Backfill read_backfill(const Result& result, int row, int column = 0);
DagState read_dag_state(const Result& result, int row);
sluice::Pool read_pool(const Result& result, int row);

}  // namespace sluice::store
