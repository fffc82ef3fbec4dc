#include "store/json_rows.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "base/artefacts.hpp"

namespace sluice::store {
namespace {

// Appends objects to a JSON text. nlohmann would parse and copy every value that is JSON already.
class Writer {
public:
    void begin_list(std::string_view name) {
        comma();
        quoted(name);
        text_ += ":[";
        first_ = true;
    }
    void end_list() {
        text_ += ']';
        first_ = false;
    }
    /// A list of rows (not inside another one): without rows there is no list at all, and no
    /// statement for it.
    void begin_rows(std::string_view name) {
        before_rows_ = text_.size();
        first_before_rows_ = first_;
        begin_list(name);
    }
    void end_rows() {
        if (!first_) return end_list();
        text_.resize(before_rows_);
        first_ = first_before_rows_;
    }
    void begin_object() {
        comma();
        text_ += '{';
        first_ = true;
    }
    void begin_object(std::string_view name) {
        comma();
        quoted(name);
        text_ += ":{";
        first_ = true;
    }
    void end_object() {
        text_ += '}';
        first_ = false;
    }
    void item(std::string_view text) {
        comma();
        quoted(text);
    }
    void field(std::string_view name, std::string_view value) {
        key(name);
        quoted(value);
    }
    void field(std::string_view name, const std::string& value) {
        field(name, std::string_view{value});
    }
    void field(std::string_view name, std::int64_t value) {
        key(name);
        text_ += std::to_string(value);
    }
    void field(std::string_view name, int value) { field(name, std::int64_t{value}); }
    void field(std::string_view name, bool value) {
        key(name);
        text_ += value ? "true" : "false";
    }
    void field(std::string_view name, Instant value) { field(name, format_z(value)); }
    void field(std::string_view name, const std::optional<Instant>& value) {
        if (value) field(name, *value);
    }
    void json(std::string_view name, std::string_view value) {
        key(name);
        text_ += value.empty() ? "null" : value;
    }
    void task(const TaskKey& key) {
        field("run_key", key.run.value);
        field("task_no", key.task);
        field("map_index", key.map_index);
    }
    void attempt(const AttemptKey& key) {
        task(key.task);
        field("start_no", key.start);
    }
    std::string take() { return std::move(text_); }

private:
    void comma() {
        if (!first_) text_ += ',';
        first_ = false;
    }
    void key(std::string_view name) {
        comma();
        quoted(name);
        text_ += ':';
    }
    void quoted(std::string_view value) {
        constexpr std::string_view hex = "0123456789abcdef";
        text_ += '"';
        for (const char c : value) {
            if (c == '"' || c == '\\') {
                text_ += '\\';
                text_ += c;
            } else if (static_cast<unsigned char>(c) < 0x20) {
                text_ += "\\u00";
                text_ += hex[static_cast<unsigned char>(c) >> 4];
                text_ += hex[static_cast<unsigned char>(c) & 15];
            } else {
                text_ += c;
            }
        }
        text_ += '"';
    }

    std::string text_;
    bool first_{true};
    std::size_t before_rows_{0};
    bool first_before_rows_{true};
};

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
    w.begin_rows("dates");
    for (const BackfillDate& date : turn.backfill_dates) {
        w.begin_object();
        w.field("backfill_id", date.backfill.value);
        w.field("ordinal", date.ordinal);
        w.field("logical_date", date.logical_date);
        w.field("interval_start", date.data_interval.start);
        w.field("interval_end", date.data_interval.end);
        w.field("run_after", date.run_after);
        w.field("action", date.action);
        w.field("reason", date.reason);
        if (date.run) w.field("run_key", date.run->value);
        w.end_object();
    }
    w.end_rows();
}

void write_dags(const std::vector<DagState>& dags, Writer& w) {
    w.begin_rows("dags");
    for (const DagState& dag : dags) {
        w.begin_object();
        w.field("dag_id", dag.dag_id);
        w.field("current_version", dag.current.value);
        w.field("is_paused", dag.is_paused);
        w.field("is_stale", dag.is_stale);
        if (dag.last_automated) {
            w.field("last_automated_start", dag.last_automated->start);
            w.field("last_automated_end", dag.last_automated->end);
        }
        w.field("next_run_after", dag.next_run_after);
        if (dag.next_interval) {
            w.field("next_interval_start", dag.next_interval->start);
            w.field("next_interval_end", dag.next_interval->end);
        }
        w.field("next_logical_date", dag.next_logical_date);
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

void write_audits(const std::vector<AuditEntry>& audits, Writer& w) {
    w.begin_rows("audits");
    for (const AuditEntry& audit : audits) {
        w.begin_object();
        w.field("at", audit.at);
        w.field("actor", audit.actor);
        w.field("source", audit.source);
        w.field("request_id", audit.request_id);
        w.field("event", audit.event);
        w.field("dag_id", audit.dag_id);
        w.field("run_id", audit.run_id);
        w.field("task_id", audit.task_id);
        w.json("extra", audit.extra.empty() ? "{}" : audit.extra);
        w.end_object();
    }
    w.end_rows();
}

void write_branches(const std::vector<BranchChoice>& branches, Writer& w) {
    for (const bool gone : {false, true}) {
        w.begin_list(gone ? "branches_gone" : "branches");
        for (const BranchChoice& row : branches) {
            if (row.forgotten != gone) continue;
            w.begin_object();
            w.task(row.key);
            if (!gone) {
                w.field("skip_all_below", row.branch.skip_all_below);
                w.begin_list("chosen");
                for (const std::string& id : row.branch.chosen) w.item(id);
                w.end_list();
            }
            w.end_object();
        }
        w.end_list();
    }
}

void write_past(const Turn& turn, Writer& w) {
    w.begin_object("x_past");
    write_branches(turn.branches, w);
    w.begin_list("endings");
    for (const RunEnding& row : turn.endings) {
        if (row.forgotten) continue;
        w.begin_object();
        w.field("run_key", row.run.value);
        w.field("state", static_cast<int>(row.state));
        w.field("stop", row.stop);
        w.field("reason", row.reason);
        w.end_object();
    }
    w.end_list();
    w.begin_list("endings_gone");
    for (const RunEnding& row : turn.endings)
        if (row.forgotten) w.item(std::to_string(row.run.value));
    w.end_list();
    w.begin_list("failures");
    for (const DagFailures& row : turn.failures) {
        w.begin_object();
        w.field("dag_id", row.dag_id);
        w.field("count", row.count);
        w.end_object();
    }
    w.end_list();
    w.end_object();
}

void write_clearings(const std::vector<Clearing>& clearings, Writer& w) {
    if (clearings.empty()) return;
    w.begin_list("x_clearing");
    for (const Clearing& row : clearings) {
        std::string rest;
        for (const auto& part : row.rest)
            rest += (rest.empty() ? "[" : ",[") + std::to_string(part.task) + ',' +
                    std::to_string(part.lo) + ',' + std::to_string(part.hi) + ']';
        std::string tasks;
        for (const TaskNo task : row.tasks)
            tasks += (tasks.empty() ? "" : ",") + std::to_string(task);
        w.begin_object();
        w.field("run_key", row.run.value);
        w.json("rest", "[" + rest + "]");
        w.json("tasks", "[" + tasks + "]");
        w.field("only_failed", row.only_failed);
        w.field("only_running", row.only_running);
        w.field("actor", row.actor);
        w.field("over", row.over);
        w.end_object();
    }
    w.end_list();
}

void write_deleted(const std::vector<RunKey>& runs, Writer& w) {
    if (runs.empty()) return;
    w.begin_list("x_deleted");
    for (const RunKey run : runs) w.item(std::to_string(run.value));
    w.end_list();
}

void write_asset_event(const AssetEvent& event, Writer& w) {
    w.begin_object();
    w.field("id", event.id);
    w.field("asset", event.asset);
    w.field("at", event.at);
    w.json("extra", event.extra);
    if (!event.dag_id.empty()) {
        w.field("source_dag_id", event.dag_id);
        w.field("source_run_id", event.run_id);
        w.field("source_task_id", event.task_id);
        w.field("source_map_index", event.map_index);
    }
    if (event.interval) {
        w.field("interval_start", event.interval->start);
        w.field("interval_end", event.interval->end);
    }
    w.field("created_by", event.user);
    w.end_object();
}

void write_assets(const Turn& turn, Writer& w) {
    w.begin_object("x_assets");
    w.begin_list("events");
    for (const AssetEvent& event : turn.asset_events) write_asset_event(event, w);
    w.end_list();
    for (const bool gone : {false, true}) {
        w.begin_list(gone ? "marks_gone" : "marks");
        for (const AssetMark& mark : turn.asset_marks) {
            if (mark.forgotten != gone) continue;
            w.begin_object();
            w.field("dag_id", mark.dag_id);
            w.field("asset", mark.asset);
            if (!gone) w.field("seen", mark.seen);
            w.end_object();
        }
        w.end_list();
    }
    w.begin_list("uses");
    for (const AssetUse& use : turn.asset_uses) {
        w.begin_object();
        w.field("run_key", use.run.value);
        w.field("event_id", use.event);
        w.end_object();
    }
    w.end_list();
    w.end_object();
}

void write_mapped(const Turn& turn, Writer& w) {
    w.begin_object("x_mapped");
    w.begin_list("lengths");
    for (const MapLength& row : turn.map_lengths) {
        w.begin_object();
        w.field("run_key", row.run.value);
        w.field("map_no", row.map);
        w.field("length", row.length);
        w.field("serial", row.serial);
        w.json("shape", row.shape);
        w.end_object();
    }
    w.end_list();
    w.begin_list("ranges");
    for (const MapRange& row : turn.map_ranges) {
        w.begin_object();
        w.field("run_key", row.run.value);
        w.field("seq", row.seq.value);
        w.field("task_no", row.task);
        w.field("map_lo", row.lo);
        w.field("map_hi", row.hi);
        w.field("state", static_cast<int>(row.state));
        w.field("at", row.at);
        w.field("note", row.note);
        w.end_object();
    }
    w.end_list();
    w.begin_list("names");
    for (const MapName& row : turn.map_names) {
        w.begin_object();
        w.task(row.key);
        w.field("name", row.name);
        w.end_object();
    }
    w.end_list();
    w.end_object();
}

bool has_assets(const Turn& turn) {
    return !(turn.asset_events.empty() && turn.asset_marks.empty() && turn.asset_uses.empty());
}

bool has_mapped(const Turn& turn) {
    return !(turn.map_lengths.empty() && turn.map_ranges.empty() && turn.map_names.empty());
}

bool has_past(const Turn& turn) {
    return !(turn.branches.empty() && turn.endings.empty() && turn.failures.empty());
}

void write_waits(const std::vector<WaitRow>& waits, Writer& w) {
    if (waits.empty()) return;
    w.begin_list("x_waits");
    for (const WaitRow& wait : waits) {
        w.begin_object();
        w.task(wait.key);
        w.field("kind", static_cast<int>(wait.kind));
        w.field("first_at", wait.first_at);
        w.field("until", wait.until);
        w.field("event", wait.event);
        w.json("resume", wait.resume);
        w.field("over", wait.over);
        w.end_object();
    }
    w.end_list();
}

void write_checkpoints_dropped(const std::vector<TaskKey>& keys, Writer& w) {
    if (keys.empty()) return;
    w.begin_list("x_checkpoints_dropped");
    for (const TaskKey& key : keys) {
        w.begin_object();
        w.task(key);
        w.end_object();
    }
    w.end_list();
}

void write_callbacks(const std::vector<CallbackDue>& callbacks, Writer& w) {
    if (callbacks.empty()) return;
    w.begin_list("x_outbox");
    for (const CallbackDue& due : callbacks) {
        w.begin_object();
        w.task(due.key);
        w.field("kind", due.callback.kind);
        w.field("event", std::string(name(due.callback.on)));
        w.field("deadline", due.callback.deadline);
        w.begin_object("payload");
        w.field("start", due.start);
        w.field("try_number", due.try_number);
        w.field("reason", due.reason);
        w.json("with", due.callback.with);
        w.end_object();
        w.end_object();
    }
    w.end_list();
}

bool has_deadlines(const Turn& turn) {
    return !(turn.deadlines.empty() && turn.deadlines_dropped.empty());
}

void write_deadlines(const Turn& turn, Writer& w) {
    w.begin_object("x_deadlines");
    w.begin_list("dropped");
    for (const RunKey run : turn.deadlines_dropped) w.item(std::to_string(run.value));
    w.end_list();
    w.begin_list("rows");
    for (const DeadlineRow& row : turn.deadlines) {
        w.begin_object();
        w.field("run_key", row.run.value);
        w.field("task_no", row.task);
        w.field("number", row.number);
        w.field("due_at", row.at);
        w.field("predicted_at", row.predicted_at);
        w.field("missed_at", row.missed_at);
        w.end_object();
    }
    w.end_list();
    w.end_object();
}

void write_slices(const std::vector<SlicesKept>& kept, Writer& w) {
    if (kept.empty()) return;
    w.begin_list("x_slices");
    for (const SlicesKept& row : kept) {
        w.begin_object();
        w.field("run_key", row.run.value);
        w.field("task_no", row.task);
        w.field("length", row.length);
        w.end_object();
    }
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
    w.field("dags", !turn.dags.empty());
    w.end_object();
}

}  // namespace

std::string extra_rows(const Turn& turn, bool tell) {
    const auto artefacts = artefacts_of(turn);
    const bool rare =
        tell || !artefacts.empty() || !turn.clearings.empty() || !turn.runs_deleted.empty() ||
        !turn.checkpoints_dropped.empty() || !turn.callbacks.empty() ||
        !(turn.outputs.empty() && turn.backfills.empty() && turn.backfill_dates.empty() &&
          turn.dags.empty() && turn.pools.empty() && turn.pools_removed.empty() &&
          turn.audits.empty() && turn.waits.empty() && !has_past(turn) && !has_assets(turn) &&
          !has_mapped(turn) && !has_deadlines(turn) && turn.slices_kept.empty());
    if (!rare && turn.attempts.empty() && turn.xcoms.empty() && turn.rendered.empty()) return {};

    Writer w;
    w.begin_object();
    write_attempts(turn.attempts, w);
    write_values(turn, w);
    if (rare) {
        w.begin_object("rare");
        write_outputs(turn.outputs, w);
        write_backfills(turn, w);
        write_dags(turn.dags, w);
        write_pools(turn, w);
        write_audits(turn.audits, w);
        if (has_past(turn)) write_past(turn, w);
        write_clearings(turn.clearings, w);
        write_deleted(turn.runs_deleted, w);
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
        w.end_object();
    }
    w.end_object();
    return w.take();
}

}  // namespace sluice::store
