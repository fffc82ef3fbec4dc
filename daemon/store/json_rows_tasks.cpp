// The rare rows that the tasks of a run make.
#include <fmt/format.h>

#include "store/json_rows_parts.hpp"

namespace sluice::store {
namespace {

/// Pairs as a JSON list.
std::string blocks_text(const MapLength& row) {
    std::string text = "[";
    for (const auto& [base, count] : row.blocks)
        text += fmt::format("{}[{},{}]", text.size() == 1 ? "" : ",", base, count);
    return text + "]";
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

}  // namespace

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
        w.field("outer_index", row.outer);
        w.json("blocks", blocks_text(row));
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
        w.begin_list("gone");
        for (const MapIndex index : row.gone) w.item(std::to_string(index));
        w.end_list();
        w.end_object();
    }
    w.end_list();
}

}  // namespace sluice::store
