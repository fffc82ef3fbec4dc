// assets.cpp — what must hold of assets: each event is taken exactly once by each DAG that waits
// for it, and no run that its events allow is missing. Follows the rows alone.
#include <algorithm>

#include <fmt/format.h>

#include "tests/sim/broken.hpp"
#include "tests/sim/world.hpp"

namespace sluice::sim {
namespace {

/// Plainly, from the words of the semantics.
bool met(const AssetCondition& condition, const std::set<std::string>& updated) {
    int good = 0;
    int all = 0;
    for (const auto& name : condition.names) {
        ++all;
        good += updated.contains(name) ? 1 : 0;
    }
    for (const auto& part : condition.nested) {
        ++all;
        good += met(part, updated) ? 1 : 0;
    }
    return condition.any ? good > 0 : good == all;
}

}  // namespace

void World::check_assets(const Turn& turn) {
    for (const auto& event : turn.asset_events) {
        must(event.id == ++last_asset_event_, "the ids of asset events have a gap");
        ++histogram_[{"an asset", event.dag_id.empty() ? "was pushed" : "was updated"}];
    }
    const bool deleted = std::ranges::any_of(turn.audits, [](const AuditEntry& audit) {
        return audit.event == "delete_asset_events";
    });
    std::set<std::pair<std::string, std::int64_t>> now;
    for (const auto& use : turn.asset_uses) {
        const auto& run = journal_.runs().at(use.run);
        must(run.type == RunType::asset_triggered, "an event was taken by another kind of run");
        must(journal_.asset_events().contains(use.event), "an event that is not stored was taken");
        const auto& asset = journal_.asset_events().at(use.event).asset;
        const auto mark = marks_.find({run.dag_id, asset});
        // A DAG may begin to wait in the turn in which the event comes.
        const bool begins = std::ranges::any_of(turn.asset_marks, [&](const AssetMark& row) {
            return row.dag_id == run.dag_id && row.asset == asset && !row.forgotten;
        });
        must(
            mark != marks_.end() || begins, "an event was taken by a DAG that does not wait for it"
        );
        must(
            mark == marks_.end() || use.event > mark->second,
            "an event was taken that was taken or deleted before"
        );
        must(
            taken_events_.emplace(run.dag_id, use.event).second,
            fmt::format("event {} was taken twice by {}", use.event, run.dag_id)
        );
        now.emplace(run.dag_id, use.event);
        ++histogram_[{"an asset event", "was taken"}];
        tell(fmt::format("  run {} takes event {} of {}", use.run.value, use.event, asset));
    }
    for (const auto& row : turn.asset_marks) {
        const std::pair key{row.dag_id, row.asset};
        if (row.forgotten) {
            marks_.erase(key);
            continue;
        }
        const auto known = marks_.find(key);
        // A mark moves over events that were taken in the same commit, or that a user deleted.
        if (known != marks_.end() && !deleted)
            for (const auto& [id, event] : journal_.asset_events())
                if (event.asset == row.asset && id > known->second && id <= row.seen)
                    must(now.contains({row.dag_id, id}), "an event was lost");
        must(known == marks_.end() || known->second <= row.seen, "a mark moved back");
        marks_[key] = row.seen;
    }
    if (deleted) ++histogram_[{"an asset event", "was deleted"}];
}

/// A DAG that is active, has room for a run and whose condition is met has that run.
void World::check_no_asset_waits() {
    for (const auto& [dag_id, dag] : current_) {
        const auto* state = scheduler_->find_dag(dag_id);
        if (!dag->schedule.assets || state->is_paused || state->is_stale) continue;
        const auto open = std::ranges::count_if(journal_.runs(), [&](const auto& entry) {
            const DagRun& run = entry.second;
            return run.dag_id == dag_id && run.type == RunType::asset_triggered &&
                   !is_finished(run.state);
        });
        if (open >= dag->max_active_runs) continue;
        std::set<std::string> updated;
        for (const auto& [id, event] : journal_.asset_events()) {
            const auto mark = marks_.find({dag_id, event.asset});
            if (mark != marks_.end() && id > mark->second) updated.insert(event.asset);
        }
        must(!met(*dag->schedule.assets, updated), "no run was made for the assets of " + dag_id);
        must(
            scheduler_->queued_asset_events(dag_id, "").empty() == updated.empty(),
            "memory and journal differ about the events that wait for " + dag_id
        );
    }
}

}  // namespace sluice::sim
