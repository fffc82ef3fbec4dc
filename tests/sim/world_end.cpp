// world_end.cpp — bringing a world to rest: no new work and no more faults, and everything must
// end.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "tests/sim/broken.hpp"
#include "tests/sim/world.hpp"

namespace sluice::sim {

/// Turns without events until nothing is due; then nothing may wait that could go on.
void World::quiesce() {
    int turns = 0;
    while (!put_off_.empty() || (scheduler_->next_wakeup() && *scheduler_->next_wakeup() <= now_)) {
        must(++turns < 200, "the loop spins: something is always due");
        turn({});
    }
    check_nothing_waits();
    if (whims_.one_in(6)) ask_why();
}

/// What only users can do: end runs that wait for a past that will not come, un-pause DAGs that
/// paused themselves. False if there is none.
bool World::help_on(std::vector<core::Event>& events) {
    for (const auto& [dag_id, dag] : current_) {
        const auto* state = scheduler_->find_dag(dag_id);
        if (state == nullptr || !state->is_paused) continue;
        core::PauseDag unpause;
        unpause.dag_id = dag_id;
        unpause.paused = false;
        events.emplace_back(unpause);
    }
    for (const auto& [key, run] : journal_.runs()) {
        if (run.state != RunState::running) continue;
        const auto& dag = *versions_.at(run.version);
        const auto rows = scheduler_->instances(key);
        const bool waits = std::ranges::any_of(rows, [&](const TaskInstance& row) {
            return row.state == TaskState::none &&
                   !past_is_met(journal_, versions_, run, dag, row.key.task);
        });
        if (!waits) continue;
        core::SetRunState set;
        set.run = key;
        set.state = RunState::success;
        events.emplace_back(set);
    }
    return !events.empty();
}

std::string World::open_runs_text() {
    std::string text;
    for (const auto& [key, run] : journal_.runs()) {
        if (is_finished(run.state)) continue;
        text += fmt::format("\n  run {} of {} is {}:", key.value, run.dag_id, name(run.state));
        for (const auto& row : scheduler_->instances(key))
            if (!is_finished(row.state))
                text += fmt::format(" {}[{}] {}", row.key.task, row.key.map_index, name(row.state));
        for (const auto& row : scheduler_->instances(key))
            if (const auto why = scheduler_->why(row.key); why && !is_finished(row.state))
                for (const auto& reason : *why) text += "; " + reason.text;
    }
    return text;
}

void World::drain() {
    draining_ = true;
    std::vector<core::Event> events;
    for (const auto& [name, slots] : {std::pair{"p1", 2}, {"p2", 3}, {"default_pool", 128}}) {
        core::PutPool put;
        put.pool.name = name;
        put.pool.slots = slots;
        events.emplace_back(put);
    }
    for (const auto& [dag_id, dag] : current_) {
        events.emplace_back(core::DagGone{dag_id});  // no new runs
        core::PauseDag unpause;
        unpause.dag_id = dag_id;
        unpause.paused = false;
        events.emplace_back(unpause);
    }
    for (const auto& id : backfills_) {
        core::PatchBackfill unpause;
        unpause.backfill = id;
        unpause.action = core::PatchBackfill::Action::unpause;
        events.emplace_back(unpause);
    }
    // A schedule that makes up for weeks at once would keep the world busy for minutes.
    constexpr std::size_t most = 200;
    auto open = scheduler_->counts().open_runs;
    for (const auto& [key, run] : journal_.runs()) {
        if (open <= most || run.state != RunState::queued) continue;
        core::SetRunState end;
        end.run = key;
        end.state = RunState::failed;
        events.emplace_back(std::move(end));
        --open;
    }
    turn(std::move(events));
    for (int i = 0; scheduler_->counts().open_runs > 0 || !live_.empty(); ++i) {
        must(i < 20'000, "open runs do not end although nothing is in their way");
        quiesce();
        std::optional<Instant> next = scheduler_->next_wakeup();
        for (const auto& [key, attempt] : live_)
            if (!next || attempt.ends < *next) next = attempt.ends;
        if (!asked_.empty()) next = now_;
        const bool asked = scheduler_->counts().open_runs > 0 && answer_action().has_value();
        std::vector<core::Event> results;
        if (scheduler_->counts().open_runs > 0 && !asked && !next)
            must(help_on(results), "open runs wait for nothing: " + open_runs_text());
        if (next) move_clock(*next);
        if (auto said = answer_action()) results.push_back(std::move(*said));
        collect_results(results);
        turn(std::move(results));
    }
    must(journal_.load().open_runs.empty(), "the journal has open runs that core does not have");
}

}  // namespace sluice::sim
