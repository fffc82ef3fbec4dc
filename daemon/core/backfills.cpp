// backfills.cpp — carrying backfills out: their runs are created or cleared at once, and start in
// order, max_active_runs at a time, apart from the DAG's own limit.
#include <algorithm>

#include <fmt/format.h>

#include "base/check.hpp"
#include "core/backfill.hpp"
#include "core/impl.hpp"

namespace sluice::core {

/// The latest run of each date: as stored, or as it is in memory where it is open.
std::vector<DagRun> Scheduler::Impl::known_runs(const DagEntry& dag, const CreateBackfill& event)
    const {
    std::vector<DagRun> known;
    for (const auto& stored : event.existing) {
        const DagRun* open = find_open_run(stored.run.key);
        known.push_back(open != nullptr ? *open : stored.run);
    }
    if (event.backfill.from_date > event.backfill.to_date) return known;  // refused by the plan
    const auto end = dag.open_dates.upper_bound(event.backfill.to_date);
    for (auto at = dag.open_dates.lower_bound(event.backfill.from_date); at != end; ++at)
        known.push_back(*find_open_run(at->second));
    return known;
}

Taken Scheduler::Impl::on(const CreateBackfill& event) {
    const auto no = [&](ErrorCode code, std::string why) {
        refuse(event.request, code, std::move(why));
        return Taken::yes;
    };
    const auto at = dag_numbers_.find(event.backfill.dag_id);
    if (at == dag_numbers_.end())
        return no(ErrorCode::not_found, "no DAG \"" + event.backfill.dag_id + "\"");
    auto& dag = *dags_[static_cast<std::size_t>(at->second)];
    if (dag.current == nullptr || dag.state.is_stale)
        return no(ErrorCode::conflict, "the definition of the DAG is gone: it starts no new runs");
    for (const BackfillId id : dag.backfills) {
        const auto& other = backfills_.at(id);
        const bool apart = other.row.completed_at || other.row.to_date < event.backfill.from_date ||
                           event.backfill.to_date < other.row.from_date;
        if (!apart)
            return no(
                ErrorCode::conflict,
                fmt::format("backfill {} of the DAG is at work on dates of this range", id.value)
            );
    }
    Backfill row = event.backfill;
    row.id = {last_backfill_.value + 1};
    auto plan = plan_backfill(*dag.current->dag, row, known_runs(dag, event), now_);
    if (plan.error) return no(*plan.error, plan.message);
    for (const auto& date : plan.dates)
        if (const Run* run = date.run ? find_run(*date.run) : nullptr)
            if (date.action == "clear" && is_touched(*run)) return Taken::next_turn;

    ++last_backfill_.value;
    row.created_by = event.actor.user;
    row.created_at = now_;
    row.updated_at = now_;
    row.completed_at.reset();
    auto& entry = backfills_[row.id];
    entry.row = row;
    entry.row_dirty = true;
    dag.backfills.insert(row.id);
    if (!row.tasks.empty()) subsets_[row.id] = row.tasks;
    std::unordered_map<RunKey, const StoredRun*> stored;
    for (const auto& run : event.existing) stored.emplace(run.run.key, &run);
    int ordinal = 0;
    for (auto& date : plan.dates) {
        if (date.action == "create") date.run = create_backfill_run(dag, event, date, ++ordinal);
        if (date.action != "clear") continue;
        if (auto why = clear_into_backfill(*stored.at(*date.run), row, ++ordinal)) {
            date.action = "skip";
            date.reason = std::move(*why);
        }
    }
    audit(
        event.actor,
        "create_backfill",
        {row.dag_id},
        fmt::format(
            R"({{"backfill":{},"from":"{}","to":"{}","runs":{}}})",
            row.id.value,
            format_z(row.from_date),
            format_z(row.to_date),
            ordinal
        )
    );
    mark_dirty(dag);
    auto& reply = answer(event.request);
    reply.backfill = row;
    reply.dates = plan.dates;
    auto& dates = turn_->backfill_dates;
    dates.insert(dates.end(), plan.dates.begin(), plan.dates.end());
    return Taken::yes;
}

RunKey Scheduler::Impl::create_backfill_run(
    DagEntry& dag, const CreateBackfill& event, const BackfillDate& date, int ordinal
) {
    const Backfill& backfill = backfills_.at(date.backfill).row;
    DagRun row;
    row.type = RunType::backfill;
    row.triggered_by = TriggeredBy::backfill;
    row.triggering_user = backfill.created_by;
    row.run_id = "backfill__" + format_offset(date.run_after);
    // Another schedule may have made a run of the same time for another date.
    const auto taken = [&](const std::string& id) {
        return dag.open_run_ids.contains(id) || event.taken_ids.contains(id);
    };
    if (taken(row.run_id)) row.run_id += "_" + std::to_string(backfill.id.value);
    while (taken(row.run_id)) row.run_id += "_";
    row.logical_date = date.logical_date;
    row.data_interval = date.data_interval;
    row.run_after = date.run_after;
    row.conf = backfill.conf;
    row.backfill = backfill.id;
    row.backfill_ordinal = ordinal;
    return create_run(std::move(row), dag).row.key;
}

/// The existing run becomes one of the backfill's. Returns why it cannot; none if it was done.
std::optional<std::string> Scheduler::Impl::clear_into_backfill(
    const StoredRun& stored, const Backfill& backfill, int ordinal
) {
    Run* run = find_or_load(stored.run.key, stored);
    if (run == nullptr) return "its definition is gone";
    const Cause cause{"backfill", backfill.created_by};
    DagRun row = run->row;
    row.backfill = backfill.id;
    Plan& plan = plan_of(stored.onto ? stored.onto : run->plan->whole, *run->dag, row);
    if (std::ranges::find(plan.outside, false) == plan.outside.end() && !plan.outside.empty()) {
        forget_plan(&plan, *run->dag);
        return "its version has none of the tasks";
    }
    if (stored.onto)
        move_onto(*run, plan, cause);
    else
        use_plan(*run, plan);
    run->row.type = RunType::backfill;
    run->row.backfill = backfill.id;
    run->row.backfill_ordinal = ordinal;
    if (backfill.conf != "{}") run->row.conf = backfill.conf;
    clear_all(*run, cause);
    reopen(*run, cause);
    return std::nullopt;
}

void Scheduler::Impl::start_backfill_runs(BackfillEntry& backfill, DagEntry& dag) {
    if (backfill.row.is_paused || dag.state.is_paused) return;
    while (!backfill.queued.empty() && has_room(backfill)) {
        Run& run = *find_run(backfill.queued.begin()->second);
        if (run.clearing) return;
        if (run.cleared == turn_no_) {
            dirty_next_turn_.push_back(&dag);
            again_ = true;
            return;
        }
        if (!is_due(run)) {
            wake_dag(dag, run.row.run_after);
            return;
        }
        start_run(run);
    }
}

void Scheduler::Impl::look_at_backfills(DagEntry& dag) {
    for (const BackfillId id : dag.backfills) {
        auto& backfill = backfills_.at(id);
        if (backfill.row.completed_at) continue;
        start_backfill_runs(backfill, dag);
        if (backfill.has_open_runs()) continue;
        backfill.row.completed_at = now_;
        backfill.row.updated_at = now_;
        backfill.row_dirty = true;
    }
}

Taken Scheduler::Impl::on(const PatchBackfill& event) {
    const auto at = backfills_.find(event.backfill);
    if (at == backfills_.end() || at->second.row.completed_at) {
        refuse(
            event.request,
            ErrorCode::not_found,
            fmt::format("no backfill {} that is at work", event.backfill.value)
        );
        return Taken::yes;
    }
    auto& backfill = at->second;
    auto& dag = dag_entry(backfill.row.dag_id);
    const bool was_paused = backfill.row.is_paused;
    std::string_view what;
    switch (event.action) {
        case PatchBackfill::Action::pause:
            what = "pause_backfill";
            backfill.row.is_paused = true;
            break;
        case PatchBackfill::Action::unpause:
            what = "unpause_backfill";
            backfill.row.is_paused = false;
            break;
        case PatchBackfill::Action::cancel: {
            what = "cancel_backfill";
            for (const auto& [ordinal, key] : backfill.queued)
                if (is_touched(*find_run(key))) return Taken::next_turn;
            const auto who = event.actor.user.empty() ? "hand" : event.actor.user;
            while (!backfill.queued.empty())
                finish_run(
                    *find_run(backfill.queued.begin()->second),
                    RunState::failed,
                    "backfill cancelled by " + who,
                    {"cancel", event.actor.user}
                );
            break;
        }
    }
    // A second pause is none: `why` tells since when the backfill is paused.
    if (event.action == PatchBackfill::Action::cancel || backfill.row.is_paused != was_paused) {
        backfill.row.updated_at = now_;
        backfill.row_dirty = true;
    }
    mark_dirty(dag);
    audit(
        event.actor,
        what,
        {backfill.row.dag_id},
        fmt::format(R"({{"backfill":{}}})", event.backfill.value)
    );
    answer(event.request).backfill = backfill.row;
    return Taken::yes;
}

}  // namespace sluice::core
