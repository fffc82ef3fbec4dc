#include "store/turn_params.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "store/json_rows.hpp"

namespace sluice::store {
namespace {

std::int16_t small(auto value) { return static_cast<std::int16_t>(value); }

// One array parameter of the rows that `take`; null if there are none.
template <class Rows, class Take, class Write>
void write_array(Params& p, Oid type, const Rows& rows, Take take, Write write) {
    const auto count = static_cast<std::size_t>(std::ranges::count_if(rows, take));
    if (count == 0) {
        p.add_null();
        return;
    }
    p.begin_array(type, count);
    for (const auto& row : rows) {
        if (take(row)) write(p, row);
    }
}

/// The rows that `take`, by DAG: the indexes begin with it, and what lies side by side in them is
/// written at once. A minute's tick brings the runs of thousands of DAGs in any order.
template <class Row, class Take, class DagOf>
std::vector<const Row*> by_dag(const std::vector<Row>& rows, Take take, DagOf dag_of) {
    std::vector<const Row*> found;
    found.reserve(rows.size());
    for (const Row& row : rows)
        if (take(row)) found.push_back(&row);
    const auto id = [&](const Row* row) -> const std::string& { return dag_of(*row); };
    if (!std::ranges::is_sorted(found, {}, id)) std::ranges::stable_sort(found, {}, id);
    return found;
}

void write_task(Params& p, const TaskChange& change) {
    const TaskInstance& task = change.instance;
    p.begin_record(18);
    p.field_small(small(change.from));
    p.field(task.key.run.value);
    p.field_int(task.key.task);
    p.field_int(task.key.map_index);
    p.field_small(small(task.state));
    p.field_int(task.try_number);
    p.field_int(task.max_tries);
    p.field_int(task.starts);
    p.field_int(task.attempts_since_clear);
    p.field_int(task.lost_in_a_row);
    p.field(task.scheduled_at);
    p.field(task.queued_at);
    p.field(task.start_date);
    p.field(task.end_date);
    p.field(task.next_try_at);
    p.field_small(small(task.error_class));
    p.field(std::string_view{task.error});
    p.field(std::string_view{task.note});
    p.end_record();
}

void write_transition(Params& p, const Transition& row) {
    p.begin_record(11);
    p.field(row.seq.value);
    p.field(row.run.value);
    p.field(std::optional{row.at});
    p.field_int(row.task);
    p.field_int(row.map_lo);
    p.field_int(row.map_hi);
    p.field_int(row.try_number);
    p.field_small(small(row.from));
    p.field_small(small(row.to));
    p.field(std::string_view{row.cause});
    p.field(std::string_view{row.actor});
    p.end_record();
}

void write_run(Params& p, const RunChange& change) {
    const DagRun& run = change.run;
    const auto& interval = run.data_interval;
    p.begin_record(22);
    p.field_small(change.from ? small(*change.from) : small(-1));
    p.field(run.key.value);
    p.field(std::string_view{run.dag_id});
    p.field(run.version.value);
    p.field(std::string_view{run.run_id});
    p.field_small(small(run.type));
    p.field_small(small(run.triggered_by));
    p.field(std::string_view{run.triggering_user});
    p.field_small(small(run.state));
    p.field(run.logical_date);
    p.field(interval ? std::optional{interval->start} : std::nullopt);
    p.field(interval ? std::optional{interval->end} : std::nullopt);
    p.field(std::optional{run.run_after});
    p.field(std::optional{run.queued_at});
    p.field(run.start_date);
    p.field(run.end_date);
    p.field_json(run.conf);
    p.field(std::string_view{run.note});
    p.field(std::string_view{run.reason});
    if (run.backfill) {
        p.field(run.backfill->value);
    } else {
        p.field_null(oid::int8);
    }
    p.field_int(run.backfill_ordinal);
    p.field_int(run.clear_number);
    p.end_record();
}

void write_key(Params& p, const TaskKey& key) {
    p.begin_record(3);
    p.field(key.run.value);
    p.field_int(key.task);
    p.field_int(key.map_index);
    p.end_record();
}

void write_audit_row(Params& p, const AuditEntry& audit) {
    p.begin_record(9);
    p.field(std::optional{audit.at});
    p.field(std::string_view{audit.actor});
    p.field(std::string_view{audit.source});
    p.field(std::string_view{audit.request_id});
    p.field(std::string_view{audit.event});
    p.field(std::string_view{audit.dag_id});
    p.field(std::string_view{audit.run_id});
    p.field(std::string_view{audit.task_id});
    p.field_json(audit.extra.empty() ? "{}" : audit.extra);
    p.end_record();
}

void write_dag(Params& p, const DagState& dag) {
    const auto start = [](const std::optional<Interval>& interval) {
        return interval ? std::optional{interval->start} : std::nullopt;
    };
    const auto end = [](const std::optional<Interval>& interval) {
        return interval ? std::optional{interval->end} : std::nullopt;
    };
    p.begin_record(10);
    p.field(std::string_view{dag.dag_id});
    p.field(dag.current.value);
    p.field(dag.is_paused);
    p.field(dag.is_stale);
    p.field(start(dag.last_automated));
    p.field(end(dag.last_automated));
    p.field(dag.next_run_after);
    p.field(start(dag.next_interval));
    p.field(end(dag.next_interval));
    p.field(dag.next_logical_date);
    p.end_record();
}

void write_date(Params& p, const BackfillDate& date) {
    p.begin_record(9);
    p.field(date.backfill.value);
    p.field_int(date.ordinal);
    p.field(std::optional{date.logical_date});
    p.field(std::optional{date.data_interval.start});
    p.field(std::optional{date.data_interval.end});
    p.field(std::optional{date.run_after});
    p.field(std::string_view{date.action});
    p.field(std::string_view{date.reason});
    if (date.run) {
        p.field(date.run->value);
    } else {
        p.field_null(oid::int8);
    }
    p.end_record();
}

// The numbers of a turn follow each other; core gives them.
std::int64_t check_seqs(const std::vector<Transition>& log) {
    if (log.empty()) return 0;
    for (std::size_t i = 1; i < log.size(); ++i) {
        SLUICE_CHECK(log[i].seq.value == log[i - 1].seq.value + 1);
    }
    return log.back().seq.value;
}

}  // namespace

std::optional<std::pair<std::int64_t, std::int64_t>> partition_keys(const Turn& turn) {
    std::int64_t lo = INT64_MAX;
    std::int64_t hi = INT64_MIN;
    const auto see = [&](RunKey run) {
        lo = std::min(lo, run.value);
        hi = std::max(hi, run.value);
    };
    for (const auto& change : turn.tasks) see(change.instance.key.run);
    for (const auto& row : turn.transitions) see(row.run);
    for (const auto& attempt : turn.attempts) see(attempt.key.run);
    for (const auto& key : turn.xcoms_cleared) see(key.run);
    for (const auto& xcom : turn.xcoms) see(xcom.key.run);
    for (const auto& row : turn.rendered) see(row.key.task.run);
    if (lo > hi) return std::nullopt;
    return std::pair{lo, hi};
}

std::int64_t last_new_run(const Turn& turn) {
    std::int64_t last = 0;
    for (const auto& change : turn.runs) {
        if (change.row == RowIs::fresh) last = std::max(last, change.run.key.value);
    }
    return last;
}

constexpr Query turn_types_sql{"turn_types", R"(
    select 'turn_task'::regtype::oid::int8, 'turn_log'::regtype::oid::int8,
        'turn_run'::regtype::oid::int8, 'turn_key'::regtype::oid::int8,
        'turn_audit'::regtype::oid::int8, 'turn_dag'::regtype::oid::int8,
        'turn_date'::regtype::oid::int8)"};

TurnTypes read_turn_types(Connection& connection) {
    const Result row = connection.run(turn_types_sql);
    return {
        static_cast<Oid>(row.int8(0, 0)),
        static_cast<Oid>(row.int8(0, 1)),
        static_cast<Oid>(row.int8(0, 2)),
        static_cast<Oid>(row.int8(0, 3)),
        static_cast<Oid>(row.int8(0, 4)),
        static_cast<Oid>(row.int8(0, 5)),
        static_cast<Oid>(row.int8(0, 6))
    };
}

void write_turn(const Turn& turn, const TurnFrame& frame, Params& params) {
    const TurnTypes& types = frame.types;
    params.clear();
    std::int64_t last_backfill = 0;
    for (const Backfill& backfill : turn.backfills) {
        last_backfill = std::max(last_backfill, backfill.id.value);
    }
    params.add(frame.epoch).add_interval(frame.lease).add(turn.now);
    params.add(check_seqs(turn.transitions)).add(last_new_run(turn)).add(last_backfill);

    const auto fresh = [](const auto& change) { return change.row == RowIs::fresh; };
    const auto existing = [](const auto& change) { return change.row == RowIs::existing; };
    const auto all = [](const auto&) { return true; };
    const auto dag_of_run = [](const RunChange& row) -> const std::string& {
        return row.run.dag_id;
    };
    write_array(
        params,
        types.run,
        by_dag(turn.runs, fresh, dag_of_run),
        all,
        [](Params& p, const RunChange* row) { write_run(p, *row); }
    );
    write_array(params, types.run, turn.runs, existing, write_run);
    write_array(params, types.task, turn.tasks, fresh, write_task);
    write_array(params, types.task, turn.tasks, existing, write_task);
    write_array(params, types.log, turn.transitions, all, write_transition);
    write_array(params, types.key, turn.xcoms_cleared, all, write_key);
    write_array(params, types.audit, turn.audits, all, write_audit_row);
    const auto dag_of_state = [](const DagState& row) -> const std::string& { return row.dag_id; };
    write_array(
        params,
        types.dag,
        by_dag(turn.dags, all, dag_of_state),
        all,
        [](Params& p, const DagState* row) { write_dag(p, *row); }
    );
    write_array(params, types.date, turn.backfill_dates, all, write_date);

    const std::string extra = extra_rows(turn, frame.tell);
    if (extra.empty()) {
        params.add_null();
    } else {
        params.add(extra);
    }
}

}  // namespace sluice::store
