#include "store/turn_params.hpp"

#include <algorithm>
#include <concepts>

#include "base/check.hpp"
#include "store/json_rows.hpp"

namespace sluice::store {
namespace {

std::int16_t small(auto value) { return static_cast<std::int16_t>(value); }

template <class Rows, class Field>
void column(Params& params, Oid type, const Rows& rows, Field field) {
    params.begin_array(type, rows.size());
    for (const auto& row : rows) {
        const auto value = field(row);
        using Value = std::remove_cvref_t<decltype(value)>;
        if constexpr (std::same_as<Value, int>) {
            params.element_int(value);
        } else if constexpr (std::same_as<Value, std::int16_t>) {
            params.element_small(value);
        } else if constexpr (std::same_as<Value, std::optional<std::int64_t>>) {
            if (value) {
                params.element(*value);
            } else {
                params.element_null();
            }
        } else {
            params.element(value);
        }
    }
}

void write_tasks(const std::vector<TaskChange>& tasks, Params& p) {
    using C = const TaskChange&;
    column(p, oid::boolean, tasks, [](C c) { return c.row == RowIs::fresh; });
    column(p, oid::int2, tasks, [](C c) { return small(c.from); });
    column(p, oid::int8, tasks, [](C c) { return c.instance.key.run.value; });
    column(p, oid::int4, tasks, [](C c) { return c.instance.key.task; });
    column(p, oid::int4, tasks, [](C c) { return c.instance.key.map_index; });
    column(p, oid::int2, tasks, [](C c) { return small(c.instance.state); });
    column(p, oid::int4, tasks, [](C c) { return c.instance.try_number; });
    column(p, oid::int4, tasks, [](C c) { return c.instance.max_tries; });
    column(p, oid::int4, tasks, [](C c) { return c.instance.starts; });
    column(p, oid::int4, tasks, [](C c) { return c.instance.attempts_since_clear; });
    column(p, oid::int4, tasks, [](C c) { return c.instance.lost_in_a_row; });
    column(p, oid::timestamptz, tasks, [](C c) { return c.instance.scheduled_at; });
    column(p, oid::timestamptz, tasks, [](C c) { return c.instance.queued_at; });
    column(p, oid::timestamptz, tasks, [](C c) { return c.instance.start_date; });
    column(p, oid::timestamptz, tasks, [](C c) { return c.instance.end_date; });
    column(p, oid::timestamptz, tasks, [](C c) { return c.instance.next_try_at; });
    column(p, oid::int2, tasks, [](C c) { return small(c.instance.error_class); });
    column(p, oid::text, tasks, [](C c) { return std::string_view{c.instance.error}; });
    column(p, oid::text, tasks, [](C c) { return std::string_view{c.instance.note}; });
}

void write_log(const std::vector<Transition>& log, Params& p) {
    using T = const Transition&;
    column(p, oid::int8, log, [](T t) { return t.run.value; });
    column(p, oid::int4, log, [](T t) { return t.task; });
    column(p, oid::int4, log, [](T t) { return t.map_lo; });
    column(p, oid::int4, log, [](T t) { return t.map_hi; });
    column(p, oid::int2, log, [](T t) { return small(t.from); });
    column(p, oid::int2, log, [](T t) { return small(t.to); });
    column(p, oid::int4, log, [](T t) { return t.try_number; });
    column(p, oid::timestamptz, log, [](T t) { return t.at; });
    column(p, oid::text, log, [](T t) { return std::string_view{t.cause}; });
    column(p, oid::text, log, [](T t) { return std::string_view{t.actor}; });
}

std::optional<Instant> start_of(const std::optional<Interval>& interval) {
    return interval ? std::optional{interval->start} : std::nullopt;
}
std::optional<Instant> end_of(const std::optional<Interval>& interval) {
    return interval ? std::optional{interval->end} : std::nullopt;
}

void write_runs(const std::vector<RunChange>& runs, Params& p) {
    using C = const RunChange&;
    column(p, oid::boolean, runs, [](C c) { return c.row == RowIs::fresh; });
    column(p, oid::int2, runs, [](C c) { return c.from ? small(*c.from) : small(-1); });
    column(p, oid::int8, runs, [](C c) { return c.run.key.value; });
    column(p, oid::text, runs, [](C c) { return std::string_view{c.run.dag_id}; });
    column(p, oid::int8, runs, [](C c) { return c.run.version.value; });
    column(p, oid::text, runs, [](C c) { return std::string_view{c.run.run_id}; });
    column(p, oid::int2, runs, [](C c) { return small(c.run.type); });
    column(p, oid::int2, runs, [](C c) { return small(c.run.triggered_by); });
    column(p, oid::text, runs, [](C c) { return std::string_view{c.run.triggering_user}; });
    column(p, oid::int2, runs, [](C c) { return small(c.run.state); });
    column(p, oid::timestamptz, runs, [](C c) { return c.run.logical_date; });
    column(p, oid::timestamptz, runs, [](C c) { return start_of(c.run.data_interval); });
    column(p, oid::timestamptz, runs, [](C c) { return end_of(c.run.data_interval); });
    column(p, oid::timestamptz, runs, [](C c) { return c.run.run_after; });
    column(p, oid::timestamptz, runs, [](C c) { return c.run.queued_at; });
    column(p, oid::timestamptz, runs, [](C c) { return c.run.start_date; });
    column(p, oid::timestamptz, runs, [](C c) { return c.run.end_date; });
    column(p, oid::json, runs, [](C c) { return std::string_view{c.run.conf}; });
    column(p, oid::text, runs, [](C c) { return std::string_view{c.run.note}; });
    column(p, oid::text, runs, [](C c) { return std::string_view{c.run.reason}; });
    column(p, oid::int8, runs, [](C c) {
        return c.run.backfill ? std::optional{c.run.backfill->value} : std::nullopt;
    });
    column(p, oid::int4, runs, [](C c) { return c.run.backfill_ordinal; });
    column(p, oid::int4, runs, [](C c) { return c.run.clear_number; });
}

// The numbers of a turn follow each other; core gives them.
std::int64_t check_seqs(const std::vector<Transition>& log) {
    if (log.empty()) return 0;
    for (std::size_t i = 1; i < log.size(); ++i) {
        SLUICE_CHECK(log[i].seq.value == log[i - 1].seq.value + 1);
    }
    return log.back().seq.value;
}

int existing(const auto& changes) {
    return static_cast<int>(std::ranges::count(changes, RowIs::existing, [](const auto& change) {
        return change.row;
    }));
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

void write_turn(const Turn& turn, std::int64_t epoch, Duration lease, Params& params) {
    params.clear();
    std::int64_t last_backfill = 0;
    for (const Backfill& backfill : turn.backfills) {
        last_backfill = std::max(last_backfill, backfill.id.value);
    }
    params.add(epoch).add_interval(lease).add(turn.now);
    params.add_int(static_cast<std::int32_t>(turn.transitions.size()));
    params.add(check_seqs(turn.transitions)).add(last_new_run(turn)).add(last_backfill);
    write_tasks(turn.tasks, params);
    write_log(turn.transitions, params);
    write_runs(turn.runs, params);
    column(params, oid::int8, turn.xcoms_cleared, [](const TaskKey& k) { return k.run.value; });
    column(params, oid::int4, turn.xcoms_cleared, [](const TaskKey& k) { return k.task; });
    column(params, oid::int4, turn.xcoms_cleared, [](const TaskKey& k) { return k.map_index; });
    params.add_int(existing(turn.tasks)).add_int(existing(turn.runs));
    const std::string extra = extra_rows(turn);
    if (extra.empty()) {
        params.add_null();
    } else {
        params.add(extra);
    }
}

}  // namespace sluice::store
