#include "store/json_rows.hpp"

#include <algorithm>

#include "base/artefacts.hpp"
#include "store/json_rows_parts.hpp"

namespace sluice::store {
namespace {

void write_attempts(const std::vector<AttemptRecord>& attempts, Writer& w) {
    w.begin_rows("attempts");
    for (const AttemptRecord& attempt : attempts) {
        w.begin_object();
        w.task(attempt.key);
        w.field("start_no", attempt.start);
        w.field("try_number", attempt.try_number);
        w.field("state", static_cast<int>(attempt.state));
        w.field("lost", attempt.lost);
        w.field("scheduled_at", attempt.scheduled_at);
        w.field("queued_at", attempt.queued_at);
        w.field("start_date", attempt.start_date);
        w.field("end_date", attempt.end_date);
        w.field("error_class", static_cast<int>(attempt.error_class));
        w.field("error", attempt.error);
        w.end_object();
    }
    w.end_rows();
}

void write_values(const Turn& turn, Writer& w) {
    w.begin_rows("xcoms");
    for (const XcomWrite& xcom : turn.xcoms) {
        w.begin_object();
        w.task(xcom.key);
        w.field("at", xcom.at);
        w.field("key", xcom.value.key);
        w.json("value", xcom.value.value);
        w.end_object();
    }
    w.end_rows();
    w.begin_rows("rendered");
    for (const RenderedWrite& row : turn.rendered) {
        w.begin_object();
        w.attempt(row.key);
        w.json("fields", row.fields);
        w.end_object();
    }
    w.end_rows();
}

void write_outputs(const std::vector<OutputWrite>& outputs, Writer& w) {
    w.begin_rows("outputs");
    for (const OutputWrite& row : outputs) {
        w.begin_object();
        w.attempt(row.key);
        w.field("dataset", row.output.dataset);
        w.field("partition", row.output.partition);
        w.field("slice", row.output.slice);
        w.field("generation", row.output.generation);
        w.field("rows", row.output.rows);
        w.field("bytes", row.output.bytes);
        w.field("content_hash", row.output.content_hash);
        w.json("files", row.output.files);
        w.json("input", row.output.input);
        w.field("code_hash", row.output.code_hash);
        w.end_object();
    }
    w.end_rows();
}

void write_backfills(const Turn& turn, Writer& w) {
    w.begin_rows("backfills");
    for (const Backfill& backfill : turn.backfills) {
        w.begin_object();
        w.field("id", backfill.id.value);
        w.field("dag_id", backfill.dag_id);
        w.field("from_date", backfill.from_date);
        w.field("to_date", backfill.to_date);
        w.field("reprocess", static_cast<int>(backfill.reprocess));
        w.field("max_active_runs", backfill.max_active_runs);
        w.field("run_backwards", backfill.run_backwards);
        w.field("is_paused", backfill.is_paused);
        w.json("conf", backfill.conf);
        w.field("created_by", backfill.created_by);
        w.field("created_at", backfill.created_at);
        w.field("completed_at", backfill.completed_at);
        w.field("updated_at", backfill.updated_at);
        w.end_object();
    }
    w.end_rows();
}

void write_pools(const Turn& turn, Writer& w) {
    w.begin_rows("pools");
    for (const Pool& pool : turn.pools) {
        w.begin_object();
        w.field("name", pool.name);
        w.field("slots", pool.slots);
        w.field("description", pool.description);
        w.field("include_deferred", pool.include_deferred);
        w.end_object();
    }
    w.end_rows();
    w.begin_rows("pools_removed");
    for (const std::string& name : turn.pools_removed) w.item(name);
    w.end_rows();
}

/// Written once, at its creation: the row never changes.
void write_backfill_plans(const Turn& turn, Writer& w) {
    const auto planned = [](const Backfill& row) {
        return row.created_at == row.updated_at && (!row.tasks.empty() || row.run_time);
    };
    if (std::ranges::none_of(turn.backfills, planned)) return;
    w.begin_object("x_times");
    w.begin_list("plans");
    for (const Backfill& row : turn.backfills) {
        if (!planned(row)) continue;
        w.begin_object();
        w.field("backfill_id", row.id.value);
        w.begin_list("tasks");
        for (const std::string& id : row.tasks) w.item(id);
        w.end_list();
        if (row.run_time) w.field("run_micros", std::int64_t{row.run_time->count()});
        w.end_object();
    }
    w.end_list();
    w.end_object();
}

void write_deleted(const std::vector<RunKey>& runs, Writer& w) {
    if (runs.empty()) return;
    w.begin_list("x_deleted");
    for (const RunKey run : runs) w.item(std::to_string(run.value));
    w.end_list();
}

void write_deleted_dags(const Turn& turn, Writer& w) {
    if (turn.dags_deleted.empty() && turn.dags_removed.empty()) return;
    w.begin_object("x_deleted_dags");
    const auto list = [&](std::string_view name, const std::vector<DeletedDag>& dags) {
        w.begin_list(name);
        for (const DeletedDag& dag : dags) {
            w.begin_object();
            w.field("dag_id", dag.dag_id);
            w.field("number", dag.number);
            w.end_object();
        }
        w.end_list();
    };
    list("removed", turn.dags_removed);
    list("deleted", turn.dags_deleted);
    w.end_object();
}

/// Whether a run that had ended goes on (migrations/0022_cheaper_commits.sql: open runs).
bool reopens(const RunChange& change) {
    return change.from && is_finished(*change.from) && !is_finished(change.run.state);
}

void write_reopened(const std::vector<RunChange>& changes, Writer& w) {
    w.begin_list("x_reopened");
    for (const RunChange& change : changes)
        if (reopens(change)) w.item(std::to_string(change.run.key.value));
    w.end_list();
}

/// What the turn's values refer to, counted for their runs.
std::vector<std::pair<RunKey, ArtefactRef>> artefacts_of(const Turn& turn) {
    std::vector<std::pair<RunKey, ArtefactRef>> found;
    const auto look = [&](RunKey run, const std::string& text) {
        for (ArtefactRef& ref : references_in(text)) found.emplace_back(run, std::move(ref));
    };
    for (const XcomWrite& xcom : turn.xcoms) look(xcom.key.run, xcom.value.value);
    for (const RenderedWrite& row : turn.rendered) look(row.key.task.run, row.fields);
    for (const RunChange& change : turn.runs)
        if (change.row == RowIs::fresh && change.run.conf.size() > 2)
            look(change.run.key, change.run.conf);
    return found;
}

void write_artefacts(const std::vector<std::pair<RunKey, ArtefactRef>>& artefacts, Writer& w) {
    if (artefacts.empty()) return;
    w.begin_list("x_artefacts");
    for (const auto& [run, ref] : artefacts) {
        w.begin_object();
        w.field("run_key", run.value);
        w.field("hash", ref.hash);
        w.field("bytes", ref.bytes);
        w.field("items", ref.items);
        w.field("type", ref.type);
        w.end_object();
    }
    w.end_list();
}

/// What the standbys are told: read by them in store/follower.cpp.
void write_told(const Turn& turn, Writer& w) {
    w.begin_object("x_told");
    if (!turn.transitions.empty()) w.field("seq", turn.transitions.back().seq.value);
    w.field("dags", !turn.dags.empty() || !turn.dags_deleted.empty());
    w.end_object();
}

}  // namespace

std::string extra_rows(const Turn& turn, bool tell) {
    const auto artefacts = artefacts_of(turn);
    const bool reopened = std::ranges::any_of(turn.runs, reopens);
    const bool rare = tell || reopened || !artefacts.empty() || !turn.clearings.empty() ||
                      !turn.runs_deleted.empty() || !turn.dags_deleted.empty() ||
                      !turn.dags_removed.empty() || !turn.checkpoints_dropped.empty() ||
                      !turn.callbacks.empty() ||
                      !(turn.outputs.empty() && turn.backfills.empty() && turn.pools.empty() &&
                        turn.pools_removed.empty() && turn.waits.empty() && !has_past(turn) &&
                        !has_assets(turn) && !has_mapped(turn) && !has_deadlines(turn) &&
                        turn.slices_kept.empty());
    if (!rare && turn.attempts.empty() && turn.xcoms.empty() && turn.rendered.empty()) return {};

    Writer w;
    w.begin_object();
    write_attempts(turn.attempts, w);
    write_values(turn, w);
    if (rare) {
        write_outputs(turn.outputs, w);
        write_backfills(turn, w);
        write_pools(turn, w);
        if (has_past(turn)) write_past(turn, w);
        write_clearings(turn.clearings, w);
        write_deleted(turn.runs_deleted, w);
        write_deleted_dags(turn, w);
        if (reopened) write_reopened(turn.runs, w);
        write_waits(turn.waits, w);
        write_artefacts(artefacts, w);
        write_checkpoints_dropped(turn.checkpoints_dropped, w);
        write_callbacks(turn.callbacks, w);
        if (tell) write_told(turn, w);
        write_backfill_plans(turn, w);
        if (has_assets(turn)) write_assets(turn, w);
        if (has_mapped(turn)) write_mapped(turn, w);
        if (has_deadlines(turn)) write_deadlines(turn, w);
        write_slices(turn.slices_kept, w);
    }
    w.end_object();
    return w.take();
}

}  // namespace sluice::store
