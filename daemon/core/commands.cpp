// commands.cpp — triggering a run, its note, pools.
#include <algorithm>

#include <fmt/format.h>

#include "base/hash.hpp"
#include "base/limits.hpp"
#include "core/impl.hpp"

namespace sluice::core {
namespace {

bool is_run_id(std::string_view text) {
    return !text.empty() && text.size() <= limits::run_id_bytes &&
           std::ranges::all_of(text, [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      std::string_view{"_.~:+-"}.find(c) != std::string_view::npos;
           });
}

/// Ids that the scheduler makes itself; a user's would take the place of a run to come.
bool is_reserved_run_id(std::string_view text) {
    return text.starts_with("scheduled__") || text.starts_with("backfill__") ||
           text.starts_with("asset_triggered__");
}

/// Eight hex digits that are the same whenever the run is made again.
std::string suffix_of(std::string_view dag_id, RunKey key) {
    return sha256_hex(fmt::format("{}#{}", dag_id, key.value)).substr(0, 8);
}

}  // namespace

Taken Scheduler::Impl::on(const TriggerRun& event) {
    const auto no = [&](ErrorCode code, std::string why) {
        refuse(event.request, code, std::move(why));
        return Taken::yes;
    };
    const auto at = dag_numbers_.find(event.dag_id);
    if (at == dag_numbers_.end())
        return no(ErrorCode::not_found, "no DAG \"" + event.dag_id + "\"");
    auto& dag = *dags_[static_cast<std::size_t>(at->second)];
    if (dag.current == nullptr || dag.state.is_stale)
        return no(
            ErrorCode::conflict,
            "the definition of DAG \"" + event.dag_id + "\" is gone: it starts no new runs"
        );
    if (event.run_id) {
        if (!is_run_id(*event.run_id))
            return no(
                ErrorCode::invalid,
                "a run_id has 1 to 250 letters, digits and _ . ~ : + -, not \"" + *event.run_id +
                    "\""
            );
        if (is_reserved_run_id(*event.run_id))
            return no(
                ErrorCode::invalid, "the run_id \"" + *event.run_id + "\" is kept for the scheduler"
            );
        if (event.run_id_taken || dag.open_run_ids.contains(*event.run_id))
            return no(
                ErrorCode::conflict,
                fmt::format("DAG \"{}\" has a run \"{}\" already", event.dag_id, *event.run_id)
            );
    }
    if (event.logical_date &&
        (event.logical_date_taken || dag.open_dates.contains(*event.logical_date)))
        return no(
            ErrorCode::conflict,
            fmt::format(
                "DAG \"{}\" has a run with logical date {} already",
                event.dag_id,
                format_z(*event.logical_date)
            )
        );

    DagRun row;
    const bool by_operator = event.actor.by == TriggeredBy::operator_;
    row.type = by_operator ? RunType::operator_triggered : RunType::manual;
    row.triggered_by = event.actor.by;
    row.triggering_user = event.actor.user;
    row.logical_date = event.logical_date;
    row.run_after = event.run_after.value_or(now_);
    row.data_interval = event.data_interval;
    if (!row.data_interval)
        row.data_interval =
            dag.timetable->infer_interval(event.logical_date.value_or(row.run_after));
    row.conf = event.conf;
    row.note = event.note;
    row.run_id =
        event.run_id.value_or(fmt::format("{}__{}", name(row.type), format_offset(row.run_after)));
    const bool taken = event.run_id_taken || dag.open_run_ids.contains(row.run_id);
    if (!event.run_id && (!event.logical_date || taken))
        row.run_id += "_" + suffix_of(event.dag_id, {last_run_.value + 1});
    Run& run = create_run(std::move(row), dag);
    audit(
        event.actor,
        "trigger_dag_run",
        {event.dag_id, run.row.run_id},
        "{\"conf\":" + event.conf + "}"
    );
    answer(event.request).run = run.row;
    return Taken::yes;
}

Taken Scheduler::Impl::on(const SetRunNote& event) {
    Run* run = find_or_load(event.run, event.stored);
    if (run == nullptr) {
        refuse(event.request, ErrorCode::not_found, "no such DAG run");
        return Taken::yes;
    }
    if (is_touched(*run)) return Taken::next_turn;
    run->row.note = event.note;
    touch_row(*run);
    audit(event.actor, "set_note", {run->row.dag_id, run->row.run_id});
    answer(event.request).run = run->row;
    return Taken::yes;
}

Taken Scheduler::Impl::on(const PutPool& event) {
    const Pool& pool = event.pool;
    const auto no = [&](const std::string& why) {
        refuse(event.request, ErrorCode::invalid, why);
        return Taken::yes;
    };
    if (pool.name.empty() || pool.name.size() > limits::dag_id_bytes)
        return no("a pool has a name of at most 250 bytes");
    if (Pools::is_built_in(pool.name))
        return no("pool \"" + pool.name + "\" is set by the configuration of the daemon");
    if (pool.slots < -1) return no("a pool has 0 slots or more, or -1 for no limit");
    pools_.put(pool);
    // The last word of a turn counts: rows are written before others are removed.
    std::erase(turn_->pools_removed, pool.name);
    std::erase_if(turn_->pools, [&](const Pool& other) { return other.name == pool.name; });
    turn_->pools.push_back(pool);
    audit(event.actor, "put_pool", {}, fmt::format("{{\"slots\":{}}}", pool.slots));
    (void)answer(event.request);
    return Taken::yes;
}

Taken Scheduler::Impl::on(const RemovePool& event) {
    const bool fixed = event.name == default_pool || Pools::is_built_in(event.name);
    if (fixed) {
        refuse(event.request, ErrorCode::invalid, "pool \"" + event.name + "\" cannot be removed");
        return Taken::yes;
    }
    if (pools_.find(event.name) == nullptr) {
        refuse(event.request, ErrorCode::not_found, "no pool \"" + event.name + "\"");
        return Taken::yes;
    }
    pools_.remove(event.name);
    std::erase_if(turn_->pools, [&](const Pool& pool) { return pool.name == event.name; });
    turn_->pools_removed.push_back(event.name);
    audit(event.actor, "remove_pool", {});
    (void)answer(event.request);
    return Taken::yes;
}

}  // namespace sluice::core
